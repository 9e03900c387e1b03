//! A worker: a real scheduler, and what its shell knows of each ticket.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use sqs_consumer::{
    Time,
    scheduler::{Arrival, PollId, Scheduler, Ticket},
};

use super::{
    calls::{Asked, Call, Poll, Told, Way},
    scene::{Mail, Receipt, Scene, VISIBILITY},
};

#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) scheduler: Scheduler,
    pub(super) draining: bool,
    /// When its drain stops the handlers.
    pub(super) drain_ends: Option<Time>,
    /// From when on its drain may give up what is not settled. Its scheduler's drain tells it too.
    pub(super) may_strand_at: Option<Time>,
    pub(super) process: Process,
    /// When its timer goes off.
    pub(super) wakes_at: Option<Time>,
    pub(super) slots: BTreeMap<Ticket, Slot>,
    /// Groups of which a message has gone back and others are still held.
    pub(super) head_is_back: Vec<u8>,
    /// What it has given back since its drain began.
    pub(super) gave_back_in_drain: Vec<Mail>,
    pub(super) receive_failed_at: Option<Time>,
    /// Receipts of which it has said that they are settled, and that were still leased then.
    pub(super) left_in_flight: Vec<Receipt>,
    next_ticket: u64,
    /// Receives that it has sent.
    pub(super) polls: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Process {
    Runs,
    /// Stands still; whether time has passed since.
    Paused {
        for_long: bool,
    },
    /// Runs again, and has not looked at its clock since.
    Resumed,
    /// Was killed or has drained.
    Gone,
}

/// What is known of a ticket without its scheduler.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Slot {
    pub(super) receipt: Receipt,
    pub(super) running: bool,
    /// Until when the worker can be sure of its lease.
    pub(super) leased_until: Time,
    /// Arrived when its lease could be over, and not confirmed since.
    pub(super) unconfirmed: bool,
    /// A handler of this ticket failed by its message's own fault.
    pub(super) failed: bool,
    /// The same after the worker was told to drain.
    pub(super) failed_in_drain: bool,
    /// One failed by what may be everyone's; whether another message has succeeded since the last time.
    pub(super) suspect: Option<bool>,
    /// It failed so again after another message had succeeded.
    pub(super) fails_alone: bool,
    /// The queue has said yes to its delete, or to its return.
    pub(super) deleted: bool,
    pub(super) returned: bool,
    /// It has refused for good what cannot be tried again.
    pub(super) refused: bool,
    /// Its return was asked for.
    pub(super) going_back: bool,
    /// It came again when it was on its way back, and has not started since: its place is behind those
    /// that go back as well.
    pub(super) anew: bool,
}

impl Worker {
    pub(super) fn new(scene: &Scene, now: Time) -> Self {
        let mut scheduler = Scheduler::new(scene.config(), now).without_jitter();
        if let Some(rule) = scene.broken {
            scheduler = scheduler.breaking(rule);
        }
        Self {
            scheduler,
            draining: false,
            drain_ends: None,
            may_strand_at: None,
            process: Process::Runs,
            wakes_at: None,
            slots: BTreeMap::new(),
            head_is_back: Vec::new(),
            gave_back_in_drain: Vec::new(),
            receive_failed_at: None,
            left_in_flight: Vec::new(),
            next_ticket: 0,
            polls: 0,
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        matches!(self.process, Process::Paused { .. })
    }

    /// Whether it holds nothing any more that it could still be sure of.
    pub(super) fn has_no_lease(&self, now: Time) -> bool {
        self.slots.values().all(|slot| now >= slot.leased_until)
    }

    /// Whether its drain has no time for handlers any more.
    pub(super) fn is_out_of_time(&self, now: Time) -> bool {
        self.drain_ends.is_some_and(|end| end <= now)
    }

    /// Whether its timer has gone off.
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.wakes_at.is_some_and(|at| at <= now)
    }

    pub(super) fn arrival(&mut self, now: Time, poll: &Poll, receipt: Receipt) -> Arrival {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let leased_until = poll.requested_at + VISIBILITY;
        let slot = Slot {
            receipt,
            running: false,
            leased_until,
            unconfirmed: now >= leased_until,
            failed: false,
            failed_in_drain: false,
            suspect: None,
            fails_alone: false,
            deleted: false,
            returned: false,
            refused: false,
            going_back: false,
            anew: false,
        };
        self.slots.insert(ticket, slot);
        Arrival {
            ticket,
            message_id: receipt.mail.to_string().as_str().into(),
            group: Some(receipt.mail.group_name().into()),
            receive_count: receipt.receive,
            bytes: 1,
        }
    }

    /// A number for the worker itself, given its digest and with all that the digest leaves out:
    /// the same for one that can take its place in the middle of its calls.
    pub(super) fn key(&self, now: Time, digest: u64) -> u64 {
        let mut state = DefaultHasher::new();
        (now, digest, self.next_ticket, self.polls).hash(&mut state);
        for ticket in self.slots.keys() {
            ticket.hash(&mut state);
        }
        state.finish()
    }

    /// A number for the worker with its calls: the same for one that will do the same.
    pub(super) fn digest(&self, now: Time, calls: &[&Call], empty_polls: bool) -> u64 {
        let mut state = DefaultHasher::new();
        self.scheduler.identify(now, &mut state);
        (self.draining, self.process, &self.head_is_back).hash(&mut state);
        (&self.gave_back_in_drain, self.receive_failed_at == Some(now)).hash(&mut state);
        self.left_in_flight.hash(&mut state);
        self.wakes_at.map(|at| at.saturating_since(now)).hash(&mut state);
        for slot in self.slots.values() {
            let Slot { receipt, running, leased_until, unconfirmed, .. } = slot;
            (receipt, running, unconfirmed).hash(&mut state);
            let Slot { failed, failed_in_drain, suspect, fails_alone, .. } = slot;
            (failed, failed_in_drain, suspect, fails_alone).hash(&mut state);
            (slot.deleted, slot.returned, slot.refused).hash(&mut state);
            leased_until.saturating_since(now).hash(&mut state);
        }
        let polls = calls.iter().filter_map(|call| call.poll()).map(|poll| poll.id).collect();
        let names = Names { worker: self, now, polls, empty_polls };
        let digest = |call: &&Call| {
            let mut state = DefaultHasher::new();
            names.call(call, &mut state);
            state.finish()
        };
        let mut digests: Vec<u64> = calls.iter().map(digest).collect();
        digests.sort_unstable();
        digests.hash(&mut state);
        state.finish()
    }
}

/// Names for what has a different number each time: by its place among what there is.
struct Names<'a> {
    worker: &'a Worker,
    now: Time,
    polls: Vec<PollId>,
    empty_polls: bool,
}

impl Names<'_> {
    fn call(&self, call: &Call, state: &mut impl Hasher) {
        call.abandoned.hash(state);
        std::mem::discriminant(&call.way).hash(state);
        match &call.way {
            Way::ToQueue(asked) => self.asked(asked, state),
            Way::Waits(poll, until) => {
                if self.empty_polls {
                    self.poll(poll, state);
                } else {
                    (poll.max, poll.wait).hash(state);
                }
                until.saturating_since(self.now).hash(state);
            }
            Way::ToWorker(told) => self.told(told, state),
        }
    }

    fn ticket(&self, ticket: Ticket) -> Option<usize> {
        self.worker.slots.keys().position(|&held| held == ticket)
    }

    fn poll(&self, poll: &Poll, state: &mut impl Hasher) {
        let Poll { id, max, wait, requested_at } = poll;
        let earlier = self.polls.iter().filter(|&other| other < id).count();
        (earlier, max, wait).hash(state);
        self.since(*requested_at).hash(state);
    }

    /// What was requested longer ago than a lease lasts is all the same.
    fn since(&self, requested_at: Time) -> std::time::Duration {
        self.now.saturating_since(requested_at).min(VISIBILITY)
    }

    fn asked(&self, asked: &Asked, state: &mut impl Hasher) {
        std::mem::discriminant(asked).hash(state);
        match asked {
            Asked::Receive(poll) => self.poll(poll, state),
            Asked::Extend { entries, requested_at } => {
                self.since(*requested_at).hash(state);
                for (ticket, receipt, length) in entries {
                    (self.ticket(*ticket), receipt, length).hash(state);
                }
            }
            Asked::Return(entries) => {
                for (ticket, receipt, length) in entries {
                    (self.ticket(*ticket), receipt, length).hash(state);
                }
            }
            Asked::Delete(entries) => {
                for (ticket, receipt) in entries {
                    (self.ticket(*ticket), receipt).hash(state);
                }
            }
            Asked::DeadLetter(ticket, mail) => (self.ticket(*ticket), mail).hash(state),
        }
    }

    fn told(&self, told: &Told, state: &mut impl Hasher) {
        std::mem::discriminant(told).hash(state);
        match told {
            Told::Received(poll, receipts) => {
                self.poll(poll, state);
                receipts.hash(state);
            }
            Told::ReceiveFailed(poll) => self.poll(poll, state),
            Told::Extended { answers, requested_at } => {
                self.since(*requested_at).hash(state);
                for (ticket, receipt, length, answer) in answers {
                    (self.ticket(*ticket), receipt, length).hash(state);
                    std::mem::discriminant(answer).hash(state);
                }
            }
            Told::Returned(answers) | Told::Deleted(answers) => {
                for (ticket, receipt, answer) in answers {
                    (self.ticket(*ticket), receipt).hash(state);
                    std::mem::discriminant(answer).hash(state);
                }
            }
            Told::DeadLettered(ticket, mail, answer) => {
                (self.ticket(*ticket), mail).hash(state);
                std::mem::discriminant(answer).hash(state);
            }
        }
    }
}
