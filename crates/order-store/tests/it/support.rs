//! Records, stores and waiting.

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use local_postgres::Server;
use order_events::DeliveryStatus;
use order_store::{Attempt, DatabaseUrl, DeliveryChange, Outcome, Record, Store};
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use uuid::Uuid;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the question is answered, with a bound.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut question: impl FnMut() -> F,
) -> T {
    let asked = async {
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A record of one attempt at an order.
pub(crate) fn record(order_id: Uuid, number: u32, status: DeliveryStatus) -> Record {
    let outcome =
        if status == DeliveryStatus::Delivered { Outcome::Delivered } else { Outcome::Failed };
    let at = |millisecond| Timestamp::from_millisecond(millisecond).expect("a time");
    let finished = 1_700_000_000_000 + i64::from(number);
    Record {
        attempt: Attempt {
            message_id: "message-1".to_owned(),
            order_id: Some(order_id),
            queue: "orders".to_owned(),
            group: None,
            number,
            outcome,
            reason: None,
            error: None,
            worker: "worker-1".to_owned(),
            started_at: at(finished - 500),
            finished_at: at(finished),
        },
        delivery: Some(DeliveryChange { order_id, customer_id: "customer-001".to_owned(), status }),
    }
}

/// A store in a directory that goes away with it.
pub(crate) struct TempStore {
    pub(crate) store: Store,
    pub(crate) directory: TempDir,
}

impl TempStore {
    /// What another process has of the same file.
    pub(crate) async fn another_process(&self) -> SqliteConnection {
        let path = self.directory.path().join("deliveries.db");
        SqliteConnectOptions::new().filename(path).connect().await.expect("it connects")
    }

    pub(crate) async fn open() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = DatabaseUrl::Sqlite(directory.path().join("deliveries.db"));
        Self { store: Store::open(&url).await.expect("the store opens"), directory }
    }
}

/// An empty database of its own for each test.
pub(crate) trait TestDatabase {
    fn create() -> Self;
    fn url(&self) -> DatabaseUrl;
}

/// A store on the test's database.
pub(crate) async fn open(database: &impl TestDatabase) -> Store {
    Store::open(&database.url()).await.expect("the store opens")
}

/// A file of SQLite that is yet to be made.
pub(crate) struct SqliteFile(TempDir);

impl TestDatabase for SqliteFile {
    fn create() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn url(&self) -> DatabaseUrl {
        format!("sqlite://{}", self.path().display()).parse().expect("a URL")
    }
}

impl SqliteFile {
    fn path(&self) -> PathBuf {
        self.0.path().join("made/on/the way/deliveries.db")
    }

    /// What another process has of it, once it is made.
    pub(crate) async fn another_process(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.path()).connect().await.expect("it connects")
    }
}

/// A database in the server that tests share, or in one of its own.
pub(crate) struct PostgresDatabase {
    url: String,
    server: Arc<Server>,
}

impl TestDatabase for PostgresDatabase {
    fn create() -> Self {
        Self::of(Server::shared().expect("PostgreSQL starts"))
    }

    fn url(&self) -> DatabaseUrl {
        self.url.parse().expect("a URL")
    }
}

impl PostgresDatabase {
    /// With a server that can be stopped.
    pub(crate) fn with_a_server_of_its_own() -> Self {
        Self::of(Arc::new(Server::start().expect("PostgreSQL starts")))
    }

    fn of(server: Arc<Server>) -> Self {
        Self { url: server.create_database().expect("a database"), server }
    }

    pub(crate) fn text(&self) -> &str {
        &self.url
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }
}

/// Leaves the tables as a program of the future does.
pub(crate) const A_NEWER_PROGRAM: &str = "INSERT INTO _sqlx_migrations
    (version, description, success, checksum, execution_time)
    SELECT 99, 'of the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";

/// A line of the audit log, and what must not be done to it.
pub(crate) const AN_AUDIT_ENTRY: &str = "INSERT INTO dlq_audit
    (at_ms, requested_by, action, queue, job_id, why, request)
    VALUES (1, 'somebody', 'discard', 'dlq', '00000000-0000-0000-0000-000000000001', 'why', '{}')";
pub(crate) const CHANGES_OF_THE_AUDIT: [&str; 2] =
    ["UPDATE dlq_audit SET requested_by = 'nobody'", "DELETE FROM dlq_audit"];

/// Makes two tests of each function, one for each kind of database.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            use crate::support::{SqliteFile, TestDatabase};
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(&SqliteFile::create()).await;
                }
            )+
        }

        mod postgres {
            use crate::support::{PostgresDatabase, TestDatabase};
            $(
                #[tokio::test]
                #[ignore = "needs PostgreSQL"]
                async fn $name() {
                    super::$name(&PostgresDatabase::create()).await;
                }
            )+
        }
    };
}
pub(crate) use on_both;
