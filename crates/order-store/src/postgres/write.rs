//! Writing to PostgreSQL: few statements for many records, since each costs a round trip.
//!
//! All writers take rows in the same order, by table and within each by key, so that none waits for
//! another that waits for it.

use std::collections::BTreeMap;

use futures_util::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, postgres::PgConnectOptions};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    DIALECT, TUNING, arguments,
    errors::{classify, is_connection_lost, is_given_up},
    requests::save_requests,
    silent,
};
use crate::{
    DeliveryChange, Reason, Record, Remembered, StoreError,
    backend::{Batch, Change, Changed, Connection, Row, Statement},
    record::bounded,
    sweep::Sweep,
};

/// Waiting for another's rows ends before the caller has given up; and a transaction whose process
/// stands still does not keep its rows from others for long. There is no limit for statements: it would
/// also end a commit's wait for a standby, and the commit would then seem to have succeeded.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL lock_timeout = 3000;
    SET LOCAL idle_in_transaction_session_timeout = 10000";

/// Where the server does not wait for its disk by itself. What is stricter than `on` stays.
const BEGIN_DURABLE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL lock_timeout = 3000;
    SET LOCAL idle_in_transaction_session_timeout = 10000;
    SET LOCAL synchronous_commit = on";

const SAVE_DELIVERIES: &str = "
    INSERT INTO deliveries
        (order_id, delivery_id, customer_id, address, status, queue, created_at_ms, updated_at_ms)
    SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::bigint[], $8::bigint[]) AS saved (order_id)
    ORDER BY saved.order_id
    ON CONFLICT (order_id) DO UPDATE
    SET status = excluded.status, queue = excluded.queue, updated_at_ms = excluded.updated_at_ms
    WHERE deliveries.status <> 'DELIVERED'";

const SAVE_ATTEMPTS: &str = "
    INSERT INTO attempts
        (message_id, order_id, queue, message_group, attempt, outcome, reason, error, worker,
         started_at_ms, finished_at_ms)
    SELECT message_id, order_id, queue, message_group, attempt, outcome, reason, error, worker,
        started_at_ms, finished_at_ms
    FROM UNNEST($1::text[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
        $8::text[], $9::text[], $10::bigint[], $11::bigint[])
        WITH ORDINALITY AS saved (message_id, order_id, queue, message_group, attempt, outcome, reason,
            error, worker, started_at_ms, finished_at_ms, place)
    ORDER BY place";

/// Fails where tables are missing or not to be written, and changes nothing.
const PROBES: [&str; 3] = [
    "DELETE FROM deliveries WHERE FALSE",
    "DELETE FROM attempts WHERE FALSE",
    "DELETE FROM keyed_requests WHERE FALSE",
];

/// The connection that writes.
pub(crate) struct Writer {
    options: PgConnectOptions,
    /// None: the last one broke.
    connection: Option<PgConnection>,
    begin: &'static str,
}

/// Why a transaction did not go through.
enum Failure {
    /// It had not come to its commit: it has had no effect.
    Before(sqlx::Error),
    /// The commit itself: it may have had its effect.
    Committing(sqlx::Error),
}

impl Writer {
    /// Connects, and finds out what this database needs to be told.
    pub(super) async fn connect(options: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        const SETTINGS: &str = "SELECT current_setting('server_encoding') AS encoding,
            current_setting('synchronous_commit') AS durability, current_setting('fsync') AS fsync";
        let mut connection = super::connect(options).await?;
        let settings = timeout(TUNING.read, sqlx::query(SETTINGS).fetch_one(&mut connection)).await;
        let settings = settings.map_err(|_| silent(TUNING.read))??;
        let encoding: &str = settings.try_get("encoding")?;
        if encoding != "UTF8" {
            let text = format!(
                "its encoding is {encoding}, which cannot keep every text: it must be UTF8"
            );
            return Err(sqlx::Error::Configuration(text.into()));
        }
        if settings.try_get::<&str, _>("fsync")? == "off" {
            tracing::warn!(
                "PostgreSQL runs with fsync=off: a power cut can lose what is committed"
            );
        }
        let durable = settings.try_get::<&str, _>("durability")? != "off";
        let begin = if durable { BEGIN } else { BEGIN_DURABLE };
        Ok(Self { options: options.clone(), connection: Some(connection), begin })
    }

    /// The connection, where there is one.
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Commits, again where nothing has been done yet and the cause is not the database's state: it
    /// gave this transaction up for another's sake, or the connection broke while it was idle.
    async fn save(&mut self, batch: &Batch<'_>) -> Result<Vec<Remembered>, sqlx::Error> {
        let mut tries = 1;
        let mut renewed = false;
        loop {
            if self.connection.is_none() {
                *self = Self::connect(&self.options).await?;
                renewed = true;
            }
            let begin = self.begin;
            match save(self.connection()?, begin, batch).await {
                Ok(remembered) => return Ok(remembered),
                Err(Failure::Before(error) | Failure::Committing(error))
                    if is_given_up(&error) && tries < TUNING.tries =>
                {
                    tries += 1;
                }
                Err(Failure::Before(error)) if is_connection_lost(&error) && !renewed => {
                    self.connection = None;
                }
                Err(Failure::Before(error) | Failure::Committing(error)) => return Err(error),
            }
        }
    }

    /// As [`Self::save`]: what has not come to its commit may be tried again.
    async fn run(&mut self, change: &Change) -> Result<Changed, sqlx::Error> {
        let mut tries = 1;
        loop {
            if self.connection.is_none() {
                *self = Self::connect(&self.options).await?;
            }
            let begin = self.begin;
            match run(self.connection()?, begin, change).await {
                Ok(changed) => return Ok(changed),
                Err(Failure::Before(error)) if tries < TUNING.tries && is_given_up(&error) => {}
                Err(Failure::Before(error)) if tries == 1 && is_connection_lost(&error) => {
                    self.connection = None;
                }
                Err(Failure::Before(error) | Failure::Committing(error)) => return Err(error),
            }
            tries += 1;
        }
    }

    async fn delete(&mut self, sweep: &Sweep) -> Result<Option<u64>, sqlx::Error> {
        match self.delete_once(sweep).await {
            // What is deleted is not deleted again, whether that was committed or not.
            Err(error) if is_connection_lost(&error) => {
                *self = Self::connect(&self.options).await?;
                self.delete_once(sweep).await
            }
            result => result,
        }
    }

    async fn delete_once(&mut self, sweep: &Sweep) -> Result<Option<u64>, sqlx::Error> {
        let begin = self.begin;
        let mut transaction = self.connection()?.begin_with(begin).await?;
        if let Some(take_turn) = sweep.take_turn()
            && execute(&mut transaction, take_turn).await? == 0
        {
            return Ok(None);
        }
        let deleted = execute(&mut transaction, sweep.delete(&DIALECT)).await?;
        transaction.commit().await?;
        Ok(Some(deleted))
    }
}

async fn run(
    connection: &mut PgConnection,
    begin: &'static str,
    change: &Change,
) -> Result<Changed, Failure> {
    let mut transaction = connection.begin_with(begin).await.map_err(Failure::Before)?;
    let mut changed = Vec::with_capacity(change.statements.len());
    for (sql, values) in &change.statements {
        let arguments = arguments(values).map_err(Failure::Before)?;
        let query = sqlx::query_with(AssertSqlSafe(sql.clone()), arguments);
        let rows = query.fetch_all(&mut *transaction).await.map_err(Failure::Before)?;
        if change.guarded && changed.is_empty() && rows.is_empty() {
            // Dropped, it would keep its locks until the connection is used again.
            transaction.rollback().await.map_err(Failure::Before)?;
            return Ok(None);
        }
        changed.push(rows.into_iter().map(|row| Box::new(row) as Row).collect());
    }
    transaction.commit().await.map_err(Failure::Committing)?;
    Ok(Some(changed))
}

async fn save(
    connection: &mut PgConnection,
    begin: &'static str,
    batch: &Batch<'_>,
) -> Result<Vec<Remembered>, Failure> {
    let mut transaction = connection.begin_with(begin).await.map_err(Failure::Before)?;
    let saved = async {
        save_deliveries(&mut transaction, &batch.records).await?;
        save_attempts(&mut transaction, &batch.records).await?;
        if batch.len() == 0 {
            for probe in PROBES {
                sqlx::query(probe).execute(&mut *transaction).await?;
            }
        }
        save_requests(&mut transaction, &batch.requests).await
    };
    let remembered = saved.await.map_err(Failure::Before)?;
    transaction.commit().await.map_err(Failure::Committing)?;
    Ok(remembered)
}

/// What a batch makes of one delivery: a statement changes each row once, so several records of an order
/// become one, as if they had been written one after the other.
struct Folded<'a> {
    first: &'a Record,
    last: &'a Record,
    change: &'a DeliveryChange,
}

fn folded<'a>(records: &[&'a Record]) -> BTreeMap<Uuid, Folded<'a>> {
    let mut orders: BTreeMap<Uuid, Folded<'a>> = BTreeMap::new();
    for &record in records {
        let Some(change) = &record.delivery else { continue };
        orders
            .entry(change.order_id)
            .and_modify(|order| {
                if order.change.status != order_events::DeliveryStatus::Delivered {
                    order.last = record;
                    order.change = change;
                }
            })
            .or_insert(Folded { first: record, last: record, change });
    }
    orders
}

async fn save_deliveries(
    connection: &mut PgConnection,
    records: &[&Record],
) -> Result<(), sqlx::Error> {
    let orders = folded(records);
    if orders.is_empty() {
        return Ok(());
    }
    let orders = || orders.values();
    let text = |of: fn(&Folded<'_>) -> String| orders().map(of).collect::<Vec<_>>();
    let milliseconds =
        |of: fn(&Folded<'_>) -> Timestamp| orders().map(|o| of(o).as_millisecond()).collect();
    let created: Vec<i64> = milliseconds(|order| order.first.attempt.started_at);
    let updated: Vec<i64> = milliseconds(|order| order.last.attempt.finished_at);
    sqlx::query(SAVE_DELIVERIES)
        .bind(orders().map(|order| order.change.order_id).collect::<Vec<_>>())
        .bind(orders().map(|order| order.change.delivery_id()).collect::<Vec<_>>())
        .bind(text(|order| bounded(&order.change.customer_id)))
        .bind(text(|order| bounded(&order.change.address())))
        .bind(orders().map(|order| order.change.status.as_str()).collect::<Vec<_>>())
        .bind(text(|order| bounded(&order.last.attempt.queue)))
        .bind(created)
        .bind(updated)
        .execute(connection)
        .await?;
    Ok(())
}

async fn save_attempts(
    connection: &mut PgConnection,
    records: &[&Record],
) -> Result<(), sqlx::Error> {
    if records.is_empty() {
        return Ok(());
    }
    let attempts = || records.iter().map(|record| &record.attempt);
    sqlx::query(SAVE_ATTEMPTS)
        .bind(attempts().map(|attempt| bounded(&attempt.message_id)).collect::<Vec<_>>())
        .bind(attempts().map(|attempt| attempt.order_id).collect::<Vec<_>>())
        .bind(attempts().map(|attempt| bounded(&attempt.queue)).collect::<Vec<_>>())
        .bind(attempts().map(|a| a.group.as_deref().map(bounded)).collect::<Vec<_>>())
        .bind(attempts().map(|attempt| i64::from(attempt.number)).collect::<Vec<_>>())
        .bind(attempts().map(|attempt| attempt.outcome.as_str()).collect::<Vec<_>>())
        .bind(attempts().map(|attempt| attempt.reason.map(Reason::as_str)).collect::<Vec<_>>())
        .bind(attempts().map(|a| a.error.as_deref().map(bounded)).collect::<Vec<_>>())
        .bind(attempts().map(|attempt| bounded(&attempt.worker)).collect::<Vec<_>>())
        .bind(attempts().map(|attempt| attempt.started_at.as_millisecond()).collect::<Vec<_>>())
        .bind(attempts().map(|attempt| attempt.finished_at.as_millisecond()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

async fn execute(
    connection: &mut PgConnection,
    (sql, values): Statement,
) -> Result<u64, sqlx::Error> {
    let query = sqlx::query_with(AssertSqlSafe(sql), arguments(&values)?);
    let done = query.execute(connection).await?;
    Ok(done.rows_affected())
}

/// The result, or that there was none in time.
async fn in_time<T>(call: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    let result = timeout(TUNING.commit, call).await;
    result.unwrap_or_else(|_| Err(silent(TUNING.commit))).map_err(|error| classify(&error))
}

impl Connection for Writer {
    fn commit<'a>(
        &'a mut self,
        batch: &'a Batch<'a>,
    ) -> BoxFuture<'a, Result<Vec<Remembered>, StoreError>> {
        in_time(self.save(batch)).boxed()
    }

    fn sweep<'a>(&'a mut self, sweep: &'a Sweep) -> BoxFuture<'a, Result<Option<u64>, StoreError>> {
        in_time(self.delete(sweep)).boxed()
    }

    fn change<'a>(&'a mut self, change: &'a Change) -> BoxFuture<'a, Result<Changed, StoreError>> {
        in_time(self.run(change)).boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {
            let Some(connection) = self.connection else { return };
            // A server that is silent is not waited for: what was committed is committed.
            _ = timeout(TUNING.read, connection.close()).await;
        }
        .boxed()
    }
}
