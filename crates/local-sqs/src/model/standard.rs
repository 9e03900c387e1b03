//! In which turn the visible messages of a standard queue are received: fair queues.
//!
//! Messages are served in the turn in which they became visible, except that those of a noisy message
//! group wait while other groups have messages. The rule and its numbers are those that AWS gives for
//! [fair queues](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html);
//! of its two signals of noise only the one without a clock is modelled, the share of what is in flight.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::groups::{ByGroup, GroupId};
use super::line::Line;
use super::message::Seq;

/// Messages in flight from which on a group can be noisy.
const NOISY_IN_FLIGHT: u32 = 30;
/// A noisy group has more than one in so many of the messages in flight.
const NOISY_SHARE: u32 = 10;

/// The visible messages, by message group. Messages without a group share one that is never noisy:
/// to AWS each of them is a tenant of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes {
    by_group: ByGroup<Lane>,
    /// Groups with visible messages, by the turn of their first one.
    order: BTreeMap<u64, GroupId>,
    in_flight: u32,
    next_turn: u64,
}

#[derive(Debug, Clone, Default)]
struct Lane {
    /// By turn. Sequence numbers begin at 1, and without zero a hole takes no room of its own.
    visible: Line<NonZeroU64>,
    in_flight: u32,
    grouped: bool,
}

/// No message can be sent with an empty group.
const UNGROUPED: &str = "";

impl Lanes {
    /// Takes in a message of a group.
    pub(super) fn join(&mut self, group: Option<&str>) -> GroupId {
        let id = self.by_group.join(group.unwrap_or(UNGROUPED));
        self.by_group[id].grouped = group.is_some();
        id
    }

    pub(super) fn name(&self, group: GroupId) -> Option<&Arc<str>> {
        Some(self.by_group.name(group)).filter(|name| &***name != UNGROUPED)
    }

    /// Lets a message go that is neither visible nor in flight any more.
    pub(super) fn leave(&mut self, group: GroupId) {
        self.by_group.leave(group);
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
        let visible = &mut self.by_group[group].visible;
        let first = visible.first().map(|(first, _)| first);
        visible.put(turn, NonZeroU64::new(seq).unwrap_or(NonZeroU64::MIN));
        if first.is_none_or(|first| turn < first) {
            if let Some(first) = first {
                self.order.remove(&first);
            }
            self.order.insert(turn, group);
        }
    }

    pub(super) fn take(&mut self, group: GroupId, turn: u64) {
        let visible = &mut self.by_group[group].visible;
        visible.take(turn);
        if self.order.remove(&turn).is_some()
            && let Some((first, _)) = visible.first()
        {
            self.order.insert(first, group);
        }
    }

    /// Notes that a message of the group went into flight, or is no longer there.
    pub(super) fn count_in_flight(&mut self, group: GroupId, more: bool) {
        for count in [&mut self.by_group[group].in_flight, &mut self.in_flight] {
            *count = if more { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    /// The message to receive next: the first of a group that is not noisy, or else of the noisy one
    /// with the fewest messages in flight. There are fewer than ten noisy groups at any time.
    pub(super) fn first(&self) -> Option<Seq> {
        let mut least: Option<(u32, &Lane)> = None;
        for group in self.order.values() {
            let lane = &self.by_group[*group];
            let noise = self.noise(lane);
            if least.is_none_or(|(noise_of_least, _)| noise < noise_of_least) {
                least = Some((noise, lane));
            }
            if noise == 0 {
                break;
            }
        }
        least?.1.visible.first().map(|(_, seq)| seq.get())
    }

    fn noise(&self, lane: &Lane) -> u32 {
        let noisy = lane.grouped
            && lane.in_flight >= NOISY_IN_FLIGHT
            && lane.in_flight * NOISY_SHARE > self.in_flight;
        if noisy { lane.in_flight } else { 0 }
    }
}
