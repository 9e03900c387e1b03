//! Deleting what is old, in steps that are short enough for the writes between them.

use std::time::Duration;

use jiff::Timestamp;

use crate::backend::{Dialect, Statement, Value};

/// Who does a chore that one worker at a time does for all. The turn is kept in the database: whoever
/// has it may go on, others may take it once it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Names this worker.
    pub holder: String,
    /// The time.
    pub now: Timestamp,
    /// How long from now the turn stays this worker's.
    pub lasts: Duration,
}

/// What a step of forgetting did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// Another worker has the turn.
    NotOurTurn,
    /// So many rows are deleted. Fewer than were allowed: no older ones are left.
    Deleted(u64),
}

/// What is deleted when it is old.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dust {
    Attempts,
    Requests,
}

/// A step of deleting.
#[derive(Clone, Debug)]
pub(crate) struct Sweep {
    pub(crate) of: Dust,
    /// What is older goes.
    pub(crate) before: Timestamp,
    /// Rows in this step, at most.
    pub(crate) at_most: u32,
    /// Whose turn it must be.
    pub(crate) turn: Option<Turn>,
}

impl Sweep {
    /// Takes or keeps the turn: changes one row when that succeeds.
    pub(crate) fn take_turn(&self) -> Option<Statement> {
        const TAKE: &str = "UPDATE turns SET holder = $1, until_ms = $2
            WHERE chore = 'forget attempts' AND (holder = $1 OR until_ms <= $3)";
        let Turn { holder, now, lasts } = self.turn.as_ref()?;
        let now = now.as_millisecond();
        let until = now.saturating_add(i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX));
        let values = vec![
            Value::Text(crate::record::bounded(holder)),
            Value::Number(until),
            Value::Number(now),
        ];
        Some((TAKE.to_owned(), values))
    }

    /// Deletes the oldest first.
    pub(crate) fn delete(&self, dialect: &Dialect) -> Statement {
        let (table, id, time) = match self.of {
            Dust::Attempts => ("attempts", "id", "finished_at_ms"),
            Dust::Requests => ("keyed_requests", "identity", "at_ms"),
        };
        let skip_locked = dialect.skip_locked;
        let sql = format!(
            "DELETE FROM {table} WHERE {id} IN
                (SELECT {id} FROM {table} WHERE {time} < $1 ORDER BY {time} LIMIT $2{skip_locked})"
        );
        let before = Value::Number(self.before.as_millisecond());
        (sql, vec![before, Value::Number(i64::from(self.at_most))])
    }
}
