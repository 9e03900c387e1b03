//! Stops starting work while something that every message needs is down.

use super::{Ticket, Timing, backoff::Jitter};
use crate::time::Time;

/// Closed: work starts freely. Open: nothing starts until the pause is over, then one message is
/// tried; its outcome closes the breaker or doubles the pause.
#[derive(Clone, Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open_until: Option<Time>,
    probe: Option<Ticket>,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// When a probe may be started; none while closed or while one is running.
    pub(super) fn probe_at(&self) -> Option<Time> {
        self.open_until.filter(|_| self.probe.is_none())
    }

    pub(super) fn allows(&self, now: Time) -> bool {
        match self.open_until {
            None => true,
            Some(until) => now >= until && self.probe.is_none(),
        }
    }

    pub(super) fn started(&mut self, ticket: Ticket) {
        if self.is_open() {
            self.probe = Some(ticket);
        }
    }

    pub(super) fn closed(&mut self) {
        *self = Self::default();
    }

    /// The message's outcome says that a common need is down.
    pub(super) fn tripped(
        &mut self,
        now: Time,
        ticket: Ticket,
        timing: &Timing,
        jitter: &mut Jitter,
    ) {
        // Handlers that were already running when it opened say nothing new.
        if self.is_open() && self.probe != Some(ticket) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let pause =
            jitter.backoff(timing.breaker_backoff, timing.breaker_backoff_max, self.failures);
        self.open_until = Some(now + pause);
        self.probe = None;
    }

    pub(super) fn forgotten(&mut self, ticket: Ticket) {
        if self.probe == Some(ticket) {
            self.probe = None;
        }
    }
}
