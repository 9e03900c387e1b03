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
//! * A message whose lease may be over is neither started nor deleted, and the lane stops with it.
//! * Each ticket ends with exactly one [`Action::Forget`].
//! * At most one call about a message's visibility is under way.

mod attempts;
mod backoff;
mod breaker;
#[cfg(feature = "broken-schedulers")]
mod broken;
mod config;
mod drain;
mod held;
mod lanes;
mod leases;
mod polling;
mod settling;
mod types;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

#[cfg(feature = "broken-schedulers")]
pub use broken::Broken;
pub use config::{Config, Timing};
pub use types::{Action, Answer, Arrival, Ended, Fate, PollId, Stats, Ticket};

use self::{
    backoff::Jitter,
    breaker::Breaker,
    drain::Drain,
    held::{Call, Held, Phase},
    lanes::Lanes,
    polling::Polling,
    settling::Settling,
};
use crate::{lease::Lease, queue::MAX_BATCH, time::Time};

/// The state of one queue's consumer. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Scheduler {
    config: Config,
    held: HashMap<Ticket, Held>,
    by_message: HashMap<Arc<str>, Ticket>,
    /// Standard queue: messages that can start, in order of arrival.
    ready: VecDeque<Ticket>,
    lanes: Lanes,
    running: usize,
    polling: Polling,
    breaker: Breaker,
    settling: Settling,
    drain: Drain,
    wakeups: BTreeSet<(Time, Ticket)>,
    lease_timers: BTreeSet<(Time, Ticket)>,
    /// Moving mean of a handler's time; none before the first.
    mean_time: Option<Duration>,
    jitter: Jitter,
    actions: Vec<Action>,
    #[cfg(feature = "broken-schedulers")]
    broken: Option<Broken>,
}

impl Scheduler {
    /// A scheduler that holds nothing yet.
    pub fn new(config: Config, now: Time) -> Self {
        Self {
            held: HashMap::new(),
            by_message: HashMap::new(),
            ready: VecDeque::new(),
            lanes: Lanes::default(),
            running: 0,
            polling: Polling::new(now),
            breaker: Breaker::default(),
            settling: Settling::default(),
            drain: Drain::default(),
            wakeups: BTreeSet::new(),
            lease_timers: BTreeSet::new(),
            mean_time: None,
            jitter: Jitter::new(config.seed),
            actions: Vec::new(),
            config,
            #[cfg(feature = "broken-schedulers")]
            broken: None,
        }
    }

    /// A receive that was sent at `requested_at` has brought messages, perhaps none.
    pub fn received(
        &mut self,
        now: Time,
        poll: PollId,
        requested_at: Time,
        arrivals: Vec<Arrival>,
    ) {
        self.polling.succeeded(now, poll, requested_at, arrivals.len(), &self.config.timing);
        self.drain.receive_ended(now, self.config.timing.drain_flush);
        for arrival in arrivals {
            self.arrived(now, requested_at, arrival);
        }
    }

    /// A receive has failed as a whole.
    pub fn receive_failed(&mut self, now: Time, poll: PollId) {
        self.polling.failed(now, poll, &self.config.timing, &mut self.jitter);
        self.drain.receive_ended(now, self.config.timing.drain_flush);
    }

    /// A handler has ended. Ignored for a message that is not running any more.
    pub fn finished(&mut self, now: Time, ticket: Ticket, ended: Ended) {
        let Some(held) = self.held.get(&ticket) else {
            return;
        };
        let Phase::Running { since } = held.phase else {
            return;
        };
        self.polling.active(now);
        self.learn(now.saturating_since(since));
        if ended == Ended::Unavailable {
            self.breaker.tripped(now, ticket, &self.config.timing, &mut self.jitter);
        } else {
            self.breaker.closed();
        }
        if self.held[&ticket].lease.is_over(now) {
            // Somebody else may be working on it by now: say nothing to SQS, and stop the lane.
            self.lost(ticket);
            return;
        }
        match ended {
            Ended::Done => self.acknowledge(now, ticket),
            Ended::DeadLetter => self.dead_letter_or_give_back(now, ticket),
            Ended::Unavailable => self.wait_again(ticket),
            Ended::Retry { not_before, .. } => self.failed_attempt(now, ticket, not_before),
        }
    }

    /// Another consumer of this process was busy at `at`: polls are short as if this one had been.
    pub fn active_elsewhere(&mut self, at: Time) {
        self.polling.active(at);
    }

    /// Begins the drain: no receive, no start; what runs may finish until the drain timeout.
    pub fn drain(&mut self, now: Time) {
        self.drain.begin(now, &self.config);
    }

    /// Whether a drain has come to its end: nothing is held, nothing is under way.
    pub fn is_drained(&self) -> bool {
        self.drain.is_over(self.held.is_empty() && self.polling.is_idle())
    }

    /// Does what is due and returns what the caller must do.
    pub fn advance(&mut self, now: Time) -> Vec<Action> {
        self.fire_lease_timers(now);
        self.fire_wakeups(now);
        self.advance_drain(now);
        self.start_ready(now);
        self.close_lanes(now);
        self.flush(now);
        self.poll(now);
        std::mem::take(&mut self.actions)
    }

    /// When [`Scheduler::advance`] has something to do next if no fact comes before.
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        let first = |set: &BTreeSet<(Time, Ticket)>| set.first().map(|&(at, _)| at);
        let poll =
            self.polling.retry_at().filter(|_| !self.drain.begun() && self.polling.is_idle());
        let probe = self.breaker.probe_at().filter(|_| !self.drain.begun());
        [
            first(&self.wakeups),
            first(&self.lease_timers),
            self.settling.flush_at(self.linger()),
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
        }
    }

    /// Receives that have failed in a row.
    pub fn failed_receives(&self) -> u32 {
        self.polling.failures()
    }

    fn arrived(&mut self, now: Time, requested_at: Time, arrival: Arrival) {
        let lease = Lease::new(requested_at, self.config.visibility);
        if let Some(&held) = self.by_message.get(&arrival.message_id) {
            self.adopt(now, held, &arrival, lease);
            return;
        }
        let ticket = arrival.ticket;
        // A FIFO message always has a group. Should a server leave it out, all such messages share
        // one lane: slow, but in order.
        let shared = || Arc::from("");
        let group = self.config.fifo.then(|| arrival.group.clone().unwrap_or_else(shared));
        let unconfirmed = lease.is_over(now);
        self.by_message.insert(arrival.message_id.clone(), ticket);
        self.held.insert(
            ticket,
            Held {
                message_id: arrival.message_id,
                group: group.clone(),
                receive_count: arrival.receive_count,
                retries: 0,
                lease,
                phase: Phase::Waiting,
                extending: false,
                extension_is_old: false,
                unconfirmed,
                received_again: false,
                dead_lettered: false,
                lease_timer: None,
                wakeup: None,
            },
        );
        self.arm_lease_timer(ticket, lease.renew_at());
        match group {
            Some(group) => self.lanes.push(group, ticket),
            None if !unconfirmed => self.ready.push_back(ticket),
            None => {}
        }
        self.lane_changed(ticket);
    }

    /// SQS has handed out a message that is still held here. Nobody else has it, and the newest
    /// handle is the one that counts; the work goes on.
    fn adopt(&mut self, now: Time, held: Ticket, arrival: &Arrival, lease: Lease) {
        let message = self.held.get_mut(&held).expect("indexed messages are held");
        message.lease = lease;
        message.extension_is_old = message.extending;
        let was_unconfirmed = std::mem::replace(&mut message.unconfirmed, lease.is_over(now));
        let confirmed = was_unconfirmed && !message.unconfirmed;
        message.receive_count = message.receive_count.max(arrival.receive_count);
        message.received_again = matches!(
            message.phase,
            Phase::Acknowledging { call: Call::UnderWay }
                | Phase::Returning { call: Call::UnderWay, .. }
        );
        self.arm_lease_timer(held, lease.renew_at());
        if confirmed {
            self.confirmed(held);
        }
        self.actions.push(Action::Adopt { held, newer: arrival.ticket });
    }

    fn start_ready(&mut self, now: Time) {
        if self.drain.begun() {
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
            self.set_phase(ticket, Phase::Running { since: now });
            self.actions.push(Action::Start { ticket, attempt });
        }
    }

    fn next_ready(&mut self) -> Option<Ticket> {
        if self.config.fifo {
            return self.next_ready_lane();
        }
        loop {
            let ticket = self.ready.pop_front()?;
            if self.held.get(&ticket).is_some_and(|held| held.phase == Phase::Waiting) {
                return Some(ticket);
            }
        }
    }

    fn fire_wakeups(&mut self, now: Time) {
        while let Some(&(at, ticket)) = self.wakeups.first() {
            if at > now {
                break;
            }
            let held = &self.held[&ticket];
            match held.phase {
                Phase::Backoff { .. } => {
                    self.set_phase(ticket, Phase::Waiting);
                    if self.held[&ticket].group.is_none() {
                        self.ready.push_back(ticket);
                    }
                }
                Phase::DeadLettering { failures, .. } => {
                    self.set_phase(ticket, Phase::DeadLettering { call: Call::UnderWay, failures });
                    self.actions.push(Action::DeadLetter { ticket });
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
        self.running -= usize::from(held.phase.is_running());
        self.running += usize::from(phase.is_running());
        held.phase = phase;
        if let Some(at) = held.wakeup.take() {
            self.wakeups.remove(&(at, ticket));
        }
        held.wakeup = phase.wakeup();
        if let Some(at) = held.wakeup {
            self.wakeups.insert((at, ticket));
        }
        self.lane_changed(ticket);
    }

    /// The message's end.
    fn forget(&mut self, ticket: Ticket, fate: Fate) {
        let Some(held) = self.held.remove(&ticket) else {
            return;
        };
        self.by_message.remove(&held.message_id);
        self.running -= usize::from(held.phase.is_running());
        if held.phase.is_running() {
            self.actions.push(Action::Cancel { ticket });
        }
        if let Some(at) = held.wakeup {
            self.wakeups.remove(&(at, ticket));
        }
        if let Some(at) = held.lease_timer {
            self.lease_timers.remove(&(at, ticket));
        }
        self.breaker.forgotten(ticket);
        self.settling.forgotten(&held.phase);
        if let Some(group) = &held.group {
            self.lanes.remove(group, ticket);
            self.lane_of_group_changed(group);
        }
        self.actions.push(Action::Forget { ticket, fate });
    }
}
