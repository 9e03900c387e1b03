//! Counts that Prometheus's first scrape of a process shows at zero.
//!
//! Prometheus sees an increase between two samples only. What a process has counted before it is first
//! scraped would be in its first sample, and so in no increase: messages that died while no monitor ran
//! would raise no alert, and what a worker that has just been started did first, when the backlog is
//! longest, would be in no rate. So every counter and histogram that is there is shown at zero once;
//! from the second scrape on all are what they are.
//!
//! Who has been there for long has a history, which is not told as an increase of today.
//!
//! Where several servers scrape, the first of them sees the increase.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use axum::http::HeaderMap;
use prometheus::proto::{Bucket, Counter, Histogram, Metric, MetricFamily, MetricType};
use tokio::time::Instant;

use crate::scrapes::Scrape;

/// What Prometheus, and whatever scrapes like it, says with each scrape. Who only looks does not, is
/// shown what is, and leaves the zeros to Prometheus.
const SCRAPES: &str = "x-prometheus-scrape-timeout-seconds";
/// For so long what was counted is as good as new: an alert about an increase looks back at least as far.
const NEW: Duration = Duration::from_mins(10);

/// Whether a first scrape is still to come.
#[derive(Debug)]
pub(crate) struct FirstScrape {
    began: Instant,
    was: AtomicBool,
}

impl FirstScrape {
    /// Of a process that begins now.
    pub(crate) fn to_come() -> Self {
        Self { began: Instant::now(), was: AtomicBool::new(false) }
    }

    /// What whoever asks with these headers is shown of it, and which scrape that is, if it is one.
    pub(crate) fn shown(
        &self,
        headers: &HeaderMap,
        mut families: Vec<MetricFamily>,
    ) -> (Vec<MetricFamily>, Option<Scrape>) {
        if !headers.contains_key(SCRAPES) {
            return (families, None);
        }
        let is_first = !self.was.swap(true, Relaxed);
        if !is_first || self.began.elapsed() >= NEW {
            return (families, Some(Scrape::Counts));
        }
        for family in &mut families {
            let kind = family.get_field_type();
            family.mut_metric().iter_mut().for_each(|metric| begin(metric, kind));
        }
        (families, Some(Scrape::Zeros))
    }
}

fn begin(metric: &mut Metric, kind: MetricType) {
    match kind {
        MetricType::COUNTER => metric.set_counter(Counter::default()),
        MetricType::HISTOGRAM => {
            let bounds = metric.get_histogram().get_bucket().iter().map(Bucket::upper_bound);
            let empty = |bound| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(bound);
                bucket
            };
            let mut histogram = Histogram::default();
            histogram.set_bucket(bounds.map(empty).collect());
            metric.set_histogram(histogram);
        }
        MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use prometheus::{HistogramOpts, IntCounter, IntGauge, Registry, TextEncoder};

    struct Scraped {
        registry: Registry,
        first: FirstScrape,
        dead: IntCounter,
    }

    impl Scraped {
        /// Two are dead and one has waited for 3 s before anybody asks; one is held.
        fn begun() -> Self {
            let registry = Registry::new();
            let dead = IntCounter::new("dead_total", "Dead.").expect("it is valid");
            let held = IntGauge::new("held", "Held.").expect("it is valid");
            let wait = HistogramOpts::new("wait_seconds", "Wait.").buckets(vec![1.0, 5.0]);
            let wait = prometheus::Histogram::with_opts(wait).expect("it is valid");
            registry.register(Box::new(dead.clone())).expect("it is the only one");
            registry.register(Box::new(held.clone())).expect("it is the only one");
            registry.register(Box::new(wait.clone())).expect("it is the only one");
            dead.inc_by(2);
            held.set(1);
            wait.observe(3.0);
            Self { registry, first: FirstScrape::to_come(), dead }
        }

        fn shown(&self, headers: &HeaderMap) -> (Vec<String>, Option<Scrape>) {
            let (shown, scrape) = self.first.shown(headers, self.registry.gather());
            let text = TextEncoder::new().encode_to_string(&shown).expect("it is text");
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            (lines.map(str::to_owned).collect(), scrape)
        }
    }

    fn scrape() -> HeaderMap {
        HeaderMap::from_iter([(SCRAPES.parse().expect("a name"), HeaderValue::from_static("10"))])
    }

    fn as_shown(
        lines: [&str; 7],
        scrape: impl Into<Option<Scrape>>,
    ) -> (Vec<String>, Option<Scrape>) {
        (lines.map(str::to_owned).into(), scrape.into())
    }

    const COUNTED: [&str; 7] = [
        "dead_total 2",
        "held 1",
        r#"wait_seconds_bucket{le="1"} 0"#,
        r#"wait_seconds_bucket{le="5"} 1"#,
        r#"wait_seconds_bucket{le="+Inf"} 1"#,
        "wait_seconds_sum 3",
        "wait_seconds_count 1",
    ];

    #[tokio::test(start_paused = true)]
    async fn what_was_counted_before_the_first_scrape_is_an_increase_to_it() {
        let scraped = Scraped::begun();
        assert_eq!(scraped.shown(&HeaderMap::new()), as_shown(COUNTED, None), "no scrape");
        let zeros = [
            "dead_total 0",
            "held 1",
            r#"wait_seconds_bucket{le="1"} 0"#,
            r#"wait_seconds_bucket{le="5"} 0"#,
            r#"wait_seconds_bucket{le="+Inf"} 0"#,
            "wait_seconds_sum 0",
            "wait_seconds_count 0",
        ];
        assert_eq!(scraped.shown(&scrape()), as_shown(zeros, Scrape::Zeros));
        assert_eq!(scraped.shown(&scrape()), as_shown(COUNTED, Scrape::Counts));
        scraped.dead.inc();
        assert_eq!(scraped.shown(&scrape()).0[0], "dead_total 3");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_run_for_long_has_a_history() {
        let scraped = Scraped::begun();
        tokio::time::advance(NEW).await;
        assert_eq!(scraped.shown(&scrape()), as_shown(COUNTED, Scrape::Counts));
    }
}
