//! What the monitor measures.

use prometheus::{
    Gauge, GaugeVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector,
};

use crate::letter::REASONS;

/// The monitor's metrics.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    messages: IntGaugeVec,
    retention: GaugeVec,
    oldest: GaugeVec,
    next_expiry: GaugeVec,
    arrived: IntCounterVec,
    scan_complete: IntGaugeVec,
    not_released: IntCounterVec,
    last_success: Gauge,
    redriven: IntCounterVec,
    discarded: IntCounter,
    failed_again: IntCounterVec,
}

/// What a redrive came to at a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redriven {
    /// It is back in its source queue.
    Done,
    /// It stays dead, by a rule of order.
    Refused,
    /// It stays dead, since SQS does not take it.
    Failed,
}

impl Redriven {
    const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "redriven",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Of messages, in the order of the fields of [`Counts`].
pub(crate) const STATES: [&str; 3] = ["visible", "in_flight", "delayed"];

/// Approximate numbers of messages, as SQS counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Can be received.
    pub(crate) visible: u64,
    /// Received by somebody and not yet deleted or visible again.
    pub(crate) in_flight: u64,
    /// Sent with a delay that is not over.
    pub(crate) delayed: u64,
}

impl Counts {
    pub(crate) fn total(self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Panics
    /// When the registry has them already: a registry belongs to one service.
    pub(crate) fn register(registry: &Registry) -> Self {
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            add(registry, GaugeVec::new(Opts::new(name, help), labels))
        };
        let int_gauge = |name: &str, help: &str, labels: &[&str]| {
            add(registry, IntGaugeVec::new(Opts::new(name, help), labels))
        };
        let counter = |name: &str, help: &str, labels: &[&str]| {
            add(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let redriven = counter(
            "dlq_redriven_messages_total",
            "Messages that jobs redrove, by outcome.",
            &["outcome"],
        );
        for outcome in Redriven::ALL {
            redriven.with_label_values(&[outcome.as_str()]);
        }
        Self {
            redriven,
            discarded: add(
                registry,
                IntCounter::new(
                    "dlq_discarded_messages_total",
                    "Messages that jobs discarded; each is in the archive.",
                ),
            ),
            failed_again: counter(
                "dlq_redelivered_failed_again_total",
                "Dead letters that were dead before, and had been redriven or taken back since.",
                &["queue"],
            ),
            messages: int_gauge(
                "sqs_queue_messages",
                "Approximate number of messages in the queue, by state; no series while SQS does not tell.",
                &["queue", "role", "state"],
            ),
            retention: gauge(
                "sqs_queue_retention_seconds",
                "How long SQS keeps a message of the queue.",
                &["queue", "role"],
            ),
            oldest: gauge(
                "sqs_queue_oldest_message_timestamp_seconds",
                "When the oldest message seen in the queue was sent; no series while none is seen.",
                &["queue"],
            ),
            next_expiry: gauge(
                "sqs_queue_next_expiry_timestamp_seconds",
                "When SQS deletes the oldest message seen in the queue; no series while none is seen.",
                &["queue"],
            ),
            arrived: counter(
                "dlq_messages_arrived_total",
                "Dead letters, each counted once, when it was first seen, by reason.",
                &["queue", "reason"],
            ),
            scan_complete: int_gauge(
                "dlq_scan_complete",
                "1 when the last scan saw every message that SQS counts in the queue, else 0.",
                &["queue"],
            ),
            not_released: counter(
                "dlq_scan_release_failures_total",
                "Messages that a scan could not make visible again at once; they become so by themselves.",
                &["queue"],
            ),
            last_success: add(
                registry,
                Gauge::new(
                    "dlq_monitor_last_success_timestamp_seconds",
                    "When every queue was last read without an error; 0 before that.",
                ),
            ),
        }
    }

    /// Makes the series of a dead-letter queue exist, so that a first arrival is an increase.
    pub(crate) fn expect_dead_letters(&self, queue: &str) {
        for reason in REASONS {
            self.arrived.with_label_values(&[queue, reason]);
        }
        self.failed_again.with_label_values(&[queue]);
        self.scan_complete.with_label_values(&[queue]);
        self.not_released.with_label_values(&[queue]);
    }

    pub(crate) fn counted(&self, queue: &str, role: &str, counts: Counts) {
        let counts = [counts.visible, counts.in_flight, counts.delayed];
        for (state, count) in STATES.into_iter().zip(counts) {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.messages.with_label_values(&[queue, role, state]).set(count);
        }
    }

    /// How many messages the queue has is not known: it has no such series.
    pub(crate) fn uncounted(&self, queue: &str, role: &str) {
        for state in STATES {
            // An error means that there is none, as wanted.
            drop(self.messages.remove_label_values(&[queue, role, state]));
        }
    }

    pub(crate) fn retention(&self, queue: &str, role: &str, seconds: u64) {
        self.retention.with_label_values(&[queue, role]).set(seconds as f64);
    }

    pub(crate) fn arrived(&self, queue: &str, reason: &'static str) {
        self.arrived.with_label_values(&[queue, reason]).inc();
    }

    pub(crate) fn scanned(&self, queue: &str, complete: bool) {
        self.scan_complete.with_label_values(&[queue]).set(complete.into());
    }

    pub(crate) fn not_released(&self, queue: &str, messages: u64) {
        self.not_released.with_label_values(&[queue]).inc_by(messages);
    }

    /// When the oldest message was sent, in milliseconds since the epoch; none when there is none.
    pub(crate) fn oldest(
        &self,
        queue: &str,
        sent_at_ms: Option<u64>,
        retention_seconds: Option<u64>,
    ) {
        set_or_remove(&self.oldest, queue, sent_at_ms.map(seconds));
        let expiry = sent_at_ms
            .zip(retention_seconds)
            .map(|(sent_at_ms, retention)| seconds(sent_at_ms) + retention as f64);
        set_or_remove(&self.next_expiry, queue, expiry);
    }

    pub(crate) fn redriven(&self, outcome: Redriven, messages: u64) {
        self.redriven.with_label_values(&[outcome.as_str()]).inc_by(messages);
    }

    pub(crate) fn discarded(&self, messages: u64) {
        self.discarded.inc_by(messages);
    }

    pub(crate) fn failed_again(&self, queue: &str) {
        self.failed_again.with_label_values(&[queue]).inc();
    }

    pub(crate) fn succeeded(&self, now_ms: i64) {
        self.last_success.set(now_ms as f64 / 1000.0);
    }
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn set_or_remove(gauge: &GaugeVec, queue: &str, value: Option<f64>) {
    match value {
        Some(value) => gauge.with_label_values(&[queue]).set(value),
        // An error means that there is no such series, as wanted.
        None => drop(gauge.remove_label_values(&[queue])),
    }
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("the metric's definition is valid");
    registry.register(Box::new(metric.clone())).expect("a registry belongs to one service");
    metric
}
