//! The end: what runs finishes, what waits goes back, nothing stays leased.
//!
//! Outstanding receives are never dropped, since their messages would stay leased; and nothing is
//! given back while one is outstanding, since it would be received again at once.

use std::time::Duration;

use super::{
    Action, Config, Fate, Scheduler, Ticket,
    held::{Call, Phase},
};
use crate::time::Time;

#[derive(Clone, Debug, Default)]
pub(super) struct Drain(Option<Times>);

#[derive(Clone, Copy, Debug)]
struct Times {
    /// Handlers that still run are stopped here.
    handlers: Time,
    /// What is still held is given up here.
    flush: Time,
    handlers_stopped: bool,
    given_up: bool,
}

impl Drain {
    pub(super) fn begin(&mut self, now: Time, config: &Config) {
        let handlers = now + config.drain_timeout;
        self.0.get_or_insert(Times {
            handlers,
            flush: handlers + config.timing.drain_flush,
            handlers_stopped: false,
            given_up: false,
        });
    }

    pub(super) fn begun(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn is_over(&self, nothing_left: bool) -> bool {
        self.0.is_some_and(|times| nothing_left || times.given_up)
    }

    /// A receive ended at `now`: what it brought has time to go back, however late it is.
    pub(super) fn receive_ended(&mut self, now: Time, flush: Duration) {
        if let Some(times) = &mut self.0 {
            times.flush = times.flush.max(now + flush);
        }
    }

    pub(super) fn next_wakeup(&self, receiving: bool) -> Option<Time> {
        let times = self.0.filter(|times| !times.given_up)?;
        if !times.handlers_stopped {
            return Some(times.handlers);
        }
        // An outstanding receive is waited for; it has a time limit of its own.
        (!receiving).then_some(times.flush)
    }
}

impl Scheduler {
    pub(super) fn advance_drain(&mut self, now: Time) {
        let Some(times) = self.drain.0 else { return };
        if self.polling.is_idle() {
            self.release_waiting();
        }
        if now >= times.handlers && !times.handlers_stopped {
            self.drain.0 = Some(Times { handlers_stopped: true, ..times });
            self.stop_handlers(now);
            self.release_waiting();
        }
        if now >= times.flush && !times.given_up && self.polling.is_idle() {
            self.drain.0 = Some(Times { given_up: true, handlers_stopped: true, ..times });
            let mut left: Vec<Ticket> = self.held.keys().copied().collect();
            left.sort_unstable();
            for ticket in left {
                self.forget(ticket, Fate::Stranded);
            }
        }
    }

    fn release_waiting(&mut self) {
        if self.config.fifo {
            self.lanes.close_all();
            return;
        }
        while let Some(ticket) = self.ready.pop_front() {
            if self.held.get(&ticket).is_some_and(|held| held.phase == Phase::Waiting) {
                self.give_back(ticket, Duration::ZERO, Fate::Released);
            }
        }
    }

    fn stop_handlers(&mut self, now: Time) {
        let mut stopped: Vec<Ticket> = self
            .held
            .iter()
            .filter(|(_, held)| {
                held.phase.is_running()
                    || matches!(held.phase, Phase::DeadLettering { call: Call::RetryAt(_), .. })
            })
            .map(|(&ticket, _)| ticket)
            .collect();
        stopped.sort_unstable();
        for ticket in stopped {
            if self.held[&ticket].phase.is_running() {
                self.actions.push(Action::Cancel { ticket });
            }
            match self.held[&ticket].group.clone() {
                Some(_) => self.give_back_or_close(now, ticket, Duration::ZERO),
                None => self.give_back(ticket, Duration::ZERO, Fate::Released),
            }
        }
    }
}
