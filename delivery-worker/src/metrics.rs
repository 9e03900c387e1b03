//! The worker's own metrics; those of receiving, leases and drain are the consumer's.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
    core::Collector,
};

use crate::store::Outcome;

/// Seconds; the fleet's buckets for waits, and finer ones below for an idle fleet.
const END_TO_END_SECONDS: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0,
    3600.0,
];

/// The metrics of one worker.
#[derive(Clone, Debug)]
pub struct Metrics {
    attempts: IntCounterVec,
    duplicates: IntCounterVec,
    end_to_end: HistogramVec,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Panics
    /// When the registry has them already: a registry belongs to one service.
    pub fn register(registry: &Registry) -> Self {
        let attempts = IntCounterVec::new(
            Opts::new(
                "delivery_attempts_total",
                "Attempts at orders, by outcome: delivered, failed (to be tried again until the \
                 attempts are used up), rejected (for good).",
            ),
            &["queue", "outcome"],
        );
        let duplicates = IntCounterVec::new(
            Opts::new(
                "delivery_duplicates_suppressed_total",
                "Messages whose order had been delivered before: deleted without a second effect.",
            ),
            &["queue"],
        );
        let end_to_end = HistogramVec::new(
            HistogramOpts::new(
                "delivery_end_to_end_seconds",
                "From the acceptance of an order to the commit of its delivery.",
            )
            .buckets(END_TO_END_SECONDS.to_vec()),
            &["queue"],
        );
        Self {
            attempts: add(registry, attempts),
            duplicates: add(registry, duplicates),
            end_to_end: add(registry, end_to_end),
        }
    }

    /// The metrics of one queue; every series exists from the start.
    pub fn for_queue(&self, queue: &str) -> QueueMetrics {
        let attempts =
            Outcome::ALL.map(|outcome| self.attempts.with_label_values(&[queue, outcome.as_str()]));
        QueueMetrics {
            attempts,
            duplicates: self.duplicates.with_label_values(&[queue]),
            end_to_end: self.end_to_end.with_label_values(&[queue]),
        }
    }
}

/// The metrics of one queue.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    /// By the order of [`Outcome::ALL`].
    attempts: [IntCounter; Outcome::ALL.len()],
    duplicates: IntCounter,
    end_to_end: Histogram,
}

impl QueueMetrics {
    /// An attempt that is recorded.
    pub fn attempted(&self, outcome: Outcome) {
        self.attempts[outcome as usize].inc();
    }

    /// A message whose order was delivered before.
    pub fn suppressed(&self) {
        self.duplicates.inc();
    }

    /// A delivery, this many seconds after its order.
    pub fn delivered_after(&self, seconds: f64) {
        self.end_to_end.observe(seconds);
    }
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("the metric's definition is valid");
    registry.register(Box::new(metric.clone())).expect("a registry belongs to one service");
    metric
}
