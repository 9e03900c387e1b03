//! What the API counts. Labels come from closed lists and the names of the queues.

use crate::{problem::SLUGS, publisher::QueueType};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, core::Collector};
use std::time::Duration;

/// Seconds.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The API's metrics of orders and messages.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    accepted: IntCounterVec,
    rejected: IntCounterVec,
    sent: IntCounterVec,
    durations: HistogramVec,
}

impl Metrics {
    /// Registers them; panics when the registry has one of them already.
    pub(crate) fn register(registry: &Registry) -> Self {
        let metrics = Self {
            accepted: counter(
                "orders_accepted_total",
                "Orders that SQS has confirmed.",
                &["queue_type"],
            ),
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
        };
        let all: [Box<dyn Collector>; 4] = [
            Box::new(metrics.accepted.clone()),
            Box::new(metrics.rejected.clone()),
            Box::new(metrics.sent.clone()),
            Box::new(metrics.durations.clone()),
        ];
        for metric in all {
            registry.register(metric).expect("each metric is registered once");
        }
        // A rate needs the zero before the first event.
        for queue in QueueType::ALL {
            metrics.accepted.with_label_values(&[queue.as_str()]);
        }
        for slug in SLUGS {
            metrics.rejected.with_label_values(&[slug]);
        }
        metrics
    }

    pub(crate) fn accepted(&self, queue: QueueType) {
        self.accepted.with_label_values(&[queue.as_str()]).inc();
    }

    /// `reason` is the slug of the problem that the client was given.
    pub(crate) fn rejected(&self, reason: &'static str) {
        self.rejected.with_label_values(&[reason]).inc();
    }

    /// `error_type` is empty for a success.
    pub(crate) fn sent(&self, destination: &str, error_type: &str, took: Duration) {
        self.sent.with_label_values(&[destination, error_type]).inc();
        self.durations
            .with_label_values(&["send", destination, error_type])
            .observe(took.as_secs_f64());
    }
}

fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), labels)
        .expect("the metric's name and labels are valid")
}
