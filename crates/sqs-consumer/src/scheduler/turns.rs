//! Standard queue: what can start, group by group in turn.
//!
//! A message group of a standard queue has no order, but a group with many messages must not keep
//! the others waiting: groups take turns, and none has more handlers than its share. Messages
//! without a group are one group.

use std::{collections::VecDeque, sync::Arc};

use foldhash::HashMap;
use slab::Slab;

use super::{Scheduler, Ticket, held::Phase};

/// A group of a standard queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TurnId(pub(super) usize);

/// The groups with a message held, and whose turn it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    pub(super) by_group: HashMap<Arc<str>, TurnId>,
    pub(super) groups: Slab<Turn>,
    /// Groups with a message that can start, first come first served.
    pub(super) order: VecDeque<TurnId>,
    pub(super) waiting: usize,
    pub(super) startable: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) group: Arc<str>,
    pub(super) members: usize,
    /// In order of arrival; those that wait no longer are skipped when their turn comes.
    pub(super) queue: VecDeque<Ticket>,
    pub(super) waiting: usize,
    pub(super) running: usize,
    /// Handlers at once; messages without a group have no limit of their own.
    pub(super) limit: usize,
    /// In [`Turns::order`].
    pub(super) queued: bool,
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
        let (members, waiting, running, queued) = (0, 0, 0, false);
        let queue = VecDeque::new();
        let turn = Turn { group: group.clone(), members, queue, waiting, running, limit, queued };
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
        if turn.members == 0 && !turn.queued {
            let turn = self.groups.remove(id.0);
            self.by_group.remove(&turn.group);
        }
    }

    /// A member's phase is another one now; none before its arrival and after its end.
    pub(super) fn moved(
        &mut self,
        id: TurnId,
        ticket: Ticket,
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
            turn.queue.push_back(ticket);
        } else if was_waiting && !waits {
            turn.waiting -= 1;
            self.waiting -= 1;
        }
        turn.running += usize::from(runs);
        turn.running -= usize::from(was_running);
        let after = turn.startable();
        self.startable = self.startable + after - before;
        if after > 0 && !turn.queued {
            turn.queued = true;
            self.order.push_back(id);
        }
    }

    /// The group whose turn it is. It comes again when its next message is known to be startable.
    fn next(&mut self) -> Option<TurnId> {
        loop {
            let id = self.order.pop_front()?;
            let turn = &mut self.groups[id.0];
            turn.queued = false;
            if turn.startable() > 0 {
                return Some(id);
            }
            self.remove_if_unused(id);
        }
    }
}

impl Scheduler {
    /// The message that starts next. It must be started: its place in the order is given up.
    pub(super) fn next_turn(&mut self) -> Option<Ticket> {
        let id = self.turns.next()?;
        self.first_waiting(id)
    }

    fn first_waiting(&mut self, id: TurnId) -> Option<Ticket> {
        loop {
            let ticket = self.turns.groups[id.0].queue.pop_front()?;
            if self.held.get(&ticket).is_some_and(|held| held.phase.is_waiting()) {
                return Some(ticket);
            }
        }
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
                turns.moved(id, Ticket(number), (None, waiting));
                assert!(!had_its_turn || turns.next() == Some(id));
                turns.moved(id, Ticket(number), (waiting, None));
                turns.leave(id);
            }
            assert_eq!(turns.next(), None);
            assert_eq!((turns.groups.len(), turns.by_group.len(), turns.waiting), (0, 0, 0));
        }
    }
}
