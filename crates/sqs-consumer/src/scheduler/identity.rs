//! What tells a scheduler from one in another state, for searches that visit each state once.
//!
//! Every field is named here, so that a new one is not forgotten: it either goes into the identity
//! or is listed as following from others.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use super::{
    Scheduler, Ticket, Timing,
    backoff::{Jitter, full_backoff},
    breaker::{Breaker, Open, Run},
    drain::{Drain, Progress},
    held::{Call, Held, Phase},
    lanes::{Lane, LaneId, Lanes},
    leases::Timer,
    lingers::Awaited,
    polling::Polling,
    settling::Settling,
    trouble::Trouble,
    turns::{Turn, TurnId, Turns},
};
use crate::{queue::MAX_BATCH, time::Time};

impl Scheduler {
    /// Backoffs without jitter from now on, so that it makes no difference how many were drawn.
    #[must_use]
    pub fn without_jitter(mut self) -> Self {
        self.jitter = Jitter::off();
        self
    }

    /// Hashes what decides all that the scheduler does from now on; to be called after
    /// [`Scheduler::advance`]. Of two schedulers with the same settings that hash alike, one does
    /// later what the other does now, if told the same.
    ///
    /// Times count from `now`, tickets and polls by their order among those held. The twelve hours
    /// after which a lease ends are left out: a search must end long before.
    pub fn identify(&self, now: Time, state: &mut impl Hasher) {
        let Self {
            config: _,
            held,
            by_message: _,
            lanes,
            turns,
            running,
            held_bytes: _,
            polling,
            breaker,
            settling,
            drain,
            waiting_anew: _,
            wakeups: _,
            lease_timers: _,
            mean_time,
            latest_time,
            jitter: Jitter { seed, drawn, off: _ },
            actions: _,
            #[cfg(feature = "broken-schedulers")]
                broken: _,
        } = self;
        let mut tickets: Vec<Ticket> = held.keys().copied().collect();
        tickets.sort_unstable();
        let mut identity = Identity { scheduler: self, now, tickets, state };
        for at in 0..identity.tickets.len() {
            identity.held(&held[&identity.tickets[at]]);
        }
        identity.lanes(lanes);
        identity.turns(turns);
        identity.polling(polling);
        identity.breaker(breaker);
        identity.settling(settling);
        identity.drain(drain);
        running.hash(identity.state);
        (seed, drawn).hash(identity.state);
        if identity.handlers_times_matter() {
            (mean_time, latest_time).hash(identity.state);
        }
    }
}

struct Identity<'a, H> {
    scheduler: &'a Scheduler,
    now: Time,
    /// Those held, in order.
    tickets: Vec<Ticket>,
    state: &'a mut H,
}

impl<H: Hasher> Identity<'_, H> {
    /// A time of which only what is left until then matters.
    fn until(&mut self, at: Time) {
        at.saturating_since(self.now).hash(self.state);
    }

    /// A time of which it only matters how long ago it was, up to `most`.
    fn since(&mut self, at: Time, most: Duration) {
        self.now.saturating_since(at).min(most).hash(self.state);
    }

    /// Tickets that are held no more are all alike.
    fn ticket(&mut self, ticket: Ticket) {
        self.tickets.binary_search(&ticket).ok().hash(self.state);
    }

    fn tickets<'t>(&mut self, tickets: impl ExactSizeIterator<Item = &'t Ticket>) {
        tickets.len().hash(self.state);
        for &ticket in tickets {
            self.ticket(ticket);
        }
    }

    fn held(&mut self, held: &Held) {
        let Held {
            message_id,
            bytes,
            place: _,
            receive_count,
            retries,
            uncounted,
            suspect_since,
            receive_used,
            lease,
            phase,
            visibility_call,
            unconfirmed,
            extension_refused,
            received_again,
            dead_lettered,
            may_have_more,
            lease_timer,
            wakeup: _,
        } = held;
        (message_id, bytes, receive_count, retries, uncounted, receive_used).hash(self.state);
        // Compared with the last success only, which may come now at the earliest.
        let last_success = self.scheduler.breaker.last_success;
        suspect_since
            .map(|since| (since == self.now, last_success.is_some_and(|last| last > since)))
            .hash(self.state);
        self.until(lease.deadline());
        self.phase(*phase);
        (visibility_call, unconfirmed, extension_refused).hash(self.state);
        (received_again, dead_lettered, may_have_more).hash(self.state);
        lease_timer.map(|timer| std::mem::discriminant(&timer)).hash(self.state);
        if let Some(Timer::Renewal(at) | Timer::Expiry(at)) = *lease_timer {
            self.until(at);
        }
    }

    fn handlers_times_matter(&self) -> bool {
        let Timing { prefetch_horizon, longest_linger, .. } = self.scheduler.config.timing;
        !prefetch_horizon.is_zero() || !longest_linger.is_zero()
    }

    fn phase(&mut self, phase: Phase) {
        std::mem::discriminant(&phase).hash(self.state);
        match phase {
            Phase::Waiting => {}
            Phase::Running { since, attempt } => {
                attempt.hash(self.state);
                if self.handlers_times_matter() {
                    self.since(since, Duration::MAX);
                }
            }
            Phase::Backoff { until } => self.until(until),
            Phase::DeadLettering { call, failures } => {
                failures.hash(self.state);
                self.call(call);
            }
            Phase::Acknowledging { call } => self.call(call),
            Phase::Returning { visibility, fate, call } => {
                (visibility, fate).hash(self.state);
                self.call(call);
            }
        }
    }

    fn call(&mut self, call: Call) {
        std::mem::discriminant(&call).hash(self.state);
        if let Call::RetryAt(at) = call {
            self.until(at);
        }
    }

    fn lanes(&mut self, lanes: &Lanes) {
        let Lanes {
            by_group,
            slab,
            ready,
            turns,
            closing,
            next_seat: _,
            startable: _,
            blocked: _,
            all_closed,
        } = lanes;
        let mut groups: Vec<(&Arc<str>, &LaneId)> = by_group.iter().collect();
        groups.sort_unstable_by_key(|&(group, _)| group);
        groups.len().hash(self.state);
        for (group, id) in groups {
            let Lane {
                group: _,
                waiting,
                leaving,
                acknowledging,
                closed,
                head_is_back,
                queued: _,
                listed: _,
                startable: _,
                blocked: _,
            } = &slab[id.0];
            group.hash(self.state);
            self.tickets(waiting.values());
            self.tickets(leaving.values());
            (acknowledging, closed, head_is_back).hash(self.state);
        }
        ready.len().hash(self.state);
        for (rank, id) in ready {
            // Of its place only that matters which later ones can come before.
            (turns - rank.before).hash(self.state);
            slab[id.0].group.hash(self.state);
        }
        closing.len().hash(self.state);
        for id in closing {
            slab[id.0].group.hash(self.state);
        }
        all_closed.hash(self.state);
    }

    fn turns(&mut self, turns: &Turns) {
        let Turns { by_group, groups: slab, order, waiting: _, startable: _ } = turns;
        let mut groups: Vec<(&Arc<str>, &TurnId)> = by_group.iter().collect();
        groups.sort_unstable_by_key(|&(group, _)| group);
        groups.len().hash(self.state);
        for (group, id) in groups {
            let Turn { group: _, members: _, queue, waiting: _, running: _, limit: _, queued: _ } =
                &slab[id.0];
            group.hash(self.state);
            self.tickets(queue.iter());
        }
        order.len().hash(self.state);
        for id in order {
            slab[id.0].group.hash(self.state);
        }
    }

    fn polling(&mut self, polling: &Polling) {
        let Polling {
            outstanding,
            reserved: _,
            desired,
            failures,
            pause_ends,
            retry_at,
            last_activity,
            round_trip,
            spacing,
            last_received,
            gather_until,
            gathered,
            message_bytes,
            next_id: _,
        } = polling;
        message_bytes.max(&1).hash(self.state);
        let config = &self.scheduler.config;
        let timing = &config.timing;
        outstanding.len().hash(self.state);
        for asked in outstanding.values() {
            asked.hash(self.state);
        }
        desired.hash(self.state);
        full_backoff(timing.poll_backoff, timing.poll_backoff_max, failures + 1).hash(self.state);
        self.until(pause_ends.unwrap_or_default());
        self.until(retry_at.unwrap_or_default());
        if !timing.prefetch_horizon.is_zero() {
            round_trip.hash(self.state);
        }
        let linger = timing.receive_linger.max(timing.longest_linger);
        if !linger.is_zero() {
            (spacing, gathered).hash(self.state);
            self.until(gather_until.unwrap_or_default());
            self.since(*last_received, linger * MAX_BATCH as u32);
        }
        if timing.shortest_wait < config.wait {
            self.since(*last_activity, config.wait);
        }
    }

    fn breaker(&mut self, breaker: &Breaker) {
        let Breaker { timing, open, run, last_success: _ } = breaker;
        open.is_some().hash(self.state);
        if let Some(Open { until, failures, probe, suspected }) = *open {
            self.until(until);
            let (first, longest) = (timing.breaker_backoff, timing.breaker_backoff_max);
            full_backoff(first, longest, failures + 1).hash(self.state);
            suspected.hash(self.state);
            self.tickets(probe.as_slice().iter());
        }
        run.is_some().hash(self.state);
        if let Some(Run { length, first, several }) = *run {
            (length.min(timing.shared_failures), several).hash(self.state);
            self.ticket(first);
        }
    }

    fn settling(&mut self, settling: &Settling) {
        let Settling {
            deletes,
            awaited: Awaited { last, urgent, stalled },
            returns,
            extensions,
            unacknowledged,
            delete_trouble,
            change_trouble,
            probes,
            copies,
        } = settling;
        copies.state().hash(self.state);
        let timing = &self.scheduler.config.timing;
        let slow = timing.longest_linger.max(timing.urgent_linger);
        let longest = timing.acknowledge_linger.max(timing.idle_linger).max(slow);
        deletes.len().hash(self.state);
        for &(ticket, since) in deletes {
            self.ticket(ticket);
            self.since(since, longest);
        }
        for since in [last, urgent, stalled] {
            since.is_some().hash(self.state);
            if let Some(since) = *since {
                self.since(since, longest);
            }
        }
        self.tickets(returns.iter());
        extensions.len().hash(self.state);
        for &(ticket, length) in extensions {
            self.ticket(ticket);
            length.hash(self.state);
        }
        (unacknowledged, probes).hash(self.state);
        for Trouble { failed_calls, failed_tries, retry_at } in [delete_trouble, change_trouble] {
            (failed_calls, failed_tries).hash(self.state);
            self.until(*retry_at);
        }
    }

    fn drain(&mut self, drain: &Drain) {
        drain.0.is_some().hash(self.state);
        if let Some(progress) = drain.0 {
            let Progress { handlers, flush, released, handlers_stopped, given_up } = progress;
            self.until(handlers);
            self.until(flush);
            (released, handlers_stopped, given_up).hash(self.state);
        }
    }
}
