//! The consumer's metrics, in the terms of the OpenTelemetry messaging conventions.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, core::Collector,
};

use crate::scheduler::Stats;

/// Buckets for attempts, seconds: those of operations, and longer ones, since an attempt may take as long
/// as its handler's time limit.
const ATTEMPT_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];
/// Buckets for waits, seconds.
const WAIT_SECONDS: &[f64] =
    &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
const RECEIVE_COUNTS: &[f64] = &[1.0, 2.0, 3.0, 5.0, 10.0];

/// All consumers' metrics of one service.
#[derive(Clone, Debug)]
pub struct Metrics {
    consumed: IntCounterVec,
    process: HistogramVec,
    dead_lettered: IntCounterVec,
    queue_wait: HistogramVec,
    receive_count: HistogramVec,
    in_flight: IntGaugeVec,
    concurrency_limit: IntGaugeVec,
    lanes_busy: IntGaugeVec,
    groups_active: IntGaugeVec,
    groups_blocked: IntGaugeVec,
    extensions: IntCounterVec,
    leases_lost: IntCounterVec,
    released: IntCounterVec,
    stranded: IntCounterVec,
}

impl Metrics {
    /// Registers the metrics; those that are not of a convention are named `<namespace>_...`.
    ///
    /// # Panics
    /// If the registry has them already, or if the namespace is no metric name.
    pub fn register(registry: &Registry, namespace: &str) -> Self {
        let name = |name: &str| format!("{namespace}_{name}");
        let counter = |name: String, help: &str, labels: &[&str]| {
            add(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauge = |name: String, help: &str| {
            add(registry, IntGaugeVec::new(Opts::new(name, help), &["queue"]))
        };
        let histogram = |name: String, help: &str, buckets: &[f64], labels: &[&str]| {
            let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            add(registry, HistogramVec::new(opts, labels))
        };
        Self {
            consumed: counter(
                "messaging_client_consumed_messages_total".to_owned(),
                "Messages received from the queue.",
                &["messaging_destination_name"],
            ),
            process: histogram(
                "messaging_process_duration_seconds".to_owned(),
                "Time of one attempt. error_type is empty for a success.",
                ATTEMPT_SECONDS,
                &["messaging_destination_name", "error_type"],
            ),
            dead_lettered: counter(
                name("dead_lettered_total"),
                "Messages that the worker itself sent to the dead-letter queue, by reason.",
                &["queue", "reason"],
            ),
            queue_wait: histogram(
                name("queue_wait_seconds"),
                "From sending a message to its first receive.",
                WAIT_SECONDS,
                &["queue"],
            ),
            receive_count: histogram(
                name("receive_count"),
                "How often a message had been received when it was received, this time included.",
                RECEIVE_COUNTS,
                &["queue"],
            ),
            in_flight: gauge(name("in_flight"), "Messages held, in any state."),
            concurrency_limit: gauge(name("concurrency_limit"), "Handlers at once, at most."),
            lanes_busy: gauge(name("fifo_lanes_busy"), "FIFO groups whose handler is running."),
            groups_active: gauge(name("fifo_groups_active"), "FIFO groups with a message held."),
            groups_blocked: gauge(
                name("fifo_groups_blocked"),
                "FIFO groups whose head waits for its retry or its dead-lettering.",
            ),
            extensions: counter(
                name("visibility_extensions_total"),
                "Extensions of a message's visibility timeout, by outcome: ok, lost, failed.",
                &["queue", "outcome"],
            ),
            leases_lost: counter(
                name("leases_lost_total"),
                "Messages whose visibility timeout ended while they were held.",
                &["queue"],
            ),
            released: counter(
                name("shutdown_released_total"),
                "Messages given back unfinished during a shutdown.",
                &["queue"],
            ),
            stranded: counter(
                name("shutdown_stranded_total"),
                "Messages that a shutdown left leased: nobody gets them before the timeout.",
                &["queue"],
            ),
        }
    }

    /// Counts a queue's dead letters of these reasons from zero: where a series only begins with the
    /// first of them, that one is no increase to Prometheus.
    pub fn expect_dead_letters(
        &self,
        queue: &str,
        reasons: impl IntoIterator<Item = &'static str>,
    ) {
        for reason in reasons {
            self.dead_lettered.with_label_values(&[queue, reason]);
        }
    }

    /// The metrics of one queue's consumer. Every series exists from the start, but for errors and for
    /// dead letters that nobody expects.
    pub fn for_queue(&self, queue: &str, fifo: bool) -> QueueMetrics {
        let q = &[queue];
        for outcome in ["ok", "lost", "failed"] {
            self.extensions.with_label_values(&[queue, outcome]);
        }
        let fifo = fifo.then(|| FifoMetrics {
            lanes_busy: self.lanes_busy.with_label_values(q),
            groups_active: self.groups_active.with_label_values(q),
            groups_blocked: self.groups_blocked.with_label_values(q),
        });
        QueueMetrics {
            queue: queue.to_owned(),
            consumed: self.consumed.with_label_values(q),
            process: self.process.clone(),
            process_ok: self.process.with_label_values(&[queue, ""]),
            dead_lettered: self.dead_lettered.clone(),
            queue_wait: self.queue_wait.with_label_values(q),
            receive_count: self.receive_count.with_label_values(q),
            in_flight: self.in_flight.with_label_values(q),
            concurrency_limit: self.concurrency_limit.with_label_values(q),
            fifo,
            extensions: self.extensions.clone(),
            leases_lost: self.leases_lost.with_label_values(q),
            released: self.released.with_label_values(q),
            stranded: self.stranded.with_label_values(q),
        }
    }
}

/// One queue's metrics.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    queue: String,
    pub(crate) consumed: IntCounter,
    process: HistogramVec,
    process_ok: Histogram,
    dead_lettered: IntCounterVec,
    pub(crate) queue_wait: Histogram,
    pub(crate) receive_count: Histogram,
    in_flight: IntGauge,
    pub(crate) concurrency_limit: IntGauge,
    fifo: Option<FifoMetrics>,
    extensions: IntCounterVec,
    pub(crate) leases_lost: IntCounter,
    pub(crate) released: IntCounter,
    pub(crate) stranded: IntCounter,
}

#[derive(Clone, Debug)]
struct FifoMetrics {
    lanes_busy: IntGauge,
    groups_active: IntGauge,
    groups_blocked: IntGauge,
}

impl QueueMetrics {
    pub(crate) fn processed(&self, seconds: f64, error_type: &str) {
        if error_type.is_empty() {
            self.process_ok.observe(seconds);
        } else {
            self.process.with_label_values(&[self.queue.as_str(), error_type]).observe(seconds);
        }
    }

    pub(crate) fn dead_lettered(&self, reason: &str) {
        self.dead_lettered.with_label_values(&[self.queue.as_str(), reason]).inc();
    }

    pub(crate) fn extended(&self, outcome: &str) {
        self.extensions.with_label_values(&[self.queue.as_str(), outcome]).inc();
    }

    pub(crate) fn publish(&self, stats: &Stats) {
        self.in_flight.set(stats.held as i64);
        if let Some(fifo) = &self.fifo {
            fifo.lanes_busy.set(stats.running as i64);
            fifo.groups_active.set(stats.groups as i64);
            fifo.groups_blocked.set(stats.groups_blocked as i64);
        }
    }
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("the metric's definition is valid");
    registry.register(Box::new(metric.clone())).expect("a registry belongs to one service");
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_dead_letters_are_there_before_the_first_one() {
        let registry = Registry::new();
        Metrics::register(&registry, "work").expect_dead_letters("orders", ["crash", "timeout"]);
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == "work_dead_lettered_total");
        let series = family.expect("it is there").get_metric();
        assert_eq!(series.len(), 2);
        assert!(series.iter().all(|one| one.get_counter().get_value() < 1.0));
    }
}
