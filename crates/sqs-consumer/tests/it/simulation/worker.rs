//! A worker of the simulation: a real scheduler, and the shell's bookkeeping.

use std::collections::BTreeMap;

use sqs_consumer::{
    Time,
    scheduler::{Action, Arrival, Config, Ended, Scheduler, Stats, Ticket},
};

use super::model_queue::{Asked, Got, Told};

pub(super) struct Worker {
    scheduler: Scheduler,
    alive: bool,
    draining: bool,
    next_ticket: u64,
    slots: BTreeMap<Ticket, Slot>,
    forgotten: u64,
    adopted: u64,
}

struct Slot {
    got: Got,
    handle: String,
    running: bool,
}

/// What one step of the scheduler asks for.
#[derive(Default)]
pub(super) struct Acts {
    pub(super) calls: Vec<Asked>,
    pub(super) started: Vec<(Ticket, String)>,
    pub(super) cancelled: Vec<String>,
}

impl Worker {
    pub(super) fn new(config: Config, now: Time) -> Self {
        Self {
            scheduler: Scheduler::new(config, now),
            alive: true,
            draining: false,
            next_ticket: 0,
            slots: BTreeMap::new(),
            forgotten: 0,
            adopted: 0,
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive
    }

    pub(super) fn die(&mut self) {
        self.alive = false;
        self.slots.clear();
    }

    pub(super) fn drain(&mut self, now: Time) {
        self.draining = true;
        self.scheduler.drain(now);
    }

    pub(super) fn stats(&self) -> Stats {
        if self.alive { self.scheduler.stats() } else { Stats::default() }
    }

    pub(super) fn next_wakeup(&self, now: Time) -> Option<Time> {
        self.scheduler.next_wakeup(now).filter(|_| self.alive)
    }

    /// The body that this ticket's handler is working on; none if it was cancelled.
    pub(super) fn running_body(&mut self, ticket: Ticket) -> Option<String> {
        let slot = self.slots.get_mut(&ticket).filter(|slot| slot.running)?;
        slot.running = false;
        Some(slot.got.body.clone())
    }

    pub(super) fn finished(&mut self, now: Time, ticket: Ticket, failed: bool) {
        let ended =
            if failed { Ended::Retry { not_before: None, shared: false } } else { Ended::Done };
        self.scheduler.finished(now, ticket, ended);
    }

    pub(super) fn told(&mut self, now: Time, told: Told) {
        match told {
            Told::Received { poll, requested_at, messages } => {
                let arrivals = messages.into_iter().map(|got| self.arrival(got)).collect();
                self.scheduler.received(now, poll, requested_at, arrivals);
            }
            Told::ReceiveFailed { poll } => self.scheduler.receive_failed(now, poll),
            Told::Extended { requested_at, answers } => {
                self.scheduler.extended(now, requested_at, &answers);
            }
            Told::Returned(answers) => self.scheduler.returned(now, &answers),
            Told::Deleted(answers) => self.scheduler.deleted(now, &answers),
            Told::DeadLettered(ticket, answer) => {
                self.scheduler.dead_lettered(now, ticket, answer);
            }
        }
    }

    fn arrival(&mut self, got: Got) -> Arrival {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let arrival = Arrival {
            ticket,
            message_id: got.message_id.as_str().into(),
            group: got.body.split('/').next().map(Into::into),
            receive_count: got.receive_count,
        };
        let handle = got.handle.clone();
        self.slots.insert(ticket, Slot { got, handle, running: false });
        arrival
    }

    pub(super) fn advance(&mut self, now: Time) -> Acts {
        let mut acts = Acts::default();
        if !self.alive {
            return acts;
        }
        for action in self.scheduler.advance(now) {
            self.act(now, action, &mut acts);
        }
        if self.draining && self.scheduler.is_drained() {
            assert!(self.slots.is_empty(), "drained with messages left");
            self.alive = false;
        }
        acts
    }

    fn act(&mut self, now: Time, action: Action, acts: &mut Acts) {
        let handle = |ticket: &Ticket| self.slots[ticket].handle.clone();
        match action {
            Action::Receive { poll, request } => {
                assert!(!self.draining, "a receive during the drain");
                acts.calls.push(Asked::Receive { poll, request, requested_at: now });
            }
            Action::Start { ticket, .. } => {
                assert!(!self.draining, "a start during the drain");
                let slot = self.slots.get_mut(&ticket).expect("held");
                assert!(!slot.running, "started twice");
                slot.running = true;
                acts.started.push((ticket, slot.got.body.clone()));
            }
            Action::Cancel { ticket } => {
                let slot = self.slots.get_mut(&ticket).expect("held");
                if std::mem::take(&mut slot.running) {
                    acts.cancelled.push(slot.got.body.clone());
                }
            }
            Action::Extend { entries } => {
                let entries = entries.iter().map(|(t, l)| (*t, handle(t), *l)).collect();
                acts.calls.push(Asked::Extend { entries, requested_at: now });
            }
            Action::Return { entries } => {
                let entries = entries.iter().map(|(t, l)| (*t, handle(t), *l)).collect();
                acts.calls.push(Asked::Return { entries });
            }
            Action::Delete { tickets } => {
                let entries = tickets.iter().map(|t| (*t, handle(t))).collect();
                acts.calls.push(Asked::Delete { entries });
            }
            Action::DeadLetter { ticket } => {
                let got = self.slots[&ticket].got.clone();
                acts.calls.push(Asked::DeadLetter {
                    ticket,
                    message_id: got.message_id,
                    group: got.body.split('/').next().unwrap().to_owned(),
                    body: got.body,
                });
            }
            Action::Adopt { held, newer } => {
                let newer = self.slots.remove(&newer).expect("just received");
                self.slots.get_mut(&held).expect("held").handle = newer.handle;
                self.adopted += 1;
            }
            Action::Forget { ticket, .. } => {
                let slot = self.slots.remove(&ticket).expect("forgotten exactly once");
                assert!(!slot.running, "forgotten with its handler running");
                self.forgotten += 1;
            }
        }
    }

    /// Every ticket has come to its end.
    pub(super) fn check(&self, index: usize) {
        if self.alive {
            let ended = self.forgotten + self.adopted;
            assert_eq!(self.next_ticket, ended, "worker {index}: tickets without an end");
        }
    }
}
