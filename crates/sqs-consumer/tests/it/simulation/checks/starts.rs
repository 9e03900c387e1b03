//! What must hold when a handler starts.

use sqs_consumer::Attempt;
use sqs_consumer::scheduler::{Ended, Ticket};

use crate::simulation::{
    run::Simulation,
    violation::{Check, Checked},
    worker::{Life, Slot},
};

/// Whether SQS hides a message for the receive that a worker knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulation) enum TrueLease {
    Holds,
    /// It ended early by a call that the worker could not know of.
    CutShort,
    Over,
}

impl Simulation<'_> {
    /// The lease as SQS knows it, under the receive that the slot's worker has.
    pub(in crate::simulation) fn true_lease(&self, slot: &Slot) -> TrueLease {
        let instance = &self.ledger.instances[slot.instance];
        let lease = instance.lease.filter(|lease| lease.receive == slot.receive);
        match lease {
            Some(lease) if lease.holds(self.now) => TrueLease::Holds,
            Some(lease) if lease.cut_short => TrueLease::CutShort,
            None if instance.cut_short.contains(&slot.receive) => TrueLease::CutShort,
            _ => TrueLease::Over,
        }
    }

    pub(in crate::simulation) fn check_start(
        &self,
        index: usize,
        ticket: Ticket,
        attempt: Attempt,
    ) -> Checked {
        let (now, worker) = (self.now, &self.workers[index]);
        let slot = self.slot(index, ticket)?;
        let violates = |check, what: &str| worker.violates(now, check, Some(slot), what);
        if worker.draining_since.is_some() && !self.leads_to_last_receive(index, ticket, slot) {
            return violates(Check::DrainLeavesNothing, "starts during the drain");
        }
        if slot.running.is_some() {
            return violates(Check::OneHandler, "starts twice under one ticket");
        }
        if slot.is_done() || slot.copied || slot.returning {
            return violates(Check::OneEnd, "starts again after its end");
        }
        if self.true_lease(slot) == TrueLease::Over {
            return violates(Check::RunsUnderLease, "starts although SQS's lease is over");
        }
        self.check_attempt(index, slot, attempt)?;
        self.check_backoff(index, slot)?;
        self.check_alone(index, ticket, slot)?;
        if self.plan.fifo
            && let Some(earlier) = self.ledger.earlier_unsettled(slot.instance)
        {
            let earlier = self.ledger.instances[earlier].message;
            let what = format!("starts before message {earlier} of its group is settled");
            return violates(Check::HeadIsSettledFirst, &what);
        }
        Ok(())
    }

    /// Whether SQS would dead-letter the message, or one behind it in its lane, if it were given back.
    fn leads_to_last_receive(&self, index: usize, ticket: Ticket, slot: &Slot) -> bool {
        let of_lane = |other: &Slot| self.plan.fifo && other.group == slot.group;
        let mut later = self.workers[index].slots.range(ticket..);
        later.any(|(other_ticket, other)| {
            (*other_ticket == ticket || of_lane(other)) && self.is_untried_last_receive(other)
        })
    }

    /// Nothing has come of the message's receive, and by SQS's redrive policy it is the last one.
    pub(in crate::simulation) fn is_untried_last_receive(&self, slot: &Slot) -> bool {
        let last = self.plan.redrive.is_some_and(|max| slot.receive_count >= max);
        let verdict = slot.verdict.filter(|_| slot.verdict_of == slot.receive);
        let comes_to_something =
            |ended| matches!(ended, Ended::Done | Ended::AlreadyDone | Ended::DeadLetter);
        last && !verdict.is_some_and(comes_to_something)
    }

    fn check_attempt(&self, index: usize, slot: &Slot, attempt: Attempt) -> Checked {
        let least = slot.receive_count + slot.own_failures;
        let honest = least..=least + slot.shared_failures;
        if honest.contains(&attempt.number) && attempt.max == self.plan.config.max_attempts {
            return Ok(());
        }
        let what = format!("starts as {attempt:?}; {honest:?} attempts were counted");
        self.workers[index].violates(self.now, Check::AttemptsAreCounted, Some(slot), &what)
    }

    fn check_backoff(&self, index: usize, slot: &Slot) -> Checked {
        let (now, worker) = (self.now, &self.workers[index]);
        let violates = |what: &str| worker.violates(now, Check::BacksOff, Some(slot), what);
        if let Some(Ended::Retry { not_before, shared }) = slot.verdict {
            let pause = now - slot.ended_at;
            if not_before.is_some_and(|least| u128::from(pause) < least.as_millis()) {
                return violates("is tried again before it asked to be");
            }
            // Half of the first backoff is the least that its jitter can draw.
            let least = self.plan.config.retry_backoff.as_millis() as u64 / 2;
            if !shared && pause < least {
                return violates("is tried again without a backoff");
            }
        }
        if let Some(outage) = worker.outage {
            let least = self.plan.config.timing.breaker_backoff.as_millis() as u64 / 2;
            if now < outage.told_at + least {
                return violates("starts without a pause although a common need is down");
            }
            if worker.running().any(|(_, other)| other.running >= Some(outage.first_start)) {
                return violates("starts beside a probe although a common need is down");
            }
        }
        Ok(())
    }

    /// No other handler runs for the group or the message, but for those of stopped processes that
    /// cannot know yet that their lease is over, or that of an earlier one which had taken effect and
    /// was not deleted in time, and those whose lease was cut short unknown to them.
    fn check_alone(&self, index: usize, ticket: Ticket, slot: &Slot) -> Checked {
        let cut_short = self.true_lease(slot) == TrueLease::CutShort;
        let repeated = self.ledger.messages[slot.message].took_effect;
        for worker in &self.workers {
            if !worker.is_alive() {
                continue;
            }
            for (other_ticket, other) in worker.running() {
                let same = if self.plan.fifo {
                    other.group == slot.group
                } else {
                    other.instance == slot.instance
                };
                if !same || (worker.index, *other_ticket) == (index, ticket) {
                    continue;
                }
                // A worker always knows of its own ones.
                let own = worker.index == index;
                let excused = match self.true_lease(other) {
                    _ if own => false,
                    _ if cut_short => true,
                    TrueLease::Holds => worker.life == Life::Paused && repeated,
                    TrueLease::CutShort => true,
                    TrueLease::Over => worker.life == Life::Paused,
                };
                if !excused {
                    let what = format!(
                        "starts while worker {} runs message {}",
                        worker.index, other.message
                    );
                    let check = Check::OneHandler;
                    return self.workers[index].violates(self.now, check, Some(slot), &what);
                }
            }
        }
        Ok(())
    }
}
