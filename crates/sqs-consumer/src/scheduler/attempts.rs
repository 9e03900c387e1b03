//! What becomes of a message whose attempt did not succeed.

use std::time::Duration;

use super::{
    Action, Fate, Scheduler, Ticket,
    held::{Call, Held, Phase},
};
use crate::{handler::Attempt, time::Time};

impl Scheduler {
    /// The attempt that a start now would be.
    pub(super) fn attempt(&self, held: &Held) -> Attempt {
        Attempt { number: held.receive_count + held.retries, max: self.config.max_attempts }
    }

    pub(super) fn failed_attempt(
        &mut self,
        now: Time,
        ticket: Ticket,
        not_before: Option<Duration>,
    ) {
        let held = &self.held[&ticket];
        let attempt = self.attempt(held);
        let receive_count = held.receive_count;
        if attempt.is_last() {
            let queue_redrives =
                self.config.max_receive_count.is_some_and(|max| receive_count >= max);
            if !self.config.fifo && queue_redrives {
                // Visible at once: the next receive makes SQS move it.
                self.give_back(ticket, Duration::ZERO, Fate::BackedOff);
            } else {
                self.dead_letter_or_give_back(now, ticket);
            }
            return;
        }
        let backoff = self.backoff(attempt.number, not_before);
        if self.config.fifo {
            self.held.get_mut(&ticket).expect("held").retries += 1;
            self.set_phase(ticket, Phase::Backoff { until: now + backoff });
        } else {
            self.give_back(ticket, backoff, Fate::BackedOff);
        }
    }

    pub(super) fn backoff(&mut self, failures: u32, not_before: Option<Duration>) -> Duration {
        let drawn =
            self.jitter.backoff(self.config.retry_backoff, self.config.retry_backoff_max, failures);
        // Beyond an hour a "retry later" is an operator's matter; the cap keeps it inside a lease.
        drawn.max(not_before.unwrap_or_default()).min(Duration::from_hours(1))
    }

    /// Copies the message to the dead-letter queue; without one, gives it back to the queue, whose
    /// own redrive policy ends it.
    pub(super) fn dead_letter_or_give_back(&mut self, now: Time, ticket: Ticket) {
        if self.config.dead_letter_queue {
            self.set_phase(ticket, Phase::DeadLettering { call: Call::UnderWay, failures: 0 });
            self.actions.push(Action::DeadLetter { ticket });
            return;
        }
        let number = self.attempt(&self.held[&ticket]).number;
        let backoff = self.backoff(number, None);
        self.give_back_or_close(now, ticket, backoff);
    }

    /// The attempt did not count: the message keeps its place and its lease.
    pub(super) fn wait_again(&mut self, ticket: Ticket) {
        self.set_phase(ticket, Phase::Waiting);
        if self.held[&ticket].group.is_none() {
            self.ready.push_front(ticket);
        }
    }
}
