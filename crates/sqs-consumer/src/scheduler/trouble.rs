//! Calls that settle messages and fail: how they are paced.

use super::{Answer, Scheduler};
use crate::time::Time;

/// So many calls that fail in a row are no accident.
const MANY_FAILURES: u32 = 5;

/// Calls that fail and succeed for reasons of their own: each needs another permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Deletes,
    /// Extensions and returns.
    VisibilityChanges,
}

/// How the calls of a kind go.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(super) struct Trouble {
    /// Calls that failed in a row.
    pub(super) failed_calls: u32,
    /// Pauses in a row after which one failed again.
    pub(super) failed_tries: u32,
    /// When what has failed is tried again: together.
    pub(super) retry_at: Time,
}

impl Trouble {
    /// Whether calls have failed for so long that what is received now may not be settled in time.
    pub(super) fn lasts(&self) -> bool {
        self.failed_calls >= MANY_FAILURES
    }

    /// What is new fails like what has failed: it is tried together with that.
    pub(super) fn bars(&self, now: Time) -> bool {
        self.lasts() && now < self.retry_at
    }
}

impl Scheduler {
    /// When what failed in a call is tried again: later with each call that fails in a row, and
    /// together with what has failed before.
    pub(super) fn retry_after(
        &mut self,
        now: Time,
        kind: Kind,
        answers: impl Iterator<Item = Answer>,
    ) -> Time {
        let trouble = self.settling.trouble(kind);
        let (mut failed, mut refused, mut works) = (false, false, false);
        for answer in answers {
            match answer {
                Answer::Failed => failed = true,
                Answer::Refused => refused = true,
                // That a lease is over is an answer about the message: such calls are served.
                Answer::Ok | Answer::LeaseOver => works = true,
                Answer::NotMade => {}
            }
        }
        if works {
            (trouble.failed_calls, trouble.failed_tries) = (0, 0);
        }
        // An entry that is refused beside others that are not says something about its message only.
        if !failed && (works || !refused) {
            return trouble.retry_at;
        }
        trouble.failed_calls = trouble.failed_calls.saturating_add(1);
        if trouble.retry_at <= now {
            let timing = &self.config.timing;
            let (first, max) = (timing.settle_retry, timing.settle_retry_max);
            trouble.failed_tries = trouble.failed_tries.saturating_add(1);
            let pause = self.jitter.backoff(first, max, trouble.failed_tries);
            trouble.retry_at = now + pause;
        }
        trouble.retry_at
    }
}
