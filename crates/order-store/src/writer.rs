//! The group commit: one task, one connection, one transaction for all that is waiting.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    Health, KeyedRequest, LIMITS, Record, Remembered, StoreError,
    backend::{Backend, Batch, Change, Changed, Connection},
    sweep::Sweep,
};

/// How often the database is tried when nobody writes: while it fails, and while reads fail or are
/// given up.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// What the writer is asked to do.
pub(crate) enum Job {
    /// Commit the record, then answer.
    Write(Record, Caller<()>),
    /// Remember the request if it is the first, then answer.
    Remember(KeyedRequest, Caller<Remembered>),
    /// Delete some of what is old, then answer.
    Sweep(Sweep, oneshot::Sender<Result<Option<u64>, StoreError>>),
    /// Run the change, then answer.
    Change(Change, oneshot::Sender<Result<Changed, StoreError>>),
    /// Take no more jobs, finish those that wait, and end.
    Close,
}

/// Who is told what became of the record or request.
pub(crate) struct Caller<T> {
    pub(crate) answer: oneshot::Sender<Result<T, StoreError>>,
    /// Dropped just before the answer is given.
    pub(crate) held: Box<dyn Send>,
}

/// Runs until [`Job::Close`] or until every handle is gone. `doubt` says that the database may fail.
/// Dropping `health` says that it ended.
pub(crate) async fn run(
    backend: Arc<dyn Backend>,
    connection: Option<Box<dyn Connection>>,
    mut jobs: mpsc::Receiver<Job>,
    doubt: Arc<Notify>,
    health: watch::Sender<Health>,
) {
    let mut writer = Writer { backend, connection, health, worked: None };
    let mut taken = Vec::new();
    loop {
        let failing = *writer.health.borrow() != Health::Serving;
        let count = tokio::select! {
            // What is to be written tries the database as well.
            biased;
            count = jobs.recv_many(&mut taken, LIMITS.transaction) => count,
            // Readiness must go and come back without anything to write too.
            () = probe_due(&doubt, failing, writer.worked) => {
                let _ = writer.commit(&Batch::default()).await;
                continue;
            }
        };
        if count == 0 {
            break;
        }
        let mut work = Work::default();
        for job in taken.drain(..) {
            match job {
                Job::Write(record, caller) => {
                    work.records.push(record);
                    work.callers.push(caller);
                }
                Job::Remember(request, asker) => {
                    work.bytes += request.answer.len();
                    work.requests.push(request);
                    work.askers.push(asker);
                    if work.bytes > LIMITS.transaction_bytes {
                        std::mem::take(&mut work).done_by(&mut writer).await;
                    }
                }
                Job::Sweep(sweep, asker) => {
                    let swept = writer.sweep(&sweep).await;
                    let _ = asker.send(swept);
                }
                Job::Change(change, asker) => {
                    let changed = writer.change(&change).await;
                    let _ = asker.send(changed);
                }
                Job::Close => jobs.close(),
            }
        }
        work.done_by(&mut writer).await;
    }
    if let Some(connection) = writer.connection.take() {
        connection.close().await;
    }
}

/// While the database works: once something that was read has failed or was given up, which clients
/// that go away do, too; so not at once when it worked a moment ago. While it fails: every while.
async fn probe_due(doubt: &Notify, failing: bool, worked: Option<Instant>) {
    if failing {
        sleep(PROBE_INTERVAL).await;
    } else {
        doubt.notified().await;
        if let Some(worked) = worked {
            sleep_until(worked + PROBE_INTERVAL).await;
        }
    }
}

/// What goes into one transaction, and who waits for it.
#[derive(Default)]
struct Work {
    records: Vec<Record>,
    callers: Vec<Caller<()>>,
    requests: Vec<KeyedRequest>,
    askers: Vec<Caller<Remembered>>,
    bytes: usize,
}

impl Work {
    async fn done_by(self, writer: &mut Writer) {
        let batch = Batch {
            records: self.records.iter().collect(),
            requests: self.requests.iter().collect(),
        };
        let (records, requests) = writer.write(&batch).await;
        // A caller that has gone away has its record written all the same.
        for (Caller { answer, held }, fate) in self.callers.into_iter().zip(records) {
            drop(held);
            let _ = answer.send(fate);
        }
        for (Caller { answer, held }, fate) in self.askers.into_iter().zip(requests) {
            drop(held);
            let _ = answer.send(fate);
        }
    }
}

/// What became of each record and of each request.
type Fates = (Vec<Result<(), StoreError>>, Vec<Result<Remembered, StoreError>>);

struct Writer {
    backend: Arc<dyn Backend>,
    connection: Option<Box<dyn Connection>>,
    health: watch::Sender<Health>,
    /// When the database last worked.
    worked: Option<Instant>,
}

impl Writer {
    /// Writes the batch and gives each of it its fate.
    async fn write(&mut self, batch: &Batch<'_>) -> Fates {
        let (records, requests) = (batch.records.len(), batch.requests.len());
        if batch.len() == 0 {
            return Fates::default();
        }
        match self.commit(batch).await {
            Ok(remembered) => (vec![Ok(()); records], remembered.into_iter().map(Ok).collect()),
            Err(StoreError::Refused(_)) if batch.len() > 1 => self.write_one_by_one(batch).await,
            Err(error) => (vec![Err(error.clone()); records], vec![Err(error); requests]),
        }
    }

    /// One of them is at fault: alone, each gets what it deserves. When the database fails meanwhile,
    /// the rest does not wait for it one after the other.
    async fn write_one_by_one(&mut self, batch: &Batch<'_>) -> Fates {
        let mut fates = Fates::default();
        let mut down = None;
        for record in &batch.records {
            let alone = Batch { records: vec![*record], requests: Vec::new() };
            fates.0.push(self.write_alone(&alone, &mut down).await.map(|_| ()));
        }
        for request in &batch.requests {
            let alone = Batch { records: Vec::new(), requests: vec![*request] };
            let silent = || StoreError::Unavailable("nothing is said of the request".to_owned());
            let remembered = self.write_alone(&alone, &mut down).await;
            fates.1.push(remembered.and_then(|mut one| one.pop().ok_or_else(silent)));
        }
        fates
    }

    async fn write_alone(
        &mut self,
        alone: &Batch<'_>,
        down: &mut Option<StoreError>,
    ) -> Result<Vec<Remembered>, StoreError> {
        if let Some(error) = down {
            return Err(error.clone());
        }
        let result = self.commit(alone).await;
        if let Err(error @ StoreError::Unavailable(_)) = &result {
            *down = Some(error.clone());
        }
        result
    }

    /// One transaction, on a new connection when the last one broke.
    async fn commit(&mut self, batch: &Batch<'_>) -> Result<Vec<Remembered>, StoreError> {
        let result = match self.connection().await {
            Ok(connection) => connection.commit(batch).await,
            Err(error) => Err(error),
        };
        self.judge(&result);
        result
    }

    async fn sweep(&mut self, sweep: &Sweep) -> Result<Option<u64>, StoreError> {
        let result = match self.connection().await {
            Ok(connection) => connection.sweep(sweep).await,
            Err(error) => Err(error),
        };
        self.judge(&result);
        result
    }

    async fn change(&mut self, change: &Change) -> Result<Changed, StoreError> {
        let result = match self.connection().await {
            Ok(connection) => connection.change(change).await,
            Err(error) => Err(error),
        };
        self.judge(&result);
        result
    }

    async fn connection(&mut self) -> Result<&mut Box<dyn Connection>, StoreError> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            empty => Ok(empty.insert(self.backend.connect().await?)),
        }
    }

    /// Draws the conclusions from what was tried last.
    fn judge<T>(&mut self, result: &Result<T, StoreError>) {
        let health = match result {
            Err(StoreError::Unavailable(reason)) => {
                self.connection = None;
                Health::Failing(reason.clone())
            }
            Ok(_) | Err(StoreError::Refused(_)) => {
                self.worked = Some(Instant::now());
                Health::Serving
            }
        };
        self.health.send_if_modified(|current| {
            let changed = *current != health;
            match &health {
                Health::Failing(reason) if changed => {
                    tracing::error!(%reason, "the deliveries store fails; nothing is acknowledged");
                }
                Health::Serving if changed => tracing::info!("the deliveries store works again"),
                _ => {}
            }
            *current = health;
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use futures_util::{FutureExt, future::BoxFuture};

    use super::*;
    use crate::backend::{Dialect, Pool, Row, Value};

    /// A database that works, and counts how often it is only tried.
    #[derive(Clone, Default)]
    struct Working(Arc<AtomicUsize>);

    impl Connection for Working {
        fn commit<'a>(
            &'a mut self,
            batch: &'a Batch<'a>,
        ) -> BoxFuture<'a, Result<Vec<Remembered>, StoreError>> {
            self.0.fetch_add(usize::from(batch.len() == 0), Relaxed);
            async { Ok(Vec::new()) }.boxed()
        }

        fn sweep<'a>(&'a mut self, _: &'a Sweep) -> BoxFuture<'a, Result<Option<u64>, StoreError>> {
            async { Ok(None) }.boxed()
        }

        fn change<'a>(&'a mut self, _: &'a Change) -> BoxFuture<'a, Result<Changed, StoreError>> {
            async { Ok(None) }.boxed()
        }

        fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
            async {}.boxed()
        }
    }

    impl Backend for Working {
        fn dialect(&self) -> &'static Dialect {
            &Dialect { as_uuid: "", as_text: "", names_index: false, skip_locked: "" }
        }

        fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, StoreError>> {
            async { Ok(Box::new(self.clone()) as Box<dyn Connection>) }.boxed()
        }

        fn select(
            &self,
            _: Pool,
            _: String,
            _: Vec<Value>,
        ) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
            async { Ok(Vec::new()) }.boxed()
        }

        fn scan(&self, _: &'static str) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
            async { Ok(Vec::new()) }.boxed()
        }

        fn close(&self) -> BoxFuture<'_, ()> {
            async {}.boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_works_is_not_tried_for_each_read_that_is_given_up() {
        let database = Working::default();
        let doubt = Arc::new(Notify::new());
        let (jobs, waiting) = mpsc::channel(1);
        let (report, _health) = watch::channel(Health::Serving);
        let backend = Arc::new(database.clone());
        let connection: Option<Box<dyn Connection>> = Some(Box::new(database.clone()));
        let doubting = async {
            for _ in 0..100 {
                doubt.notify_one();
                sleep(PROBE_INTERVAL / 20).await;
            }
            drop(jobs);
        };
        let writing = run(backend, connection, waiting, Arc::clone(&doubt), report);
        tokio::join!(writing, doubting);
        let tried = database.0.load(Relaxed);
        assert!((2..=6).contains(&tried), "{tried} times in five intervals");
    }
}
