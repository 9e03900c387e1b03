//! In which turn the visible messages of a standard queue are received: fair queues.
//!
//! Messages are served in the turn in which they became visible, except that those of a noisy message
//! group wait while quieter groups have messages. How noisy a group is, is told by its messages in
//! flight, as AWS describes for
//! [fair queues](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::message::Seq;

/// Messages in flight from which on a group is noisier than one with none. Each doubling
/// beyond it is one level more, so that groups of similar load share by turn.
const QUIET_IN_FLIGHT: u32 = 5;

/// The visible messages, by message group; those without a group share one that is always quiet.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes {
    by_group: BTreeMap<Option<Arc<str>>, Lane>,
    /// Lanes with visible messages, by noise and the turn of their first message.
    order: BTreeMap<Rank, Option<Arc<str>>>,
    next_turn: u64,
}

type Rank = (u32, u64);

#[derive(Debug, Clone, Default)]
struct Lane {
    visible: BTreeMap<u64, Seq>,
    in_flight: u32,
}

impl Lane {
    fn rank(&self, grouped: bool) -> Option<Rank> {
        let (turn, _) = self.visible.first_key_value()?;
        let noise = if grouped { (self.in_flight / QUIET_IN_FLIGHT + 1).ilog2() } else { 0 };
        Some((noise, *turn))
    }
}

impl Lanes {
    /// Puts a message behind all visible ones and returns its turn.
    pub(super) fn push(&mut self, group: Option<&Arc<str>>, seq: Seq) -> u64 {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.put(group, seq, turn);
        turn
    }

    /// Puts a message back to the turn that it had.
    pub(super) fn put(&mut self, group: Option<&Arc<str>>, seq: Seq, turn: u64) {
        self.change(group, |lane| {
            lane.visible.insert(turn, seq);
        });
    }

    pub(super) fn take(&mut self, group: Option<&Arc<str>>, turn: u64) {
        self.change(group, |lane| {
            lane.visible.remove(&turn);
        });
    }

    /// Notes that a message of the group went into flight, or is no longer there.
    pub(super) fn count_in_flight(&mut self, group: Option<&Arc<str>>, more: bool) {
        self.change(group, |lane| {
            lane.in_flight =
                if more { lane.in_flight + 1 } else { lane.in_flight.saturating_sub(1) };
        });
    }

    /// The message to receive next.
    pub(super) fn first(&self) -> Option<Seq> {
        let ((_, turn), group) = self.order.first_key_value()?;
        self.by_group.get(group)?.visible.get(turn).copied()
    }

    fn change(&mut self, group: Option<&Arc<str>>, change: impl FnOnce(&mut Lane)) {
        let group = group.cloned();
        let lane = self.by_group.entry(group.clone()).or_default();
        let before = lane.rank(group.is_some());
        change(lane);
        let after = lane.rank(group.is_some());
        if lane.visible.is_empty() && lane.in_flight == 0 {
            self.by_group.remove(&group);
        }
        if before != after {
            if let Some(rank) = before {
                self.order.remove(&rank);
            }
            if let Some(rank) = after {
                self.order.insert(rank, group);
            }
        }
    }
}
