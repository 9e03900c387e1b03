//! The store in PostgreSQL, for workers on several machines.
//!
//! A server that stalls must not hold the writer or the readers for ever, and a process that stalls must
//! not hold rows that others need: each call has a time limit on this side, each transaction limits for
//! waiting and for being idle on the server's.

mod errors;
#[cfg(test)]
mod plans;
mod readers;
mod requests;
mod write;

use std::time::Duration;

use futures_util::{FutureExt, future::BoxFuture};
use sqlx::{
    Arguments as _, ConnectOptions, Connection as _, PgConnection, Row as _,
    postgres::{PgArguments, PgConnectOptions, PgRow},
};
use tokio::time::{Instant, sleep, timeout};

use self::{
    errors::{classify, is_not_yet_up},
    readers::Readers,
    write::Writer,
};
use crate::{
    LIMITS, PostgresUrl, StoreError,
    backend::{Backend, Columns, Connection, Dialect, Pool, Row, Value},
    migrations::{APPLIED, Standing, Step, migrator, newer},
};

/// Constants of the PostgreSQL back end.
struct Tuning {
    /// Time to connect, TLS and authentication included.
    connect: Duration,
    /// Time for one read.
    read: Duration,
    /// Time for one transaction of the writer, with a new connection where the last one broke: within
    /// the part of an attempt's default time that is the store's.
    commit: Duration,
    /// How long opening is tried again while the server is not up.
    open_deadline: Duration,
    /// The pause between two such tries.
    open_pause: Duration,
    /// Connections that read for handlers, at most: each looks at its order before its attempt.
    handlers: u32,
    /// Connections for questions about deliveries, at most.
    questions: u32,
    /// Time for a connection that has read, or whose read was given up, to show that it can read again;
    /// one that is silent for longer is closed, so that another can take its place.
    release: Duration,
    /// A reading connection that is idle so long is closed.
    reader_idle: Duration,
    /// How often a transaction is tried that the server gave up for the sake of another.
    tries: u32,
}

const TUNING: Tuning = Tuning {
    connect: Duration::from_secs(4),
    read: Duration::from_secs(4),
    commit: Duration::from_secs(8),
    open_deadline: Duration::from_secs(20),
    open_pause: Duration::from_millis(100),
    handlers: 4,
    questions: 2,
    release: Duration::from_secs(1),
    reader_idle: Duration::from_mins(1),
    tries: 3,
};

/// Of all that use advisory locks in a database, who migrates these tables.
const MIGRATION_LOCK: i64 = 0x6f72_6465_7273;

const STEPS: &[Step] = &[
    (
        1,
        "deliveries, attempts and requests",
        include_str!("../../migrations/postgres/0001_deliveries_attempts_and_requests.sql"),
    ),
    (2, "dead letters", include_str!("../../migrations/postgres/0002_dead_letters.sql")),
    (3, "undeleted", include_str!("../../migrations/postgres/0003_undeleted.sql")),
    (4, "copies and ages", include_str!("../../migrations/postgres/0004_copies_and_ages.sql")),
];

const DIALECT: Dialect = Dialect {
    as_uuid: "::uuid",
    as_text: "::text",
    names_index: false,
    skip_locked: " FOR UPDATE SKIP LOCKED",
};

pub(crate) struct Postgres {
    url: PostgresUrl,
    options: PgConnectOptions,
    handlers: Readers,
    questions: Readers,
}

impl Postgres {
    /// Connects, waiting some seconds for a server that is not up yet, and brings the tables up to date.
    pub(crate) async fn open(url: &PostgresUrl) -> Result<(Self, Writer), StoreError> {
        let options = options(url)?;
        let deadline = Instant::now() + TUNING.open_deadline;
        let writer = loop {
            match open_once(&options).await {
                Ok(writer) => break writer,
                Err(error) if is_not_yet_up(&error) && Instant::now() < deadline => {
                    sleep(TUNING.open_pause).await;
                }
                Err(error) => return Err(StoreError::Unavailable(not_opened(url, &error))),
            }
        };
        Ok((Self::new(url, options), writer))
    }

    /// The same at once: where the server is not up yet there is no writer, but why not.
    pub(crate) async fn open_when_up(
        url: &PostgresUrl,
    ) -> Result<(Self, Result<Writer, String>), StoreError> {
        let options = options(url)?;
        let writer = match open_once(&options).await {
            Ok(writer) => Ok(writer),
            Err(error) if is_not_yet_up(&error) => Err(not_opened(url, &error)),
            Err(error) => return Err(StoreError::Unavailable(not_opened(url, &error))),
        };
        Ok((Self::new(url, options), writer))
    }

    fn new(url: &PostgresUrl, options: PgConnectOptions) -> Self {
        let handlers = Readers::new(options.clone(), TUNING.handlers);
        let questions = Readers::new(options.clone(), TUNING.questions);
        Self { url: url.clone(), options, handlers, questions }
    }
}

fn options(url: &PostgresUrl) -> Result<PgConnectOptions, StoreError> {
    let options =
        url.options().map_err(|error| StoreError::Unavailable(not_opened(url, &error)))?;
    let options = options.disable_statement_logging();
    Ok(match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("order-store"),
    })
}

fn not_opened(url: &PostgresUrl, error: &dyn std::error::Error) -> String {
    format!("cannot open {url}: {error}")
}

async fn open_once(options: &PgConnectOptions) -> Result<Writer, sqlx::Error> {
    let mut writer = Writer::connect(options).await?;
    let connection = writer.connection()?;
    let standing = timeout(TUNING.read, standing(connection)).await;
    match standing.map_err(|_| silent(TUNING.read))? {
        Standing::Current => {}
        Standing::Newer { database, program } => {
            return Err(sqlx::Error::Configuration(newer(database, program).into()));
        }
        Standing::Behind => {
            let migrated = timeout(LIMITS.migration, migrate(connection)).await;
            migrated.map_err(|_| silent(LIMITS.migration))??;
        }
    }
    Ok(writer)
}

/// Connects, and says clearly what database will not do.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connected = timeout(TUNING.connect, options.connect()).await;
    connected.map_err(|_| silent(TUNING.connect))?
}

/// How the tables stand, without the lock. What cannot be read is left to the migration.
async fn standing(connection: &mut PgConnection) -> Standing {
    let applied = sqlx::query_as::<_, (i64, Vec<u8>)>(APPLIED).fetch_all(connection).await;
    applied.map_or(Standing::Behind, |applied| Standing::of(&applied, STEPS))
}

/// Workers that start at once wait here for the first, which migrates; the others then find it done. With
/// a stricter isolation, which the database may have by default, they would still see what was there
/// before they waited.
async fn migrate(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *transaction)
        .await?;
    migrator(STEPS).run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await
}

/// The error for a server that does not answer.
fn silent(after: Duration) -> sqlx::Error {
    let text = format!("PostgreSQL did not answer within {} s", after.as_secs());
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
}

/// Values are parameters, never part of the text.
fn arguments(values: &[Value]) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
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

/// On a connection of its own, which ends with the call. The server, which would not notice that,
/// has the time limit of a count as well.
async fn scan(options: &PgConnectOptions, sql: &'static str) -> Result<Vec<PgRow>, sqlx::Error> {
    const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL statement_timeout = 600000";
    let mut connection = connect(options).await?;
    let mut transaction = connection.begin_with(BEGIN).await?;
    let rows = sqlx::query(sql).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(rows)
}

impl Backend for Postgres {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, StoreError>> {
        async {
            // Perhaps it has not been opened before.
            let writer = open_once(&self.options)
                .await
                .map_err(|error| StoreError::Unavailable(not_opened(&self.url, &error)))?;
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
            let readers = match pool {
                Pool::Handlers => &self.handlers,
                Pool::Questions => &self.questions,
            };
            let rows = timeout(TUNING.read, readers.read(&sql, &values)).await;
            let rows = rows.unwrap_or_else(|_| Err(silent(TUNING.read)));
            let rows = rows.map_err(|error| classify(&error))?;
            Ok(rows.into_iter().map(|row| Box::new(row) as Row).collect())
        }
        .boxed()
    }

    fn scan(&self, sql: &'static str) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        async move {
            let rows = scan(&self.options, sql).await.map_err(|error| classify(&error))?;
            Ok(rows.into_iter().map(|row| Box::new(row) as Row).collect())
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            // A server that is silent is not waited for: nothing is left to be written here.
            let closed = async { tokio::join!(self.handlers.close(), self.questions.close()) };
            _ = timeout(TUNING.read, closed).await;
        }
        .boxed()
    }
}

impl Columns for PgRow {
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
