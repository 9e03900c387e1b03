//! The deliveries store: what became of each order, and every attempt at it.
//!
//! A [`Store`] is a cheap handle. Writing hands a [`Record`] to one writer task, which takes all
//! records that are waiting, commits them in one transaction and then answers each caller (a group
//! commit): under load many records share one sync to the disk, and an idle store waits for
//! nothing. `Ok` means that the record survives a power cut. Reads go to small pools beside it: one
//! for [`Store::status`], which every attempt needs, and one for questions about deliveries, which
//! end within seconds, so that no attempt waits for who asks.
//!
//! Three promises, which every back end keeps and the conformance suite in `tests/it` holds:
//!
//! - An order that is DELIVERED stays so, whatever is recorded later.
//! - A record that the database refuses fails alone; the others of its transaction are committed.
//! - A database that fails gives every caller an error, never a panic, and is used again as soon as
//!   it works. [`Store::health`] tells which of the two it is.
//!
//! Beside deliveries the store keeps which request of a customer was the first with its idempotency
//! key ([`Store::remember_request`]), written in the same transactions.
//!
//! For monitors it keeps what they meet in dead-letter queues ([`Store::keep_dead_letters`]), what is
//! redriven and discarded and how far that is ([`Store::create_job`]), and who asked for it.
//!
//! `backend` is the seam: [`DatabaseUrl`] chooses SQLite, for one machine, or PostgreSQL.

mod backend;
mod dead_letters;
mod jobs;
mod listing;
mod migrations;
mod postgres;
mod reads;
mod reason;
mod record;
mod request;
mod spans;
mod sqlite;
mod sweep;
mod url;
mod writer;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use order_events::DeliveryStatus;
use sweep::{Dust, Sweep};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::timeout,
};
use uuid::Uuid;

pub use dead_letters::{
    DeadLetter, DeadLetterContent, DeadLetterCount, DeadLetterFilter, DeadLetterPage,
    DeadLetterState, DeadOrder, JobMark, Left, LetterPosition, NewDeadLetter, Newer,
    UNKNOWN_REASON, Undeleted,
};
pub use jobs::{
    Archived, AuditEntry, CanaryCount, Checkpoint, Job, JobAction, JobKind, JobMethod, JobPosition,
    JobState, Mark, Marked, NewJob, Progress,
};
pub use listing::{DeliveryFilter, Position};
pub use reason::Reason;
pub use record::{Attempt, Attempts, Counts, Delivery, DeliveryChange, Outcome, Record};
pub use request::{KeyedRequest, Remembered, key_identity};
pub use spans::traced;
pub use sweep::{Swept, Turn};
pub use url::{DatabaseUrl, PostgresUrl, UnsupportedUrl};

/// Constants of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Records that wait for the writer, at most; more callers wait outside.
    pub(crate) queue: usize,
    /// Records in one transaction, at most: bounds how long a reader's view and a lock last.
    pub(crate) transaction: usize,
    /// Bytes of remembered answers in one transaction, about.
    pub(crate) transaction_bytes: usize,
    /// Bytes of a free text that is kept, at most.
    pub(crate) text: usize,
    /// Time for one question about deliveries, from when it is asked: what an order API waits.
    pub(crate) question: Duration,
    /// Time for another process to create or migrate the tables, and for this one.
    pub(crate) migration: Duration,
    /// Time to count everything: the database keeps what is deleted meanwhile.
    pub(crate) count: Duration,
}

pub(crate) const LIMITS: Limits = Limits {
    queue: 1024,
    transaction: 256,
    transaction_bytes: 8 << 20,
    text: 1024,
    question: Duration::from_secs(3),
    migration: Duration::from_mins(10),
    count: Duration::from_mins(10),
};

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
    /// Records are refused, or would be, because the database fails; the writer keeps trying by itself.
    Failing(String),
}

/// The deliveries store.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn backend::Backend>,
    system: &'static str,
    jobs: mpsc::Sender<writer::Job>,
    doubt: Arc<Notify>,
    health: watch::Receiver<Health>,
}

impl Store {
    /// Opens the database, creates or migrates its tables and starts the writer task.
    ///
    /// Several workers may do this at once on the same database: while one migrates, the others
    /// wait, ten minutes at most.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let system = url.system();
        match url {
            DatabaseUrl::Sqlite(path) => {
                let (database, connection) = sqlite::Sqlite::open(path).await?;
                Ok(Self::start(system, Arc::new(database), Ok(Box::new(connection))))
            }
            DatabaseUrl::Postgres(url) => {
                let (database, connection) = postgres::Postgres::open(url).await?;
                Ok(Self::start(system, Arc::new(database), Ok(Box::new(connection))))
            }
        }
    }

    /// As [`Store::open`], but where there is no PostgreSQL server yet, the store begins as one
    /// that fails, and is opened by itself when there is. What does not mend by waiting is an error
    /// here too: a wrong password, say, or a database that does not exist.
    pub async fn open_when_up(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let DatabaseUrl::Postgres(postgres) = url else { return Self::open(url).await };
        let system = url.system();
        match postgres::Postgres::open_when_up(postgres).await? {
            (database, Ok(connection)) => {
                Ok(Self::start(system, Arc::new(database), Ok(Box::new(connection))))
            }
            (database, Err(reason)) => {
                tracing::error!(%reason, "the deliveries store is tried until it can be opened");
                Ok(Self::start(system, Arc::new(database), Err(reason)))
            }
        }
    }

    /// Starts with a connection, or with why there is none yet.
    fn start(
        system: &'static str,
        backend: Arc<dyn backend::Backend>,
        connection: Result<Box<dyn backend::Connection>, String>,
    ) -> Self {
        let (connection, health) = match connection {
            Ok(connection) => (Some(connection), Health::Serving),
            Err(reason) => (None, Health::Failing(reason)),
        };
        let (jobs, waiting) = mpsc::channel(LIMITS.queue);
        let (report, health) = watch::channel(health);
        let doubt = Arc::new(Notify::new());
        let doubted = Arc::clone(&doubt);
        tokio::spawn(writer::run(Arc::clone(&backend), connection, waiting, doubted, report));
        Self { backend, system, jobs, doubt, health }
    }

    /// What kind of database it is, see [`DatabaseUrl::system`].
    pub fn system(&self) -> &'static str {
        self.system
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
        let held = Box::new(held);
        self.ask(|answer| writer::Job::Write(record, writer::Caller { answer, held })).await
    }

    /// Keeps the request if it is the first with its customer and key, and tells what the first one
    /// was if it is not. Of concurrent ones, from whatever process, exactly one is the first.
    ///
    /// [`StoreError::Unavailable`] leaves open whether it is kept: asked again, a request that is
    /// comes back as [`Remembered::Same`].
    pub async fn remember_request(&self, request: KeyedRequest) -> Result<Remembered, StoreError> {
        self.remember_request_holding(request, ()).await
    }

    /// As [`Store::remember_request`], and drops `held` when the request's fate is known, which may
    /// be after the caller has gone away.
    pub async fn remember_request_holding(
        &self,
        request: KeyedRequest,
        held: impl Send + 'static,
    ) -> Result<Remembered, StoreError> {
        if request.is_oversized() {
            return Err(StoreError::Refused("the answer is longer than 4 MiB".to_owned()));
        }
        let held = Box::new(held);
        self.ask(|answer| writer::Job::Remember(request, writer::Caller { answer, held })).await
    }

    /// Forgets requests that came before this time, the oldest first, so many at most: few enough that
    /// the writes behind them do not wait long (some hundreds). Returns how many.
    pub async fn forget_requests_before(
        &self,
        before: Timestamp,
        at_most: u32,
    ) -> Result<u64, StoreError> {
        let sweep = Sweep { of: Dust::Requests, before, at_most, turn: None };
        let deleted = self.ask(|answer| writer::Job::Sweep(sweep, answer)).await?;
        Ok(deleted.unwrap_or_default())
    }

    /// Deletes attempts that ended before this time, the oldest first, so many at most, if this worker
    /// has or gets the turn. Deliveries stay.
    pub async fn forget_attempts_before(
        &self,
        before: Timestamp,
        at_most: u32,
        turn: Turn,
    ) -> Result<Swept, StoreError> {
        let sweep = Sweep { of: Dust::Attempts, before, at_most, turn: Some(turn) };
        let deleted = self.ask(|answer| writer::Job::Sweep(sweep, answer)).await?;
        Ok(deleted.map_or(Swept::NotOurTurn, Swept::Deleted))
    }

    /// Hands a job to the writer and waits for its answer.
    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> writer::Job,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(job(answer)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Waits for what is read. When it fails, or is given up, the writer tries the database: without
    /// that a database that is down while nobody writes would pass for healthy.
    async fn read<T>(
        &self,
        reading: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut doubt = Doubt(Some(&self.doubt));
        let result = reading.await;
        if result.is_ok() {
            doubt.0 = None;
        }
        result
    }

    /// The same for what is asked about deliveries, of which there may be more than the database
    /// bears, or one that goes through very much: within a time, waiting for a connection included.
    async fn question<T>(
        &self,
        reading: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.read(within(LIMITS.question, reading)).await
    }

    /// How far the order is; none when it was never attempted. For handlers: it waits for no
    /// question.
    pub async fn status(&self, order_id: Uuid) -> Result<Option<DeliveryStatus>, StoreError> {
        self.read(reads::status(&*self.backend, order_id)).await
    }

    /// The order's delivery.
    pub async fn find(&self, order_id: Uuid) -> Result<Option<Delivery>, StoreError> {
        self.question(reads::find(&*self.backend, order_id)).await
    }

    /// The newest attempts at the order, so many at most and at least one (100 are enough for one answer),
    /// and how many there are.
    pub async fn attempts(&self, order_id: Uuid, at_most: u32) -> Result<Attempts, StoreError> {
        self.question(reads::attempts(&*self.backend, order_id, at_most)).await
    }

    /// The attempts at a message whose order could not be read, in the order of their commits.
    pub async fn attempts_without_order(
        &self,
        message_id: &str,
    ) -> Result<Vec<Attempt>, StoreError> {
        self.question(reads::attempts_without_order(&*self.backend, message_id)).await
    }

    /// A page of deliveries, those first attempted last in front, so many at most (200 are enough for
    /// one answer); `after` is the [`Delivery::position`] of the last one of the page before.
    /// A delivery comes when its first attempt has ended, so not always in front. Where a
    /// customer's orders of other queues have to be passed over, a page can take longer than is
    /// waited for; a time in the filter bounds them.
    pub async fn page(
        &self,
        filter: &DeliveryFilter,
        after: Option<Position>,
        at_most: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.question(reads::page(&*self.backend, filter, after, at_most)).await
    }

    /// How many orders have each status. Every delivery is counted, in an index, which may take
    /// minutes: on a connection of its own, so that nothing else waits for it, and ten minutes at
    /// most. Not for each request, and not twice at once.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        if self.jobs.is_closed() {
            return Err(closed());
        }
        self.read(within(LIMITS.count, reads::counts(&*self.backend))).await
    }

    /// Whether the database takes what is written; the sender goes away when the store is closed.
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

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".to_owned())
}

/// What is read, unless it takes longer.
async fn within<T>(
    limit: Duration,
    reading: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let late = |_| Err(StoreError::Unavailable(format!("there is no answer within {limit:?}")));
    timeout(limit, reading).await.unwrap_or_else(late)
}

/// Tells the writer, when it is dropped, that the database may fail.
struct Doubt<'a>(Option<&'a Notify>);

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(doubt) = self.0 {
            doubt.notify_one();
        }
    }
}
