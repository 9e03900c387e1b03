//! The round that the monitor repeats.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_sdk_sqs::types::QueueAttributeName;
use futures_util::future::join_all;
use jiff::Timestamp;
use rand::{RngExt, rngs::StdRng};
use service_kit::{Latch, Shutdown};
use sqs_consumer::{
    Queue, QueueError,
    aws::{AwsQueue, Connection, classify},
};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::{
    letter,
    metrics::{Counts, Metrics},
    scan::{Scanned, scan},
    seen::Seen,
};

/// Pause after a first failed round; doubles up to the interval, at least this long.
const BACKOFF: Duration = Duration::from_secs(1);

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
    /// Of a dead-letter queue: whether the scan saw every message.
    pub(crate) scan_complete: Option<bool>,
}

/// Watches the queues.
pub(crate) struct Observer {
    connection: Connection,
    queues: Vec<Watched>,
    metrics: Metrics,
    interval: Duration,
    looks: watch::Sender<Arc<[Look]>>,
    random: StdRng,
}

struct Watched {
    queue: AwsQueue,
    role: Role,
    seen: Seen,
    scans: u64,
    /// As they were last read.
    attributes: Attributes,
    look: Look,
}

impl Observer {
    pub(crate) fn new(
        connection: Connection,
        urls: &[(Role, String)],
        metrics: Metrics,
        interval: Duration,
    ) -> Self {
        let queues: Vec<_> =
            urls.iter().map(|(role, url)| Watched::new(&connection, *role, url)).collect();
        for watched in queues.iter().filter(|watched| watched.role == Role::Dlq) {
            metrics.expect_dead_letters(watched.queue.name());
        }
        let looks = watch::Sender::new(queues.iter().map(|watched| watched.look.clone()).collect());
        Self { connection, queues, metrics, interval, looks, random: rand::make_rng() }
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
                    self.metrics.succeeded(Timestamp::now().as_millisecond());
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
        let (connection, metrics) = (&self.connection, &self.metrics);
        let measuring = self.queues.iter_mut().map(|watched| watched.measure(connection, metrics));
        let results = join_all(measuring).await;
        self.publish();
        results.into_iter().collect()
    }

    /// Scans every dead-letter queue, side by side. The error tells of the first one that failed.
    async fn peek(&mut self, shutdown: &Shutdown) -> Result<(), String> {
        let metrics = &self.metrics;
        let dead = self.queues.iter_mut().filter(|watched| watched.role == Role::Dlq);
        let results = join_all(dead.map(|watched| watched.peek(metrics, shutdown))).await;
        self.publish();
        results.into_iter().collect()
    }

    fn publish(&self) {
        self.looks.send_replace(self.queues.iter().map(|watched| watched.look.clone()).collect());
    }
}

impl Watched {
    fn new(connection: &Connection, role: Role, url: &str) -> Self {
        let queue = connection.queue(url, None);
        let look = Look { queue: queue.name().to_owned(), role, found: None, error: None };
        let attributes = Attributes::default();
        Self { queue, role, seen: Seen::default(), scans: 0, attributes, look }
    }

    async fn measure(&mut self, connection: &Connection, metrics: &Metrics) -> Result<(), String> {
        let at = Timestamp::now();
        let attributes = match Attributes::read(connection, self.queue.url()).await {
            Ok(attributes) => attributes,
            Err(error) => return Err(self.failed(metrics, &error)),
        };
        let (name, role, counts) = (self.queue.name(), self.role.as_str(), attributes.counts);
        metrics.counted(name, role, counts);
        if let Some(seconds) = attributes.retention_seconds {
            metrics.retention(name, role, seconds);
        }
        let scan_complete = self.look.found.as_ref().and_then(|found| found.scan_complete);
        self.look.found = Some(Found { at, counts, scan_complete });
        self.look.error = None;
        self.attributes = attributes;
        Ok(())
    }

    async fn peek(&mut self, metrics: &Metrics, shutdown: &Shutdown) -> Result<(), String> {
        let complete = match self.try_peek(metrics, shutdown).await {
            Ok(complete) => complete,
            Err(error) => return Err(self.failed(metrics, &error)),
        };
        metrics.scanned(self.queue.name(), complete);
        if let Some(found) = &mut self.look.found {
            found.scan_complete = Some(complete);
        }
        Ok(())
    }

    fn failed(&mut self, metrics: &Metrics, error: &QueueError) -> String {
        let queue = self.queue.name();
        warn!(queue, %error, "the queue cannot be watched");
        if self.role == Role::Dlq {
            metrics.scanned(queue, false);
        }
        self.look.error = Some(error.to_string());
        format!("{queue}: {error}")
    }

    /// Scans a dead-letter queue; whether every message was seen.
    async fn try_peek(
        &mut self,
        metrics: &Metrics,
        shutdown: &Shutdown,
    ) -> Result<bool, QueueError> {
        let Self { queue, seen, scans, attributes, .. } = self;
        let name = queue.name();
        if attributes.has_redrive_policy {
            // Receives count: peeking would move the messages on.
            warn!(
                queue = name,
                "a dead-letter queue has a redrive policy of its own and is not peeked at"
            );
            return Ok(false);
        }
        *scans += 1;
        let number = *scans;
        let scanned = scan(queue, shutdown, |message| {
            if seen.meet(&message.message_id, message.sent_at_ms, number) {
                metrics.arrived(name, letter::reason(&message));
                letter::announce(name, &message);
            }
        })
        .await;
        let Scanned { exhausted, not_released } = scanned?;
        metrics.not_released(name, not_released);
        let (shown, counted) = (seen.shown_in(number), attributes.counts.total());
        let complete = exhausted && shown >= counted;
        let retention_ms = attributes.retention_seconds.map(|seconds| seconds.saturating_mul(1000));
        let now_ms = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
        seen.forget(
            number,
            complete,
            retention_ms.map(|retention| now_ms.saturating_sub(retention)),
        );
        metrics.oldest(name, seen.oldest_ms(), attributes.retention_seconds);
        debug!(queue = name, shown, counted, exhausted, complete, "scanned");
        Ok(complete)
    }
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
