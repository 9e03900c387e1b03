//! What the store has recorded of one attempt.

use anyhow::Context;
use sqlx::{Row, sqlite::SqliteRow};

/// A row of the attempts table.
pub(super) struct Attempt {
    pub(super) message_id: String,
    pub(super) number: u32,
    pub(super) outcome: String,
    pub(super) reason: Option<String>,
    pub(super) worker: String,
    pub(super) started_ms: u64,
    pub(super) finished_ms: u64,
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { message_id, number, outcome, reason, worker, started_ms, finished_ms } = self;
        let reason = reason.as_deref().unwrap_or_default();
        write!(
            f,
            "attempt {number} {outcome} {reason} by {worker} from {started_ms} to {finished_ms} at message {message_id}"
        )
    }
}

pub(super) fn read_attempt(row: &SqliteRow) -> anyhow::Result<Attempt> {
    let millis = |name: &str| row.try_get::<i64, _>(name).map(|ms| ms as u64);
    Ok(Attempt {
        message_id: row.try_get("message_id").context("an attempt without message")?,
        number: row.try_get("attempt")?,
        outcome: row.try_get("outcome")?,
        reason: row.try_get("reason")?,
        worker: row.try_get("worker")?,
        started_ms: millis("started_at_ms")?,
        finished_ms: millis("finished_at_ms")?,
    })
}
