//! Keeping leases: extended in time, given up when over.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Action, Answer, Scheduler, Ticket,
    broken::Broken,
    held::{Call, Phase, VisibilityCall},
    trouble::Kind,
};
use crate::time::Time;

/// With so little left of a lease a failed extension is not tried again.
const SHORTEST_RETRY: Duration = Duration::from_millis(500);

/// What must next be done about a lease, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Timer {
    /// Ask for more time.
    Renewal(Time),
    /// The end, unless an answer comes before.
    Expiry(Time),
}

/// The timers of all held messages, one each. Those that can share a call are apart from those
/// that wait for an answer, so that neither is looked at for the other's sake.
#[derive(Clone, Debug, Default)]
pub(super) struct LeaseTimers {
    renewals: BTreeSet<(Time, Ticket)>,
    expiries: BTreeSet<(Time, Ticket)>,
}

impl LeaseTimers {
    pub(super) fn first(&self) -> Option<Time> {
        let first = |set: &BTreeSet<(Time, Ticket)>| set.first().map(|&(at, _)| at);
        first(&self.renewals).into_iter().chain(first(&self.expiries)).min()
    }

    pub(super) fn remove(&mut self, ticket: Ticket, timer: Option<Timer>) {
        match timer {
            Some(Timer::Renewal(at)) => self.renewals.remove(&(at, ticket)),
            Some(Timer::Expiry(at)) => self.expiries.remove(&(at, ticket)),
            None => false,
        };
    }

    fn insert(&mut self, ticket: Ticket, timer: Timer) {
        match timer {
            Timer::Renewal(at) => self.renewals.insert((at, ticket)),
            Timer::Expiry(at) => self.expiries.insert((at, ticket)),
        };
    }
}

fn pop_due(set: &mut BTreeSet<(Time, Ticket)>, until: Time) -> Option<Ticket> {
    set.first().filter(|&&(at, _)| at <= until)?;
    set.pop_first().map(|(_, ticket)| ticket)
}

impl Scheduler {
    /// Extensions were requested at `requested_at`, each by the given time.
    pub fn extended(
        &mut self,
        now: Time,
        requested_at: Time,
        answers: &[(Ticket, Duration, Answer)],
    ) {
        let given = answers.iter().map(|&(_, _, answer)| answer);
        let retry_at = self.retry_after(now, Kind::VisibilityChanges, given);
        for &(ticket, length, answer) in answers {
            let Some(held) = self.held.get_mut(&ticket) else {
                continue;
            };
            let call = std::mem::replace(&mut held.visibility_call, VisibilityCall::None);
            if call == VisibilityCall::Extension {
                self.extension_answered(now, ticket, (requested_at, length), answer, retry_at);
            } else {
                // The newer receive's lease is looked after in its own time.
                self.look_after_lease(ticket);
            }
            self.return_if_queued(ticket);
        }
    }

    fn extension_answered(
        &mut self,
        now: Time,
        ticket: Ticket,
        (requested_at, length): (Time, Duration),
        answer: Answer,
        retry_at: Time,
    ) {
        // A standard queue says yes to any handle. Only while the lease held by our own clock does
        // that mean that it was extended.
        let proves = self.config.fifo || !self.held[&ticket].lease.is_over(now);
        let requested_at = if self.breaks(Broken::LeaseFromAnswer) { now } else { requested_at };
        let held = self.held.get_mut(&ticket).expect("looked up by the caller");
        match answer {
            Answer::Ok if proves => {
                held.lease.extended(requested_at, length);
                if std::mem::take(&mut held.unconfirmed) {
                    self.moved(ticket);
                }
                self.look_after_lease(ticket);
            }
            // A delete may have taken effect without its answer: the next one's decides.
            Answer::LeaseOver if matches!(held.phase, Phase::Acknowledging { .. }) => {
                self.arm(ticket, Timer::Expiry(self.held[&ticket].lease.deadline()));
            }
            Answer::Ok | Answer::LeaseOver => self.lost(ticket),
            Answer::Failed | Answer::NotMade | Answer::Refused if held.unconfirmed => {
                self.lost(ticket);
            }
            _ if !held.phase.needs_lease() => self.look_after_lease(ticket),
            Answer::Failed | Answer::NotMade => {
                // Other calls may have failed for so long that their pause is longer than a third of
                // a short lease, which is then without a second try.
                let deadline = held.lease.deadline();
                let left = deadline.saturating_since(now);
                let short = self.config.visibility / 3 <= self.config.timing.settle_retry_max;
                let again = if retry_at >= deadline && short && left > SHORTEST_RETRY {
                    now + left / 2
                } else {
                    retry_at.min(deadline)
                };
                let again = Timer::Renewal(again);
                self.arm(ticket, again);
            }
            Answer::Refused => {
                // The lease ends where it ends. Most of what is left may still be used.
                held.extension_refused = true;
                let left = held.lease.deadline().saturating_since(now);
                self.arm(ticket, Timer::Renewal(now + left.mul_f64(0.7)));
            }
        }
    }

    /// Arms the timer that fits the message's phase and lease.
    pub(super) fn look_after_lease(&mut self, ticket: Ticket) {
        let held = &self.held[&ticket];
        let timer = if held.phase.needs_lease() || self.breaks(Broken::HeartbeatAfterReturn) {
            Timer::Renewal(held.lease.renew_at())
        } else {
            Timer::Expiry(held.lease.deadline())
        };
        self.arm(ticket, timer);
    }

    pub(super) fn fire_lease_timers(&mut self, now: Time) {
        while let Some(ticket) = pop_due(&mut self.lease_timers.expiries, now) {
            let held = self.held.get_mut(&ticket).expect("timers belong to held messages");
            held.lease_timer = None;
            // A return under way may have been in time: its answer decides. So does the answer of
            // the extension that is to confirm a lease.
            let decides = held.unconfirmed || held.visibility_call == VisibilityCall::Return;
            if !decides && !self.breaks(Broken::DeleteUnderOldLease) {
                self.lost(ticket);
            }
        }
        let mut any = false;
        while let Some(ticket) = pop_due(&mut self.lease_timers.renewals, now) {
            any |= self.renew(now, ticket);
        }
        // Leases that are due soon share the call.
        let soon = now + self.config.visibility / 10;
        let mut shared = Vec::new();
        while any && let Some(ticket) = pop_due(&mut self.lease_timers.renewals, soon) {
            shared.push(ticket);
        }
        for ticket in shared {
            self.renew(now, ticket);
        }
    }

    /// Whether an extension is on its way now. The message's timer is not armed.
    fn renew(&mut self, now: Time, ticket: Ticket) -> bool {
        let beats_for_waiting = !self.breaks(Broken::NoHeartbeatWhileWaiting);
        let beats_for_returning = self.breaks(Broken::HeartbeatAfterReturn);
        let beyond = self.breaks(Broken::BeyondTwelveHours);
        let deletes_may_go = self.deletes_may_go(now);
        let held = self.held.get_mut(&ticket).expect("timers belong to held messages");
        held.lease_timer = None;
        if held.lease.is_over(now) && !held.unconfirmed {
            self.lost(ticket);
            return false;
        }
        let deadline = held.lease.deadline();
        let busy = match held.visibility_call {
            VisibilityCall::None => false,
            VisibilityCall::Return => !beats_for_returning,
            VisibilityCall::Extension | VisibilityCall::Stale => true,
        };
        if busy || !beats_for_waiting && held.phase.is_waiting() {
            // An unconfirmed lease stands or falls with the answer under way.
            if !held.unconfirmed {
                self.arm(ticket, Timer::Expiry(deadline));
            }
            return false;
        }
        // Deleted now, it needs no further lease; should that fail, there is time for an extension.
        if held.phase == (Phase::Acknowledging { call: Call::Queued }) && deletes_may_go {
            self.settling.stalls(now);
            self.arm(ticket, Timer::Renewal(now + deadline.saturating_since(now) / 2));
            return false;
        }
        let length = match held.lease.extension(now) {
            None if beyond => Some(self.config.visibility),
            length => length,
        };
        match length.filter(|_| !held.extension_refused) {
            // What is left until the twelve hours are over may be used almost to its end.
            None if !held.extension_refused && now < held.lease.give_up_at() => {
                let at = held.lease.give_up_at();
                self.arm(ticket, Timer::Renewal(at));
            }
            None => self.give_up_lease(now, ticket),
            Some(length) => {
                held.visibility_call = VisibilityCall::Extension;
                let unconfirmed = held.unconfirmed;
                self.settling.extensions.push((ticket, length));
                if !unconfirmed {
                    self.arm(ticket, Timer::Expiry(deadline));
                }
                return true;
            }
        }
        false
    }

    /// The twelve hours are over, or SQS refuses to extend. What runs is stopped while the lease
    /// still holds, so that the message goes back under our own handle.
    fn give_up_lease(&mut self, now: Time, ticket: Ticket) {
        let deadline = self.held[&ticket].lease.deadline();
        self.arm(ticket, Timer::Expiry(deadline));
        match self.held[&ticket].phase {
            Phase::Running { .. } => {
                self.actions.push(Action::Cancel { ticket });
                self.give_back_or_close(now, ticket, Duration::ZERO);
            }
            Phase::Waiting | Phase::DeadLettering { call: Call::Queued, .. } => {
                self.give_back_or_close(now, ticket, Duration::ZERO);
            }
            Phase::Backoff { until } | Phase::DeadLettering { call: Call::RetryAt(until), .. } => {
                self.give_back_or_close(now, ticket, until.saturating_since(now));
            }
            Phase::DeadLettering { .. } | Phase::Acknowledging { .. } | Phase::Returning { .. } => {
            }
        }
    }

    pub(super) fn arm(&mut self, ticket: Ticket, timer: Timer) {
        let held = self.held.get_mut(&ticket).expect("only held messages have a lease");
        let old = held.lease_timer.replace(timer);
        self.lease_timers.remove(ticket, old);
        self.lease_timers.insert(ticket, timer);
    }
}
