//! Writing to SQLite: many rows a statement, since each statement goes to the connection's thread and
//! back, which takes longer than its work.

use std::{iter::from_fn, sync::LazyLock};

use futures_util::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection as _, Row as _, Sqlite, SqliteConnection, Transaction};

use super::{DIALECT, arguments, classify};
use crate::{
    KeyedRequest, Reason, Record, Remembered, StoreError,
    backend::{Batch, Change, Changed, Connection, Row, Statement},
    record::bounded,
    request::Kept,
    sweep::Sweep,
};

/// Rows that one statement writes: as many as there are, from the largest of these numbers down. Few
/// numbers, so that the connection keeps all statements prepared.
const ROWS: [usize; 4] = [64, 16, 4, 1];

/// A statement for each of these numbers.
type Statements = LazyLock<[String; ROWS.len()]>;

static SAVE_DELIVERIES: Statements = LazyLock::new(|| {
    statements(
        "INSERT INTO deliveries
            (order_id, delivery_id, customer_id, address, status, queue, created_at_ms,
             updated_at_ms)",
        8,
        "ON CONFLICT (order_id) DO UPDATE
        SET status = excluded.status, queue = excluded.queue, updated_at_ms = excluded.updated_at_ms
        WHERE deliveries.status <> 'DELIVERED'",
    )
});

static SAVE_ATTEMPTS: Statements = LazyLock::new(|| {
    statements(
        "INSERT INTO attempts
            (message_id, order_id, queue, message_group, attempt, outcome, reason, error, worker,
             started_at_ms, finished_at_ms)",
        11,
        "",
    )
});

const SAVE_REQUEST: &str = "
    INSERT INTO keyed_requests (identity, fingerprint, answer, at_ms)
    VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (identity) DO NOTHING";

const FIND_REQUEST: &str =
    "SELECT fingerprint, answer, at_ms FROM keyed_requests WHERE identity = ?1";

/// Fails where tables are missing or not to be written, and changes nothing.
const PROBES: [&str; 3] = [
    "DELETE FROM deliveries WHERE FALSE",
    "DELETE FROM attempts WHERE FALSE",
    "DELETE FROM keyed_requests WHERE FALSE",
];

/// The connection that writes.
pub(crate) struct Writer(pub(super) SqliteConnection);

impl Writer {
    async fn save(&mut self, batch: &Batch<'_>) -> Result<Vec<Remembered>, sqlx::Error> {
        let mut transaction = self.begin().await?;
        save_deliveries(&mut transaction, &batch.records).await?;
        save_attempts(&mut transaction, &batch.records).await?;
        let mut remembered = Vec::with_capacity(batch.requests.len());
        for request in &batch.requests {
            remembered.push(save_request(&mut transaction, request).await?);
        }
        if batch.len() == 0 {
            for probe in PROBES {
                sqlx::query(probe).execute(&mut *transaction).await?;
            }
        }
        transaction.commit().await?;
        Ok(remembered)
    }

    async fn delete(&mut self, sweep: &Sweep) -> Result<Option<u64>, sqlx::Error> {
        let mut transaction = self.begin().await?;
        if let Some(take_turn) = sweep.take_turn()
            && execute(&mut transaction, take_turn).await? == 0
        {
            return Ok(None);
        }
        let deleted = execute(&mut transaction, sweep.delete(&DIALECT)).await?;
        transaction.commit().await?;
        Ok(Some(deleted))
    }

    async fn run(&mut self, change: &Change) -> Result<Changed, sqlx::Error> {
        let mut transaction = self.begin().await?;
        let mut changed = Vec::with_capacity(change.statements.len());
        for (sql, values) in &change.statements {
            let query = sqlx::query_with(AssertSqlSafe(sql.clone()), arguments(values.clone())?);
            let rows = query.fetch_all(&mut *transaction).await?;
            if change.guarded && changed.is_empty() && rows.is_empty() {
                // Dropped, it would keep its locks until the connection is used again.
                transaction.rollback().await?;
                return Ok(None);
            }
            changed.push(rows.into_iter().map(|row| Box::new(row) as Row).collect());
        }
        transaction.commit().await?;
        Ok(Some(changed))
    }

    /// Not deferred: a transaction that begins by reading cannot always become a writing one.
    async fn begin(&mut self) -> Result<Transaction<'_, Sqlite>, sqlx::Error> {
        self.0.begin_with("BEGIN IMMEDIATE").await
    }
}

fn statements(head: &str, columns: usize, tail: &str) -> [String; ROWS.len()] {
    let row = format!("({})", vec!["?"; columns].join(", "));
    ROWS.map(|rows| format!("{head} VALUES {} {tail}", vec![row.as_str(); rows].join(", ")))
}

/// The rows in their order, in slices for which there is a statement.
fn in_statements<'a, T>(
    mut rows: &'a [T],
    statements: &'static Statements,
) -> impl Iterator<Item = (&'static str, &'a [T])> {
    from_fn(move || {
        let mut sizes = statements.iter().zip(ROWS);
        let (statement, size) = sizes.find(|(_, size)| *size <= rows.len())?;
        let (now, later) = rows.split_at(size);
        rows = later;
        Some((statement.as_str(), now))
    })
}

/// Rows of the same order take effect one after the other, also within a statement.
async fn save_deliveries(
    connection: &mut SqliteConnection,
    records: &[&Record],
) -> Result<(), sqlx::Error> {
    let changes: Vec<_> = records
        .iter()
        .filter_map(|record| Some((record.delivery.as_ref()?, &record.attempt)))
        .collect();
    for (statement, changes) in in_statements(&changes, &SAVE_DELIVERIES) {
        let mut query = sqlx::query(statement);
        for (delivery, attempt) in changes {
            query = query
                .bind(delivery.order_id.to_string())
                .bind(delivery.delivery_id().to_string())
                .bind(bounded(&delivery.customer_id))
                .bind(bounded(&delivery.address()))
                .bind(delivery.status.as_str())
                .bind(bounded(&attempt.queue))
                .bind(attempt.started_at.as_millisecond())
                .bind(attempt.finished_at.as_millisecond());
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn save_attempts(
    connection: &mut SqliteConnection,
    records: &[&Record],
) -> Result<(), sqlx::Error> {
    for (statement, records) in in_statements(records, &SAVE_ATTEMPTS) {
        let mut query = sqlx::query(statement);
        for Record { attempt, .. } in records {
            query = query
                .bind(bounded(&attempt.message_id))
                .bind(attempt.order_id.map(|id| id.to_string()))
                .bind(bounded(&attempt.queue))
                .bind(attempt.group.as_deref().map(bounded))
                .bind(attempt.number)
                .bind(attempt.outcome.as_str())
                .bind(attempt.reason.map(Reason::as_str))
                .bind(attempt.error.as_deref().map(bounded))
                .bind(bounded(&attempt.worker))
                .bind(attempt.started_at.as_millisecond())
                .bind(attempt.finished_at.as_millisecond());
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn save_request(
    connection: &mut SqliteConnection,
    request: &KeyedRequest,
) -> Result<Remembered, sqlx::Error> {
    let identity = request.identity();
    let saved = sqlx::query(SAVE_REQUEST)
        .bind(&identity[..])
        .bind(&request.fingerprint[..])
        .bind(request.answer.as_bytes())
        .bind(request.at.as_millisecond())
        .execute(&mut *connection)
        .await?;
    if saved.rows_affected() == 1 {
        return Ok(Remembered::First);
    }
    let row = sqlx::query(FIND_REQUEST).bind(&identity[..]).fetch_one(connection).await?;
    let answer: Vec<u8> = row.try_get("answer")?;
    let at = Timestamp::from_millisecond(row.try_get("at_ms")?);
    let kept = Kept {
        fingerprint: row.try_get("fingerprint")?,
        answer: String::from_utf8(answer).map_err(|error| sqlx::Error::Decode(error.into()))?,
        at: at.map_err(|error| sqlx::Error::Decode(error.into()))?,
    };
    Ok(kept.compared(request))
}

async fn execute(
    connection: &mut SqliteConnection,
    (sql, values): Statement,
) -> Result<u64, sqlx::Error> {
    let query = sqlx::query_with(AssertSqlSafe(sql), arguments(values)?);
    let done = query.execute(connection).await?;
    Ok(done.rows_affected())
}

impl Connection for Writer {
    fn commit<'a>(
        &'a mut self,
        batch: &'a Batch<'a>,
    ) -> BoxFuture<'a, Result<Vec<Remembered>, StoreError>> {
        async { self.save(batch).await.map_err(|error| classify(&error)) }.boxed()
    }

    fn sweep<'a>(&'a mut self, sweep: &'a Sweep) -> BoxFuture<'a, Result<Option<u64>, StoreError>> {
        async { self.delete(sweep).await.map_err(|error| classify(&error)) }.boxed()
    }

    fn change<'a>(&'a mut self, change: &'a Change) -> BoxFuture<'a, Result<Changed, StoreError>> {
        async { self.run(change).await.map_err(|error| classify(&error)) }.boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {
            // The last connection to close folds the write-ahead log into the file.
            if let Err(error) = self.0.close().await {
                tracing::warn!(%error, "the deliveries store did not close cleanly");
            }
        }
        .boxed()
    }
}
