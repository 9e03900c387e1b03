//! FIFO lanes: the held messages of each group, in order.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{Action, Fate, Scheduler, Ticket, held::Phase};
use crate::time::Time;

/// All lanes, and which of them can start their head.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    by_group: HashMap<Arc<str>, Lane>,
    /// Lanes whose head can start, first come first served: no group waits for ever.
    ready: VecDeque<Arc<str>>,
    /// Lanes that are giving their messages back and may be able to take a further step.
    closing: Vec<Arc<str>>,
    blocked: usize,
}

/// A group's held messages.
#[derive(Clone, Debug, Default)]
struct Lane {
    /// Not yet succeeded, in order; the first one is the head.
    waiting: VecDeque<Ticket>,
    /// Succeeded or dead-lettered, being deleted.
    acknowledging: usize,
    /// In [`Lanes::ready`].
    queued: bool,
    /// Counted in [`Lanes::blocked`].
    blocked: bool,
    /// No further start: what is left goes back to the queue, the head before its tail.
    closing: bool,
    /// Closing, and the queue has confirmed that it has the head again.
    head_is_back: bool,
}

impl Lanes {
    pub(super) fn len(&self) -> usize {
        self.by_group.len()
    }

    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn blocked(&self) -> usize {
        self.blocked
    }

    pub(super) fn push(&mut self, group: Arc<str>, ticket: Ticket) {
        self.by_group.entry(group).or_default().waiting.push_back(ticket);
    }

    pub(super) fn close(&mut self, group: &Arc<str>) {
        if let Some(lane) = self.by_group.get_mut(group) {
            lane.closing = true;
            self.closing.push(group.clone());
        }
    }

    pub(super) fn close_all(&mut self) {
        for (group, lane) in &mut self.by_group {
            lane.closing = true;
            self.closing.push(group.clone());
        }
    }

    /// The queue has the head of a closing lane again; its tail may follow.
    pub(super) fn head_is_back(&mut self, group: &Arc<str>) {
        if let Some(lane) = self.by_group.get_mut(group) {
            lane.head_is_back = true;
        }
    }

    /// The head is done with; the next message may start while the delete is under way.
    pub(super) fn acknowledged(&mut self, group: &Arc<str>, ticket: Ticket) {
        let Some(lane) = self.by_group.get_mut(group) else {
            return;
        };
        if let Some(position) = lane.waiting.iter().position(|&waiting| waiting == ticket) {
            lane.waiting.remove(position);
            lane.acknowledging += 1;
        }
    }

    /// The message has left this worker.
    pub(super) fn remove(&mut self, group: &Arc<str>, ticket: Ticket) {
        let Some(lane) = self.by_group.get_mut(group) else {
            return;
        };
        match lane.waiting.iter().position(|&waiting| waiting == ticket) {
            Some(position) => {
                lane.waiting.remove(position);
            }
            None => lane.acknowledging -= 1,
        }
    }
}

impl Scheduler {
    pub(super) fn lane_changed(&mut self, ticket: Ticket) {
        if let Some(group) = self.held.get(&ticket).and_then(|held| held.group.clone()) {
            self.lane_of_group_changed(&group);
        }
    }

    /// Brings the lane's standing (ready, blocked, closing, gone) up to date with its head.
    pub(super) fn lane_of_group_changed(&mut self, group: &Arc<str>) {
        let lanes = &mut self.lanes;
        let Some(lane) = lanes.by_group.get_mut(group) else {
            return;
        };
        let head = lane.waiting.front().map(|ticket| &self.held[ticket]);
        let blocked =
            head.is_some_and(|head| !matches!(head.phase, Phase::Waiting | Phase::Running { .. }));
        if blocked != lane.blocked {
            lanes.blocked = if blocked { lanes.blocked + 1 } else { lanes.blocked - 1 };
            lane.blocked = blocked;
        }
        if lane.closing {
            lanes.closing.push(group.clone());
        } else if !lane.queued
            && head.is_some_and(|head| head.phase == Phase::Waiting && !head.unconfirmed)
        {
            lane.queued = true;
            lanes.ready.push_back(group.clone());
        }
        if lane.waiting.is_empty() && lane.acknowledging == 0 && !lane.queued {
            lanes.by_group.remove(group);
        }
    }

    pub(super) fn next_ready_lane(&mut self) -> Option<Ticket> {
        loop {
            let group = self.lanes.ready.pop_front()?;
            let Some(lane) = self.lanes.by_group.get_mut(&group) else {
                continue;
            };
            lane.queued = false;
            // The head may have been lost, or the lane closed, since it was queued.
            let head = lane.waiting.front().copied().filter(|_| !lane.closing);
            let startable = head.filter(|ticket| {
                let held = &self.held[ticket];
                held.phase == Phase::Waiting && !held.unconfirmed
            });
            if startable.is_some() {
                return startable;
            }
            self.lane_of_group_changed(&group);
        }
    }

    /// Takes closing lanes as far as they can go now: a running head is waited for, then the head
    /// goes back, then, once that is confirmed, its tail. Nobody sees the tail before the head.
    pub(super) fn close_lanes(&mut self, now: Time) {
        // A step may itself put the lane on the list again, for the next round.
        for group in std::mem::take(&mut self.lanes.closing) {
            let Some(lane) = self.lanes.by_group.get(&group) else {
                continue;
            };
            // Earlier messages first: what was done with must be deleted before others see later.
            if lane.acknowledging > 0 {
                continue;
            }
            let Some(&head) = lane.waiting.front() else {
                continue;
            };
            match self.held[&head].phase {
                Phase::Waiting => self.give_back_in_order(head, Duration::ZERO, Fate::Released),
                Phase::Backoff { until } => {
                    let left = until.saturating_since(now);
                    let fate = if self.drain.begun() { Fate::Released } else { Fate::BackedOff };
                    self.give_back_in_order(head, left, fate);
                }
                Phase::Running { .. }
                | Phase::DeadLettering { .. }
                | Phase::Acknowledging { .. }
                | Phase::Returning { .. } => {}
            }
        }
    }

    /// Gives the head back; if a head of this lane has gone back before it, its whole tail with it.
    fn give_back_in_order(&mut self, head: Ticket, visibility: Duration, fate: Fate) {
        let group = self.held[&head].group.clone().expect("lanes hold grouped messages");
        self.give_back(head, visibility, fate);
        let lane = &self.lanes.by_group[&group];
        if !lane.head_is_back {
            return;
        }
        let tail: Vec<Ticket> = lane.waiting.iter().skip(1).copied().collect();
        for ticket in tail {
            if self.held[&ticket].phase == Phase::Waiting {
                self.give_back(ticket, Duration::ZERO, Fate::Released);
            }
        }
    }

    /// The lease of a message is over. In a lane nothing later may run any more: the message will
    /// come back, to this worker or another, before it.
    pub(super) fn lost(&mut self, ticket: Ticket) {
        let Some(group) = self.held.get(&ticket).and_then(|held| held.group.clone()) else {
            self.forget(ticket, Fate::Lost);
            return;
        };
        let lane = &self.lanes.by_group[&group];
        let earlier_than_head = !lane.waiting.contains(&ticket);
        let head = lane.waiting.front().copied();
        self.lanes.close(&group);
        self.forget(ticket, Fate::Lost);
        if let Some(head) = head.filter(|_| earlier_than_head)
            && self.held[&head].phase.is_running()
        {
            self.actions.push(Action::Cancel { ticket: head });
            self.set_phase(head, Phase::Waiting);
        }
    }
}
