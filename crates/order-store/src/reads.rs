//! What is asked of a database, the same for each.

use jiff::Timestamp;
use order_events::DeliveryStatus;
use uuid::Uuid;

use crate::{
    Attempt, Attempts, Counts, Delivery, DeliveryFilter, Outcome, Position, Reason, StoreError,
    backend::{Backend, Columns, Dialect, Pool, Value},
    listing,
    record::parse_status,
};

/// How far the order is.
pub(crate) async fn status(
    backend: &dyn Backend,
    order_id: Uuid,
) -> Result<Option<DeliveryStatus>, StoreError> {
    let as_uuid = backend.dialect().as_uuid;
    let sql = format!("SELECT status FROM deliveries WHERE order_id = $1{as_uuid}");
    let rows = backend.select(Pool::Handlers, sql, vec![id(order_id)]).await?;
    rows.first().map(|row| read_status(&**row)).transpose()
}

/// The order's delivery.
pub(crate) async fn find(
    backend: &dyn Backend,
    order_id: Uuid,
) -> Result<Option<Delivery>, StoreError> {
    let (as_uuid, as_text) = (backend.dialect().as_uuid, backend.dialect().as_text);
    let sql = format!(
        "SELECT order_id{as_text} AS order_id, delivery_id{as_text} AS delivery_id, customer_id,
            address, status, queue, created_at_ms, updated_at_ms
         FROM deliveries WHERE order_id = $1{as_uuid}"
    );
    let rows = backend.select(Pool::Questions, sql, vec![id(order_id)]).await?;
    rows.first().map(|row| read_delivery(&**row)).transpose()
}

/// A page of deliveries.
pub(crate) async fn page(
    backend: &dyn Backend,
    filter: &DeliveryFilter,
    after: Option<Position>,
    at_most: u32,
) -> Result<Vec<Delivery>, StoreError> {
    let (sql, values) = listing::page(filter, after, at_most, backend.dialect());
    let rows = backend.select(Pool::Questions, sql, values).await?;
    rows.iter().map(|row| read_delivery(&**row)).collect()
}

/// The newest attempts at the order, so many at most, and how many there are.
pub(crate) async fn attempts(
    backend: &dyn Backend,
    order_id: Uuid,
    at_most: u32,
) -> Result<Attempts, StoreError> {
    let (sql, values) = newest_attempts(order_id, at_most, backend.dialect());
    let rows = backend.select(Pool::Questions, sql, values).await?;
    // Each row has the number; where there is no row, there are no attempts.
    let total = rows.first().map_or(Ok(0), |row| row.number("total"))?.cast_unsigned();
    let newest =
        rows.iter().rev().map(|row| read_attempt(&**row)).collect::<Result<Vec<_>, _>>()?;
    Ok(Attempts { total, newest })
}

/// Attempts from the new end of the order's range of an index, and how long that range is.
pub(crate) fn newest_attempts(
    order_id: Uuid,
    at_most: u32,
    dialect: &Dialect,
) -> (String, Vec<Value>) {
    let columns = attempt_columns(dialect);
    let of_order = format!("FROM attempts WHERE order_id = $1{}", dialect.as_uuid);
    let sql = format!(
        "SELECT {columns}, (SELECT COUNT(*) {of_order}) AS total
         {of_order} ORDER BY id DESC LIMIT $2"
    );
    (sql, vec![id(order_id), Value::Number(i64::from(at_most))])
}

/// The attempts at a message whose order could not be read.
pub(crate) async fn attempts_without_order(
    backend: &dyn Backend,
    message_id: &str,
) -> Result<Vec<Attempt>, StoreError> {
    let columns = attempt_columns(backend.dialect());
    let sql = format!(
        "SELECT {columns} FROM attempts WHERE message_id = $1 AND order_id IS NULL ORDER BY id"
    );
    let message_id = Value::Text(crate::record::bounded(message_id));
    let rows = backend.select(Pool::Questions, sql, vec![message_id]).await?;
    rows.iter().map(|row| read_attempt(&**row)).collect()
}

pub(crate) fn attempt_columns(Dialect { as_text, .. }: &Dialect) -> String {
    format!(
        "message_id, order_id{as_text} AS order_id, queue, message_group, attempt, outcome, reason,
            error, worker, started_at_ms, finished_at_ms"
    )
}

/// How many orders have each status.
pub(crate) async fn counts(backend: &dyn Backend) -> Result<Counts, StoreError> {
    const COUNT: &str = "SELECT status, COUNT(*) AS orders FROM deliveries GROUP BY status";
    let mut counts = Counts::default();
    for row in backend.scan(COUNT).await? {
        *counts.of(read_status(&*row)?) = row.number("orders")?.cast_unsigned();
    }
    Ok(counts)
}

fn id(order_id: Uuid) -> Value {
    Value::Text(order_id.to_string())
}

fn read_status(row: &dyn Columns) -> Result<DeliveryStatus, StoreError> {
    let text = needed(row, "status")?;
    parse_status(&text).ok_or_else(|| odd("status", &text))
}

fn read_delivery(row: &dyn Columns) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        delivery_id: read_uuid("delivery_id", &needed(row, "delivery_id")?)?,
        order_id: read_uuid("order_id", &needed(row, "order_id")?)?,
        customer_id: needed(row, "customer_id")?,
        address: needed(row, "address")?,
        status: read_status(row)?,
        queue: needed(row, "queue")?,
        created_at: read_time(row, "created_at_ms")?,
        updated_at: read_time(row, "updated_at_ms")?,
    })
}

pub(crate) fn read_attempt(row: &dyn Columns) -> Result<Attempt, StoreError> {
    let order_id = row.text("order_id")?.map(|text| read_uuid("order_id", &text)).transpose()?;
    let outcome = needed(row, "outcome")?;
    let reason = row.text("reason")?;
    let number = row.number("attempt")?;
    Ok(Attempt {
        message_id: needed(row, "message_id")?,
        order_id,
        queue: needed(row, "queue")?,
        group: row.text("message_group")?,
        number: u32::try_from(number).map_err(|_| odd("attempt", &number.to_string()))?,
        outcome: Outcome::parse(&outcome).ok_or_else(|| odd("outcome", &outcome))?,
        reason: reason
            .map(|text| Reason::parse(&text).ok_or_else(|| odd("reason", &text)))
            .transpose()?,
        error: row.text("error")?,
        worker: needed(row, "worker")?,
        started_at: read_time(row, "started_at_ms")?,
        finished_at: read_time(row, "finished_at_ms")?,
    })
}

pub(crate) fn needed(row: &dyn Columns, column: &str) -> Result<String, StoreError> {
    row.text(column)?.ok_or_else(|| odd(column, "nothing"))
}

pub(crate) fn read_uuid(column: &str, text: &str) -> Result<Uuid, StoreError> {
    text.parse().map_err(|_| odd(column, text))
}

pub(crate) fn read_time(row: &dyn Columns, column: &str) -> Result<Timestamp, StoreError> {
    let millis = row.number(column)?;
    Timestamp::from_millisecond(millis).map_err(|_| odd(column, &millis.to_string()))
}

/// A value that this version does not know: another version may have written it.
pub(crate) fn odd(column: &str, value: &str) -> StoreError {
    StoreError::Unavailable(format!("column {column} holds {value:?}"))
}
