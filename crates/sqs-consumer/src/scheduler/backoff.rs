//! Exponential backoff with jitter from a seeded generator.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// Draws backoffs; the same seed draws the same ones.
#[derive(Clone, Debug)]
pub(super) struct Jitter(SmallRng);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// `first` doubled `failures - 1` times, at most `max`, then between half of that and all of
    /// it: retries that failed together do not come back together.
    pub(super) fn backoff(&mut self, first: Duration, max: Duration, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let full = first.saturating_mul(1 << doublings).min(max);
        full.mul_f64(self.0.random_range(0.5..=1.0))
    }
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
}
