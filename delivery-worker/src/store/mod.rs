//! The deliveries store: what became of each order, and every attempt at it.
//!
//! A [`Store`] is a cheap handle. Writing hands a [`Record`] to one writer task, which takes all
//! records that are waiting, commits them in one transaction and then answers each caller (a group
//! commit): under load many records share one sync to the disk, and an idle store waits for
//! nothing. `Ok` means that the record survives a power cut. Reads go to a small pool beside it.
//!
//! Three promises, which every back end keeps and the conformance suite in `tests/it` holds:
//!
//! - An order that is DELIVERED stays so, whatever is recorded later.
//! - A record that the database refuses fails alone; the others of its transaction are committed.
//! - A database that fails gives every caller an error, never a panic, and is used again as soon as
//!   it works. [`Store::health`] tells which of the two it is.
//!
//! `backend` is the seam: SQLite implements it, another database would do so beside it.

mod backend;
mod record;
mod sqlite;
mod url;
mod writer;

use std::sync::Arc;

use order_events::DeliveryStatus;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

pub use record::{Attempt, Counts, Delivery, DeliveryChange, Outcome, Record};
pub use url::{DatabaseUrl, UnsupportedUrl};

/// Constants of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Records that wait for the writer, at most; more callers wait outside.
    pub(crate) queue: usize,
    /// Records in one transaction, at most: bounds how long a reader's view and a lock last.
    pub(crate) transaction: usize,
    /// Bytes of a free text that is kept, at most.
    pub(crate) text: usize,
}

pub(crate) const LIMITS: Limits = Limits { queue: 1024, transaction: 256, text: 1024 };

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database is locked, full, unreachable or closed: the same call may succeed later.
    #[error("the deliveries store is unavailable: {0}")]
    Unavailable(String),
    /// The database works but refuses this very record, and would refuse it again.
    #[error("the deliveries store refuses the record: {0}")]
    Refused(String),
}

/// Whether the last thing that the writer tried has worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Records are committed.
    Serving,
    /// Records are refused because the database fails; the writer keeps trying by itself.
    Failing(String),
}

/// The deliveries store.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn backend::Backend>,
    jobs: mpsc::Sender<writer::Job>,
    health: watch::Receiver<Health>,
}

impl Store {
    /// Opens the database, creates or migrates its tables and starts the writer task.
    ///
    /// Several workers may do this at once on the same database.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        match url {
            DatabaseUrl::Sqlite(path) => {
                let (database, connection) = sqlite::Sqlite::open(path).await?;
                Ok(Self::start(Arc::new(database), Box::new(connection)))
            }
        }
    }

    fn start(backend: Arc<dyn backend::Backend>, connection: Box<dyn backend::Connection>) -> Self {
        let (jobs, waiting) = mpsc::channel(LIMITS.queue);
        let (report, health) = watch::channel(Health::Serving);
        tokio::spawn(writer::run(Arc::clone(&backend), connection, waiting, report));
        Self { backend, jobs, health }
    }

    /// Commits the record. Once it is handed over it is written even if the caller goes away.
    pub async fn write(&self, record: Record) -> Result<(), StoreError> {
        self.write_holding(record, ()).await
    }

    /// As [`Store::write`], and drops `held` when the record's fate is known, which may be after the
    /// caller has gone away.
    pub async fn write_holding(
        &self,
        record: Record,
        held: impl Send + 'static,
    ) -> Result<(), StoreError> {
        let closed = || StoreError::Unavailable("it is closed".to_owned());
        let (answer, written) = oneshot::channel();
        let job = writer::Job::Write(record, writer::Caller { answer, held: Box::new(held) });
        self.jobs.send(job).await.map_err(|_| closed())?;
        written.await.map_err(|_| closed())?
    }

    /// How far the order is; none when it was never attempted.
    pub async fn status(&self, order_id: Uuid) -> Result<Option<DeliveryStatus>, StoreError> {
        self.backend.status(order_id).await
    }

    /// The order's delivery.
    pub async fn find(&self, order_id: Uuid) -> Result<Option<Delivery>, StoreError> {
        self.backend.find(order_id).await
    }

    /// The attempts at the order, in the order in which they were committed.
    pub async fn attempts(&self, order_id: Uuid) -> Result<Vec<Attempt>, StoreError> {
        self.backend.attempts(order_id).await
    }

    /// The attempts at a message whose order could not be read, in the order of their commits.
    pub async fn attempts_without_order(
        &self,
        message_id: &str,
    ) -> Result<Vec<Attempt>, StoreError> {
        self.backend.attempts_without_order(message_id.to_owned()).await
    }

    /// How many orders have each status.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        self.backend.counts().await
    }

    /// Whether writing works; the sender goes away when the store is closed.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Commits what has been handed over, then closes the database. Later calls fail.
    pub async fn close(&self) {
        // An error means that it is closed already.
        let _ = self.jobs.send(writer::Job::Close).await;
        let mut health = self.health.clone();
        while health.changed().await.is_ok() {}
        self.backend.close().await;
    }
}
