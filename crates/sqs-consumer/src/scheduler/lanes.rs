//! FIFO lanes: the held messages of each group, in order.
//!
//! A lane that cannot go on in order is closed: the messages in it leave, the head before its tail,
//! and what is received meanwhile waits behind them as a new generation.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use foldhash::HashMap;
use slab::Slab;

use super::{
    Action, Fate, Scheduler, Ticket,
    broken::Broken,
    held::{Call, Held, Phase, Place, VisibilityCall},
};
use crate::{queue::MAX_BATCH, time::Time};

/// A group's lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneId(pub(super) usize);

/// A ready lane's place in line: first come first served, but one with more behind its head goes before
/// those that came up to so many rounds earlier, as its messages will need so many rounds. A round is
/// as many starts as there are handlers. No group waits for ever, and the longest ones, which decide
/// when all is done, wait least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Rank {
    pub(super) before: u64,
    pub(super) turn: u64,
}

/// All lanes, and which of them can start their head.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    pub(super) by_group: HashMap<Arc<str>, LaneId>,
    pub(super) slab: Slab<Lane>,
    /// Lanes whose head can start, by rank.
    pub(super) ready: BTreeMap<Rank, LaneId>,
    /// How many have ever been ready.
    pub(super) turns: u64,
    /// Closed lanes that may be able to take a further step.
    pub(super) closing: VecDeque<LaneId>,
    pub(super) next_seat: u64,
    pub(super) startable: usize,
    pub(super) blocked: usize,
    /// A drain has given back what it could: what arrives from now on leaves too.
    pub(super) all_closed: bool,
}

/// A group's held messages.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) group: Arc<str>,
    /// Not yet succeeded, in order; the first one is the head.
    pub(super) waiting: BTreeMap<u64, Ticket>,
    /// Those of a closed lane: no further start, they go back to the queue, the head first.
    pub(super) leaving: BTreeMap<u64, Ticket>,
    /// Succeeded, being deleted.
    pub(super) acknowledging: usize,
    pub(super) closed: bool,
    /// Closed, and the queue has confirmed that it has the head again.
    pub(super) head_is_back: bool,
    /// In [`Lanes::ready`].
    pub(super) queued: bool,
    /// In [`Lanes::closing`].
    pub(super) listed: bool,
    /// Counted in [`Lanes::startable`].
    pub(super) startable: bool,
    /// Counted in [`Lanes::blocked`].
    pub(super) blocked: bool,
}

impl Lane {
    fn new(group: Arc<str>) -> Self {
        Self {
            group,
            waiting: BTreeMap::new(),
            leaving: BTreeMap::new(),
            acknowledging: 0,
            closed: false,
            head_is_back: false,
            queued: false,
            listed: false,
            startable: false,
            blocked: false,
        }
    }

    fn head(&self) -> Option<Ticket> {
        let head = self.leaving.first_key_value().or_else(|| self.waiting.first_key_value());
        head.map(|(_, &ticket)| ticket)
    }
}

impl Lanes {
    pub(super) fn len(&self) -> usize {
        self.by_group.len()
    }

    /// Lanes whose head waits for a handler, or for the confirmation of its lease.
    pub(super) fn startable(&self) -> usize {
        self.startable
    }

    pub(super) fn blocked(&self) -> usize {
        self.blocked
    }

    pub(super) fn join(&mut self, group: Option<&Arc<str>>, ticket: Ticket) -> Place {
        // A FIFO message always has a group. Should a server leave it out, all such messages share
        // one lane: slow, but in order.
        let group = group.cloned().unwrap_or_else(|| Arc::from(""));
        let lane = *self
            .by_group
            .entry(group.clone())
            .or_insert_with(|| LaneId(self.slab.insert(Lane::new(group))));
        let seat = self.sit(lane, ticket);
        Place::Lane { lane, seat }
    }

    /// The last seat of the lane.
    fn sit(&mut self, id: LaneId, ticket: Ticket) -> u64 {
        let seat = self.next_seat;
        self.next_seat += 1;
        let lane = &mut self.slab[id.0];
        if self.all_closed {
            lane.closed = true;
            lane.leaving.insert(seat, ticket);
        } else {
            lane.waiting.insert(seat, ticket);
        }
        seat
    }

    /// What is in the lane now leaves; what comes later waits for that.
    pub(super) fn close(&mut self, id: LaneId) {
        let lane = &mut self.slab[id.0];
        lane.closed = true;
        lane.head_is_back = false;
        lane.leaving.append(&mut lane.waiting);
        self.list(id);
    }

    pub(super) fn all(&self) -> Vec<LaneId> {
        self.slab.iter().map(|(id, _)| LaneId(id)).collect()
    }

    /// The lane may be able to take a further step.
    pub(super) fn list(&mut self, id: LaneId) {
        let lane = &mut self.slab[id.0];
        if !std::mem::replace(&mut lane.listed, true) {
            self.closing.push_back(id);
        }
    }

    pub(super) fn some_are_closing(&self) -> bool {
        !self.closing.is_empty()
    }

    /// Whether the message is one of a closed lane that leave.
    pub(super) fn is_leaving(&self, id: LaneId, seat: u64) -> bool {
        self.slab[id.0].leaving.contains_key(&seat)
    }

    /// The queue has the head of a closed lane again; its tail may follow.
    pub(super) fn head_is_back(&mut self, id: LaneId) {
        self.slab[id.0].head_is_back = true;
    }

    /// The message is done with; the next one may start while the delete is under way.
    pub(super) fn acknowledged(&mut self, id: LaneId, seat: u64) {
        if self.vacate(id, seat) {
            self.slab[id.0].acknowledging += 1;
        }
    }

    /// Whether nothing but deletes is left of the lane.
    pub(super) fn is_done(&self, id: LaneId) -> bool {
        let lane = &self.slab[id.0];
        lane.waiting.is_empty() && lane.leaving.is_empty()
    }

    /// The message has left this worker.
    pub(super) fn remove(&mut self, id: LaneId, seat: u64) {
        if !self.vacate(id, seat) {
            self.slab[id.0].acknowledging -= 1;
        }
    }

    fn vacate(&mut self, id: LaneId, seat: u64) -> bool {
        let lane = &mut self.slab[id.0];
        lane.waiting.remove(&seat).or_else(|| lane.leaving.remove(&seat)).is_some()
    }

    /// One that was to leave has been received again: it waits for its turn anew.
    fn stays(&mut self, id: LaneId, seat: u64, ticket: Ticket) -> u64 {
        self.slab[id.0].leaving.remove(&seat);
        self.sit(id, ticket)
    }
}

impl Scheduler {
    /// Brings the lane's standing (closed, startable, blocked, gone) up to date with its head.
    pub(super) fn lane_changed(&mut self, id: LaneId) {
        if self.drain_closes(&self.lanes.slab[id.0]) {
            self.lanes.close(id);
        }
        let lanes = &mut self.lanes;
        let lane = &mut lanes.slab[id.0];
        if lane.closed && lane.leaving.is_empty() && lane.acknowledging == 0 {
            lane.closed = false;
            lane.head_is_back = false;
        }
        let head = lane.head().map(|ticket| &self.held[&ticket]);
        let blocked = head.is_some_and(|head| !head.phase.is_waiting() && !head.phase.is_running());
        lanes.blocked -= usize::from(std::mem::replace(&mut lane.blocked, blocked));
        lanes.blocked += usize::from(blocked);
        let waits = !lane.closed && head.is_some_and(|head| head.phase.is_waiting());
        lanes.startable -= usize::from(std::mem::replace(&mut lane.startable, waits));
        lanes.startable += usize::from(waits);
        if waits && !lane.queued && head.is_some_and(|head| !head.unconfirmed) {
            lane.queued = true;
            let held = lane.waiting.len().saturating_sub(1).min(MAX_BATCH);
            // The rest of the group cannot be received before this is done.
            let more = head.is_some_and(|head| head.may_have_more);
            let behind = if more { MAX_BATCH } else { held };
            let turn = lanes.turns;
            lanes.turns += 1;
            let before = turn.saturating_sub((behind * self.config.concurrency) as u64);
            lanes.ready.insert(Rank { before, turn }, id);
        }
        if lane.closed {
            lanes.list(id);
        } else if lane.acknowledging == 0 && lane.head().is_none() && !lane.queued && !lane.listed {
            let lane = lanes.slab.remove(id.0);
            lanes.by_group.remove(&lane.group);
        }
    }

    pub(super) fn next_ready_lane(&mut self) -> Option<Ticket> {
        loop {
            let (_, id) = self.lanes.ready.pop_first()?;
            self.lanes.slab[id.0].queued = false;
            let lane = &self.lanes.slab[id.0];
            if self.breaks(Broken::AnyMessageOfTheLane) {
                let held = &self.held;
                let waits = |ticket: &&Ticket| held[*ticket].phase.is_waiting();
                if let Some(&ticket) = lane.waiting.values().rev().find(waits) {
                    return Some(ticket);
                }
            }
            // The head may have been lost, or the lane closed, since it was queued.
            let head = lane.head().filter(|_| !lane.closed);
            let startable = head.filter(|ticket| {
                let held = &self.held[ticket];
                held.phase.is_waiting() && !held.unconfirmed
            });
            if startable.is_some() {
                return startable;
            }
            self.lane_changed(id);
        }
    }

    /// Takes closed lanes as far as they can go now: a running head is waited for, then the head
    /// goes back, then, once that is confirmed, its tail. Nobody sees the tail before the head.
    pub(super) fn close_lanes(&mut self, now: Time) {
        while let Some(id) = self.lanes.closing.pop_front() {
            let lane = &mut self.lanes.slab[id.0];
            lane.listed = false;
            // Earlier messages first: what was done with must be deleted before others see later.
            let head = lane.leaving.first_key_value().map(|(_, &ticket)| ticket);
            let Some(head) = head.filter(|_| lane.acknowledging == 0) else {
                if head.is_some() {
                    self.settling.stalls(now);
                }
                self.drop_if_empty(id);
                continue;
            };
            if self.breaks(Broken::TailLeftBehind) {
                self.leave_tail_behind(id);
            }
            let draining = self.drain.begun();
            match self.held[&head].phase {
                // The answer that is to confirm the lease decides.
                Phase::Waiting | Phase::Backoff { .. } if self.held[&head].unconfirmed => {}
                Phase::Waiting => self.give_back_in_order(id, head, Duration::ZERO, Fate::Released),
                Phase::Backoff { until }
                | Phase::DeadLettering { call: Call::RetryAt(until), .. }
                    if draining =>
                {
                    let left = until.saturating_since(now);
                    self.give_back_in_order(id, head, left, Fate::Released);
                }
                Phase::DeadLettering { call: Call::Queued, .. }
                    if draining && self.drain_releases_copies() =>
                {
                    self.give_back_in_order(id, head, Duration::ZERO, Fate::Released);
                }
                Phase::Backoff { until } => {
                    let left = until.saturating_since(now);
                    self.give_back_in_order(id, head, left, Fate::BackedOff);
                }
                Phase::Running { .. }
                | Phase::DeadLettering { .. }
                | Phase::Acknowledging { .. }
                | Phase::Returning { .. } => {}
            }
        }
    }

    /// A lane that is closed with nothing in it is open again, or gone.
    fn drop_if_empty(&mut self, id: LaneId) {
        let lane = &self.lanes.slab[id.0];
        if lane.leaving.is_empty() && lane.acknowledging == 0 {
            self.lane_changed(id);
        }
    }

    /// Gives the head back; if a head of this lane has gone back before it, its whole tail with it.
    fn give_back_in_order(&mut self, id: LaneId, head: Ticket, visibility: Duration, fate: Fate) {
        let can_go = |held: &Held| {
            held.phase.is_waiting()
                && !held.unconfirmed
                && held.visibility_call == VisibilityCall::None
        };
        let head_goes = self.held[&head].visibility_call == VisibilityCall::None;
        self.give_back(head, visibility, fate);
        let lane = &self.lanes.slab[id.0];
        if !(lane.head_is_back && head_goes || self.breaks(Broken::TailWithHead)) {
            return;
        }
        // As far as nothing is in the way: none overtakes one that must wait for an answer.
        let tail = lane.leaving.values().skip(1).copied();
        let tail: Vec<Ticket> = tail.take_while(|ticket| can_go(&self.held[ticket])).collect();
        for ticket in tail {
            self.give_back(ticket, Duration::ZERO, Fate::Released);
        }
    }

    fn leave_tail_behind(&mut self, id: LaneId) {
        let tail: Vec<Ticket> = self.lanes.slab[id.0].leaving.values().skip(1).copied().collect();
        for ticket in tail {
            self.forget(ticket, Fate::Released);
        }
    }

    /// One that leaves was received again, so the queue has given it to this worker anew.
    pub(super) fn stay(&mut self, now: Time, ticket: Ticket) {
        let held = self.held.get_mut(&ticket).expect("held");
        if let Place::Lane { lane, seat } = &mut held.place {
            *seat = self.lanes.stays(*lane, *seat, ticket);
        }
        let phase = match held.phase {
            Phase::Returning { visibility, .. } => {
                // As if it had been given back and then received; but perhaps it never was.
                held.retries = 0;
                let until = now + visibility;
                if visibility.is_zero() { Phase::Waiting } else { Phase::Backoff { until } }
            }
            phase => phase,
        };
        self.set_phase(ticket, phase);
    }

    /// The lease of a message is over. In a lane nothing later may run any more: the message will
    /// come back, to this worker or another, before it.
    pub(super) fn lost(&mut self, ticket: Ticket) {
        self.given_up(ticket, Fate::Lost);
    }

    /// The same for one of which nothing is known any more.
    pub(super) fn given_up(&mut self, ticket: Ticket, fate: Fate) {
        let Some(Place::Lane { lane: id, seat }) = self.held.get(&ticket).map(|held| held.place)
        else {
            self.forget(ticket, fate);
            return;
        };
        if self.breaks(Broken::LaneGoesOnAfterLoss) {
            self.forget(ticket, fate);
            return;
        }
        let lane = &self.lanes.slab[id.0];
        let earlier_than_head =
            !lane.waiting.contains_key(&seat) && !lane.leaving.contains_key(&seat);
        let head = lane.head();
        self.lanes.close(id);
        if let Some(head) = head.filter(|_| earlier_than_head)
            && self.held[&head].phase.is_running()
        {
            self.actions.push(Action::Cancel { ticket: head });
            self.set_phase(head, Phase::Waiting);
        }
        self.forget(ticket, fate);
    }
}
