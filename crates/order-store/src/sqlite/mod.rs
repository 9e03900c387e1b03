//! The store in one SQLite file, for one machine. Several processes may share the file.

#[cfg(test)]
mod plans;
mod steps;
mod write;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use sqlx::{
    Arguments as _, AssertSqlSafe, ConnectOptions, Connection as _, Row as _, SqliteConnection,
    SqlitePool,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow,
        SqliteSynchronous,
    },
};
use tokio::time::{Instant, sleep};

use self::{steps::STEPS, write::Writer};
use crate::{
    LIMITS, StoreError,
    backend::{Backend, Columns, Connection, Dialect, Pool, Row, Value},
    migrations::{APPLIED, Standing, migrator, newer},
};

const DIALECT: Dialect = Dialect { as_uuid: "", as_text: "", names_index: true, skip_locked: "" };

/// Constants of the SQLite back end.
struct Tuning {
    /// How long a statement waits for another process's lock.
    busy_timeout: Duration,
    /// The pause between two tries to open the file while another process creates or migrates it.
    open_pause: Duration,
    /// Connections that read for handlers, and as many for questions.
    readers: u32,
    /// Page cache of each connection that reads, in KiB; the default of 2,000 is most of an idle
    /// worker's memory.
    cache_kib: u32,
    /// That of the connection that writes: what does not fit is written out before its commit. It is
    /// filled by work only.
    writer_cache_kib: u32,
    /// Pages in the write-ahead log at which they go to the file: as many as `log_bytes` has room for,
    /// so that a page that is written often goes there seldom.
    checkpoint_pages: u32,
    /// Steps of SQLite's machine after which a question or scan looks whether it is still waited
    /// for: some fractions of a millisecond.
    steps: i32,
    /// Size in bytes to which the write-ahead log is cut back after a checkpoint.
    log_bytes: u32,
}

const TUNING: Tuning = Tuning {
    busy_timeout: Duration::from_secs(4),
    open_pause: Duration::from_millis(25),
    readers: 2,
    cache_kib: 512,
    writer_cache_kib: 4_096,
    checkpoint_pages: 4_000,
    steps: 10_000,
    log_bytes: 16 << 20,
};

pub(crate) struct Sqlite {
    path: PathBuf,
    handlers: SqlitePool,
    questions: SqlitePool,
}

impl Sqlite {
    /// Opens the file, creating it and its directory if need be, and brings its tables up to date.
    pub(crate) async fn open(path: &Path) -> Result<(Self, Writer), StoreError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| {
                StoreError::Unavailable(format!("cannot create {}: {error}", parent.display()))
            })?;
        }
        let began = Instant::now();
        let mut told = false;
        let writer = loop {
            match open_once(path).await {
                Ok(writer) => break writer,
                // Switching a new file to the write-ahead log fails at once, whatever the busy
                // timeout, while another process does the same.
                Err(error) if is_tried_again(&error, began) => {
                    if !told {
                        let file = path.display();
                        tracing::info!(%file, "another process has the lock: it is waited for");
                    }
                    told = true;
                    sleep(TUNING.open_pause).await;
                }
                Err(error) => {
                    let text = format!("cannot open {}: {error}", path.display());
                    return Err(StoreError::Unavailable(text));
                }
            }
        };
        let (handlers, questions) = (readers(path), readers(path));
        Ok((Self { path: path.to_owned(), handlers, questions }, writer))
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
        .statement_cache_capacity(32)
        .disable_statement_logging()
}

/// The write-ahead log needs its index file to be writable, so "read-only" is asked of the
/// connection, not of the file.
fn reading(path: &Path) -> SqliteConnectOptions {
    options(path).create_if_missing(false).pragma("query_only", "ON")
}

/// Another process creates or migrates the file, perhaps. Waiting for that has an end.
fn is_tried_again(error: &sqlx::Error, began: Instant) -> bool {
    is_busy(error) && began.elapsed() < LIMITS.migration
}

/// They connect when there is something to read.
fn readers(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(TUNING.readers)
        .test_before_acquire(false)
        .acquire_timeout(TUNING.busy_timeout)
        .connect_lazy_with(reading(path))
}

async fn open_once(path: &Path) -> Result<Writer, sqlx::Error> {
    let mut connection = options(path)
        .pragma("cache_size", format!("-{}", TUNING.writer_cache_kib))
        .pragma("wal_autocheckpoint", TUNING.checkpoint_pages.to_string())
        .connect()
        .await?;
    match standing(&mut connection).await {
        Standing::Current => return Ok(Writer(connection)),
        Standing::Newer { database, program } => {
            return Err(sqlx::Error::Configuration(newer(database, program).into()));
        }
        Standing::Behind => {}
    }
    // SQLite has no lock for migrations; the write transaction around them is one.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    migrator(STEPS).run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(Writer(connection))
}

/// How the tables stand, without the lock: a worker can start while another one that writes, or stands
/// still, has it. What cannot be read is left to the migration, which says what is wrong.
async fn standing(connection: &mut SqliteConnection) -> Standing {
    let applied = sqlx::query_as::<_, (i64, Vec<u8>)>(APPLIED).fetch_all(connection).await;
    applied.map_or(Standing::Behind, |applied| Standing::of(&applied, STEPS))
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

/// Values are parameters, never part of the text.
fn arguments(values: Vec<Value>) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match value {
            Value::Text(text) => arguments.add(text),
            Value::NoText => arguments.add(None::<String>),
            Value::Number(number) => arguments.add(number),
            Value::NoNumber => arguments.add(None::<i64>),
            Value::Bytes(bytes) => arguments.add(bytes),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// What the connection runs ends when what is returned is dropped: by itself SQLite would go on to
/// the end when nobody waits any more.
async fn while_waited_for(connection: &mut SqliteConnection) -> Result<Arc<()>, sqlx::Error> {
    let waiting = Arc::new(());
    let waited_for = Arc::downgrade(&waiting);
    let goes_on = move || waited_for.strong_count() > 0;
    connection.lock_handle().await?.set_progress_handler(TUNING.steps, goes_on);
    Ok(waiting)
}

/// For as long as the caller waits. The connection then goes back at once, and its place with it.
async fn answer(
    questions: &SqlitePool,
    sql: String,
    arguments: SqliteArguments,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let mut connection = questions.acquire().await?;
    let _waiting = while_waited_for(&mut connection).await?;
    sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(&mut *connection).await
}

/// The same on a connection of its own.
async fn scan(path: &Path, sql: &'static str) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let mut connection = reading(path).connect().await?;
    let _waiting = while_waited_for(&mut connection).await?;
    let rows = sqlx::query(sql).fetch_all(&mut connection).await?;
    connection.close().await?;
    Ok(rows)
}

impl Backend for Sqlite {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, StoreError>> {
        async {
            let writer = open_once(&self.path).await.map_err(|error| classify(&error))?;
            Ok(Box::new(writer) as Box<dyn Connection>)
        }
        .boxed()
    }

    fn select(
        &self,
        pool: Pool,
        sql: String,
        values: Vec<Value>,
    ) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        async move {
            let arguments = arguments(values).map_err(|error| classify(&error))?;
            let rows = match pool {
                // A row by its key is there before anybody could give up waiting for it.
                Pool::Handlers => {
                    let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
                    query.fetch_all(&self.handlers).await
                }
                Pool::Questions => answer(&self.questions, sql, arguments).await,
            };
            let rows = rows.map_err(|error| classify(&error))?;
            Ok(rows.into_iter().map(|row| Box::new(row) as Row).collect())
        }
        .boxed()
    }

    fn scan(&self, sql: &'static str) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        async move {
            let rows = scan(&self.path, sql).await.map_err(|error| classify(&error))?;
            Ok(rows.into_iter().map(|row| Box::new(row) as Row).collect())
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            tokio::join!(self.handlers.close(), self.questions.close());
        }
        .boxed()
    }
}

impl Columns for SqliteRow {
    fn text(&self, column: &str) -> Result<Option<String>, StoreError> {
        self.try_get(column).map_err(|error| classify(&error))
    }

    fn number(&self, column: &str) -> Result<i64, StoreError> {
        self.try_get(column).map_err(|error| classify(&error))
    }

    fn optional_number(&self, column: &str) -> Result<Option<i64>, StoreError> {
        self.try_get(column).map_err(|error| classify(&error))
    }

    fn bytes(&self, column: &str) -> Result<Vec<u8>, StoreError> {
        self.try_get(column).map_err(|error| classify(&error))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;
    use crate::{Counts, reads};

    const ENDLESS: &str = "WITH RECURSIVE numbers (i) AS
        (SELECT COUNT(*) FROM deliveries UNION ALL SELECT i + 1 FROM numbers)
        SELECT COUNT(*) FROM numbers";

    #[tokio::test]
    async fn counting_takes_no_reader() {
        let directory = tempfile::tempdir().expect("a directory");
        let (database, _writer) =
            Sqlite::open(&directory.path().join("d.db")).await.expect("it opens");
        let mut busy = Vec::new();
        for _ in 0..TUNING.readers {
            for pool in [&database.handlers, &database.questions] {
                busy.push(pool.acquire().await.expect("a reader"));
            }
        }
        assert_eq!(reads::counts(&database).await, Ok(Counts::default()));
    }

    #[tokio::test(start_paused = true)]
    async fn another_process_that_migrates_for_minutes_is_waited_for_but_not_for_ever() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("d.db");
        let connect = || options(&path).busy_timeout(Duration::ZERO);
        let mut other = connect().connect().await.expect("it connects");
        let mut this = connect().connect().await.expect("it connects");
        let _migration = other.begin_with("BEGIN IMMEDIATE").await.expect("it has the lock");
        let Err(error) = this.begin_with("BEGIN IMMEDIATE").await else { panic!("no lock") };
        let began = Instant::now();
        assert!(is_tried_again(&error, began));
        advance(Duration::from_mins(9)).await;
        assert!(is_tried_again(&error, began));
        advance(Duration::from_mins(1)).await;
        assert!(!is_tried_again(&error, began));
        assert!(!is_tried_again(&sqlx::Error::PoolClosed, Instant::now()), "that does not pass");
    }

    #[tokio::test]
    async fn a_question_that_nobody_waits_for_any_more_leaves_its_reader_to_others() {
        let directory = tempfile::tempdir().expect("a directory");
        let (database, _writer) =
            Sqlite::open(&directory.path().join("d.db")).await.expect("it opens");
        let ask = |sql: &str| database.select(Pool::Questions, sql.to_owned(), Vec::new());
        for _ in 0..=TUNING.readers {
            let question = timeout(Duration::from_millis(100), ask(ENDLESS)).await;
            assert!(question.is_err(), "it is endless");
        }
        let row = ask("SELECT 7 AS number").await.expect("a reader").pop().expect("a row");
        assert_eq!(row.number("number"), Ok(7));
    }

    #[tokio::test]
    async fn a_scan_that_nobody_waits_for_any_more_ends() {
        let directory = tempfile::tempdir().expect("a directory");
        let (database, mut writer) =
            Sqlite::open(&directory.path().join("d.db")).await.expect("it opens");
        let scan = timeout(Duration::from_millis(200), database.scan(ENDLESS)).await;
        assert!(scan.is_err(), "it is endless");
        // What it read from would have to stay in the log, and this waits for it some seconds.
        let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut writer.0)
            .await
            .expect("an answer");
        assert_eq!(busy, 0);
    }
}
