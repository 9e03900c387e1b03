//! A worker: a real scheduler, and beside it what an observer knows of each message it holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use rand::Rng;
use sqs_consumer::{
    Attempt, MAX_BATCH,
    scheduler::{Config, Ended, PollId, Scheduler, Ticket},
};

use super::{
    calls::{Got, Told},
    dice::{About, Dice},
    pace::Pace,
    plan::Plan,
    time,
    violation::{Check, Checked, Violation},
};

pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) scheduler: Scheduler,
    pub(super) life: Life,
    pub(super) draining_since: Option<u64>,
    pub(super) was_paused: bool,
    /// It was stopped at some time since the drain began.
    pub(super) paused_in_drain: bool,
    pub(super) slots: BTreeMap<Ticket, Slot>,
    /// Receives that are not answered: how many messages each asked for.
    pub(super) polls: BTreeMap<PollId, usize>,
    /// The wait of the latest ones, in milliseconds after which they must have ended.
    pub(super) polls_end: u64,
    /// Groups of which a message has gone back since one of them last started.
    pub(super) gone_back: BTreeSet<u32>,
    /// Groups of which a message was lost since one of them last started.
    pub(super) lost: BTreeSet<u32>,
    /// Groups whose lanes go back since a lease is not extended, until one of them starts.
    pub(super) closing: BTreeSet<u32>,
    /// The shortest time that a handler has taken so far, in milliseconds.
    pub(super) fastest: Option<u64>,
    /// The longest time that a full receive has taken so far, in milliseconds.
    pub(super) slowest_receive: u64,
    /// Groups with a message that a drain could not settle since a call about it had no good answer in
    /// time.
    pub(super) stuck: BTreeSet<u32>,
    /// Receives that brought something when nothing failed any more, since the first message that
    /// has left the worker then.
    pub(super) received_in_calm: Option<u32>,
    /// Since when receives have been of no use.
    pub(super) receives_fail_since: Option<u64>,
    /// What has happened while it was stopped.
    pub(super) mailbox: Vec<Told>,
    /// When its timer goes off.
    pub(super) wakeup: Option<u64>,
    pub(super) pace: Pace,
    pub(super) outage: Option<Outage>,
    pub(super) calls: u64,
    pub(super) starts: u64,
    next_ticket: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Up,
    Paused,
    Dead,
    Drained,
}

/// The worker knows that a common need is down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    /// When it learnt so, and when a probe last told it so.
    pub(super) told_at: u64,
    pub(super) first_start: u64,
}

/// A ticket that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) instance: usize,
    pub(super) message: usize,
    pub(super) group: Option<u32>,
    pub(super) sequence: u64,
    pub(super) receive: u64,
    pub(super) handle: Rc<str>,
    pub(super) receive_count: u32,
    pub(super) requested_at: u64,
    /// The end of the lease as the worker can know it.
    pub(super) deadline: u64,
    /// It was over for the worker before the answer came by which it is not.
    pub(super) was_over: bool,
    /// The answer came after that; on FIFO an extension can prove that the lease holds.
    pub(super) unconfirmed: bool,
    /// The handler that runs: its number.
    pub(super) running: Option<u64>,
    pub(super) started_at: u64,
    pub(super) attempt: Option<Attempt>,
    /// How many handlers of the message had been started with it, by any worker.
    pub(super) nth: u32,
    pub(super) verdict: Option<Ended>,
    /// The receive that the verdict was about.
    pub(super) verdict_of: u64,
    /// The newest receive of the message that the worker had been told of by then.
    pub(super) verdict_knew: u64,
    pub(super) ended_at: u64,
    /// Retries in place: those that count, and those that may count.
    pub(super) own_failures: u32,
    pub(super) shared_failures: u32,
    /// A visibility call is under way.
    pub(super) changing: bool,
    pub(super) deleting: bool,
    /// A copy to the dead-letter queue is under way.
    pub(super) copying: bool,
    pub(super) copied: bool,
    /// A return was asked for.
    pub(super) returning: bool,
    /// The queue has confirmed it.
    pub(super) returned: bool,
    pub(super) deleted: bool,
    /// The queue has said that the lease is over, or has refused for good what cannot be tried again.
    pub(super) refused: bool,
    /// It has refused for good to make it visible.
    pub(super) return_refused: bool,
    /// The queue has refused to extend its lease: it is given up before its end.
    pub(super) unextended: bool,
    /// Its handler was told to stop.
    pub(super) stopped: bool,
}

impl Slot {
    /// Each message has a size.
    pub(super) fn bytes(&self) -> usize {
        1 + self.message % 100
    }

    /// It has failed for good, and waits for the dead-letter queue.
    pub(super) fn is_given_up(&self) -> bool {
        match self.verdict {
            Some(Ended::DeadLetter) => true,
            Some(Ended::Retry { .. }) => self.attempt.is_some_and(Attempt::is_last),
            _ => false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.verdict, Some(Ended::Done | Ended::AlreadyDone))
    }
}

impl Worker {
    /// Whether a lease of the group's lane is given up before its end: then the lane closes.
    pub(super) fn gives_up(&self, group: Option<u32>) -> bool {
        let is_unextended = |slot: &Slot| slot.group == group && slot.unextended;
        self.slots.values().any(is_unextended)
            || group.is_some_and(|group| self.closing.contains(&group))
    }

    pub(super) fn new(plan: &Plan, index: usize, now: u64) -> Self {
        let mut config = plan.config.clone();
        config.seed = Dice(plan.seed).about(About::Scheduler, index as u64, 0).next_u64();
        let mut scheduler = Scheduler::new(config, time(now));
        if let Some(rule) = plan.broken {
            scheduler = scheduler.breaking(rule);
        }
        Self {
            index,
            scheduler,
            life: Life::Up,
            draining_since: None,
            was_paused: false,
            paused_in_drain: false,
            slots: BTreeMap::new(),
            polls: BTreeMap::new(),
            polls_end: 0,
            gone_back: BTreeSet::new(),
            lost: BTreeSet::new(),
            closing: BTreeSet::new(),
            fastest: None,
            slowest_receive: 0,
            stuck: BTreeSet::new(),
            received_in_calm: None,
            receives_fail_since: None,
            mailbox: Vec::new(),
            wakeup: None,
            pace: Pace::new(plan, now),
            outage: None,
            calls: 0,
            starts: 0,
            next_ticket: 0,
        }
    }

    /// Alive, whether stopped or not.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.life, Life::Up | Life::Paused)
    }

    /// Takes a received message in under a new ticket.
    pub(super) fn takes(&mut self, now: u64, slot: Slot) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        debug_assert!(slot.unconfirmed == (now >= slot.deadline));
        self.slots.insert(ticket, slot);
        ticket
    }

    /// Messages that may run, wait for a handler and be asked for. As many as handlers may wait, and those
    /// that handlers can take while a receive is under way, but no more than can start in the time that
    /// the scheduler looks ahead.
    pub(super) fn capacity(&self, config: &Config) -> usize {
        let ahead = config.timing.prefetch_horizon.min(config.visibility / 3).as_millis() as u64;
        let (fastest, least) =
            (self.fastest.unwrap_or(u64::MAX), config.concurrency.max(MAX_BATCH));
        let startable = |time: u64| (config.concurrency as u64 * time / fastest.max(1)) as usize;
        let most = least + startable(self.slowest_receive);
        config.concurrency + most.min(startable(ahead)).max(least)
    }

    /// With so many messages held receives go on for idle handlers only: full lanes for all handlers and
    /// as many behind them, and those whose delete is not confirmed.
    pub(super) fn most_held(config: &Config) -> usize {
        let per_slot = if config.fifo { 2 * MAX_BATCH } else { 2 };
        (config.concurrency + MAX_BATCH) * per_slot + config.timing.max_unacknowledged
    }

    pub(super) fn running(&self) -> impl Iterator<Item = (&Ticket, &Slot)> {
        self.slots.iter().filter(|(_, slot)| slot.running.is_some())
    }

    pub(super) fn violates(
        &self,
        now: u64,
        check: Check,
        slot: Option<&Slot>,
        what: &str,
    ) -> Checked {
        let message = slot.map(|slot| slot.message);
        let what = match message {
            Some(message) => format!("message {message}: {what}"),
            None => what.to_owned(),
        };
        Err(Violation { check, at: now, worker: Some(self.index), message, what })
    }
}

impl Slot {
    pub(super) fn new(
        got: &Got,
        (message, group, sequence): (usize, Option<u32>, u64),
        requested_at: u64,
        deadline: u64,
        now: u64,
    ) -> Self {
        Self {
            instance: got.instance,
            message,
            group,
            sequence,
            receive: got.receive,
            handle: got.handle.clone(),
            receive_count: got.receive_count,
            requested_at,
            deadline,
            was_over: false,
            unconfirmed: now >= deadline,
            running: None,
            started_at: 0,
            attempt: None,
            nth: 0,
            verdict: None,
            verdict_of: 0,
            verdict_knew: 0,
            ended_at: 0,
            own_failures: 0,
            shared_failures: 0,
            changing: false,
            deleting: false,
            copying: false,
            copied: false,
            returning: false,
            returned: false,
            deleted: false,
            refused: false,
            return_refused: false,
            unextended: false,
            stopped: false,
        }
    }
}
