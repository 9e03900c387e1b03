//! In which turn the visible messages of a standard queue are received: fair queues.
//!
//! Messages are served in the turn in which they became visible, except that those of a noisy message
//! group wait while other groups have messages. The rule and its numbers are those that AWS gives for
//! [fair queues](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html);
//! of its two signals of noise only the one without a clock is modelled, the share of what is in flight.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::groups::{ByGroup, GroupId};
use super::line::Line;
use super::message::Seq;

/// Messages in flight from which on a group can be noisy.
const NOISY_IN_FLIGHT: usize = 30;
/// A noisy group has more than one in so many of the messages in flight.
const NOISY_SHARE: usize = 10;

/// The visible messages, by message group. Messages without a group share one that is never noisy:
/// to AWS each of them is a tenant of its own.
#[derive(Debug, Clone)]
pub(super) struct Lanes {
    groups: ByGroup<Lane>,
    ungrouped: Arc<str>,
    /// Groups with visible messages, by the turn of their first one.
    order: BTreeMap<u64, GroupId>,
    in_flight: usize,
    next_turn: u64,
}

#[derive(Debug, Clone, Default)]
struct Lane {
    visible: Line<Seq>,
    in_flight: usize,
    grouped: bool,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            groups: ByGroup::default(),
            // No message can be sent with an empty group.
            ungrouped: Arc::from(""),
            order: BTreeMap::new(),
            in_flight: 0,
            next_turn: 0,
        }
    }
}

impl Lanes {
    /// Takes in a message of a group.
    pub(super) fn join(&mut self, group: Option<&Arc<str>>) -> GroupId {
        let id = self.groups.join(group.unwrap_or(&self.ungrouped));
        self.groups[id].grouped = group.is_some();
        id
    }

    /// Lets a message go that is neither visible nor in flight any more.
    pub(super) fn leave(&mut self, group: GroupId) {
        self.groups.leave(group);
    }

    /// Puts a message behind all visible ones and returns its turn.
    pub(super) fn push(&mut self, group: GroupId, seq: Seq) -> u64 {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.put(group, seq, turn);
        turn
    }

    /// Puts a message back to the turn that it had.
    pub(super) fn put(&mut self, group: GroupId, seq: Seq, turn: u64) {
        let visible = &mut self.groups[group].visible;
        let first = visible.first().map(|(first, _)| first);
        visible.put(turn, seq);
        if first.is_none_or(|first| turn < first) {
            if let Some(first) = first {
                self.order.remove(&first);
            }
            self.order.insert(turn, group);
        }
    }

    pub(super) fn take(&mut self, group: GroupId, turn: u64) {
        let visible = &mut self.groups[group].visible;
        visible.take(turn);
        if self.order.remove(&turn).is_some()
            && let Some((first, _)) = visible.first()
        {
            self.order.insert(first, group);
        }
    }

    /// Notes that a message of the group went into flight, or is no longer there.
    pub(super) fn count_in_flight(&mut self, group: GroupId, more: bool) {
        for count in [&mut self.groups[group].in_flight, &mut self.in_flight] {
            *count = if more { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    /// The message to receive next: the first of a group that is not noisy, or else of the noisy one
    /// with the fewest messages in flight. There are fewer than ten noisy groups at any time.
    pub(super) fn first(&self) -> Option<Seq> {
        let mut least: Option<(usize, &Lane)> = None;
        for group in self.order.values() {
            let lane = &self.groups[*group];
            let noise = self.noise(lane);
            if least.is_none_or(|(noise_of_least, _)| noise < noise_of_least) {
                least = Some((noise, lane));
            }
            if noise == 0 {
                break;
            }
        }
        least?.1.visible.first().map(|(_, seq)| *seq)
    }

    fn noise(&self, lane: &Lane) -> usize {
        let noisy = lane.grouped
            && lane.in_flight >= NOISY_IN_FLIGHT
            && lane.in_flight * NOISY_SHARE > self.in_flight;
        if noisy { lane.in_flight } else { 0 }
    }
}
