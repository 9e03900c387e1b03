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

/// Messages of noisy groups that one look for the next message sets aside at most. The next look goes
/// on, so that a long backlog of a noisy group costs each receive the same.
const SET_ASIDE: usize = 256;

/// The visible messages. Nearly all are in one line; those of a noisy group are set aside, to their
/// group's own line, when they come to the front and others wait. Messages without a group share one
/// that is never noisy: to AWS each of them is a tenant of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes {
    by_group: ByGroup<Lane>,
    line: Line<(NonZeroU64, GroupId)>,
    /// Groups with messages set aside, by the turn of their first one.
    order: BTreeMap<u64, GroupId>,
    in_flight: u32,
    next_turn: u64,
}

#[derive(Debug, Clone, Default)]
struct Lane {
    /// What is set aside, by turn.
    aside: Option<Box<Line<NonZeroU64>>>,
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
        // Sequence numbers begin at 1, and without zero a hole in a line takes no room of its own.
        self.line.put(turn, (NonZeroU64::new(seq).unwrap_or(NonZeroU64::MIN), group));
    }

    pub(super) fn take(&mut self, group: GroupId, turn: u64) {
        if self.line.take(turn) {
            return;
        }
        let aside = &mut self.by_group[group].aside;
        let Some(line) = aside else { return };
        line.take(turn);
        let first = line.first().map(|(first, _)| first);
        if first.is_none() {
            *aside = None;
        }
        if self.order.remove(&turn).is_some()
            && let Some(first) = first
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

    pub(super) fn is_empty(&self) -> bool {
        self.line.first().is_none() && self.order.is_empty()
    }

    /// The message to receive next: the first of a group that is not noisy, or else of the noisy one
    /// with the fewest messages in flight.
    pub(super) fn first(&mut self) -> Option<Seq> {
        for _ in 0..SET_ASIDE {
            let aside = self.first_aside();
            let quiet_aside = aside.filter(|(noise, _, _)| *noise == 0);
            let Some((turn, (seq, group))) = self.line.first().map(|(turn, at)| (turn, *at)) else {
                break;
            };
            let alone = self.by_group.len() == 1;
            if alone || self.noise(&self.by_group[group]) == 0 {
                let earlier =
                    aside.filter(|(noise, first, _)| (alone || *noise == 0) && *first < turn);
                return Some(earlier.map_or(seq.get(), |(_, _, seq)| seq));
            }
            if let Some((_, _, seq)) = quiet_aside {
                return Some(seq);
            }
            self.set_aside(turn, seq, group);
        }
        self.first_aside().map(|(_, _, seq)| seq)
    }

    /// Of what is set aside, the first of a group that is not noisy any more, or else of the least noisy
    /// one: its noise, turn and number. There are fewer than ten noisy groups at any time.
    fn first_aside(&self) -> Option<(u32, u64, Seq)> {
        let mut least: Option<(u32, u64, Seq)> = None;
        for (turn, group) in &self.order {
            let lane = &self.by_group[*group];
            let noise = self.noise(lane);
            if least.is_none_or(|(noise_of_least, _, _)| noise < noise_of_least) {
                let (_, seq) = lane.aside.as_ref()?.first()?;
                least = Some((noise, *turn, seq.get()));
            }
            if noise == 0 {
                break;
            }
        }
        least
    }

    fn set_aside(&mut self, turn: u64, seq: NonZeroU64, group: GroupId) {
        self.line.take(turn);
        let aside = self.by_group[group].aside.get_or_insert_default();
        let first = aside.first().map(|(first, _)| first);
        aside.put(turn, seq);
        if first.is_none_or(|first| turn < first) {
            if let Some(first) = first {
                self.order.remove(&first);
            }
            self.order.insert(turn, group);
        }
    }

    fn noise(&self, lane: &Lane) -> u32 {
        let noisy = lane.grouped
            && lane.in_flight >= NOISY_IN_FLIGHT
            && lane.in_flight * NOISY_SHARE > self.in_flight;
        if noisy { lane.in_flight } else { 0 }
    }
}
