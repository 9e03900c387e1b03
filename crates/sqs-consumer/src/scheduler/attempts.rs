//! What becomes of a message after an attempt.

use std::time::Duration;

use super::{
    Ended, Fate, Scheduler, Ticket,
    breaker::{Shared, SharedFailure},
    broken::Broken,
    held::{Call, Held, Phase, Place},
};
use crate::{handler::Attempt, time::Time};

impl Scheduler {
    /// A handler has ended. Of a message that is not running any more it only counts what is said of all,
    /// and that it should wait.
    pub fn finished(&mut self, now: Time, ticket: Ticket, ended: Ended) {
        let held = self.held.get(&ticket);
        let Some((held, Phase::Running { since, attempt })) = held.map(|held| (held, held.phase))
        else {
            match ended {
                Ended::Unavailable => self.breaker.unavailable(now, ticket, &mut self.jitter),
                Ended::Retry { not_before, .. } => {
                    self.failed_when_stopped(now, ticket, not_before);
                }
                _ => {}
            }
            return;
        };
        let over = held.lease.is_over(now);
        self.polling.active(now);
        let shared = self.tell_breaker(now, ticket, attempt, ended);
        if shared.is_none() && !matches!(ended, Ended::Unavailable | Ended::NotYet) {
            self.learn(now.saturating_since(since));
        }
        if over && !self.breaks(Broken::DeleteUnderOldLease) {
            // Somebody else may be working on it by now: say nothing to SQS, and stop the lane.
            self.lost(ticket);
            return;
        }
        match (ended, shared) {
            (Ended::Done | Ended::AlreadyDone, _) => self.acknowledge(now, ticket),
            (Ended::DeadLetter, _) => self.dead_letter_or_give_back(now, ticket, None),
            (Ended::Unavailable, _)
            | (Ended::Retry { not_before: None, .. }, Some(Shared::Waits)) => {
                self.set_phase(ticket, Phase::Waiting);
            }
            (Ended::Retry { not_before: Some(least), .. }, Some(Shared::Waits)) => {
                self.wait_in_place(now, ticket, least.min(LONGEST_BACKOFF));
            }
            (Ended::Retry { not_before, .. }, Some(Shared::DoesNotCount)) => {
                self.try_again_in_place(now, ticket, not_before);
            }
            (Ended::NotYet, _) => self.try_again_in_place(now, ticket, None),
            (Ended::Retry { not_before, .. }, _) => {
                self.failed_attempt(now, ticket, attempt, not_before);
            }
        }
    }

    /// Tells the breaker how it went; returns what a failure that may be everyone's means.
    fn tell_breaker(
        &mut self,
        now: Time,
        ticket: Ticket,
        attempt: Attempt,
        ended: Ended,
    ) -> Option<Shared> {
        let misled = self.breaks(Broken::RepetitionCountsAsSuccess);
        let jitter = &mut self.jitter;
        match ended {
            Ended::Done => self.breaker.succeeded(now),
            Ended::AlreadyDone if misled => self.breaker.succeeded(now),
            Ended::AlreadyDone | Ended::DeadLetter | Ended::Retry { shared: false, .. } => {
                self.breaker.ended_by_itself(ticket);
            }
            Ended::Unavailable => self.breaker.unavailable(now, ticket, jitter),
            Ended::NotYet => {}
            Ended::Retry { shared: true, not_before } => {
                let held = self.held.get_mut(&ticket).expect("looked up by the caller");
                let since = held.suspect_since.replace(now).unwrap_or(now);
                let failure = SharedFailure {
                    ticket,
                    since,
                    is_last_attempt: attempt.is_last(),
                    pause: not_before.unwrap_or_default().min(LONGEST_BACKOFF),
                };
                let shared = self.breaker.failed_by_shared_cause(now, failure, jitter);
                let counts = self.breaks(Broken::OutageCountsAsAttempt);
                return Some(if counts { Shared::Counts } else { shared });
            }
        }
        None
    }

    /// The attempt that a start now would be.
    pub(super) fn attempt(&self, held: &Held) -> Attempt {
        Attempt { number: held.receive_count + held.retries, max: self.config.max_attempts }
    }

    fn failed_attempt(
        &mut self,
        now: Time,
        ticket: Ticket,
        attempt: Attempt,
        not_before: Option<Duration>,
    ) {
        let held = self.held.get_mut(&ticket).expect("looked up by the caller");
        let receive_count = held.receive_count;
        let in_lane = matches!(held.place, Place::Lane { .. });
        if attempt.is_last() {
            // One that has been received more often shows that SQS does not: its policy was changed, or
            // its dead-letter queue is gone.
            let queue_redrives = self.config.max_receive_count == Some(receive_count);
            if !in_lane && queue_redrives {
                // Visible at once: the next receive makes SQS move it.
                self.give_back(ticket, Duration::ZERO, Fate::BackedOff);
            } else {
                self.dead_letter_or_give_back(now, ticket, not_before);
            }
            return;
        }
        if in_lane {
            held.retries += 1;
        }
        let backoff = self.backoff(attempt.number, not_before);
        if !in_lane && self.drain.begun() && !self.drain.has_released() {
            // It waits here for the end of this worker's own receives, which would get it again.
            let held = self.held.get_mut(&ticket).expect("looked up by the caller");
            held.receive_used = true;
            self.set_phase(ticket, Phase::Backoff { until: now + backoff });
        } else if !in_lane {
            self.give_back(ticket, backoff, Fate::BackedOff);
        } else if self.breaks(Broken::LaneGoesBackOnFailure) {
            self.give_back_or_close(now, ticket, backoff);
        } else {
            self.set_phase(ticket, Phase::Backoff { until: now + backoff });
        }
    }

    /// It was to be stopped, and had failed already: it leaves, but not to be tried again at once.
    fn failed_when_stopped(&mut self, now: Time, ticket: Ticket, not_before: Option<Duration>) {
        let waits = self.held.get(&ticket).is_some_and(|held| held.phase.is_waiting());
        if waits {
            let number = self.attempt(&self.held[&ticket]).number;
            let backoff = self.backoff(number, not_before);
            self.set_phase(ticket, Phase::Backoff { until: now + backoff });
        }
    }

    /// The attempt does not count: the message keeps its lease, and its receives are not used up.
    fn try_again_in_place(&mut self, now: Time, ticket: Ticket, not_before: Option<Duration>) {
        let held = self.held.get_mut(&ticket).expect("looked up by the caller");
        held.uncounted += 1;
        let failures = held.receive_count + held.retries + held.uncounted;
        let backoff = self.backoff(failures, not_before);
        self.wait_in_place(now, ticket, backoff);
    }

    fn wait_in_place(&mut self, now: Time, ticket: Ticket, backoff: Duration) {
        let held = &self.held[&ticket];
        let in_lane = matches!(held.place, Place::Lane { .. });
        if self.drain.has_released() && !in_lane && !self.keeps(held) {
            self.give_back(ticket, backoff, Fate::Released);
        } else {
            self.set_phase(ticket, Phase::Backoff { until: now + backoff });
        }
    }

    pub(super) fn backoff(&mut self, failures: u32, not_before: Option<Duration>) -> Duration {
        let drawn =
            self.jitter.backoff(self.config.retry_backoff, self.config.retry_backoff_max, failures);
        drawn.max(not_before.unwrap_or_default()).min(LONGEST_BACKOFF)
    }

    /// Copies the message to the dead-letter queue; without one, gives it back to the queue, whose
    /// own redrive policy ends it.
    fn dead_letter_or_give_back(
        &mut self,
        now: Time,
        ticket: Ticket,
        not_before: Option<Duration>,
    ) {
        if self.config.dead_letter_queue {
            self.set_phase(ticket, Phase::DeadLettering { call: Call::Queued, failures: 0 });
            return;
        }
        let number = self.attempt(&self.held[&ticket]).number;
        let backoff = self.backoff(number, not_before);
        self.give_back_or_close(now, ticket, backoff);
    }
}

/// Beyond an hour a "retry later" is an operator's matter; the cap keeps it inside a lease.
pub const LONGEST_BACKOFF: Duration = Duration::from_hours(1);
