//! The store in one SQLite file, for one machine. Several processes may share the file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use order_events::DeliveryStatus;
use sqlx::{
    ConnectOptions, Connection as _, Row, SqlSafeStr, SqliteConnection, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    Attempt, Counts, Delivery, Outcome, Record, StoreError,
    backend::{Backend, Connection},
    record::{bounded, parse_status},
};
use crate::reason::Reason;

/// Constants of the SQLite back end.
struct Tuning {
    /// How long a statement waits for another process's lock.
    busy_timeout: Duration,
    /// How long opening is tried again while another process creates or migrates the file.
    open_deadline: Duration,
    /// The pause between two such tries.
    open_pause: Duration,
    /// Connections that read.
    readers: u32,
    /// Page cache of each connection in KiB; the default of 2,000 is most of an idle worker's memory.
    cache_kib: u32,
    /// Size in bytes to which the write-ahead log is cut back after a checkpoint.
    log_bytes: u32,
}

const TUNING: Tuning = Tuning {
    busy_timeout: Duration::from_secs(4),
    open_deadline: Duration::from_secs(15),
    open_pause: Duration::from_millis(25),
    readers: 2,
    cache_kib: 512,
    log_bytes: 16 << 20,
};

const SAVE_DELIVERY: &str = "
    INSERT INTO deliveries
        (order_id, delivery_id, customer_id, address, status, queue, created_at_ms, updated_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
    ON CONFLICT (order_id) DO UPDATE
    SET status = excluded.status, queue = excluded.queue, updated_at_ms = excluded.updated_at_ms
    WHERE deliveries.status <> 'DELIVERED'";

const SAVE_ATTEMPT: &str = "
    INSERT INTO attempts
        (message_id, order_id, queue, message_group, attempt, outcome, reason, error, worker,
         started_at_ms, finished_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

pub(super) struct Sqlite {
    path: PathBuf,
    readers: SqlitePool,
}

impl Sqlite {
    /// Opens the file, creating it and its directory if need be, and brings its tables up to date.
    pub(super) async fn open(path: &Path) -> Result<(Self, Writer), StoreError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| {
                StoreError::Unavailable(format!("cannot create {}: {error}", parent.display()))
            })?;
        }
        let deadline = Instant::now() + TUNING.open_deadline;
        let writer = loop {
            match open_once(path).await {
                Ok(writer) => break writer,
                // Switching a new file to the write-ahead log fails at once, whatever the busy
                // timeout, while another process does the same.
                Err(error) if is_busy(&error) && Instant::now() < deadline => {
                    sleep(TUNING.open_pause).await;
                }
                Err(error) => {
                    let text = format!("cannot open {}: {error}", path.display());
                    return Err(StoreError::Unavailable(text));
                }
            }
        };
        // The write-ahead log needs its index file to be writable, so "read-only" is asked of the
        // connection, not of the file.
        let options = options(path).create_if_missing(false).pragma("query_only", "ON");
        let readers = SqlitePoolOptions::new()
            .max_connections(TUNING.readers)
            .test_before_acquire(false)
            .acquire_timeout(TUNING.busy_timeout)
            .connect_lazy_with(options);
        Ok((Self { path: path.to_owned(), readers }, writer))
    }
}

/// `synchronous = FULL`: a message is deleted from SQS on the strength of a commit, so the commit
/// must survive a power cut. `NORMAL` keeps the file consistent but may lose the last commits. The
/// group commit makes the difference small, since many records share one sync.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(TUNING.busy_timeout)
        .pragma("cache_size", format!("-{}", TUNING.cache_kib))
        .pragma("journal_size_limit", TUNING.log_bytes.to_string())
        .statement_cache_capacity(16)
        .disable_statement_logging()
}

async fn open_once(path: &Path) -> Result<Writer, sqlx::Error> {
    let mut connection = options(path).connect().await?;
    if is_migrated(&mut connection).await {
        return Ok(Writer(connection));
    }
    // SQLite has no lock for migrations; the write transaction around them is one.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    migrator().run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(Writer(connection))
}

/// Whether there is nothing to migrate, so that a worker can start while another one that writes, or
/// stands still, has the lock. What cannot be read is left to the migration, which says what is wrong.
async fn is_migrated(connection: &mut SqliteConnection) -> bool {
    const APPLIED: &str =
        "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version";
    let applied = sqlx::query_as::<_, (i64, Vec<u8>)>(APPLIED).fetch_all(connection).await;
    let known: Vec<_> =
        migrator().iter().map(|known| (known.version, known.checksum.to_vec())).collect();
    applied.is_ok_and(|applied| applied == known)
}

fn migrator() -> Migrator {
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![migration(
        1,
        "deliveries and attempts",
        include_str!("migrations/sqlite/0001_deliveries_and_attempts.sql"),
    )])
}

/// SQLite's primary result code; the extended one has more in the upper bits.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// `SQLITE_BUSY` or `SQLITE_LOCKED`, also within a failed migration.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = match error {
        sqlx::Error::Migrate(error) => match &**error {
            sqlx::migrate::MigrateError::Execute(inner)
            | sqlx::migrate::MigrateError::ExecuteMigration(inner, _) => primary_code(inner),
            _ => None,
        },
        error => primary_code(error),
    };
    matches!(code, Some(5 | 6))
}

/// `SQLITE_TOOBIG`, `SQLITE_CONSTRAINT`, `SQLITE_MISMATCH` and `SQLITE_RANGE` speak of the record;
/// everything else (locked, full, read-only, I/O, corrupt, closed) of the database.
fn classify(error: &sqlx::Error) -> StoreError {
    match (error, primary_code(error)) {
        (_, Some(18..=20 | 25)) | (sqlx::Error::Encode(_), _) => {
            StoreError::Refused(error.to_string())
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// The connection that writes.
pub(super) struct Writer(SqliteConnection);

impl Writer {
    async fn save(&mut self, records: &[&Record]) -> Result<(), sqlx::Error> {
        // Not deferred: a transaction that begins by reading cannot always become a writing one.
        let mut transaction = self.0.begin_with("BEGIN IMMEDIATE").await?;
        for record in records {
            let attempt = &record.attempt;
            if let Some(delivery) = &record.delivery {
                sqlx::query(SAVE_DELIVERY)
                    .bind(delivery.order_id.to_string())
                    .bind(delivery.delivery_id().to_string())
                    .bind(bounded(&delivery.customer_id))
                    .bind(bounded(&delivery.address()))
                    .bind(delivery.status.as_str())
                    .bind(&attempt.queue)
                    .bind(attempt.finished_at.as_millisecond())
                    .execute(&mut *transaction)
                    .await?;
            }
            sqlx::query(SAVE_ATTEMPT)
                .bind(bounded(&attempt.message_id))
                .bind(attempt.order_id.map(|id| id.to_string()))
                .bind(&attempt.queue)
                .bind(attempt.group.as_deref().map(bounded))
                .bind(attempt.number)
                .bind(attempt.outcome.as_str())
                .bind(attempt.reason.map(Reason::as_str))
                .bind(attempt.error.as_deref().map(bounded))
                .bind(&attempt.worker)
                .bind(attempt.started_at.as_millisecond())
                .bind(attempt.finished_at.as_millisecond())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }
}

impl Connection for Writer {
    fn commit<'a>(
        &'a mut self,
        records: &'a [&'a Record],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async { self.save(records).await.map_err(|error| classify(&error)) }.boxed()
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

impl Backend for Sqlite {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, StoreError>> {
        async {
            let writer = open_once(&self.path).await.map_err(|error| classify(&error))?;
            Ok(Box::new(writer) as Box<dyn Connection>)
        }
        .boxed()
    }

    fn status(&self, order_id: Uuid) -> BoxFuture<'_, Result<Option<DeliveryStatus>, StoreError>> {
        async move {
            let row = sqlx::query("SELECT status FROM deliveries WHERE order_id = ?1")
                .bind(order_id.to_string())
                .fetch_optional(&self.readers)
                .await;
            let row = row.map_err(|error| classify(&error))?;
            row.map(|row| read_status(&row)).transpose().map_err(|error| classify(&error))
        }
        .boxed()
    }

    fn find(&self, order_id: Uuid) -> BoxFuture<'_, Result<Option<Delivery>, StoreError>> {
        async move {
            let row = sqlx::query("SELECT * FROM deliveries WHERE order_id = ?1")
                .bind(order_id.to_string())
                .fetch_optional(&self.readers)
                .await;
            let row = row.map_err(|error| classify(&error))?;
            row.map(|row| read_delivery(&row)).transpose().map_err(|error| classify(&error))
        }
        .boxed()
    }

    fn attempts(&self, order_id: Uuid) -> BoxFuture<'_, Result<Vec<Attempt>, StoreError>> {
        async move {
            let rows = sqlx::query("SELECT * FROM attempts WHERE order_id = ?1 ORDER BY id")
                .bind(order_id.to_string())
                .fetch_all(&self.readers)
                .await;
            read_attempts(rows)
        }
        .boxed()
    }

    fn attempts_without_order(
        &self,
        message_id: String,
    ) -> BoxFuture<'_, Result<Vec<Attempt>, StoreError>> {
        const QUERY: &str =
            "SELECT * FROM attempts WHERE message_id = ?1 AND order_id IS NULL ORDER BY id";
        async move {
            read_attempts(
                sqlx::query(QUERY)
                    .bind(message_id)
                    .fetch_all(&self.readers)
                    .await,
            )
        }
        .boxed()
    }

    fn counts(&self) -> BoxFuture<'_, Result<Counts, StoreError>> {
        async {
            let rows =
                sqlx::query("SELECT status, COUNT(*) AS orders FROM deliveries GROUP BY status")
                    .fetch_all(&self.readers)
                    .await
                    .map_err(|error| classify(&error))?;
            let mut counts = Counts::default();
            for row in rows {
                let status = read_status(&row).map_err(|error| classify(&error))?;
                let orders: i64 = row.try_get("orders").map_err(|error| classify(&error))?;
                *counts.of(status) = orders.cast_unsigned();
            }
            Ok(counts)
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.readers.close().boxed()
    }
}

fn read_attempts(rows: Result<Vec<SqliteRow>, sqlx::Error>) -> Result<Vec<Attempt>, StoreError> {
    rows.and_then(|rows| rows.iter().map(read_attempt).collect()).map_err(|error| classify(&error))
}

fn read_status(row: &SqliteRow) -> Result<DeliveryStatus, sqlx::Error> {
    let text: &str = row.try_get("status")?;
    parse_status(text).ok_or_else(|| decode("status", text))
}

fn read_delivery(row: &SqliteRow) -> Result<Delivery, sqlx::Error> {
    Ok(Delivery {
        delivery_id: read_uuid(row, "delivery_id")?,
        order_id: read_uuid(row, "order_id")?,
        customer_id: row.try_get("customer_id")?,
        address: row.try_get("address")?,
        status: read_status(row)?,
        queue: row.try_get("queue")?,
        created_at: read_time(row, "created_at_ms")?,
        updated_at: read_time(row, "updated_at_ms")?,
    })
}

fn read_attempt(row: &SqliteRow) -> Result<Attempt, sqlx::Error> {
    let order_id: Option<&str> = row.try_get("order_id")?;
    let outcome: &str = row.try_get("outcome")?;
    let reason: Option<&str> = row.try_get("reason")?;
    Ok(Attempt {
        message_id: row.try_get("message_id")?,
        order_id: order_id.map(|_| read_uuid(row, "order_id")).transpose()?,
        queue: row.try_get("queue")?,
        group: row.try_get("message_group")?,
        number: row.try_get("attempt")?,
        outcome: Outcome::parse(outcome).ok_or_else(|| decode("outcome", outcome))?,
        reason: reason
            .map(|text| Reason::parse(text).ok_or_else(|| decode("reason", text)))
            .transpose()?,
        error: row.try_get("error")?,
        worker: row.try_get("worker")?,
        started_at: read_time(row, "started_at_ms")?,
        finished_at: read_time(row, "finished_at_ms")?,
    })
}

fn read_uuid(row: &SqliteRow, column: &str) -> Result<Uuid, sqlx::Error> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|_| decode(column, text))
}

fn read_time(row: &SqliteRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    let millis: i64 = row.try_get(column)?;
    Timestamp::from_millisecond(millis).map_err(|_| decode(column, &millis.to_string()))
}

fn decode(column: &str, value: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("column {column} holds {value:?}").into())
}
