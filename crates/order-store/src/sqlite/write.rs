//! Writing to SQLite: statement by statement, which is cheap where no network is between them.

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

const SAVE_DELIVERY: &str = "
    INSERT INTO deliveries
        (order_id, delivery_id, customer_id, address, status, queue, created_at_ms, updated_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (order_id) DO UPDATE
    SET status = excluded.status, queue = excluded.queue, updated_at_ms = excluded.updated_at_ms
    WHERE deliveries.status <> 'DELIVERED'";

const SAVE_ATTEMPT: &str = "
    INSERT INTO attempts
        (message_id, order_id, queue, message_group, attempt, outcome, reason, error, worker,
         started_at_ms, finished_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

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
        for record in &batch.records {
            save_record(&mut transaction, record).await?;
        }
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

async fn save_record(
    connection: &mut SqliteConnection,
    record: &Record,
) -> Result<(), sqlx::Error> {
    let attempt = &record.attempt;
    if let Some(delivery) = &record.delivery {
        sqlx::query(SAVE_DELIVERY)
            .bind(delivery.order_id.to_string())
            .bind(delivery.delivery_id().to_string())
            .bind(bounded(&delivery.customer_id))
            .bind(bounded(&delivery.address()))
            .bind(delivery.status.as_str())
            .bind(bounded(&attempt.queue))
            .bind(attempt.started_at.as_millisecond())
            .bind(attempt.finished_at.as_millisecond())
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query(SAVE_ATTEMPT)
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
        .bind(attempt.finished_at.as_millisecond())
        .execute(&mut *connection)
        .await?;
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
