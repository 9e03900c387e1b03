//! What the server counts, and how full its queues are, for Prometheus.

use std::time::Duration;

use prometheus::{
    Encoder as _, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder, core::Collector as _,
};

use super::core::Shared;
use super::faults::Fate;
use crate::model::QueueCounts;

/// One server's metrics; several servers live in one process.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    faults: IntCounterVec,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let opts = |name: &str, help: &str| Opts::new(name, help);
        let requests = IntCounterVec::new(
            opts("local_sqs_requests_total", "Requests answered; error_type is AWS's code."),
            &["operation", "error_type"],
        );
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "local_sqs_request_duration_seconds",
                "From the request's last byte to its answer, the wait of a long poll included.",
            )
            .buckets(vec![0.000_1, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 20.0]),
            &["operation"],
        );
        let faults = IntCounterVec::new(
            opts("local_sqs_faults_total", "Faults shown on purpose."),
            &["operation", "fault"],
        );
        let registry = Registry::new();
        // The names and labels above are valid and distinct; a test scrapes them.
        let metrics = Self {
            registry,
            requests: requests.expect("valid"),
            durations: durations.expect("valid"),
            faults: faults.expect("valid"),
        };
        let all: [Box<dyn prometheus::core::Collector>; 3] = [
            Box::new(metrics.requests.clone()),
            Box::new(metrics.durations.clone()),
            Box::new(metrics.faults.clone()),
        ];
        for collector in all {
            metrics.registry.register(collector).expect("distinct");
        }
        metrics
    }

    /// Counts an answer. `operation` and `error` are of bounded sets: operations that do not exist are
    /// one, and errors are their codes.
    pub(super) fn answered(&self, operation: &str, error: &str, elapsed: Duration) {
        self.requests.with_label_values(&[operation, error]).inc();
        self.durations.with_label_values(&[operation]).observe(elapsed.as_secs_f64());
    }

    pub(super) fn faulted(&self, operation: &str, fate: &Fate) {
        for name in fate.names() {
            self.faults.with_label_values(&[operation, name]).inc();
        }
    }

    /// The text that Prometheus scrapes.
    pub(super) fn scrape(&self, shared: &Shared) -> String {
        // What is read off the queues is made anew for each scrape: queues come and go.
        let help = "Messages in a queue, exact.";
        let messages =
            GaugeVec::new(Opts::new("local_sqs_queue_messages", help), &["queue", "state"]);
        let messages = messages.expect("valid");
        let waiting =
            IntGauge::new("local_sqs_waiting_receives", "Long polls that wait for a message.");
        let waiting = waiting.expect("valid");
        for (name, counts) in shared.counts() {
            let QueueCounts { visible, in_flight, delayed } = counts;
            for (state, count) in
                [("visible", visible), ("in_flight", in_flight), ("delayed", delayed)]
            {
                messages.with_label_values(&[&*name, state]).set(count as f64);
            }
        }
        waiting.set(shared.waiting_receives() as i64);
        let mut families = self.registry.gather();
        families.extend(messages.collect());
        families.extend(waiting.collect());
        let mut text = Vec::new();
        // Writing into memory cannot fail.
        let _ = TextEncoder::new().encode(&families, &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}
