//! Calls that settle messages: deletes, and visibility changes that give messages back.

use std::{collections::VecDeque, time::Duration};

use super::{
    Action, Answer, Fate, Scheduler, Ticket,
    broken::Broken,
    copies::Copies,
    held::{Call, Phase, Place, VisibilityCall},
    lingers::{Awaited, DeleteLinger},
    trouble::{Kind, Trouble},
};
use crate::{
    queue::{LONGEST_CALL, MAX_BATCH},
    time::Time,
};

/// What waits for the next batch.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Settling {
    /// Each with the time from which on it waits for company.
    pub(super) deletes: VecDeque<(Ticket, Time)>,
    pub(super) awaited: Awaited,
    pub(super) returns: VecDeque<Ticket>,
    pub(super) extensions: Vec<(Ticket, Duration)>,
    pub(super) copies: Copies,
    /// Messages done with whose delete is not confirmed.
    pub(super) unacknowledged: usize,
    pub(super) delete_trouble: Trouble,
    pub(super) change_trouble: Trouble,
    /// While no delete works, one call at a time finds out whether they do again.
    pub(super) probes: bool,
}

impl Settling {
    pub(super) fn unacknowledged(&self) -> usize {
        self.unacknowledged
    }

    /// Whether what is received now may not be settled in time.
    pub(super) fn fails(&self) -> bool {
        self.delete_trouble.lasts() || self.change_trouble.lasts()
    }

    /// Whether that shows in a message that is held. Where deletes have failed and nothing waits for one any
    /// more, nothing tells how they go now: what comes next may, or may never need one.
    pub(super) fn is_seen_to_fail(&self) -> bool {
        self.unacknowledged > 0 && self.delete_trouble.lasts() || self.change_trouble.lasts()
    }

    pub(super) fn trouble(&mut self, kind: Kind) -> &mut Trouble {
        match kind {
            Kind::Deletes => &mut self.delete_trouble,
            Kind::VisibilityChanges => &mut self.change_trouble,
        }
    }

    /// When there is something to send.
    pub(super) fn flush_at(&self, linger: DeleteLinger) -> Option<Time> {
        let Trouble { retry_at, .. } = self.delete_trouble;
        let deletes = self.deletes_due_at(linger).filter(|_| !self.probes);
        let deletes =
            deletes.map(|at| if self.delete_trouble.lasts() { at.max(retry_at) } else { at });
        // Returns wait for nothing else.
        let returns = (!self.returns.is_empty()).then_some(self.change_trouble.retry_at);
        deletes.into_iter().chain(returns).min()
    }

    pub(super) fn forgotten(&mut self, phase: &Phase) {
        if matches!(phase, Phase::Acknowledging { .. }) {
            self.unacknowledged -= 1;
        }
    }
}

impl Scheduler {
    /// Deletes were answered.
    pub fn deleted(&mut self, now: Time, answers: &[(Ticket, Answer)]) {
        self.settling.probes = false;
        let given = answers.iter().map(|&(_, answer)| answer);
        let retry_at = self.retry_after(now, Kind::Deletes, given);
        let any_failed = answers.iter().any(|&(_, answer)| answer == Answer::Failed);
        let all_fail = any_failed && self.breaks(Broken::BatchFailsAsOne);
        for &(ticket, answer) in answers {
            let answer = if all_fail { Answer::Failed } else { answer };
            let Some(held) = self.held.get_mut(&ticket) else {
                continue;
            };
            if std::mem::take(&mut held.received_again) {
                self.queue_delete(now, ticket);
                continue;
            }
            let over = held.lease.is_over(now);
            let dead_lettered = held.dead_lettered;
            let in_lane = matches!(held.place, Place::Lane { .. });
            if let Place::Lane { lane, .. } = held.place
                && answer == Answer::Ok
                && held.may_have_more
                && self.lanes.is_done(lane)
            {
                self.polling.hurry();
            }
            match answer {
                // Even if the lease is over by now: it was not when this was asked for. A standard queue
                // says yes as well if somebody has received it since, who then does what is left to do.
                // Whose effect is remembered is deleted there, and what was copied counts as copied.
                Answer::Ok if dead_lettered => self.forget(ticket, Fate::DeadLettered),
                Answer::Ok => self.forget(ticket, Fate::Deleted),
                _ if over => self.lost(ticket),
                // Were it not deleted, it would come again: on FIFO while later ones of its group run,
                // and otherwise beside its copy in the dead-letter queue.
                Answer::Refused if dead_lettered || in_lane => {
                    let call = Call::RetryAt(retry_at.max(now + self.config.timing.settle_retry));
                    self.set_phase(ticket, Phase::Acknowledging { call });
                }
                // By our own clock nobody else can have it, so an earlier delete, whose answer
                // was lost, has done it.
                Answer::LeaseOver if dead_lettered => self.forget(ticket, Fate::DeadLettered),
                Answer::LeaseOver => self.forget(ticket, Fate::Deleted),
                Answer::Refused => self.forget(ticket, Fate::Lost),
                Answer::Failed | Answer::NotMade => {
                    let call = Call::RetryAt(retry_at);
                    self.set_phase(ticket, Phase::Acknowledging { call });
                }
            }
        }
    }

    /// Visibility changes that give messages back were answered.
    pub fn returned(&mut self, now: Time, answers: &[(Ticket, Answer)]) {
        let given = answers.iter().map(|&(_, answer)| answer);
        let retry_at = self.retry_after(now, Kind::VisibilityChanges, given);
        for &(ticket, answer) in answers {
            let Some(held) = self.held.get_mut(&ticket) else {
                continue;
            };
            let call = std::mem::replace(&mut held.visibility_call, VisibilityCall::None);
            if call == VisibilityCall::Return {
                self.return_answered(now, ticket, answer, retry_at);
            } else {
                // Received again meanwhile: the answer is about the older handle.
                self.look_after_lease(ticket);
            }
            self.return_if_queued(ticket);
        }
    }

    fn return_answered(&mut self, now: Time, ticket: Ticket, answer: Answer, retry_at: Time) {
        let held = &self.held[&ticket];
        let Phase::Returning { visibility, fate, .. } = held.phase else {
            return;
        };
        let over = held.lease.is_over(now);
        match answer {
            // A standard queue says yes to any handle, and proves nothing once the lease is over.
            Answer::Ok if self.config.fifo || !over => {
                if let Place::Lane { lane, .. } = held.place {
                    self.lanes.head_is_back(lane);
                }
                self.forget(ticket, fate);
            }
            Answer::Failed | Answer::NotMade if !over => {
                let retry_at = retry_at.max(now + self.config.timing.settle_retry);
                let call = Call::RetryAt(retry_at);
                self.set_phase(ticket, Phase::Returning { visibility, fate, call });
                self.look_after_lease(ticket);
            }
            // Nothing more can be done for it here.
            Answer::Refused if !over && self.drain.begun() => self.given_up(ticket, Fate::Stranded),
            _ => self.lost(ticket),
        }
    }

    /// The message is done with and to be deleted. After a success its lane goes on at once; after
    /// a dead-lettering only when the delete is confirmed: should it fail, the message comes back
    /// and must not run after a later one has taken effect.
    pub(super) fn acknowledge(&mut self, now: Time, ticket: Ticket) {
        self.settling.unacknowledged += 1;
        let held = &self.held[&ticket];
        let goes_on = !held.dead_lettered || self.breaks(Broken::OnBeforeDeadLetterIsDeleted);
        let in_lane = matches!(held.place, Place::Lane { .. });
        if let Place::Lane { lane, seat } = held.place
            && goes_on
        {
            let may_have_more = held.may_have_more;
            self.lanes.acknowledged(lane, seat);
            // A group gives out its next messages only when its last ones are deleted.
            if self.lanes.is_done(lane) {
                let Awaited { last, urgent, .. } = &mut self.settling.awaited;
                (if may_have_more { urgent } else { last }).get_or_insert(now);
            }
        }
        self.queue_delete(now, ticket);
        if in_lane && !goes_on {
            self.settling.stalls(now);
        }
    }

    pub(super) fn queue_delete(&mut self, now: Time, ticket: Ticket) {
        self.set_phase(ticket, Phase::Acknowledging { call: Call::Queued });
        self.settling.deletes.push_back((ticket, now));
    }

    /// The attempt is over without success: the message is to be visible again after `visibility`.
    pub(super) fn give_back(&mut self, ticket: Ticket, visibility: Duration, fate: Fate) {
        self.set_phase(ticket, Phase::Returning { visibility, fate, call: Call::Queued });
        self.look_after_lease(ticket);
        self.return_if_queued(ticket);
    }

    /// A call about the message's visibility that is under way goes first; its answer comes here.
    pub(super) fn return_if_queued(&mut self, ticket: Ticket) {
        let Some(held) = self.held.get(&ticket) else {
            return;
        };
        let free = held.visibility_call == VisibilityCall::None
            || self.breaks(Broken::ReturnDuringExtension);
        if free && matches!(held.phase, Phase::Returning { call: Call::Queued, .. }) {
            self.settling.returns.push_back(ticket);
        }
    }

    /// The same for one whose lane, if any, must go back with it.
    pub(super) fn give_back_or_close(&mut self, now: Time, ticket: Ticket, backoff: Duration) {
        match self.held[&ticket].place {
            Place::Lane { lane, .. } => {
                let waits = Phase::Backoff { until: now + backoff };
                self.set_phase(ticket, if backoff.is_zero() { Phase::Waiting } else { waits });
                self.lanes.close(lane);
                self.lane_changed(lane);
            }
            Place::Turn(_) => {
                let fate = if self.drain.begun() { Fate::Released } else { Fate::BackedOff };
                self.give_back(ticket, backoff, fate);
            }
        }
    }

    /// Sends what is due, in as few calls as possible.
    pub(super) fn flush(&mut self, now: Time) {
        let linger = self.delete_linger();
        while self.deletes_may_go(now)
            && (self.settling.deletes.len() >= MAX_BATCH
                || self.settling.deletes_due_at(linger).is_some_and(|at| now >= at))
        {
            if self.drain.begun() && self.breaks(Broken::DropDeletesOnDrain) {
                self.drop_deletes();
            }
            self.send_deletes(now);
        }
        while !self.settling.returns.is_empty()
            && (self.drain.begun() || !self.settling.change_trouble.bars(now))
        {
            self.send_returns(now);
        }
        self.send_extensions(now);
        self.send_copies(now);
    }

    pub(super) fn deletes_may_go(&self, now: Time) -> bool {
        let Settling { delete_trouble, probes, .. } = &self.settling;
        self.drain.begun() || !probes && !delete_trouble.bars(now)
    }

    fn send_extensions(&mut self, now: Time) {
        let extensions = std::mem::take(&mut self.settling.extensions);
        // A lease may have been given up since its extension was due.
        let still_due = |(ticket, _): &(Ticket, Duration)| {
            let held = self.held.get(ticket);
            held.is_some_and(|held| held.visibility_call == VisibilityCall::Extension)
        };
        let extensions: Vec<_> = extensions.into_iter().filter(still_due).collect();
        for entries in extensions.chunks(MAX_BATCH) {
            for entries in self.by_lease(now, entries) {
                self.actions.push(Action::Extend { entries });
            }
        }
    }

    fn send_returns(&mut self, now: Time) {
        let mut entries = Vec::with_capacity(MAX_BATCH.min(self.settling.returns.len()));
        while entries.len() < MAX_BATCH {
            let Some(ticket) = self.settling.returns.pop_front() else {
                break;
            };
            let Some(held) = self.held.get_mut(&ticket) else {
                continue;
            };
            let Phase::Returning { visibility, fate, call: Call::Queued } = held.phase else {
                continue;
            };
            if held.lease.is_over(now) {
                self.lost(ticket);
                continue;
            }
            // Near the end of the twelve hours SQS would refuse a longer one.
            let visibility = visibility.min(held.lease.longest_from(now));
            held.visibility_call = VisibilityCall::Return;
            let call = Call::UnderWay;
            self.set_phase(ticket, Phase::Returning { visibility, fate, call });
            entries.push((ticket, visibility));
        }
        for entries in self.by_lease(now, &entries) {
            self.actions.push(Action::Return { entries });
        }
    }

    /// A visibility change is given up at the end of the first of its leases, whatever has become of the
    /// others, and made again: a standard queue would do it again, to whoever has the message by then. One
    /// that is nearly over does not share the call of those that are not. (A FIFO queue says no.)
    fn by_lease(&self, now: Time, entries: &[(Ticket, Duration)]) -> Vec<Vec<(Ticket, Duration)>> {
        if self.config.fifo && !entries.is_empty() {
            return vec![entries.to_vec()];
        }
        let left = |&(ticket, _): &(Ticket, Duration)| {
            let end = self.lease_ends(ticket);
            end.map_or(LONGEST_CALL, |at| at.saturating_since(now)).min(LONGEST_CALL)
        };
        let mut entries = entries.to_vec();
        entries.sort_by_key(left);
        let mut calls = Vec::new();
        while let Some(first) = entries.first() {
            let most = 2 * left(first);
            let (call, rest) =
                entries.split_at(entries.partition_point(|entry| left(entry) <= most));
            calls.push(call.to_vec());
            entries = rest.to_vec();
        }
        calls
    }

    fn send_deletes(&mut self, now: Time) {
        let mut tickets = Vec::with_capacity(MAX_BATCH.min(self.settling.deletes.len()));
        while tickets.len() < MAX_BATCH {
            let Some((ticket, _)) = self.settling.deletes.pop_front() else {
                break;
            };
            let Some(held) = self.held.get(&ticket) else {
                continue;
            };
            if held.phase != (Phase::Acknowledging { call: Call::Queued }) {
                continue;
            }
            if held.lease.is_over(now) && !self.breaks(Broken::DeleteUnderOldLease) {
                self.lost(ticket);
                continue;
            }
            self.set_phase(ticket, Phase::Acknowledging { call: Call::UnderWay });
            tickets.push(ticket);
        }
        let left = self.settling.deletes.front().map(|&(_, since)| since);
        self.settling.awaited.sent(left);
        if !tickets.is_empty() {
            self.settling.probes = self.settling.delete_trouble.lasts();
            self.actions.push(Action::Delete { tickets });
        }
    }

    fn drop_deletes(&mut self) {
        for (ticket, _) in std::mem::take(&mut self.settling.deletes) {
            self.forget(ticket, Fate::Deleted);
        }
    }
}
