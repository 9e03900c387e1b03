//! Whether a redriven order would come behind newer ones of its customer.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    backend::{Dialect, Parameters},
};

/// A dead order and its place among its customer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadOrder<'a> {
    /// Whose it is.
    pub customer_id: &'a str,
    /// The queue that it came by, and would go back to.
    pub source: &'a str,
    /// Its id; none when the message is no order.
    pub order_id: Option<Uuid>,
    /// Where it stands in time if it was never attempted.
    pub otherwise: Timestamp,
    /// When its dead letter was sent, and that one's id: its place in the dead-letter queue.
    pub place: (Timestamp, i64),
    /// A newer order that is neither delivered nor dead and of which nothing was heard since then is in
    /// no queue any more.
    pub kept_since: Timestamp,
}

/// What newer order of the customer there is that the dead one would come behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Newer {
    /// It is delivered.
    Delivered,
    /// It is attempted, waits for its next attempt, or was redriven: it is in the source queue.
    OnTheWay,
    /// It is dead too, but stands before the older one, which died again, and so goes first.
    Ahead,
}

impl Store {
    /// Whether anything was ever delivered, or attempted, by who writes to this database: where it is not
    /// the workers', nobody can tell what becomes of an order.
    pub async fn knows_deliveries(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 AS delivery FROM deliveries LIMIT 1".to_owned();
        Ok(!self.rows_by_key(sql, Parameters::default()).await?.is_empty())
    }

    /// What newer order of this customer, first attempted after this one, would be delivered before it,
    /// were it redriven now. Orders that nobody has attempted yet are not known.
    pub async fn newer_than(&self, dead: &DeadOrder<'_>) -> Result<Option<Newer>, StoreError> {
        let dialect = self.backend.dialect();
        let (sql, parameters) = delivered(dead, dialect);
        if !self.rows_by_key(sql, parameters).await?.is_empty() {
            return Ok(Some(Newer::Delivered));
        }
        let (sql, parameters) = going_first(dead, dialect);
        let rows = self.rows_by_key(sql, parameters).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(if row.number("ahead")? == 1 { Newer::Ahead } else { Newer::OnTheWay }))
    }
}

/// Whether a newer order is delivered.
pub(crate) fn delivered(dead: &DeadOrder<'_>, dialect: &Dialect) -> (String, Parameters) {
    let mut parameters = Parameters::default();
    let newer = newer(dead, dialect, &mut parameters);
    let sql = format!("SELECT status {newer} AND status = 'DELIVERED' LIMIT 1");
    (sql, parameters)
}

/// Whether one that is not would be sooner. Of an order's dead letters the newest tells where it is, unless
/// it was attempted for the last time since: then it is dead again, behind this one. Of a failed one that
/// was never met nobody knows but that it is, or will be, dead.
pub(crate) fn going_first(dead: &DeadOrder<'_>, dialect: &Dialect) -> (String, Parameters) {
    let as_text = dialect.as_text;
    let mut parameters = Parameters::default();
    let newer = newer(dead, dialect, &mut parameters);
    let (sent_at, id) = dead.place;
    let (sent_at, id) = (parameters.number(sent_at.as_millisecond()), parameters.number(id));
    let kept_since = parameters.number(dead.kept_since.as_millisecond());
    let sql = format!(
        "SELECT CAST(CASE WHEN letter.state = 'dead' THEN 1 ELSE 0 END AS BIGINT) AS ahead
         FROM (SELECT order_id{as_text} AS identity, status, updated_at_ms {newer}
               AND status IN ('PENDING', 'IN_TRANSIT', 'FAILED')) AS newer
         LEFT JOIN dead_letters AS letter ON letter.id =
            (SELECT MAX(id) FROM dead_letters WHERE identity = newer.identity)
         WHERE (letter.id IS NULL AND newer.status <> 'FAILED'
                AND newer.updated_at_ms >= {kept_since})
            OR (letter.state IN ('sent', 'redriven', 'gone')
                AND (newer.status <> 'FAILED' OR newer.updated_at_ms <= letter.settled_at_ms)
                AND (newer.updated_at_ms >= {kept_since} OR letter.settled_at_ms >= {kept_since}))
            OR (letter.state = 'dead'
                AND (COALESCE(letter.sent_at_ms, letter.seen_at_ms), letter.id) < ({sent_at}, {id}))
         ORDER BY ahead LIMIT 1"
    );
    (sql, parameters)
}

/// From where newer orders of the customer are read.
fn newer(dead: &DeadOrder<'_>, dialect: &Dialect, parameters: &mut Parameters) -> String {
    let as_uuid = dialect.as_uuid;
    let (customer, queue) = (parameters.text(dead.customer_id), parameters.text(dead.source));
    let order = parameters.text(&dead.order_id.unwrap_or_default().to_string());
    let otherwise = parameters.number(dead.otherwise.as_millisecond());
    let index = if dialect.names_index { " INDEXED BY deliveries_by_customer" } else { "" };
    format!(
        "FROM deliveries{index} WHERE customer_id = {customer} AND queue = {queue}
            AND order_id <> {order}{as_uuid} AND created_at_ms > COALESCE(
                (SELECT created_at_ms FROM deliveries WHERE order_id = {order}{as_uuid}), {otherwise})"
    )
}
