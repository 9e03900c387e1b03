//! Keeping leases: extended in time, given up when over.

use std::time::Duration;

use super::{
    Action, Answer, Scheduler, Ticket,
    held::{Call, Phase},
};
use crate::time::Time;

impl Scheduler {
    /// Extensions were requested at `requested_at`, each by the given time.
    pub fn extended(
        &mut self,
        now: Time,
        requested_at: Time,
        answers: &[(Ticket, Duration, Answer)],
    ) {
        let pause = self.pause_after(answers.iter().map(|&(_, _, answer)| answer));
        for &(ticket, length, answer) in answers {
            let Some(held) = self.held.get_mut(&ticket) else {
                continue;
            };
            held.extending = false;
            let is_old = std::mem::take(&mut held.extension_is_old);
            match answer {
                // The newer receive's lease is looked after in its own time.
                _ if is_old => {
                    let renew_at = held.lease.renew_at();
                    self.arm_lease_timer(ticket, renew_at);
                }
                Answer::Ok => {
                    held.lease.extended(requested_at, length);
                    let renew_at = held.lease.renew_at();
                    if std::mem::take(&mut held.unconfirmed) {
                        self.confirmed(ticket);
                    }
                    self.arm_lease_timer(ticket, renew_at);
                }
                // On its way back already; that call's answer decides.
                _ if !held.phase.needs_lease() => {}
                // A delete may have taken effect without its answer: the next one's decides.
                Answer::LeaseOver if matches!(held.phase, Phase::Acknowledging { .. }) => {
                    let deadline = held.lease.deadline();
                    self.arm_lease_timer(ticket, deadline);
                }
                Answer::LeaseOver => self.lost(ticket),
                Answer::Failed | Answer::Refused if held.unconfirmed => self.lost(ticket),
                Answer::Failed | Answer::Refused => {
                    let retry = (now + pause).min(held.lease.deadline());
                    self.arm_lease_timer(ticket, retry);
                }
            }
            // A return that had to wait for the extension's answer.
            if let Some(Phase::Returning { call: Call::Queued, .. }) =
                self.held.get(&ticket).map(|held| held.phase)
            {
                self.settling.returns.push_back(ticket);
            }
        }
    }

    pub(super) fn fire_lease_timers(&mut self, now: Time) {
        let before = self.settling.extensions.len();
        while let Some(&(at, ticket)) = self.lease_timers.first() {
            if at > now {
                break;
            }
            self.lease_timers.remove(&(at, ticket));
            let held = self.held.get_mut(&ticket).expect("timers belong to held messages");
            held.lease_timer = None;
            if !held.phase.needs_lease() {
                continue;
            }
            if held.lease.is_over(now) && !held.unconfirmed {
                self.lost(ticket);
            } else if held.extending {
                // An unconfirmed lease stands or falls with the answer under way.
                if !held.unconfirmed {
                    let deadline = held.lease.deadline();
                    self.arm_lease_timer(ticket, deadline);
                }
            } else {
                self.extend(now, ticket);
            }
        }
        if self.settling.extensions.len() > before {
            self.extend_those_due_soon(now);
        }
    }

    /// Leases that are due soon share the call.
    fn extend_those_due_soon(&mut self, now: Time) {
        let horizon = now + self.config.visibility / 10;
        let soon: Vec<Ticket> = self
            .lease_timers
            .iter()
            .take_while(|&&(at, _)| at <= horizon)
            .map(|&(_, ticket)| ticket)
            .filter(|ticket| {
                let held = &self.held[ticket];
                held.phase.needs_lease() && !held.extending && !held.lease.is_over(now)
            })
            .collect();
        for ticket in soon {
            self.extend(now, ticket);
        }
    }

    fn extend(&mut self, now: Time, ticket: Ticket) {
        let held = self.held.get_mut(&ticket).expect("only held messages are extended");
        let deadline = held.lease.deadline();
        let Some(length) = held.lease.extension(now) else {
            // The twelve hours are over. What runs is stopped while the lease still holds, so that
            // the message goes back under our own handle.
            self.give_up_lease(now, ticket);
            return;
        };
        held.extending = true;
        let unconfirmed = held.unconfirmed;
        self.settling.extensions.push((ticket, length));
        // An unconfirmed lease stands or falls with the answer.
        if !unconfirmed {
            self.arm_lease_timer(ticket, deadline);
        }
    }

    fn give_up_lease(&mut self, now: Time, ticket: Ticket) {
        if self.held[&ticket].phase.is_running() {
            self.actions.push(Action::Cancel { ticket });
        }
        match self.held[&ticket].phase {
            Phase::Waiting | Phase::Running { .. } | Phase::Backoff { .. } => {
                self.give_back_or_close(now, ticket, Duration::ZERO);
            }
            Phase::DeadLettering { .. } | Phase::Acknowledging { .. } | Phase::Returning { .. } => {
                let deadline = self.held[&ticket].lease.deadline();
                self.arm_lease_timer(ticket, deadline);
            }
        }
    }

    pub(super) fn arm_lease_timer(&mut self, ticket: Ticket, at: Time) {
        let held = self.held.get_mut(&ticket).expect("only held messages have a lease");
        if let Some(old) = held.lease_timer.replace(at) {
            self.lease_timers.remove(&(old, ticket));
        }
        self.lease_timers.insert((at, ticket));
    }

    /// The lease of a message that arrived late is known to hold: it may start.
    pub(super) fn confirmed(&mut self, ticket: Ticket) {
        match &self.held[&ticket].group {
            Some(_) => self.lane_changed(ticket),
            None => self.ready.push_back(ticket),
        }
    }
}
