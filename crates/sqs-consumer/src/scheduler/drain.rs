//! The end: what runs finishes, what waits goes back, nothing stays leased.
//!
//! Outstanding receives are never dropped, since their messages would stay leased; and nothing is
//! given back while one is outstanding, since it would be received again at once.
//!
//! Except what is here on its last receive: were that given back, the queue's redrive policy would
//! dead-letter it at the next receive, though nobody has tried. So it is attempted, and on FIFO what
//! is before it in its lane. Workers that stop together would otherwise pass a message from one to
//! the other until its receives are used up.

use std::time::Duration;

use super::{
    Action, Config, Fate, Scheduler, Ticket,
    broken::Broken,
    held::{Call, Held, Phase, Place},
    lanes::Lane,
};
use crate::time::Time;

#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Drain(pub(super) Option<Progress>);

#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Progress {
    /// Handlers that still run are stopped here.
    pub(super) handlers: Time,
    /// What is still held is given up here.
    pub(super) flush: Time,
    /// No receive is outstanding any more: what waited has been given back.
    pub(super) released: bool,
    pub(super) handlers_stopped: bool,
    pub(super) given_up: bool,
}

impl Drain {
    pub(super) fn begin(&mut self, now: Time, config: &Config) {
        let handlers = now + config.drain_timeout;
        self.0.get_or_insert(Progress {
            handlers,
            flush: handlers + config.timing.drain_flush,
            released: false,
            handlers_stopped: false,
            given_up: false,
        });
    }

    pub(super) fn begun(&self) -> bool {
        self.0.is_some()
    }

    /// What can go back has gone; what is left may start.
    pub(super) fn may_start(&self) -> bool {
        self.0.is_none_or(|progress| progress.released && !progress.handlers_stopped)
    }

    pub(super) fn has_released(&self) -> bool {
        self.0.is_some_and(|progress| progress.released)
    }

    pub(super) fn has_stopped_handlers(&self) -> bool {
        self.0.is_some_and(|progress| progress.handlers_stopped)
    }

    pub(super) fn is_over(&self, nothing_left: bool) -> bool {
        self.0.is_some_and(|progress| nothing_left || progress.given_up)
    }

    /// A receive ended at `now`: what it brought has time to go back, however late it is.
    pub(super) fn receive_ended(&mut self, now: Time, flush: Duration) {
        if let Some(progress) = &mut self.0 {
            progress.flush = progress.flush.max(now + flush);
        }
    }

    pub(super) fn next_wakeup(&self, receiving: bool) -> Option<Time> {
        let progress = self.0.filter(|progress| !progress.given_up)?;
        if !progress.handlers_stopped {
            return Some(progress.handlers);
        }
        // An outstanding receive is waited for; it has a time limit of its own.
        (!receiving).then_some(progress.flush)
    }
}

impl Scheduler {
    pub(super) fn advance_drain(&mut self, now: Time) {
        let Some(mut progress) = self.drain.0 else { return };
        let may_release = self.polls_have_ended() || self.breaks(Broken::ReleaseUnderOwnPolls);
        let stop_handlers = now >= progress.handlers && !progress.handlers_stopped;
        if (may_release && !progress.released) || stop_handlers {
            progress.released = true;
            progress.handlers_stopped |= stop_handlers;
            self.drain.0 = Some(progress);
            self.release_all(now);
        }
        if stop_handlers {
            self.stop_handlers(now);
        } else if progress.released {
            let anew = std::mem::take(&mut self.waiting_anew);
            self.release(now, &anew);
        }
        if now >= progress.flush && !progress.given_up && self.polls_have_ended() {
            progress.given_up = true;
            for ticket in self.tickets_of(|_| true) {
                self.forget(ticket, Fate::Stranded);
            }
        }
        self.drain.0 = Some(progress);
    }

    /// What waits goes back, and what will wait from now on.
    fn release_all(&mut self, now: Time) {
        self.lanes.all_closed = true;
        for lane in self.lanes.all() {
            self.lane_changed(lane);
        }
        self.release_waiting(now);
    }

    /// The same for a standard queue.
    fn release_waiting(&mut self, now: Time) {
        self.waiting_anew.clear();
        let all = self.tickets_of(|held| self.drain_releases(held));
        self.release(now, &all);
    }

    /// Those of these messages that a drain gives back now.
    fn release(&mut self, now: Time, tickets: &[Ticket]) {
        for &ticket in tickets {
            let Some(held) = self.held.get(&ticket).filter(|held| self.drain_releases(held)) else {
                continue;
            };
            let until = held.phase.wakeup().unwrap_or(now);
            self.give_back(ticket, until.saturating_since(now), Fate::Released);
        }
    }

    fn drain_releases(&self, held: &Held) -> bool {
        let waits = match held.phase {
            Phase::Waiting
            | Phase::Backoff { .. }
            | Phase::DeadLettering { call: Call::RetryAt(_), .. } => true,
            // In line behind others: for its turn as long as copies succeed.
            Phase::DeadLettering { call: Call::Queued, .. } => self.drain_releases_copies(),
            _ => false,
        };
        waits && matches!(held.place, Place::Turn(_)) && !self.must_be_attempted(held)
    }

    /// A message is in another phase, in which a drain may give it back: only such ones are looked at,
    /// however many wait to be attempted.
    pub(super) fn may_go_back(&mut self, ticket: Ticket) {
        if self.drain.has_released() && self.drain_releases(&self.held[&ticket]) {
            self.waiting_anew.push(ticket);
        }
    }

    /// Whether a drain gives back what waits in this lane now, rather than going on to one of them that
    /// is here on its last receive.
    pub(super) fn drain_closes(&self, lane: &Lane) -> bool {
        let must = |ticket: &Ticket| {
            let held = &self.held[ticket];
            // Of an attempt that is under way it is not known yet whether it will count.
            self.must_be_attempted(held) || held.phase.is_running() && self.keeps(held)
        };
        self.drain.has_released() && !lane.waiting.is_empty() && !lane.waiting.values().any(must)
    }

    /// Of this message, which is here on its last receive, nothing has come yet.
    fn must_be_attempted(&self, held: &Held) -> bool {
        let waits = matches!(held.phase, Phase::Waiting | Phase::Backoff { .. });
        waits && !held.receive_used && self.keeps(held)
    }

    /// Whether a drain keeps this message as long as it can, since giving it back would be its end.
    pub(super) fn keeps(&self, held: &Held) -> bool {
        let last = self.config.max_receive_count.is_some_and(|max| held.receive_count >= max);
        last && !self.drain.has_stopped_handlers() && !self.breaks(Broken::LastReceiveGoesBack)
    }

    fn stop_handlers(&mut self, now: Time) {
        for ticket in self.tickets_of(|held| held.phase.is_running()) {
            self.actions.push(Action::Cancel { ticket });
            self.give_back_or_close(now, ticket, Duration::ZERO);
        }
    }

    /// Those of the held messages, in order of their receive. Looks at all of them: for the two or three
    /// moments of a drain in which all are meant.
    fn tickets_of(&self, which: impl Fn(&Held) -> bool) -> Vec<Ticket> {
        let those = self.held.iter().filter(|(_, held)| which(held));
        let mut tickets: Vec<Ticket> = those.map(|(&ticket, _)| ticket).collect();
        tickets.sort_unstable();
        tickets
    }
}
