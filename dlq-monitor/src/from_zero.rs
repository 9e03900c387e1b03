//! Counters that a first scrape shows at zero.
//!
//! Prometheus sees an increase between two samples only. What a process has counted before it is first
//! scraped would be in its first sample, and so in no increase: messages that died while no monitor ran
//! would raise no alert. From the second scrape on, the counts are what they are.
//!
//! Where several servers scrape, the first of them sees the increase, which is enough for an alert.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use prometheus::{
    IntCounter, IntCounterVec,
    core::{Collector, Desc},
    proto::{Counter, MetricFamily},
};

#[derive(Clone, Debug)]
pub(crate) struct FromZero {
    counts: IntCounterVec,
    scraped: Arc<AtomicBool>,
}

impl FromZero {
    pub(crate) fn new(counts: IntCounterVec) -> Self {
        Self { counts, scraped: Arc::default() }
    }

    pub(crate) fn with_label_values(&self, labels: &[&str]) -> IntCounter {
        self.counts.with_label_values(labels)
    }
}

impl Collector for FromZero {
    fn desc(&self) -> Vec<&Desc> {
        self.counts.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.counts.collect();
        if !self.scraped.swap(true, Relaxed) {
            for metric in families.iter_mut().flat_map(MetricFamily::mut_metric) {
                metric.set_counter(Counter::default());
            }
        }
        families
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{Opts, Registry};

    #[test]
    fn what_was_counted_before_the_first_scrape_is_an_increase_to_it() {
        let registry = Registry::new();
        let counts = IntCounterVec::new(Opts::new("dead_total", "Dead."), &["queue"]);
        let counts = FromZero::new(counts.expect("it is valid"));
        registry.register(Box::new(counts.clone())).expect("it is the only one");
        let scrape = || registry.gather()[0].get_metric()[0].get_counter().get_value() as u64;
        counts.with_label_values(&["orders"]).inc_by(2);
        assert_eq!((scrape(), scrape()), (0, 2));
        counts.with_label_values(&["orders"]).inc();
        assert_eq!(scrape(), 3);
    }
}
