//! Messages that a receive has brought, new ones and ones that are held already.

use super::{
    Action, Arrival, Fate, PollId, Scheduler, Ticket,
    broken::Broken,
    held::{Call, Held, Phase, Place, VisibilityCall},
    leases::Timer,
    polling::PutOff,
};
use crate::{lease::Lease, time::Time};

impl Scheduler {
    /// A receive that was sent at `requested_at` has brought messages, perhaps none.
    pub fn received(
        &mut self,
        now: Time,
        poll: PollId,
        requested_at: Time,
        arrivals: Vec<Arrival>,
    ) {
        let requested_at = if self.breaks(Broken::LeaseFromAnswer) { now } else { requested_at };
        let lease = Lease::new(requested_at, self.config.visibility);
        let late = lease.is_over(now) && !arrivals.is_empty();
        let timing = &self.config.timing;
        let count = arrivals.len();
        let put_off = PutOff {
            at_most: self.linger(timing.receive_linger),
            handlers_are_idle: self.handlers_are_idle(count),
        };
        let full = self.polling.succeeded(now, poll, requested_at, count, timing, put_off);
        if late || self.settling.is_seen_to_fail() && !arrivals.is_empty() {
            // What was received has been visible again before it was here, or can probably not be
            // settled. To go on at that pace would use up the receives of everybody's messages.
            self.polling.pause(now, timing, &mut self.jitter);
        } else if self.settling.fails() && !arrivals.is_empty() {
            self.polling.eased();
        } else {
            self.polling.recovered();
        }
        self.drain.receive_ended(now, self.config.timing.drain_flush);
        // SQS gives out as many of a group as it can before those of the next: only of the last one can
        // a full receive have left some behind. Probably so if it was most of the receive.
        let may_be_cut = full && self.config.fifo;
        let last = arrivals.last().filter(|_| may_be_cut).and_then(|last| last.group.clone());
        let of_last = arrivals.iter().filter(|arrival| arrival.group == last).count();
        let cut = last.filter(|_| 2 * of_last >= arrivals.len());
        self.polling.learn_sizes(arrivals.iter().map(|arrival| arrival.bytes));
        for arrival in arrivals {
            let held = self.by_message.get(&arrival.message_id).copied();
            match held.filter(|_| !self.breaks(Broken::RunsDuplicates)) {
                _ if late && !self.config.fifo => {
                    // A standard queue confirms no lease. Somebody else will have it.
                    self.actions.push(Action::Forget { ticket: arrival.ticket, fate: Fate::Lost });
                }
                Some(held) => self.adopt(now, held, &arrival, lease, late),
                None => {
                    let may_have_more = cut.is_some() && arrival.group == cut;
                    self.hold(now, arrival, lease, late, may_have_more);
                }
            }
        }
        self.slow_down_if_full(now);
    }

    fn hold(
        &mut self,
        now: Time,
        arrival: Arrival,
        lease: Lease,
        unconfirmed: bool,
        may_have_more: bool,
    ) {
        let Arrival { ticket, message_id, group, receive_count, bytes } = arrival;
        let place = if self.config.fifo {
            self.lanes.join(group.as_ref(), ticket)
        } else {
            // As many as there are handlers is no limit: nothing waits for its own group then.
            let limit = self.config.group_concurrency;
            let limited = limit < self.config.concurrency && !self.breaks(Broken::NoGroupLimit);
            let limit = if limited { limit } else { usize::MAX };
            Place::Turn(self.turns.join(group.as_ref(), limit))
        };
        self.by_message.insert(message_id.clone(), ticket);
        self.held_bytes += bytes;
        let held = Held {
            message_id,
            bytes,
            place,
            receive_count,
            retries: 0,
            uncounted: 0,
            suspect_since: None,
            receive_used: false,
            lease,
            phase: Phase::Waiting,
            visibility_call: VisibilityCall::None,
            unconfirmed,
            extension_refused: false,
            received_again: false,
            dead_lettered: false,
            may_have_more,
            lease_timer: None,
            wakeup: None,
        };
        self.held.insert(ticket, held);
        // While visibility changes fail, only a call can tell when they work again; short handlers would
        // never need one.
        let trouble = &self.settling.change_trouble;
        let probes = trouble.lasts()
            && !trouble.bars(now)
            && lease.extension(now).is_some()
            && !self.breaks(Broken::NeverProbes);
        let renew_at = if probes { now } else { lease.renew_at() };
        self.arm(ticket, Timer::Renewal(renew_at));
        self.phase_moved(ticket, place, None, Some(Phase::Waiting));
        self.may_go_back(ticket);
    }

    /// SQS has handed out a message that is still held here. Nobody else has it, and the newest
    /// handle is the one that counts; the work goes on.
    fn adopt(
        &mut self,
        now: Time,
        ticket: Ticket,
        arrival: &Arrival,
        lease: Lease,
        unconfirmed: bool,
    ) {
        let held = self.held.get_mut(&ticket).expect("indexed messages are held");
        let (phase, place) = (held.phase, held.place);
        // A handle of a FIFO queue has no effect any more once there is a newer one: whatever is under
        // way, a message that was to leave its lane is here again, and those behind it wait for it.
        // And one of a standard queue has gone back: to give it back again would use up this receive
        // as well, without an attempt.
        let stays = !self.drain.begun()
            && match (place, phase) {
                (
                    Place::Lane { lane, seat },
                    Phase::Waiting | Phase::Backoff { .. } | Phase::Returning { .. },
                ) => self.lanes.is_leaving(lane, seat),
                (Place::Turn(_), Phase::Returning { .. }) => true,
                _ => false,
            };
        let is_older = arrival.receive_count < held.receive_count;
        if is_older || unconfirmed && !held.unconfirmed && !stays {
            // An answer that was overtaken by that of a later receive, or one whose own lease may be
            // over: work is not gone on with on the strength of that.
            self.actions.push(Action::Forget { ticket: arrival.ticket, fate: Fate::Lost });
            return;
        }
        // The receive counts as an attempt that the failed ones in place may have been already.
        held.retries = (held.receive_count + held.retries).saturating_sub(arrival.receive_count);
        held.receive_count = arrival.receive_count;
        held.receive_used = false;
        held.lease = lease;
        held.unconfirmed = unconfirmed;
        held.extension_refused = false;
        if held.visibility_call != VisibilityCall::None {
            held.visibility_call = VisibilityCall::Stale;
        }
        held.received_again |= matches!(phase, Phase::Acknowledging { call: Call::UnderWay });
        self.actions.push(Action::Adopt { held: ticket, newer: arrival.ticket });
        self.arm(ticket, Timer::Renewal(lease.renew_at()));
        if stays {
            self.stay(now, ticket);
        } else if let Phase::Returning { visibility, fate, .. } = phase {
            self.give_back(ticket, visibility, fate);
        } else {
            self.moved(ticket);
        }
    }
}
