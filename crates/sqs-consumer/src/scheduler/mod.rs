//! The pure core: facts in, actions out, time as a parameter.
//!
//! The scheduler knows no AWS, no tokio and no clock. The caller tells it what has happened
//! (`received`, `finished`, `deleted`, ...), then calls [`Scheduler::advance`] and carries out the
//! [`Action`]s that it returns. [`Scheduler::next_wakeup`] says when to call `advance` again if
//! nothing happens before.
//!
//! What it guarantees, whatever the order of facts:
//! * At most one message of a FIFO group runs; a later one starts only when every earlier one that
//!   is held has succeeded or has been dead-lettered.
//! * A message whose lease may be over is neither started nor deleted, nor extended or given back, and
//!   the lane stops with it. The exception: on a FIFO queue an extension finds out whether a lease
//!   still holds whose receive took too long.
//! * Each ticket ends with exactly one [`Action::Forget`] or as the newer one of an [`Action::Adopt`].
//! * At most one call about a message's visibility is under way.

mod arrivals;
mod attempts;
mod backoff;
mod breaker;
mod broken;
mod config;
mod copies;
mod drain;
mod held;
#[cfg(feature = "identity")]
mod identity;
mod lanes;
mod leases;
mod lingers;
mod message_id;
mod polling;
mod settling;
mod trouble;
mod turns;
mod types;

use std::{collections::BTreeSet, time::Duration};

use foldhash::HashMap;

pub use attempts::LONGEST_BACKOFF;
#[cfg(feature = "broken-schedulers")]
pub use broken::Broken;
pub use config::{Config, Timing};
pub use message_id::MessageId;
pub use polling::MAX_IN_FLIGHT;
pub use types::{Action, Answer, Arrival, Ended, Fate, PollId, Stats, Ticket};

#[cfg(not(feature = "broken-schedulers"))]
use self::broken::Broken;
use self::{
    backoff::Jitter,
    breaker::Breaker,
    drain::Drain,
    held::{Call, Held, Phase, Place},
    lanes::Lanes,
    leases::LeaseTimers,
    polling::Polling,
    settling::Settling,
    turns::Turns,
};
use crate::{queue::MAX_BATCH, time::Time};

/// The state of one queue's consumer. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Scheduler {
    config: Config,
    held: HashMap<Ticket, Held>,
    by_message: HashMap<MessageId, Ticket>,
    /// FIFO queue: what waits, in order.
    lanes: Lanes,
    /// Standard queue: what waits, group by group in turn.
    turns: Turns,
    running: usize,
    /// Bytes of all that is held.
    held_bytes: usize,
    polling: Polling,
    breaker: Breaker,
    settling: Settling,
    drain: Drain,
    /// Messages that a drain may give back since it last did so.
    waiting_anew: Vec<Ticket>,
    wakeups: BTreeSet<(Time, Ticket)>,
    lease_timers: LeaseTimers,
    /// Moving mean of a handler's time; none before the first.
    mean_time: Option<Duration>,
    /// That of the handler that has ended last.
    latest_time: Duration,
    jitter: Jitter,
    actions: Vec<Action>,
    #[cfg(feature = "broken-schedulers")]
    broken: Option<Broken>,
}

impl Scheduler {
    /// A scheduler that holds nothing yet.
    pub fn new(config: Config, now: Time) -> Self {
        Self {
            held: HashMap::default(),
            by_message: HashMap::default(),
            lanes: Lanes::default(),
            turns: Turns::default(),
            running: 0,
            held_bytes: 0,
            polling: Polling::new(now),
            breaker: Breaker::new(&config.timing),
            settling: Settling::default(),
            drain: Drain::default(),
            waiting_anew: Vec::new(),
            wakeups: BTreeSet::new(),
            lease_timers: LeaseTimers::default(),
            mean_time: None,
            latest_time: Duration::ZERO,
            jitter: Jitter::new(config.seed),
            actions: Vec::new(),
            config,
            #[cfg(feature = "broken-schedulers")]
            broken: None,
        }
    }

    /// A receive has failed as a whole.
    pub fn receive_failed(&mut self, now: Time, poll: PollId) {
        self.polling.failed(now, poll, &self.config.timing, &mut self.jitter);
        if self.breaks(Broken::NoPauseAfterFailedReceive) {
            self.polling.do_not_pause();
        }
        self.drain.receive_ended(now, self.config.timing.drain_flush);
    }

    /// Another consumer of this process was busy at `at`: polls are short as if this one had been.
    pub fn active_elsewhere(&mut self, at: Time) {
        self.polling.active(at);
    }

    /// Begins the drain: no receive, no start but of what is here on its last receive; what runs may
    /// finish until the drain timeout.
    pub fn drain(&mut self, now: Time) {
        self.drain.begin(now, &self.config);
    }

    /// Whether a drain has come to its end: nothing is held, nothing is under way.
    pub fn is_drained(&self) -> bool {
        self.drain.is_over(self.held.is_empty() && self.polls_have_ended())
    }

    /// Does what is due and returns what the caller must do.
    pub fn advance(&mut self, now: Time) -> Vec<Action> {
        self.fire_lease_timers(now);
        self.fire_wakeups(now);
        self.advance_drain(now);
        self.start_ready(now);
        self.close_lanes(now);
        self.flush(now);
        // What turned out to be lost while it was to be sent has closed its lane.
        while self.lanes.some_are_closing() {
            self.close_lanes(now);
            self.flush(now);
        }
        self.poll(now);
        std::mem::take(&mut self.actions)
    }

    /// When [`Scheduler::advance`] has something to do next if no fact comes before.
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        let poll =
            self.polling.paused_until().filter(|_| !self.drain.begun() && self.polling.is_idle());
        let probe = self.breaker.probe_at().filter(|_| self.drain.may_start());
        [
            self.wakeups.first().map(|&(at, _)| at),
            self.lease_timers.first(),
            self.settling.flush_at(self.delete_linger()),
            self.drain.next_wakeup(!self.polling.is_idle()),
            poll.filter(|at| *at > now),
            probe.filter(|at| *at > now),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Current figures.
    pub fn stats(&self) -> Stats {
        Stats {
            held: self.held.len(),
            running: self.running,
            groups: self.lanes.len(),
            groups_blocked: self.lanes.blocked(),
            polls: self.polling.reserved().div_ceil(MAX_BATCH),
            breaker_open: self.breaker.is_open(),
            settling_fails: self.settling.is_seen_to_fail() && !self.held.is_empty()
                || self.settling.fails() && self.polling.failures() > 0,
        }
    }

    /// Times in a row that receiving had to pause, since a receive failed or came too late to be of
    /// use. Receives that fail together are one such time.
    pub fn failed_receives(&self) -> u32 {
        self.polling.failures()
    }

    /// Whether no receive is outstanding.
    fn polls_have_ended(&self) -> bool {
        self.polling.is_idle() || self.breaks(Broken::DropPollsOnDrain)
    }

    fn start_ready(&mut self, now: Time) {
        let round_is_on = self.running > 0 && self.breaks(Broken::RoundAfterRound);
        if !self.drain.may_start() || round_is_on {
            return;
        }
        while self.running < self.config.concurrency && self.breaker.allows(now) {
            let Some(ticket) = self.next_ready() else {
                break;
            };
            let held = &self.held[&ticket];
            if held.lease.is_over(now) {
                self.lost(ticket);
                continue;
            }
            let attempt = self.attempt(held);
            self.breaker.started(ticket);
            self.set_phase(ticket, Phase::Running { since: now, attempt });
            self.actions.push(Action::Start { ticket, attempt });
        }
    }

    fn next_ready(&mut self) -> Option<Ticket> {
        if self.config.fifo { self.next_ready_lane() } else { self.next_turn() }
    }

    fn fire_wakeups(&mut self, now: Time) {
        while let Some(&(at, ticket)) = self.wakeups.first() {
            if at > now {
                break;
            }
            let held = &self.held[&ticket];
            match held.phase {
                Phase::Backoff { .. } => self.set_phase(ticket, Phase::Waiting),
                Phase::DeadLettering { failures, .. } => {
                    self.set_phase(ticket, Phase::DeadLettering { call: Call::Queued, failures });
                }
                Phase::Acknowledging { .. } => self.queue_delete(now, ticket),
                Phase::Returning { visibility, fate, .. } => {
                    self.give_back(ticket, visibility, fate);
                }
                Phase::Waiting | Phase::Running { .. } => {
                    unreachable!("these phases arm no wakeup")
                }
            }
        }
    }

    /// The one place where a phase changes: counters and timers follow it.
    fn set_phase(&mut self, ticket: Ticket, phase: Phase) {
        let held = self.held.get_mut(&ticket).expect("only held messages change phase");
        let before = std::mem::replace(&mut held.phase, phase);
        if let Some(at) = held.wakeup.take() {
            self.wakeups.remove(&(at, ticket));
        }
        held.wakeup = phase.wakeup();
        if let Some(at) = held.wakeup {
            self.wakeups.insert((at, ticket));
        }
        let place = held.place;
        self.phase_moved(ticket, place, Some(before), Some(phase));
        self.may_go_back(ticket);
    }

    /// Something else about a message has changed that decides whether it can start.
    fn moved(&mut self, ticket: Ticket) {
        if let Place::Lane { lane, .. } = self.held[&ticket].place {
            self.lane_changed(lane);
        }
    }

    fn phase_moved(
        &mut self,
        ticket: Ticket,
        place: Place,
        before: Option<Phase>,
        after: Option<Phase>,
    ) {
        self.running -= usize::from(before.is_some_and(Phase::is_running));
        self.running += usize::from(after.is_some_and(Phase::is_running));
        if before.is_some_and(Phase::is_running) {
            self.breaker.ended(ticket);
        }
        self.settling.copies.moved(ticket, before, after);
        match place {
            Place::Lane { lane, .. } => self.lane_changed(lane),
            Place::Turn(turn) => self.turns.moved(turn, ticket, (before, after)),
        }
    }

    /// When the lease of a held message ends; none where a call is to find out whether it has not.
    pub fn lease_ends(&self, ticket: Ticket) -> Option<Time> {
        let held = self.held.get(&ticket)?;
        (!held.unconfirmed).then(|| held.lease.deadline())
    }

    /// The message's end.
    fn forget(&mut self, ticket: Ticket, fate: Fate) {
        let Some(held) = self.held.remove(&ticket) else {
            return;
        };
        self.by_message.remove(&held.message_id);
        self.held_bytes -= held.bytes;
        if held.phase.is_running() && !self.breaks(Broken::NoCancelOnLoss) {
            self.actions.push(Action::Cancel { ticket });
        }
        if let Some(at) = held.wakeup {
            self.wakeups.remove(&(at, ticket));
        }
        self.lease_timers.remove(ticket, held.lease_timer);
        self.settling.forgotten(&held.phase);
        if let Place::Lane { lane, seat } = held.place {
            self.lanes.remove(lane, seat);
        }
        self.phase_moved(ticket, held.place, Some(held.phase), None);
        if let Place::Turn(turn) = held.place {
            self.turns.leave(turn);
        }
        self.actions.push(Action::Forget { ticket, fate });
    }
}
