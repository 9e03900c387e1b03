//! What must hold when a worker sends a call.

use std::{collections::BTreeSet, time::Duration};

use sqs_consumer::{
    MAX_BATCH, ReceiveRequest,
    scheduler::{Ended, Ticket},
};

use crate::simulation::{
    run::Simulation,
    violation::{Check, Checked, Violation},
    worker::{Life, Slot, Worker},
};

/// SQS keeps a message from others for twelve hours. In milliseconds.
const LONGEST_VISIBILITY: u64 = 12 * 3_600_000;
/// A minute of them is for the server's clock.
const LONGEST_LEASE: u64 = LONGEST_VISIBILITY - 60_000;
/// Before that a worker may give it back.
const GIVE_BACK: u64 = 30_000;

impl Simulation<'_> {
    /// The ticket has not ended.
    pub(in crate::simulation) fn slot(&self, index: usize, ticket: Ticket) -> Checked<&Slot> {
        let worker = &self.workers[index];
        if let Some(slot) = worker.slots.get(&ticket) {
            return Ok(slot);
        }
        let what = format!("acts on {ticket:?}, which has ended");
        worker.violates(self.now, Check::OneEnd, None, &what)?;
        unreachable!("a violation is an error")
    }

    pub(in crate::simulation) fn check_receive(
        &self,
        index: usize,
        request: &ReceiveRequest,
    ) -> Checked {
        let (now, worker) = (self.now, &self.workers[index]);
        if worker.draining_since.is_some() {
            let check = Check::DrainLeavesNothing;
            return worker.violates(now, check, None, "receives during the drain");
        }
        let config = &self.plan.config;
        let capacity = worker.capacity(config);
        let reserved: usize = worker.polls.values().sum();
        let whole = |time: Duration| time.subsec_nanos() == 0;
        let valid = (1..=MAX_BATCH).contains(&request.max_messages)
            && request.wait <= config.wait.max(Duration::from_secs(1))
            && whole(request.wait)
            && request.visibility == config.visibility;
        if !valid {
            let what = format!("receives with {request:?}");
            return worker.violates(now, Check::Limits, None, &what);
        }
        if reserved + request.max_messages > capacity
            || worker.polls.len() >= config.timing.max_polls
        {
            let what = format!("has receives for {reserved} outstanding and sends {request:?}");
            return worker.violates(now, Check::Limits, None, &what);
        }
        let settling = |slot: &&Slot| slot.is_done() || slot.copied;
        let unconfirmed = worker.slots.values().filter(settling).count();
        if unconfirmed >= config.timing.max_unacknowledged {
            let what = format!("receives with {unconfirmed} deletes that are not confirmed");
            return worker.violates(now, Check::Limits, None, &what);
        }
        // Only for handlers that have nothing to do, and then one receive at a time.
        let held = worker.slots.len() + reserved;
        let starved = reserved == 0 && worker.running().count() < config.concurrency;
        if held >= Worker::most_held(config) && !starved {
            let what = format!("receives although {held} messages are held or asked for");
            return worker.violates(now, Check::Limits, None, &what);
        }
        let bytes: usize = worker.slots.values().map(Slot::bytes).sum();
        if held > 0 && bytes >= config.timing.max_held_bytes {
            let what = format!("receives although messages of {bytes} bytes are held");
            return worker.violates(now, Check::Limits, None, &what);
        }
        Ok(())
    }

    pub(in crate::simulation) fn check_batch(&self, index: usize, tickets: &[Ticket]) -> Checked {
        let distinct: BTreeSet<_> = tickets.iter().collect();
        if (1..=MAX_BATCH).contains(&tickets.len()) && distinct.len() == tickets.len() {
            return Ok(());
        }
        let what = format!("sends a batch of {tickets:?}");
        self.workers[index].violates(self.now, Check::Limits, None, &what)
    }

    /// Any call about a message needs its lease, by what the worker can know.
    fn check_lease(&self, index: usize, slot: &Slot, call: &str) -> Checked {
        if self.now < slot.deadline {
            return Ok(());
        }
        let what = format!("{call} after the end of its lease");
        self.workers[index].violates(self.now, Check::CallsUnderLease, Some(slot), &what)
    }

    pub(in crate::simulation) fn check_extend(
        &self,
        index: usize,
        ticket: Ticket,
        length: Duration,
    ) -> Checked {
        let slot = self.slot(index, ticket)?;
        let worker = &self.workers[index];
        if self.now + length.as_millis() as u64 > slot.requested_at + LONGEST_VISIBILITY {
            let what = format!("is extended by {length:?}, beyond the twelve hours");
            return worker.violates(self.now, Check::Limits, Some(slot), &what);
        }
        if slot.changing {
            let what = "is extended while another visibility call is under way";
            return worker.violates(self.now, Check::OneVisibilityCall, Some(slot), what);
        }
        if slot.returned || slot.deleted {
            let what = "is extended after its end";
            return worker.violates(self.now, Check::OneEnd, Some(slot), what);
        }
        if slot.returning {
            let what = "is extended on its way back";
            return worker.violates(self.now, Check::OneVisibilityCall, Some(slot), what);
        }
        // On FIFO an extension is how to learn whether a lease holds whose receive took too long.
        if self.plan.fifo && slot.unconfirmed {
            return Ok(());
        }
        self.check_lease(index, slot, "is extended")
    }

    pub(in crate::simulation) fn check_delete(&self, index: usize, ticket: Ticket) -> Checked {
        let slot = self.slot(index, ticket)?;
        let worker = &self.workers[index];
        let violates = |check, what: &str| worker.violates(self.now, check, Some(slot), what);
        if slot.deleted || slot.returned || slot.deleting {
            return violates(Check::OneEnd, "is deleted again");
        }
        if slot.running.is_some() || !(slot.is_done() || slot.copied) {
            return violates(Check::NothingIsLost, "is deleted without being done");
        }
        self.check_lease(index, slot, "is deleted")
    }

    pub(in crate::simulation) fn check_return(
        &self,
        index: usize,
        ticket: Ticket,
        visibility: Duration,
        batch: &[Ticket],
    ) -> Checked {
        let slot = self.slot(index, ticket)?;
        let (now, worker) = (self.now, &self.workers[index]);
        let violates = |check, what: &str| worker.violates(now, check, Some(slot), what);
        if slot.changing {
            let what = "goes back while another visibility call is under way";
            return violates(Check::OneVisibilityCall, what);
        }
        if slot.returned || slot.deleted {
            return violates(Check::OneEnd, "goes back again");
        }
        if slot.running.is_some() || slot.is_done() {
            return violates(Check::OneEnd, "goes back while it runs or is done");
        }
        self.check_lease(index, slot, "goes back")?;
        let Some(draining_since) = worker.draining_since else {
            let attempted = slot.verdict_of == slot.receive || slot.is_given_up();
            if !self.plan.fifo && !attempted && !self.cannot_be_kept(slot) {
                return violates(Check::NoReceiveWasted, "goes back without an attempt");
            }
            self.check_return_backoff(index, slot, visibility)?;
            return self.check_return_order(index, ticket, slot, batch);
        };
        let handlers_end = draining_since + self.plan.config.drain_timeout.as_millis() as u64;
        // A lane that had to close follows its head, which nobody gets before the rest.
        let lost = slot
            .group
            .is_some_and(|group| worker.lost.contains(&group) || worker.gone_back.contains(&group));
        let gives_up = slot.unextended || self.plan.fifo && worker.gives_up(slot.group);
        let unstarted = slot.attempt.is_none() && visibility.is_zero() && !slot.returning;
        if unstarted && !lost && !gives_up && !worker.polls.is_empty() && now < handlers_end {
            let what = "is released while own receives are outstanding";
            return violates(Check::DrainLeavesNothing, what);
        }
        // Nobody else can have it: SQS would dead-letter it.
        let nothing = matches!(slot.verdict, Some(Ended::Unavailable | Ended::NotYet));
        let uncounted = slot.attempt.is_none() || nothing;
        // Without a dead-letter queue a lane goes back with its head each time that this fails.
        let closed = slot.group.is_some_and(|group| {
            let with_its_head = !self.plan.config.dead_letter_queue;
            worker.lost.contains(&group) || with_its_head && worker.gone_back.contains(&group)
        });
        let untried = uncounted && self.is_untried_last_receive(slot);
        if untried && !closed && !gives_up && !slot.returning && now < handlers_end {
            return violates(
                Check::DrainLeavesNothing,
                "goes back though this is its last receive",
            );
        }
        self.check_return_order(index, ticket, slot, batch)
    }

    /// Of a lane the head goes back first, and the rest only once the queue has confirmed that.
    fn check_return_order(
        &self,
        index: usize,
        ticket: Ticket,
        slot: &Slot,
        batch: &[Ticket],
    ) -> Checked {
        let worker = &self.workers[index];
        let Some(group) = slot.group.filter(|_| self.plan.fifo) else {
            return Ok(());
        };
        let mut earlier = worker.slots.range(..ticket).filter(|(_, earlier)| {
            // One that the queue has given out anew since is where it belongs.
            earlier.group == Some(group)
                && earlier.sequence < slot.sequence
                && earlier.receive < slot.receive
                && !earlier.is_done()
        });
        let in_turn = |(earlier_ticket, earlier): (&Ticket, &Slot)| {
            worker.gone_back.contains(&group)
                && (earlier.returning || batch.contains(earlier_ticket))
        };
        if earlier.clone().all(in_turn) {
            return Ok(());
        }
        let first = earlier.next().map_or(0, |(_, earlier)| earlier.message);
        let what = format!("goes back before message {first}, the head of its lane");
        worker.violates(self.now, Check::HeadGoesBackFirst, Some(slot), &what)
    }

    /// A failed attempt goes back for at least as long as it asked for, unless it was the last one:
    /// then the queue's redrive policy gets it at once.
    fn check_return_backoff(&self, index: usize, slot: &Slot, visibility: Duration) -> Checked {
        let Some(Ended::Retry { not_before, shared }) = slot.verdict else {
            return Ok(());
        };
        if self.plan.fifo || slot.attempt.is_some_and(sqs_consumer::Attempt::is_last) {
            return Ok(());
        }
        let passed = Duration::from_millis(self.now - slot.ended_at);
        let least = if shared { Duration::ZERO } else { self.plan.config.retry_backoff / 2 };
        // As far as SQS's twelve hours allow.
        let left = (slot.requested_at + LONGEST_LEASE).saturating_sub(self.now) / 1000;
        let enough = visibility + passed >= not_before.unwrap_or_default().max(least);
        if enough || visibility >= Duration::from_secs(left) {
            return Ok(());
        }
        let what = format!("goes back for {visibility:?} only, with {:?}", slot.verdict);
        self.workers[index].violates(self.now, Check::BacksOff, Some(slot), &what)
    }

    pub(in crate::simulation) fn is_kept_for_longest(&self, slot: &Slot) -> bool {
        self.now >= slot.requested_at + LONGEST_LEASE - GIVE_BACK.min(self.plan.visibility())
    }

    /// Its lease is at its end, or about to be and not extended.
    fn cannot_be_kept(&self, slot: &Slot) -> bool {
        slot.unextended || self.is_kept_for_longest(slot)
    }

    /// A drain that is out of time gives back what nobody has tried, and so do a lane that has lost an
    /// earlier message and a worker that has had it for the longest time that SQS allows.
    pub(in crate::simulation) fn excuse_return(&mut self, index: usize, ticket: Ticket) -> Checked {
        let slot = self.slot(index, ticket)?;
        let (instance, receive, group) = (slot.instance, slot.receive, slot.group);
        let (worker, config) = (&self.workers[index], &self.plan.config);
        let kept_for_longest = self.is_kept_for_longest(slot);
        let out_of_time = worker
            .draining_since
            .is_some_and(|since| self.now >= since + config.drain_timeout.as_millis() as u64);
        let closed = group
            .is_some_and(|group| worker.lost.contains(&group) || worker.gone_back.contains(&group));
        if out_of_time || kept_for_longest || closed && self.plan.fifo {
            self.ledger.excused(instance, receive);
        }
        Ok(())
    }

    /// What the queue moves to its dead-letter queue was attempted, unless its last lease came to grief
    /// by something that no worker can help.
    pub(in crate::simulation) fn check_moved(&mut self) -> Checked {
        let moved = std::mem::take(&mut self.ledger.moved);
        for (message, lease) in moved {
            let worker = &self.workers[lease.worker];
            let came_to_grief = !lease.delivered || lease.troubled || lease.cut_short;
            let stopped = worker.was_paused || worker.life == Life::Dead;
            let known = &self.ledger.messages[message];
            if known.starts == 0 && !came_to_grief && !stopped && !lease.excused {
                return Err(Violation {
                    check: Check::DeadLettersAreGuilty,
                    at: self.now,
                    worker: Some(lease.worker),
                    message: Some(message),
                    what: format!(
                        "message {message} is dead-lettered by the queue untried {lease:?}"
                    ),
                });
            }
        }
        Ok(())
    }

    /// A dead letter needs a verdict or attempts that are used up, by failures that are the message's
    /// own or that others did not have.
    pub(in crate::simulation) fn check_dead_letter(&self, index: usize, ticket: Ticket) -> Checked {
        let slot = self.slot(index, ticket)?;
        let worker = &self.workers[index];
        let violates =
            |what: &str| worker.violates(self.now, Check::DeadLettersAreGuilty, Some(slot), what);
        let message = &self.ledger.messages[slot.message];
        if !self.plan.config.dead_letter_queue {
            return violates("is sent to a dead-letter queue that the worker does not have");
        }
        if slot.running.is_some() || message.starts == 0 {
            return violates("is dead-lettered without an attempt");
        }
        if slot.copying || slot.copied {
            return violates("is copied to the dead-letter queue once more");
        }
        if slot.unconfirmed || self.now >= slot.deadline {
            return violates("is copied to the dead-letter queue under a lease that may be over");
        }
        let copying = worker.slots.values().filter(|slot| slot.copying).count();
        if copying >= self.plan.config.timing.max_copies {
            return violates("is copied to the dead-letter queue beside too many others");
        }
        let last = slot.attempt.is_some_and(sqs_consumer::Attempt::is_last);
        match slot.verdict {
            Some(Ended::DeadLetter) => Ok(()),
            Some(Ended::Retry { .. }) if !last => {
                violates("is dead-lettered before its last attempt")
            }
            Some(Ended::Retry { .. }) => {
                let one_outage = message.outages.is_power_of_two();
                if one_outage && !message.failed_by_itself && message.failed_alone == 0 {
                    return violates("is dead-lettered by nothing but an outage");
                }
                Ok(())
            }
            _ => violates("is dead-lettered without having failed"),
        }
    }
}
