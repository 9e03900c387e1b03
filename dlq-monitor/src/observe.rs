//! The round that the monitor repeats.

mod peek;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_sdk_sqs::types::QueueAttributeName;
use futures_util::future::join_all;
use jiff::Timestamp;
use rand::{RngExt, rngs::StdRng};
use service_kit::{Latch, Shutdown};
use sqs_consumer::{
    Queue as _, QueueError,
    aws::{AwsQueue, Connection, classify},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};
use tracing::{info, warn};

use self::peek::{Peek, Peeked};
use crate::{
    keeper::Keeper,
    metrics::{Counts, Metrics},
    queues::DeadLetterQueue,
    scan::ScanError,
};

/// Pause after a first failed round; doubles up to the interval, at least this long.
const BACKOFF: Duration = Duration::from_secs(1);

/// For so long after a queue was last read its counts stand. An alert that waits five minutes must not
/// come of a count that was true for a moment.
const COUNTS_STAND: Duration = Duration::from_mins(3);

/// What a queue is to the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Workers consume it.
    Source,
    /// Dead letters end here.
    Dlq,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Dlq => "dlq",
        }
    }
}

/// The last look at one queue.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) queue: String,
    pub(crate) role: Role,
    /// The last look that succeeded.
    pub(crate) found: Option<Found>,
    /// Why the last look failed, when it did.
    pub(crate) error: Option<String>,
}

/// What a look found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) at: Timestamp,
    pub(crate) counts: Counts,
    pub(crate) retention_seconds: Option<u64>,
    /// Of a dead-letter queue: how far the last scan came.
    pub(crate) coverage: Option<Coverage>,
}

/// How much of a dead-letter queue the last scan saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Whether it saw every message that SQS counts.
    pub(crate) complete: bool,
    /// How many it saw.
    pub(crate) seen: u64,
    /// When the oldest message known was sent, in milliseconds since the epoch.
    pub(crate) oldest_ms: Option<u64>,
    /// When it ended.
    pub(crate) at: Timestamp,
}

/// Watches the queues.
pub(crate) struct Observer {
    connection: Connection,
    queues: Vec<Watched>,
    keeper: Keeper,
    interval: Duration,
    looks: watch::Sender<Arc<[Look]>>,
    random: StdRng,
}

struct Watched {
    queue: AwsQueue,
    role: Role,
    /// Of a dead-letter queue: its place in the list of those.
    dead_letters: Option<(Arc<[DeadLetterQueue]>, usize)>,
    /// As they were last read, and when.
    attributes: Attributes,
    read_at: Option<Instant>,
    look: Look,
    /// Whether it could be read when that was last tried.
    is_read: bool,
    /// Why it could not be scanned when that was last tried, if it could not.
    not_scanned: Option<String>,
    /// When the last scan began, if it was complete.
    complete_since: Option<Timestamp>,
    /// When the queue is next scanned.
    next_scan: Instant,
}

impl Observer {
    pub(crate) fn new(
        connection: Connection,
        urls: &[(Role, String)],
        dead_letters: &Arc<[DeadLetterQueue]>,
        keeper: Keeper,
        interval: Duration,
    ) -> Self {
        let queues: Vec<_> = urls
            .iter()
            .map(|(role, url)| Watched::new(&connection, *role, url, dead_letters))
            .collect();
        for watched in queues.iter().filter(|watched| watched.role == Role::Dlq) {
            keeper.metrics.expect_dead_letters(watched.queue.name());
        }
        let looks = watch::Sender::new(queues.iter().map(|watched| watched.look.clone()).collect());
        Self { connection, queues, keeper, interval, looks, random: rand::make_rng() }
    }

    /// Follows what the rounds find.
    pub(crate) fn looks(&self) -> watch::Receiver<Arc<[Look]>> {
        self.looks.subscribe()
    }

    /// Looks at once, then again and again until the shutdown is requested. A scan that is under way
    /// then is ended in good order: what it holds is released.
    pub(crate) async fn run(mut self, latch: Latch, shutdown: Shutdown) {
        let mut failures = 0;
        while !shutdown.is_requested() {
            let measured = self.measure().await;
            // Scans take a while. Only after a failure is readiness made to wait for them.
            if let Err(reason) = &measured {
                latch.unready(reason.clone());
            } else if failures == 0 && latch.ready() {
                info!(queues = self.queues.len(), "every queue is watched");
            }
            match self.peek(measured, &shutdown).await {
                Ok(()) => {
                    failures = 0;
                    self.keeper.metrics.succeeded(Timestamp::now().as_millisecond());
                    if latch.ready() {
                        info!(queues = self.queues.len(), "every queue is watched again");
                    }
                }
                Err(reason) => {
                    failures += 1;
                    latch.unready(reason);
                }
            }
            let pause = self.pause(failures);
            tokio::select! {
                () = shutdown.requested() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// The interval give or take a tenth, so that several monitors do not fall into step; after
    /// failures less, so that a queue is seen soon after it is back.
    fn pause(&mut self, failures: u32) -> Duration {
        if failures == 0 {
            return self.interval.mul_f64(self.random.random_range(0.9..=1.1));
        }
        let doubled = BACKOFF.saturating_mul(1 << (failures - 1).min(16));
        let longest = self.interval.max(BACKOFF);
        doubled.min(longest).mul_f64(self.random.random_range(0.5..=1.0))
    }

    /// Reads every queue's attributes, side by side. The error tells of the first queue that failed.
    async fn measure(&mut self) -> Result<(), String> {
        measure(&self.connection, &self.keeper.metrics, &mut self.queues, &self.looks).await
    }

    /// Scans every dead-letter queue that is due and could be read in this round, side by side: one that
    /// cannot be read hides nothing of the others. Every queue is read again and again meanwhile, since a
    /// scan may take minutes. The error tells of the first queue that could not be read when that was last
    /// tried, else of the first that could not be scanned.
    async fn peek(
        &mut self,
        measured: Result<(), String>,
        shutdown: &Shutdown,
    ) -> Result<(), String> {
        let Self { connection, queues, keeper, interval, looks, .. } = self;
        let (connection, keeper, looks) = (&*connection, &*keeper, &*looks);
        let now = Instant::now();
        let due = queues.iter().enumerate().filter(|(_, watched)| watched.is_to_be_scanned(now));
        let due: Vec<(usize, Peek)> =
            due.map(|(place, watched)| (place, Peek::at(watched))).collect();
        let (sender, mut results) = mpsc::unbounded_channel();
        let scanning = async move {
            let looking = due.iter().map(async |(place, peek)| {
                // It is received until the last of them is sent.
                let _ = sender.send((*place, peek.look(keeper, shutdown).await));
            });
            join_all(looking).await;
        };
        let reading = async {
            let (mut last, mut scanned) = (measured, Ok(()));
            loop {
                tokio::select! {
                    result = results.recv() => {
                        let Some((place, result)) = result else { return last.and(scanned) };
                        // Each as it comes: another one may take minutes yet.
                        scanned = scanned.and(queues[place].peeked(&keeper.metrics, result));
                        publish(queues, looks);
                    }
                    () = sleep(*interval) => {
                        last = measure(connection, &keeper.metrics, queues, looks).await;
                        if queues.iter().all(|watched| watched.look.error.is_none()) {
                            keeper.metrics.succeeded(Timestamp::now().as_millisecond());
                        }
                    }
                }
            }
        };
        let ((), told) = tokio::join!(scanning, reading);
        told
    }
}

/// Reads the queues' attributes, side by side. The error tells of the first queue that failed.
async fn measure(
    connection: &Connection,
    metrics: &Metrics,
    queues: &mut [Watched],
    looks: &watch::Sender<Arc<[Look]>>,
) -> Result<(), String> {
    let measuring = queues.iter_mut().map(|watched| watched.measure(connection, metrics));
    let results = join_all(measuring).await;
    publish(queues, looks);
    results.into_iter().collect()
}

fn publish(queues: &[Watched], looks: &watch::Sender<Arc<[Look]>>) {
    looks.send_replace(queues.iter().map(|watched| watched.look.clone()).collect());
}

impl Watched {
    fn new(
        connection: &Connection,
        role: Role,
        url: &str,
        dead_letters: &Arc<[DeadLetterQueue]>,
    ) -> Self {
        let queue = connection.queue(url, None);
        let look = Look { queue: queue.name().to_owned(), role, found: None, error: None };
        let place = dead_letters.iter().position(|dead| dead.queue.url() == url);
        Self {
            queue,
            role,
            dead_letters: place
                .filter(|_| role == Role::Dlq)
                .map(|place| (Arc::clone(dead_letters), place)),
            attributes: Attributes::default(),
            read_at: None,
            look,
            is_read: false,
            not_scanned: None,
            complete_since: None,
            next_scan: Instant::now(),
        }
    }

    async fn measure(&mut self, connection: &Connection, metrics: &Metrics) -> Result<(), String> {
        let at = Timestamp::now();
        let attributes = match Attributes::read(connection, self.queue.url()).await {
            Ok(attributes) => attributes,
            Err(error) => {
                self.is_read = false;
                if self.read_at.is_none_or(|read_at| read_at.elapsed() >= COUNTS_STAND) {
                    metrics.uncounted(self.queue.name(), self.role.as_str());
                }
                return Err(self.failed(metrics, &error));
            }
        };
        (self.is_read, self.read_at) = (true, Some(Instant::now()));
        let (name, role, counts) = (self.queue.name(), self.role.as_str(), attributes.counts);
        metrics.counted(name, role, counts);
        if let Some(seconds) = attributes.retention_seconds {
            metrics.retention(name, role, seconds);
        }
        let coverage = self.look.found.as_ref().and_then(|found| found.coverage);
        let retention_seconds = attributes.retention_seconds;
        self.look.found = Some(Found { at, counts, retention_seconds, coverage });
        self.look.error.clone_from(&self.not_scanned);
        self.attributes = attributes;
        Ok(())
    }

    /// Whether it is a dead-letter queue whose scan is due, and could be read when that was last tried.
    fn is_to_be_scanned(&self, now: Instant) -> bool {
        self.role == Role::Dlq && self.next_scan <= now && self.is_read
    }

    /// Takes in what came of a scan. That one failed stands until one does not.
    fn peeked(
        &mut self,
        metrics: &Metrics,
        result: Result<Option<Peeked>, ScanError>,
    ) -> Result<(), String> {
        let peeked = match result {
            Ok(peeked) => peeked,
            Err(error) => {
                self.not_scanned = Some(error.to_string());
                return Err(self.failed(metrics, &error));
            }
        };
        if self.not_scanned.take().is_some() && self.is_read {
            self.look.error = None;
        }
        if let Some(Peeked { coverage, complete_since, next_scan }) = peeked {
            (self.complete_since, self.next_scan) = (complete_since, next_scan);
            if let Some(found) = &mut self.look.found {
                found.coverage = Some(coverage);
            }
        }
        Ok(())
    }

    fn failed(&mut self, metrics: &Metrics, error: &dyn std::fmt::Display) -> String {
        let queue = self.queue.name();
        warn!(queue, %error, "the queue cannot be watched");
        if self.role == Role::Dlq {
            metrics.scanned(queue, false);
        }
        self.complete_since = None;
        self.look.error = Some(error.to_string());
        format!("{queue}: {error}")
    }
}

/// How many messages a queue has, about.
pub(crate) async fn counts_of(connection: &Connection, url: &str) -> Result<Counts, QueueError> {
    Attributes::read(connection, url).await.map(|attributes| attributes.counts)
}

/// What SQS says of a queue.
#[derive(Clone, Copy, Debug, Default)]
struct Attributes {
    counts: Counts,
    retention_seconds: Option<u64>,
    has_redrive_policy: bool,
}

impl Attributes {
    async fn read(connection: &Connection, url: &str) -> Result<Self, QueueError> {
        use QueueAttributeName as Name;
        let call = connection
            .settling()
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(Name::All)
            .send();
        let answer = Box::pin(call).await.map_err(|error| classify(&error))?;
        let attributes: HashMap<Name, String> = answer.attributes.unwrap_or_default();
        let number = |name: &Name| attributes.get(name).and_then(|text| text.parse::<u64>().ok());
        let missing =
            || QueueError::Unavailable("the queue's message counts are missing".to_owned());
        Ok(Self {
            counts: Counts {
                visible: number(&Name::ApproximateNumberOfMessages).ok_or_else(missing)?,
                in_flight: number(&Name::ApproximateNumberOfMessagesNotVisible).unwrap_or(0),
                delayed: number(&Name::ApproximateNumberOfMessagesDelayed).unwrap_or(0),
            },
            retention_seconds: number(&Name::MessageRetentionPeriod),
            has_redrive_policy: attributes
                .get(&Name::RedrivePolicy)
                .is_some_and(|policy| !policy.is_empty()),
        })
    }
}
