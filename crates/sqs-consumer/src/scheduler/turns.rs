//! Standard queue: what can start, group by group in turn.
//!
//! A message group of a standard queue has no order, but a group with many messages must not keep
//! the others waiting: groups take turns, and none has more handlers than its share. Messages
//! without a group are one group. What is here on its last receive goes before all else: should this
//! worker die with it, nobody would attempt it any more.

use std::{collections::VecDeque, sync::Arc};

use foldhash::HashMap;
use slab::Slab;

use super::{Scheduler, Ticket, held::Phase};

/// A group of a standard queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TurnId(pub(super) usize);

/// In which order a message starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    LastReceive,
    Ordinary,
}

impl Rank {
    const ALL: [Self; 2] = [Self::LastReceive, Self::Ordinary];
}

/// The groups with a message held, and whose turn it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    pub(super) by_group: HashMap<Arc<str>, TurnId>,
    pub(super) groups: Slab<Turn>,
    /// By rank, groups with a message that can start, first come first served.
    pub(super) orders: [VecDeque<TurnId>; 2],
    pub(super) waiting: usize,
    pub(super) startable: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) group: Arc<str>,
    pub(super) members: usize,
    /// By rank, in order of arrival; those that wait no longer are skipped when their turn comes.
    pub(super) queues: [VecDeque<Ticket>; 2],
    pub(super) waiting: usize,
    pub(super) running: usize,
    /// Handlers at once; messages without a group have no limit of their own.
    pub(super) limit: usize,
    /// In [`Turns::orders`].
    pub(super) queued: [bool; 2],
}

impl Turn {
    fn startable(&self) -> usize {
        self.waiting.min(self.limit.saturating_sub(self.running))
    }
}

impl Turns {
    /// Messages that could start now if handlers were free.
    pub(super) fn startable(&self) -> usize {
        self.startable
    }

    /// Messages that wait for others of their group to end.
    pub(super) fn blocked(&self) -> usize {
        self.waiting - self.startable
    }

    pub(super) fn join(&mut self, group: Option<&Arc<str>>, limit: usize) -> TurnId {
        let name = group.map_or("", |group| &**group);
        let known = self.by_group.get(name).copied();
        let id = known.unwrap_or_else(|| self.add(group, limit));
        self.groups[id.0].members += 1;
        id
    }

    fn add(&mut self, group: Option<&Arc<str>>, limit: usize) -> TurnId {
        let limit = if group.is_some() { limit } else { usize::MAX };
        let group = group.cloned().unwrap_or_else(|| Arc::from(""));
        let (members, waiting, running) = (0, 0, 0);
        let (queues, queued) = Default::default();
        let turn = Turn { group: group.clone(), members, queues, waiting, running, limit, queued };
        let id = TurnId(self.groups.insert(turn));
        self.by_group.insert(group, id);
        id
    }

    /// A member is held no more. Its phase was told as left before.
    pub(super) fn leave(&mut self, id: TurnId) {
        let turn = &mut self.groups[id.0];
        turn.members -= 1;
        self.remove_if_unused(id);
    }

    fn remove_if_unused(&mut self, id: TurnId) {
        let turn = &self.groups[id.0];
        if turn.members == 0 && turn.queued == [false; 2] {
            let turn = self.groups.remove(id.0);
            self.by_group.remove(&turn.group);
        }
    }

    /// A member's phase is another one now; none before its arrival and after its end.
    pub(super) fn moved(
        &mut self,
        id: TurnId,
        ticket: Ticket,
        rank: Rank,
        (from, to): (Option<Phase>, Option<Phase>),
    ) {
        let is = |phase: Option<Phase>, which: fn(Phase) -> bool| phase.is_some_and(which);
        let (was_waiting, waits) = (is(from, Phase::is_waiting), is(to, Phase::is_waiting));
        let (was_running, runs) = (is(from, Phase::is_running), is(to, Phase::is_running));
        let turn = &mut self.groups[id.0];
        let before = turn.startable();
        if waits && !was_waiting {
            turn.waiting += 1;
            self.waiting += 1;
            turn.queues[rank as usize].push_back(ticket);
        } else if was_waiting && !waits {
            turn.waiting -= 1;
            self.waiting -= 1;
        }
        turn.running += usize::from(runs);
        turn.running -= usize::from(was_running);
        let after = turn.startable();
        self.startable = self.startable + after - before;
        for rank in Rank::ALL.map(|rank| rank as usize) {
            if after > 0 && !turn.queued[rank] && !turn.queues[rank].is_empty() {
                turn.queued[rank] = true;
                self.orders[rank].push_back(id);
            }
        }
    }

    /// The message that starts next, of those that still wait. Its group's turn comes again when the next
    /// one is known to be startable.
    fn next(&mut self, still_waits: impl Fn(Ticket) -> bool) -> Option<Ticket> {
        for rank in Rank::ALL.map(|rank| rank as usize) {
            while let Some(id) = self.orders[rank].pop_front() {
                let turn = &mut self.groups[id.0];
                turn.queued[rank] = false;
                if turn.startable() > 0 {
                    while let Some(ticket) = turn.queues[rank].pop_front() {
                        if still_waits(ticket) {
                            return Some(ticket);
                        }
                    }
                }
                self.remove_if_unused(id);
            }
        }
        None
    }
}

impl Scheduler {
    /// The message that starts next. It must be started: its place in the order is given up.
    pub(super) fn next_turn(&mut self) -> Option<Ticket> {
        let held = &self.held;
        self.turns.next(|ticket| held.get(&ticket).is_some_and(|held| held.phase.is_waiting()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_forgotten_with_its_last_message_whether_that_had_its_turn_or_not() {
        let mut turns = Turns::default();
        let waiting = Some(Phase::Waiting);
        for had_its_turn in [true, false] {
            for number in 0..100 {
                let group = Arc::from(number.to_string());
                let id = turns.join(Some(&group), 1);
                let rank = Rank::ALL[number as usize % 2];
                turns.moved(id, Ticket(number), rank, (None, waiting));
                assert!(!had_its_turn || turns.next(|_| true) == Some(Ticket(number)));
                turns.moved(id, Ticket(number), rank, (waiting, None));
                turns.leave(id);
            }
            assert_eq!(turns.next(|_| false), None);
            assert_eq!((turns.groups.len(), turns.by_group.len(), turns.waiting), (0, 0, 0));
        }
    }
}
