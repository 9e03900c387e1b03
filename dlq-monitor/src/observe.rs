//! The round that the monitor repeats.

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
use tokio::{sync::watch, time::Instant};
use tracing::{debug, info, warn};

use crate::{
    keeper::{Keeper, NOTED_EVERY, before},
    metrics::{Counts, Metrics},
    queues::DeadLetterQueue,
    scan::{ScanError, Scanned, scan},
};

/// Pause after a first failed round; doubles up to the interval, at least this long.
const BACKOFF: Duration = Duration::from_secs(1);
/// Scans take at most this share of the time: after one the next is put off for as many times its
/// duration, once everything was seen.
const SCANS: u32 = 4;
/// As long as not everything is seen.
const FIRST_SCANS: u32 = 1;

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
            let mut result = self.measure().await;
            if result.is_ok() {
                // Scans take a while. Only after a failure is readiness made to wait for them.
                if failures == 0 && latch.ready() {
                    info!(queues = self.queues.len(), "every queue is watched");
                }
                result = self.peek(&shutdown).await;
            }
            match result {
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
                () = tokio::time::sleep(pause) => {}
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
        let (connection, metrics) = (&self.connection, &self.keeper.metrics);
        let measuring = self.queues.iter_mut().map(|watched| watched.measure(connection, metrics));
        let results = join_all(measuring).await;
        self.publish();
        results.into_iter().collect()
    }

    /// Scans every dead-letter queue that is due, side by side. The error tells of the first one that
    /// failed.
    async fn peek(&mut self, shutdown: &Shutdown) -> Result<(), String> {
        let keeper = &self.keeper;
        let now = Instant::now();
        let due = |watched: &&mut Watched| watched.role == Role::Dlq && watched.next_scan <= now;
        let dead = self.queues.iter_mut().filter(due);
        let results = join_all(dead.map(|watched| watched.peek(keeper, shutdown))).await;
        self.publish();
        results.into_iter().collect()
    }

    fn publish(&self) {
        self.looks.send_replace(self.queues.iter().map(|watched| watched.look.clone()).collect());
    }
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
            complete_since: None,
            next_scan: Instant::now(),
        }
    }

    async fn measure(&mut self, connection: &Connection, metrics: &Metrics) -> Result<(), String> {
        let at = Timestamp::now();
        let attributes = match Attributes::read(connection, self.queue.url()).await {
            Ok(attributes) => attributes,
            Err(error) => {
                if self.read_at.is_none_or(|read_at| read_at.elapsed() >= COUNTS_STAND) {
                    metrics.uncounted(self.queue.name(), self.role.as_str());
                }
                return Err(self.failed(metrics, &error));
            }
        };
        self.read_at = Some(Instant::now());
        let (name, role, counts) = (self.queue.name(), self.role.as_str(), attributes.counts);
        metrics.counted(name, role, counts);
        if let Some(seconds) = attributes.retention_seconds {
            metrics.retention(name, role, seconds);
        }
        let coverage = self.look.found.as_ref().and_then(|found| found.coverage);
        let retention_seconds = attributes.retention_seconds;
        self.look.found = Some(Found { at, counts, retention_seconds, coverage });
        self.look.error = None;
        self.attributes = attributes;
        Ok(())
    }

    async fn peek(&mut self, keeper: &Keeper, shutdown: &Shutdown) -> Result<(), String> {
        let began = Instant::now();
        let coverage = match self.try_peek(keeper, shutdown).await {
            Ok(Some(coverage)) => coverage,
            Ok(None) => return Ok(()),
            Err(error) => return Err(self.failed(&keeper.metrics, &error)),
        };
        let times = if coverage.complete { SCANS } else { FIRST_SCANS };
        // What is done within a moment may be done again at once.
        let took = began.elapsed().saturating_sub(Duration::from_secs(5));
        self.next_scan = Instant::now() + took * times;
        keeper.metrics.scanned(self.queue.name(), coverage.complete);
        if let Some(found) = &mut self.look.found {
            found.coverage = Some(coverage);
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

    /// Scans a dead-letter queue; how much of it was seen. None while SQS moves its messages, be it for
    /// a job that nobody has in hand, and while another process does a job of it, which looks at it
    /// meanwhile: what was seen before still stands.
    async fn try_peek(
        &mut self,
        keeper: &Keeper,
        shutdown: &Shutdown,
    ) -> Result<Option<Coverage>, ScanError> {
        let nothing = Coverage { complete: false, seen: 0, oldest_ms: None, at: Timestamp::now() };
        let Some((queues, place)) = self.dead_letters.clone() else { return Ok(Some(nothing)) };
        let (queue, counted) = (&queues[place], self.attributes.counts.total());
        let name = queue.name();
        if self.attributes.has_redrive_policy {
            // Receives count: peeking would move the messages on.
            warn!(
                queue = name,
                "a dead-letter queue has a redrive policy of its own and is not peeked at"
            );
            return Ok(Some(nothing));
        }
        tokio::select! {
            // A job that is open is taken in hand first.
            () = queue.jobs_were_looked_for() => {}
            () = shutdown.requested() => return Ok(None),
        }
        if keeper.is_to_be_left_alone(name).await? {
            return Ok(None);
        }
        let Some(turn) = queue.turn_to_look().await else { return Ok(None) };
        let began = Timestamp::now();
        let scanned = scan(queue, keeper, counted, shutdown).await;
        drop(turn);
        let Scanned { exhausted, shown, oldest_ms, not_released } = scanned?;
        keeper.metrics.not_released(name, not_released);
        let complete = exhausted && shown >= counted;
        let now = Timestamp::now();
        let settled = match self.complete_since.take().filter(|_| complete) {
            // Two complete scans in a row: SQS's counts, by which a scan is called complete, lag behind
            // at times.
            Some(since) => {
                let unseen_since = before(since, NOTED_EVERY);
                keeper.store.settle_unseen_dead_letters(name, unseen_since, now).await?
            }
            None => 0,
        };
        self.complete_since = complete.then_some(began);
        // What a scan did not see may still be there, until it expires or a job has dealt with it.
        let known = match self.attributes.retention_seconds.filter(|_| !complete) {
            Some(seconds) => {
                let expired = before(now, Duration::from_secs(seconds));
                keeper.store.oldest_dead_letter(name, expired).await?
            }
            None => None,
        };
        let known = known.map(|sent_at| sent_at.as_millisecond().cast_unsigned());
        let oldest_ms = oldest_ms.into_iter().chain(known).min();
        keeper.metrics.oldest(name, oldest_ms, self.attributes.retention_seconds);
        debug!(queue = name, shown, counted, exhausted, complete, settled, "scanned");
        Ok(Some(Coverage { complete, seen: shown, oldest_ms, at: now }))
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
