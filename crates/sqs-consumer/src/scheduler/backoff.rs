//! Exponential backoff with jitter from a seeded generator.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// Draws backoffs; the same seed draws the same ones.
#[derive(Clone, Debug, Hash)]
pub(super) struct Jitter {
    pub(super) seed: u64,
    pub(super) drawn: u64,
    pub(super) off: bool,
}

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, drawn: 0, off: false }
    }

    /// Draws the longest backoff each time.
    #[cfg(feature = "identity")]
    pub(super) fn off() -> Self {
        Self { seed: 0, drawn: 0, off: true }
    }

    /// `first` doubled `failures - 1` times, at most `max`, then between half of that and all of
    /// it: retries that failed together do not come back together.
    pub(super) fn backoff(&mut self, first: Duration, max: Duration, failures: u32) -> Duration {
        let full = full_backoff(first, max, failures);
        if self.off {
            return full;
        }
        // Failures are rare: a generator for each draw costs nothing and leaves two numbers as the
        // whole state.
        let mut random = SmallRng::seed_from_u64(self.seed.wrapping_add(self.drawn));
        self.drawn += 1;
        full.mul_f64(random.random_range(0.5..=1.0))
    }
}

/// `first` doubled `failures - 1` times, at most `max`.
pub(super) fn full_backoff(first: Duration, max: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    first.saturating_mul(1 << doublings).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_the_maximum_and_jitters_downwards() {
        let mut jitter = Jitter::new(7);
        let (first, max) = (Duration::from_secs(1), Duration::from_mins(1));
        for (failures, full) in [(1, 1), (2, 2), (3, 4), (7, 60), (u32::MAX, 60)] {
            let backoff = jitter.backoff(first, max, failures);
            let full = Duration::from_secs(full);
            assert!(backoff >= full / 2 && backoff <= full, "{failures}: {backoff:?}");
        }
    }

    #[test]
    fn two_draws_differ() {
        let mut jitter = Jitter::new(7);
        let mut draw = || jitter.backoff(Duration::from_secs(1), Duration::from_mins(1), 3);
        assert_ne!(draw(), draw());
    }
}
