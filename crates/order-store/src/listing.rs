//! Lists of deliveries: filters, pages, and the SQL whose cost does not grow with the table.

use jiff::Timestamp;
use order_events::DeliveryStatus;
use uuid::Uuid;

use crate::{
    Delivery,
    backend::{Dialect, Value},
    record::{STATUSES, bounded},
};

/// Which deliveries are listed; what is not set does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// How far they are.
    pub status: Option<DeliveryStatus>,
    /// Whose they are.
    pub customer_id: Option<String>,
    /// The queue that the order last came from, by name.
    pub queue: Option<String>,
    /// With a first attempt that began at this time or later, to the millisecond.
    pub from: Option<Timestamp>,
    /// With a first attempt that began before this time, to the millisecond.
    pub to: Option<Timestamp>,
}

/// A place in a list: behind the delivery whose first attempt began at this time. It does not move
/// when other deliveries come or change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// When the first attempt began, to the millisecond.
    pub created_at: Timestamp,
    /// Its order.
    pub order_id: Uuid,
}

impl Delivery {
    /// The place behind this delivery.
    pub fn position(&self) -> Position {
        Position { created_at: self.created_at, order_id: self.order_id }
    }
}

/// A page of the list, newest first: one range of an index for each status that may occur, each cut to
/// the page's length, merged. A filter by customer or queue is part of the range; only a customer's
/// orders of another queue are passed over, within the index.
pub(crate) fn page(
    filter: &DeliveryFilter,
    after: Option<Position>,
    at_most: u32,
    dialect: &Dialect,
) -> (String, Vec<Value>) {
    let Dialect { as_uuid, as_text, .. } = dialect;
    let mut values = Vec::new();
    let mut bind = |value| {
        values.push(value);
        format!("${}", values.len())
    };
    let mut conditions = Vec::new();
    for (column, text) in [("customer_id", &filter.customer_id), ("queue", &filter.queue)] {
        if let Some(text) = text {
            conditions.push(format!(" AND {column} = {}", bind(Value::Text(bounded(text)))));
        }
    }
    // A customer has fewer orders than a queue.
    let index = match (&filter.customer_id, &filter.queue) {
        (Some(_), _) => " INDEXED BY deliveries_by_customer",
        (None, Some(_)) => " INDEXED BY deliveries_by_queue",
        (None, None) => " INDEXED BY deliveries_by_status_and_time",
    };
    let index = if dialect.names_index { index } else { "" };
    if let Some(from) = filter.from {
        conditions.push(format!(" AND created_at_ms >= {}", bind(milliseconds(from))));
    }
    // Behind a place that is before it already, the end of the time asked for says nothing more, and
    // the database might go through the range from there instead of from the place.
    let matters = |to: &Timestamp| after.is_none_or(|after| after.created_at >= *to);
    if let Some(to) = filter.to.filter(matters) {
        conditions.push(format!(" AND created_at_ms < {}", bind(milliseconds(to))));
    }
    if let Some(Position { created_at, order_id }) = after {
        let (time, id) = (bind(milliseconds(created_at)), bind(Value::Text(order_id.to_string())));
        conditions.push(format!(" AND (created_at_ms, order_id) < ({time}, {id}{as_uuid})"));
    }
    let limit = bind(Value::Number(i64::from(at_most)));
    let conditions = conditions.concat();
    let statuses = filter.status.map_or(STATUSES.to_vec(), |status| vec![status]);
    let ranges = statuses.into_iter().map(|status| {
        let status = status.as_str();
        format!(
            "SELECT * FROM (SELECT * FROM deliveries{index} WHERE status = '{status}'{conditions}
             ORDER BY created_at_ms DESC, order_id DESC LIMIT {limit}) AS {status}"
        )
    });
    let ranges = ranges.collect::<Vec<_>>().join(" UNION ALL ");
    let sql = format!(
        "SELECT order_id{as_text} AS order_id, delivery_id{as_text} AS delivery_id, customer_id,
            address, status, queue, created_at_ms, updated_at_ms
         FROM ({ranges}) AS found
         ORDER BY found.created_at_ms DESC, found.order_id DESC LIMIT {limit}"
    );
    (sql, values)
}

fn milliseconds(time: Timestamp) -> Value {
    Value::Number(time.as_millisecond())
}
