//! What the API counts. Labels come from closed lists and the names of the queues.

use crate::{problem::kinds, publisher::QueueType};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    core::Collector,
};
use std::time::Duration;

/// Seconds.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The API's metrics of orders and messages.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// In the order of [`QueueType::ALL`].
    accepted: [IntCounter; 2],
    rejected: IntCounterVec,
    sent: IntCounterVec,
    durations: HistogramVec,
    batches: HistogramVec,
    buffered: IntGauge,
    abandoned: IntCounter,
    keyed: IntCounterVec,
}

impl Metrics {
    /// Registers them; panics when the registry has one of them already.
    pub(crate) fn register(registry: &Registry) -> Self {
        let accepted = counter(
            "orders_accepted_total",
            "Orders answered with 202, which SQS has confirmed; repetitions with a key included.",
            &["queue_type"],
        );
        let metrics = Self {
            accepted: QueueType::ALL.map(|queue| accepted.with_label_values(&[queue.as_str()])),
            rejected: counter(
                "orders_rejected_total",
                "Orders that were answered with a problem, by its kind.",
                &["reason"],
            ),
            sent: counter(
                "messaging_client_sent_messages_total",
                "Messages handed to SQS; error_type is empty for those that it confirmed.",
                &["messaging_destination_name", "error_type"],
            ),
            durations: HistogramVec::new(
                HistogramOpts::new(
                    "messaging_client_operation_duration_seconds",
                    "Time of a send to SQS, retries of the SDK included.",
                )
                .buckets(BUCKETS.to_vec()),
                &["messaging_operation_name", "messaging_destination_name", "error_type"],
            )
            .expect("the metric's name and labels are valid"),
            batches: HistogramVec::new(
                HistogramOpts::new("order_publish_batch_size", "Orders in a call to SQS.")
                    .buckets((1..=10).map(f64::from).collect()),
                &["messaging_destination_name"],
            )
            .expect("the metric's name and labels are valid"),
            buffered: IntGauge::new(
                "order_publish_buffered",
                "Orders that are being sent to SQS, or wait for that or for the store of keys.",
            )
            .expect("the metric's name is valid"),
            abandoned: IntCounter::new(
                "orders_abandoned_total",
                "Orders whose client went away before it was answered.",
            )
            .expect("the metric's name is valid"),
            keyed: counter(
                "orders_keyed_total",
                "Orders with an Idempotency-Key: first, same, other (refused), or unknown since the \
                 store of keys does not answer.",
                &["outcome"],
            ),
        };
        let all: [Box<dyn Collector>; 8] = [
            Box::new(accepted),
            Box::new(metrics.rejected.clone()),
            Box::new(metrics.sent.clone()),
            Box::new(metrics.durations.clone()),
            Box::new(metrics.batches.clone()),
            Box::new(metrics.buffered.clone()),
            Box::new(metrics.abandoned.clone()),
            Box::new(metrics.keyed.clone()),
        ];
        for metric in all {
            registry.register(metric).expect("each metric is registered once");
        }
        // A rate needs the zero before the first event.
        for kind in kinds::OF_ORDERS {
            metrics.rejected.with_label_values(&[kind.slug()]);
        }
        for outcome in ["first", "same", "other", "unknown"] {
            metrics.keyed.with_label_values(&[outcome]);
        }
        metrics
    }

    /// What an idempotency key turned out to be.
    pub(crate) fn keyed(&self, outcome: &'static str) {
        self.keyed.with_label_values(&[outcome]).inc();
    }

    pub(crate) fn accepted(&self, queue: QueueType) {
        self.accepted[queue as usize].inc();
    }

    /// `reason` is the slug of the problem that the client was given.
    pub(crate) fn rejected(&self, reason: &'static str) {
        self.rejected.with_label_values(&[reason]).inc();
    }

    /// What has become of messages; `error_type` is empty for a success.
    pub(crate) fn sent(&self, destination: &str, error_type: &str, messages: usize) {
        self.sent.with_label_values(&[destination, error_type]).inc_by(messages as u64);
    }

    /// A call has ended; `error_type` is empty when SQS has told about each of its messages.
    pub(crate) fn called(
        &self,
        destination: &str,
        error_type: &str,
        messages: usize,
        took: Duration,
    ) {
        self.batches.with_label_values(&[destination]).observe(messages as f64);
        self.durations
            .with_label_values(&["send", destination, error_type])
            .observe(took.as_secs_f64());
    }

    /// A client has gone away before it was answered.
    pub(crate) fn abandoned(&self) {
        self.abandoned.inc();
    }

    /// How many orders are in hand.
    pub(crate) fn buffered(&self) -> IntGauge {
        self.buffered.clone()
    }
}

fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), labels)
        .expect("the metric's name and labels are valid")
}
