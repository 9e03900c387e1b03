//! Stops starting work while something that every message needs is down.
//!
//! Two things open it: a handler that says so (`Unavailable`), and a run of failures that may be
//! everyone's, by several messages, with no success in between. While it is open one message at a
//! time is tried, after a pause that grows; nothing that fails meanwhile counts as an attempt.

use std::time::Duration;

use super::{Ticket, Timing, backoff::Jitter};
use crate::time::Time;

/// Closed: work starts freely. Open: nothing starts until the pause is over, then one message is
/// tried; its outcome closes the breaker or doubles the pause.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    pub(super) timing: Timing,
    pub(super) open: Option<Open>,
    pub(super) run: Option<Run>,
    pub(super) last_success: Option<Time>,
}

#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Open {
    pub(super) until: Time,
    /// Openings in a row, for the pause.
    pub(super) failures: u32,
    pub(super) probe: Option<Ticket>,
    /// By failures that may be everyone's; else a handler has said so.
    pub(super) suspected: bool,
}

/// Failures since the last success that may be everyone's.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Run {
    pub(super) length: u32,
    pub(super) first: Ticket,
    pub(super) several: bool,
}

/// A failure that may be everyone's.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedFailure {
    pub(super) ticket: Ticket,
    /// When the message first failed so.
    pub(super) since: Time,
    pub(super) is_last_attempt: bool,
    /// For how long the cause asks to be left alone. The message is; the breaker's pause has its own
    /// bound: one answer must not stop everything for longer.
    pub(super) pause: Duration,
}

/// What such a failure means for its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shared {
    /// An attempt like any other.
    Counts,
    /// Nothing has succeeded since the message first failed: it is not to be given up for it.
    DoesNotCount,
    /// The breaker is open: the message waits for it.
    Waits,
}

impl Breaker {
    pub(super) fn new(timing: &Timing) -> Self {
        Self { timing: *timing, open: None, run: None, last_success: None }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// When a probe may be started; none while closed or while one is running.
    pub(super) fn probe_at(&self) -> Option<Time> {
        self.open.filter(|open| open.probe.is_none()).map(|open| open.until)
    }

    pub(super) fn allows(&self, now: Time) -> bool {
        self.open.is_none_or(|open| now >= open.until && open.probe.is_none())
    }

    pub(super) fn started(&mut self, ticket: Ticket) {
        if let Some(open) = &mut self.open {
            open.probe = Some(ticket);
        }
    }

    pub(super) fn succeeded(&mut self, now: Time) {
        (self.open, self.run, self.last_success) = (None, None, Some(now));
    }

    /// The message failed, or was refused, by itself, or was done before. That says that what
    /// reports an outage works, and nothing of what is suspected to be down: then another message
    /// is tried.
    pub(super) fn ended_by_itself(&mut self, ticket: Ticket) {
        let Some(open) = &mut self.open else { return };
        if open.probe == Some(ticket) {
            open.probe = None;
            if !open.suspected {
                self.open = None;
            }
        }
    }

    /// The handler says that a common need is down.
    pub(super) fn unavailable(&mut self, now: Time, ticket: Ticket, jitter: &mut Jitter) {
        self.opened(now, ticket, Duration::ZERO, jitter, false);
    }

    pub(super) fn failed_by_shared_cause(
        &mut self,
        now: Time,
        failure: SharedFailure,
        jitter: &mut Jitter,
    ) -> Shared {
        let SharedFailure { ticket, since, is_last_attempt, pause } = failure;
        let run = self.run.get_or_insert(Run { length: 0, first: ticket, several: false });
        run.length = run.length.saturating_add(1);
        run.several |= run.first != ticket;
        let is_run = run.several && run.length >= self.timing.shared_failures;
        if self.is_open() || is_run {
            self.opened(now, ticket, pause, jitter, true);
            return Shared::Waits;
        }
        let others_succeed = self.last_success.is_some_and(|last| last > since);
        if is_last_attempt && !others_succeed { Shared::DoesNotCount } else { Shared::Counts }
    }

    /// Opens the breaker, or, after a probe that failed, for longer.
    fn opened(
        &mut self,
        now: Time,
        ticket: Ticket,
        pause: Duration,
        jitter: &mut Jitter,
        suspected: bool,
    ) {
        let (first, longest) = (self.timing.breaker_backoff, self.timing.breaker_backoff_max);
        let pause = pause.min(longest);
        // Handlers that were already running when it opened say nothing new, but for how long.
        if let Some(open) = &mut self.open
            && open.probe != Some(ticket)
        {
            // Unless it was only suspected so far, or the pause was over and nothing had been tried.
            let is_certain_now = open.suspected && !suspected;
            let is_pausing = open.probe.is_some() || now < open.until;
            if is_pausing && !is_certain_now {
                open.until = open.until.max(now + pause);
                return;
            }
        }
        let failures = self.open.map_or(0, |open| open.failures).saturating_add(1);
        let pause = jitter.backoff(first, longest, failures).max(pause);
        self.open = Some(Open { until: now + pause, failures, probe: None, suspected });
    }

    /// A handler runs no more. If nothing was told of how it went, another message is tried.
    pub(super) fn ended(&mut self, ticket: Ticket) {
        if let Some(open) = &mut self.open
            && open.probe == Some(ticket)
        {
            open.probe = None;
        }
    }
}
