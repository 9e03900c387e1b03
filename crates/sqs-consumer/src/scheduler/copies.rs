//! Copies to the dead-letter queue: some at once, the rest in line.

use std::collections::BTreeSet;

use super::{
    Action, Answer, Scheduler, Ticket,
    held::{Call, Phase, Place},
};
use crate::time::Time;

/// After so many failed copies to the dead-letter queue a standard message is given back.
const TRIES: u32 = 3;

#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Copies {
    /// In line, in order of their receive.
    queued: BTreeSet<Ticket>,
    under_way: usize,
    /// Since the drain began one has failed, and none has succeeded after it.
    pub(super) fail_in_drain: bool,
}

impl Copies {
    /// What of it is not in the messages' phases.
    #[cfg(feature = "identity")]
    pub(super) fn state(&self) -> (usize, bool) {
        (self.under_way, self.fail_in_drain)
    }

    /// The line follows the message's phase.
    pub(super) fn moved(&mut self, ticket: Ticket, before: Option<Phase>, after: Option<Phase>) {
        let is_queued = |phase: Option<Phase>| {
            matches!(phase, Some(Phase::DeadLettering { call: Call::Queued, .. }))
        };
        if is_queued(before) {
            self.queued.remove(&ticket);
        }
        if is_queued(after) {
            self.queued.insert(ticket);
        }
    }
}

impl Scheduler {
    /// Sends those whose turn it is.
    pub(super) fn send_copies(&mut self, now: Time) {
        // A drain that waits for its receives has no time for copies that hang.
        let fail = self.settling.copies.fail_in_drain && !self.drain.has_released();
        while !fail && self.settling.copies.under_way < self.config.timing.max_copies {
            // Whose lease may be over is somebody else's, who may have made the copy.
            let is_leased = |ticket: &&Ticket| !self.held[*ticket].unconfirmed;
            let Some(&ticket) = self.settling.copies.queued.iter().find(is_leased) else {
                break;
            };
            let held = &self.held[&ticket];
            if held.lease.is_over(now) {
                self.lost(ticket);
                continue;
            }
            let Phase::DeadLettering { failures, .. } = held.phase else {
                unreachable!("the line follows the phase")
            };
            self.set_phase(ticket, Phase::DeadLettering { call: Call::UnderWay, failures });
            self.settling.copies.under_way += 1;
            self.actions.push(Action::DeadLetter { ticket });
        }
    }

    /// The copy to the dead-letter queue was answered.
    pub fn dead_lettered(&mut self, now: Time, ticket: Ticket, answer: Answer) {
        let copies = &mut self.settling.copies;
        copies.under_way = copies.under_way.saturating_sub(1);
        // That one is refused, perhaps for its size, says nothing of the others.
        if answer != Answer::Refused {
            let fails = answer != Answer::Ok && self.drain.begun();
            // Later ones hear of it when they come to stand in line.
            let failed_before = std::mem::replace(&mut copies.fail_in_drain, fails);
            if fails && !failed_before {
                self.do_not_wait_for_copies();
            }
        }
        let Some(held) = self.held.get_mut(&ticket) else {
            return;
        };
        let Phase::DeadLettering { failures, .. } = held.phase else {
            return;
        };
        match answer {
            Answer::Ok => {
                held.dead_lettered = true;
                self.acknowledge(now, ticket);
            }
            // Without its copy the message must not be deleted.
            Answer::Failed | Answer::NotMade | Answer::Refused | Answer::LeaseOver => {
                let refused = answer == Answer::Refused;
                self.copy_failed(now, ticket, failures.saturating_add(1), refused);
            }
        }
    }

    /// A standard message goes back after some tries, to its queue's own redrive policy, and at once if its
    /// copy is refused, which further tries do not change: later with each receive, since without a
    /// policy it comes again and again.
    ///
    /// A FIFO head keeps its place, and its tail waits behind it. Going back would use up the receives
    /// of those behind it, who are innocent, as fast as its own, and SQS would move them all. A
    /// refused one is tried as seldom as may be, until somebody has changed the dead-letter queue; where
    /// nobody does in the twelve hours of its lease it goes back, its tail behind it.
    fn copy_failed(&mut self, now: Time, ticket: Ticket, failures: u32, refused: bool) {
        let attempt = self.attempt(&self.held[&ticket]).number;
        let backoff = match (self.config.fifo, refused) {
            (true, true) => self.backoff(u32::MAX, None),
            (true, false) => self.backoff(failures, None),
            (false, _) => self.backoff(failures.max(attempt), None),
        };
        let call = Call::RetryAt(now + backoff);
        self.set_phase(ticket, Phase::DeadLettering { call, failures });
        // In a drain not before its own receives have ended, which would get it again.
        let goes_back = if self.drain.begun() {
            self.drain.has_released()
        } else {
            refused || failures >= TRIES
        };
        if !self.config.fifo && goes_back {
            self.give_back_or_close(now, ticket, backoff);
        }
    }

    /// Whether a drain gives back what stands in line for its copy.
    pub(super) fn drain_releases_copies(&self) -> bool {
        self.settling.copies.fail_in_drain || self.drain.has_stopped_handlers()
    }

    /// Those in line would fail as well, and the drain has not the time for so many.
    fn do_not_wait_for_copies(&mut self) {
        let queued: Vec<Ticket> = self.settling.copies.queued.iter().copied().collect();
        for ticket in queued {
            match self.held[&ticket].place {
                Place::Lane { lane, .. } => self.lanes.list(lane),
                Place::Turn(_) => self.may_go_back(ticket),
            }
        }
    }
}
