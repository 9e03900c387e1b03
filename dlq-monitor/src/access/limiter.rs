//! A limit of failed logins.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Failures in a row that are borne.
const FAILURES: u32 = 5;
/// After so long one more is.
const REFILL: Duration = Duration::from_secs(12);

/// Whoever guesses has to wait. The limit is one for all, since behind a proxy all callers have one
/// address; who has the token can show it as a bearer token meanwhile.
#[derive(Debug, Default)]
pub(super) struct Limiter(Mutex<Option<Failures>>);

#[derive(Debug)]
struct Failures {
    count: u32,
    since: Instant,
}

impl Limiter {
    /// Takes one of the tries; an error says how long to wait.
    pub(super) fn take(&self, now: Instant) -> Result<(), Duration> {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = failures.get_or_insert(Failures { count: 0, since: now });
        while known.count > 0 && now >= known.since + REFILL {
            known.count -= 1;
            known.since += REFILL;
        }
        if known.count == 0 {
            known.since = now;
        }
        if known.count >= FAILURES {
            return Err((known.since + REFILL).saturating_duration_since(now));
        }
        known.count += 1;
        Ok(())
    }

    /// Gives it back: it was right.
    pub(super) fn give_back(&self) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = failures.as_mut() {
            known.count = known.count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_some_failures_one_has_to_wait_for_each_further_one() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        for _ in 0..FAILURES {
            assert_eq!(limiter.take(now), Ok(()));
        }
        assert_eq!(limiter.take(now), Err(REFILL));
        assert_eq!(limiter.take(now + REFILL), Ok(()));
        assert_eq!(limiter.take(now + REFILL), Err(REFILL));
        limiter.give_back();
        assert_eq!(limiter.take(now + REFILL), Ok(()));
        let later = now + REFILL * 100;
        for _ in 0..FAILURES {
            assert_eq!(limiter.take(later), Ok(()));
        }
        assert!(limiter.take(later).is_err());
    }
}
