//! Calls that settle messages or keep them: deletes, visibility changes, extensions.

use std::{collections::VecDeque, time::Duration};

use super::{
    Action, Answer, Fate, Scheduler, Ticket,
    held::{Call, Phase},
};
use crate::{queue::MAX_BATCH, time::Time};

/// After so many failed copies to the dead-letter queue a standard message is given back.
const DEAD_LETTER_TRIES: u32 = 3;

/// What waits for the next batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Settling {
    deletes: VecDeque<Ticket>,
    /// Since when the oldest of `deletes` waits for company.
    deletes_since: Option<Time>,
    pub(super) returns: VecDeque<Ticket>,
    pub(super) extensions: Vec<(Ticket, Duration)>,
    /// Messages done with whose delete is not confirmed.
    unacknowledged: usize,
    /// Calls that failed in a row.
    failures: u32,
}

impl Settling {
    pub(super) fn unacknowledged(&self) -> usize {
        self.unacknowledged
    }

    pub(super) fn flush_at(&self, linger: Duration) -> Option<Time> {
        self.deletes_since.map(|since| since + linger)
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
        let pause = self.pause_after(answers.iter().map(|&(_, answer)| answer));
        for &(ticket, answer) in answers {
            let Some(held) = self.held.get_mut(&ticket) else {
                continue;
            };
            if std::mem::take(&mut held.received_again) {
                self.queue_delete(now, ticket);
                continue;
            }
            let over = held.lease.is_over(now);
            let dead_lettered = held.dead_lettered;
            match answer {
                Answer::Ok if dead_lettered => self.forget(ticket, Fate::DeadLettered),
                Answer::Ok => self.forget(ticket, Fate::Deleted),
                _ if over => self.lost(ticket),
                // By our own clock nobody else can have it, so an earlier delete, whose answer
                // was lost, has done it. Counted, but no reason to stop the lane.
                Answer::LeaseOver | Answer::Refused if dead_lettered => {
                    self.forget(ticket, Fate::DeadLettered);
                }
                Answer::LeaseOver | Answer::Refused => self.forget(ticket, Fate::Lost),
                Answer::Failed => {
                    let call = Call::RetryAt(now + pause);
                    self.set_phase(ticket, Phase::Acknowledging { call });
                }
            }
        }
    }

    /// Visibility changes that give messages back were answered.
    pub fn returned(&mut self, now: Time, answers: &[(Ticket, Answer)]) {
        let pause = self.pause_after(answers.iter().map(|&(_, answer)| answer));
        for &(ticket, answer) in answers {
            let Some(held) = self.held.get_mut(&ticket) else {
                continue;
            };
            let Phase::Returning { visibility, fate, .. } = held.phase else {
                continue;
            };
            if std::mem::take(&mut held.received_again) {
                self.give_back(ticket, visibility, fate);
                continue;
            }
            let over = held.lease.is_over(now);
            let group = held.group.clone();
            match answer {
                Answer::Failed if !over => {
                    let call = Call::RetryAt(now + pause);
                    self.set_phase(ticket, Phase::Returning { visibility, fate, call });
                }
                Answer::Ok => {
                    if let Some(group) = &group {
                        self.lanes.head_is_back(group);
                    }
                    self.forget(ticket, fate);
                }
                Answer::LeaseOver | Answer::Refused | Answer::Failed => self.lost(ticket),
            }
        }
    }

    /// The copy to the dead-letter queue was answered.
    pub fn dead_lettered(&mut self, now: Time, ticket: Ticket, answer: Answer) {
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
            // Without its copy the message must not be deleted. A standard message goes back after
            // some tries, to its queue's own redrive policy. A FIFO head keeps its place: going
            // back would use up the receives of those behind it, who are innocent.
            Answer::Failed | Answer::Refused | Answer::LeaseOver => {
                let failures = failures + 1;
                let backoff = self.backoff(failures, None);
                let call = Call::RetryAt(now + backoff);
                self.set_phase(ticket, Phase::DeadLettering { call, failures });
                if self.drain.begun() || !self.config.fifo && failures >= DEAD_LETTER_TRIES {
                    self.give_back_or_close(now, ticket, backoff);
                }
            }
        }
    }

    /// How long to wait before a failed settling call is repeated: longer with each call that fails
    /// in a row.
    pub(super) fn pause_after(&mut self, answers: impl Iterator<Item = Answer>) -> Duration {
        let timing = &self.config.timing;
        let mut failed = false;
        for answer in answers {
            match answer {
                Answer::Failed => failed = true,
                Answer::Ok => self.settling.failures = 0,
                Answer::LeaseOver | Answer::Refused => {}
            }
        }
        self.settling.failures += u32::from(failed);
        let (first, max) = (timing.settle_retry, timing.settle_retry_max);
        self.jitter.backoff(first, max, self.settling.failures)
    }

    /// The message is done with and to be deleted. After a success its lane goes on at once; after
    /// a dead-lettering only when the delete is confirmed: should it fail, the message comes back
    /// and must not run after a later one has taken effect.
    pub(super) fn acknowledge(&mut self, now: Time, ticket: Ticket) {
        self.settling.unacknowledged += 1;
        let held = &self.held[&ticket];
        if let Some(group) = held.group.clone().filter(|_| !held.dead_lettered) {
            self.lanes.acknowledged(&group, ticket);
        }
        self.queue_delete(now, ticket);
    }

    pub(super) fn queue_delete(&mut self, now: Time, ticket: Ticket) {
        self.set_phase(ticket, Phase::Acknowledging { call: Call::Queued });
        self.settling.deletes.push_back(ticket);
        self.settling.deletes_since.get_or_insert(now);
    }

    /// The attempt is over without success: the message is to be visible again after `visibility`.
    pub(super) fn give_back(&mut self, ticket: Ticket, visibility: Duration, fate: Fate) {
        self.set_phase(ticket, Phase::Returning { visibility, fate, call: Call::Queued });
        // An extension under way goes first; its answer queues the return.
        if !self.held[&ticket].extending {
            self.settling.returns.push_back(ticket);
        }
    }

    /// The same for one whose lane, if any, must go back with it.
    pub(super) fn give_back_or_close(&mut self, now: Time, ticket: Ticket, backoff: Duration) {
        match self.held[&ticket].group.clone() {
            Some(group) => {
                self.set_phase(ticket, Phase::Backoff { until: now + backoff });
                self.lanes.close(&group);
            }
            None => self.give_back(ticket, backoff, Fate::BackedOff),
        }
    }

    /// How long a delete may wait for company now.
    pub(super) fn linger(&self) -> Duration {
        let timing = &self.config.timing;
        let idle = self.running < self.config.concurrency && self.lanes.ready() == 0;
        if self.drain.begun() {
            Duration::ZERO
        } else if self.config.fifo && idle {
            // A group gives out its next messages only when its last ones are deleted.
            timing.urgent_linger
        } else {
            timing.acknowledge_linger
        }
    }

    /// Sends what is due, in as few calls as possible.
    pub(super) fn flush(&mut self, now: Time) {
        while self.settling.deletes.len() >= MAX_BATCH {
            self.send_deletes(now);
        }
        while self.settling.flush_at(self.linger()).is_some_and(|at| now >= at) {
            self.send_deletes(now);
        }
        while !self.settling.returns.is_empty() {
            let mut entries = Vec::with_capacity(MAX_BATCH);
            while let Some(ticket) = self.settling.returns.pop_front() {
                let Some(held) = self.held.get(&ticket) else {
                    continue;
                };
                let Phase::Returning { visibility, fate, call: Call::Queued } = held.phase else {
                    continue;
                };
                let call = Call::UnderWay;
                self.set_phase(ticket, Phase::Returning { visibility, fate, call });
                entries.push((ticket, visibility));
                if entries.len() == MAX_BATCH {
                    break;
                }
            }
            if !entries.is_empty() {
                self.actions.push(Action::Return { entries });
            }
        }
        let extensions = std::mem::take(&mut self.settling.extensions);
        for entries in extensions.chunks(MAX_BATCH) {
            self.actions.push(Action::Extend { entries: entries.to_vec() });
        }
    }

    fn send_deletes(&mut self, now: Time) {
        let mut tickets = Vec::with_capacity(MAX_BATCH);
        while tickets.len() < MAX_BATCH {
            let Some(ticket) = self.settling.deletes.pop_front() else {
                break;
            };
            let Some(held) = self.held.get(&ticket) else {
                continue;
            };
            if held.phase != (Phase::Acknowledging { call: Call::Queued }) {
                continue;
            }
            if held.lease.is_over(now) {
                self.lost(ticket);
                continue;
            }
            self.set_phase(ticket, Phase::Acknowledging { call: Call::UnderWay });
            tickets.push(ticket);
        }
        if self.settling.deletes.is_empty() {
            self.settling.deletes_since = None;
        }
        if !tickets.is_empty() {
            self.actions.push(Action::Delete { tickets });
        }
    }
}
