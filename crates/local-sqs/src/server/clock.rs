//! The server's clock: the wall clock at start, then tokio's, so that it never goes back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::model::Millis;

/// A thousand years, so that times stay numbers that one can add to.
const MOST_SKIPPED_MILLIS: u64 = 1_000 * 365 * 24 * 3_600 * 1_000;

#[derive(Debug)]
pub(super) struct Clock {
    /// The wall clock's time at `started`.
    epoch: Millis,
    started: Instant,
    /// How far tests have turned the clock forward.
    skipped_millis: AtomicU64,
}

impl Clock {
    pub(super) fn start() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            epoch: Millis::default() + epoch,
            started: Instant::now(),
            skipped_millis: AtomicU64::new(0),
        }
    }

    pub(super) fn now(&self) -> Millis {
        let skipped = Duration::from_millis(self.skipped_millis.load(Ordering::Relaxed));
        self.epoch + self.started.elapsed() + skipped
    }

    /// When `at` comes, or has come, by tokio's clock. A model's millisecond has come when it is over
    /// for certain, hence the one that is added.
    pub(super) fn instant(&self, at: Millis) -> Instant {
        Instant::now() + at.since(self.now()) + Duration::from_millis(1)
    }

    pub(super) fn skip(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let add = |skipped: u64| Some(skipped.saturating_add(by).min(MOST_SKIPPED_MILLIS));
        // The function always has a value, so the update always succeeds.
        let _ = self.skipped_millis.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}
