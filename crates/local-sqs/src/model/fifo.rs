//! Which message groups of a FIFO queue can be served, and in which turn.
//!
//! One rule gives all of FIFO's behaviour: of each group, only the visible messages before its first
//! invisible one can be received. A group in flight is therefore blocked, and an order of releases or
//! expiries cannot change the order of messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::groups::{ByGroup, GroupId};
use super::line::Line;
use super::message::Seq;

/// The groups that have messages. Groups that can be served wait in turn; a group that becomes
/// servable goes to the end, so that a long group cannot starve the others.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups {
    by_group: ByGroup<Group>,
    turns: BTreeMap<u64, GroupId>,
    next_turn: u64,
}

#[derive(Debug, Clone, Default)]
struct Group {
    /// Every message of the group, and whether it is visible.
    messages: Line<bool>,
    /// The group's turn while its first message is visible.
    turn: Option<u64>,
}

impl Groups {
    /// Takes in a message of a group.
    pub(super) fn join(&mut self, group: &str) -> GroupId {
        self.by_group.join(group)
    }

    pub(super) fn name(&self, group: GroupId) -> &Arc<str> {
        self.by_group.name(group)
    }

    /// Sets a message's visibility. Tells whether this made the group servable.
    pub(super) fn set(&mut self, group: GroupId, seq: Seq, visible: bool) -> bool {
        self.by_group[group].messages.put(seq, visible);
        self.settle(group)
    }

    /// Lets a message go. Tells whether this made the group servable.
    pub(super) fn remove(&mut self, group: GroupId, seq: Seq) -> bool {
        self.by_group[group].messages.take(seq);
        let servable = self.settle(group);
        self.by_group.leave(group);
        servable
    }

    /// The leading visible messages of the group whose turn it is, at most `limit`.
    /// Empty only when no group can be served.
    pub(super) fn next_run(&self, limit: usize) -> Vec<Seq> {
        let Some(group) = self.turns.values().next() else {
            return Vec::new();
        };
        let visible = self.by_group[*group].messages.iter().take_while(|(_, visible)| **visible);
        visible.map(|(seq, _)| seq).take(limit).collect()
    }

    /// The groups that can be served, in turn.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = &Arc<str>> {
        self.turns.values().map(|group| self.name(*group))
    }

    pub(super) fn has_servable(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Gives a group its turn or takes it away, as its first message says.
    fn settle(&mut self, id: GroupId) -> bool {
        let group = &mut self.by_group[id];
        let servable = group.messages.first().is_some_and(|(_, visible)| *visible);
        match (servable, group.turn) {
            (true, None) => {
                group.turn = Some(self.next_turn);
                self.turns.insert(self.next_turn, id);
                self.next_turn += 1;
                return true;
            }
            (false, Some(turn)) => {
                group.turn = None;
                self.turns.remove(&turn);
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_served_up_to_its_first_invisible_message() {
        let mut groups = Groups::default();
        let mut a = GroupId::default();
        for seq in 1..=4 {
            a = groups.join("a");
            groups.set(a, seq, seq != 3);
        }
        assert_eq!(groups.next_run(10), [1, 2]);
        groups.set(a, 1, false);
        assert!(groups.next_run(10).is_empty());
        groups.remove(a, 1);
        assert_eq!(groups.next_run(1), [2]);
    }

    #[test]
    fn a_group_that_becomes_servable_again_goes_behind_the_waiting_ones() {
        let mut groups = Groups::default();
        let (a, b) = (groups.join("a"), groups.join("b"));
        groups.set(a, 1, true);
        groups.set(b, 2, true);
        groups.set(a, 1, false);
        assert!(groups.set(a, 1, true));
        assert_eq!(groups.next_run(10), [2]);
    }
}
