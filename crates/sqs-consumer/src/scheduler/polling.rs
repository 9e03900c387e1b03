//! When to receive, how many at once and for how long to wait.

use std::{collections::BTreeMap, time::Duration};

use super::{Action, PollId, Scheduler, Timing, backoff::Jitter, broken::Broken};
use crate::{
    queue::{MAX_BATCH, ReceiveRequest},
    time::Time,
};

/// In flight at once in one queue, at most.
///
/// Source: AWS SQS developer guide, "Amazon SQS message quotas".
pub const MAX_IN_FLIGHT: usize = 120_000;

/// By how much at most a receive makes the known round trip longer.
const SLOW_RISE: f64 = 1.02;

/// For how many messages a receive is put off. They come at random: were it for ten, every other one would not
/// be full.
const GATHERED: usize = MAX_BATCH + 2;

/// The same while handlers are idle: few enough that a full receive tells of more.
const GATHERED_IDLE: usize = MAX_BATCH - 2;

/// How the receive after one is put off.
#[derive(Clone, Copy, Debug)]
pub(super) struct PutOff {
    pub(super) at_most: Duration,
    /// Many handlers have nothing to do, even with what has just come.
    pub(super) handlers_are_idle: bool,
}

/// Round trips differ; the known one is among the shortest.
const ROUND_TRIP_MARGIN: u32 = 3;

/// The receives that are outstanding and the pace of further ones.
#[derive(Clone, Debug, Hash)]
pub(super) struct Polling {
    /// How many messages each outstanding receive has asked for.
    pub(super) outstanding: BTreeMap<PollId, usize>,
    /// Their sum.
    pub(super) reserved: usize,
    /// Receives at once: more while they come back full, one as soon as one comes back empty.
    pub(super) desired: usize,
    /// Pauses in a row after which one was needed again.
    pub(super) failures: u32,
    /// The end of the latest of them, until a receive is of use.
    pub(super) pause_ends: Option<Time>,
    pub(super) retry_at: Option<Time>,
    pub(super) last_activity: Time,
    /// What a receive takes for which messages are there already; none before the first. Those that
    /// waited cannot be told from those that did not, so the shortest ones count: it falls at once and
    /// rises slowly.
    pub(super) round_trip: Option<Duration>,
    /// Moving mean of the time from one message to the next.
    pub(super) spacing: Option<Duration>,
    /// When messages were received last.
    pub(super) last_received: Time,
    /// The next receive is put off until then, so that some messages gather.
    pub(super) gather_until: Option<Time>,
    /// For how many messages to gather the latest receive was put off; 0: it was not.
    pub(super) gathered: usize,
    /// The largest message of late, in bytes: what each of an outstanding receive is expected to have.
    /// Rises at once and falls slowly.
    pub(super) message_bytes: usize,
    pub(super) next_id: u64,
}

impl Polling {
    pub(super) fn new(now: Time) -> Self {
        Self {
            outstanding: BTreeMap::new(),
            reserved: 0,
            desired: 1,
            failures: 0,
            pause_ends: None,
            retry_at: None,
            last_activity: now,
            round_trip: None,
            spacing: None,
            last_received: now,
            gather_until: None,
            gathered: 0,
            message_bytes: 0,
            next_id: 0,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// Messages that outstanding receives may still bring.
    pub(super) fn reserved(&self) -> usize {
        self.reserved
    }

    /// No receive before this.
    pub(super) fn paused_until(&self) -> Option<Time> {
        self.retry_at.max(self.gather_until)
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether another receive may be sent now, room permitting.
    pub(super) fn may_start(&self, now: Time) -> bool {
        self.outstanding.len() < self.desired && self.paused_until().is_none_or(|at| now >= at)
    }

    pub(super) fn start(&mut self, max_messages: usize) -> PollId {
        let poll = PollId(self.next_id);
        self.next_id += 1;
        self.outstanding.insert(poll, max_messages);
        self.reserved += max_messages;
        poll
    }

    /// As long as the queue has been quiet, in whole seconds: a busy queue is never waited for
    /// long, a quiet one costs few calls.
    pub(super) fn wait(&self, now: Time, shortest: Duration, longest: Duration) -> Duration {
        let quiet = Duration::from_secs(now.saturating_since(self.last_activity).as_secs());
        quiet.max(shortest).min(longest)
    }

    pub(super) fn active(&mut self, now: Time) {
        self.last_activity = self.last_activity.max(now);
    }

    /// A receive that was sent at `requested_at` brought `count` messages. Returns whether it came
    /// back full.
    pub(super) fn succeeded(
        &mut self,
        now: Time,
        poll: PollId,
        requested_at: Time,
        count: usize,
        timing: &Timing,
        put_off: PutOff,
    ) -> bool {
        let Some(asked) = self.ended(poll) else {
            return false;
        };
        if count > 0 {
            self.active(now);
            (self.retry_at, self.gather_until) = (None, None);
            self.learn(now, requested_at, count, count >= asked, put_off.at_most);
            // A full one after a pause may have been a little more than expected, but several in a row
            // mean a backlog: the pause gets shorter until there is none. Idle handlers are not kept
            // waiting for that.
            let more = match (count < asked, put_off.handlers_are_idle) {
                (true, false) => GATHERED,
                (true, true) => GATHERED_IDLE,
                (false, false) => self.gathered * 7 / 8,
                (false, true) => 0,
            };
            self.let_some_gather(now, put_off.at_most, more);
        } else {
            // A server that answers an empty receive at once must not be asked in a hot loop.
            self.retry_at = Some(requested_at + timing.shortest_wait);
        }
        self.desired = if count == 0 {
            1
        } else if count >= asked {
            (self.desired + 1).min(self.needed() + 1).min(timing.max_polls)
        } else {
            // Those that wait beside it would divide what comes.
            self.desired.saturating_sub(1).clamp(1, self.needed())
        };
        count >= asked
    }

    /// Messages of these sizes have come.
    pub(super) fn learn_sizes(&mut self, sizes: impl Iterator<Item = usize>) {
        for bytes in sizes {
            self.message_bytes = bytes.max(self.message_bytes - self.message_bytes / 64);
        }
    }

    fn learn(&mut self, now: Time, requested_at: Time, count: usize, full: bool, linger: Duration) {
        if full {
            let took = now.saturating_since(requested_at);
            let risen = self.round_trip.map(|round_trip| round_trip.mul_f64(SLOW_RISE));
            self.round_trip = Some(risen.map_or(took, |risen| took.min(risen)));
        }
        let spacing = now.saturating_since(self.last_received) / count as u32;
        // A long pause says nothing about what comes after it.
        let spacing = spacing.min(linger);
        self.spacing = Some(mean(self.spacing, spacing));
        self.last_received = now;
    }

    /// The queue is empty, but not for long: the next receive brings more if it is sent when so many
    /// are to be expected. Not so if less than two would come in the time that there is for it.
    fn let_some_gather(&mut self, now: Time, linger: Duration, count: usize) {
        let spacing = self.spacing.unwrap_or(Duration::MAX);
        let is_worth_it = spacing <= linger / 2;
        self.gathered = if is_worth_it { count } else { 0 };
        if self.gathered > 0 {
            let pause = (spacing * count as u32).min(linger);
            self.gather_until = Some(now + pause);
        }
    }

    /// Some are known to be there.
    pub(super) fn hurry(&mut self) {
        (self.gather_until, self.gathered) = (None, 0);
    }

    /// Receives at once that bring messages as fast as they come, and as they would if some took longer
    /// than the shortest ones.
    fn needed(&self) -> usize {
        let batch = self.spacing.unwrap_or(Duration::MAX).saturating_mul(MAX_BATCH as u32);
        let round_trip = self.round_trip.unwrap_or_default() * ROUND_TRIP_MARGIN;
        let needed = round_trip.as_secs_f64() / batch.as_secs_f64().max(1e-9);
        needed.ceil().max(1.0) as usize
    }

    pub(super) fn failed(&mut self, now: Time, poll: PollId, timing: &Timing, jitter: &mut Jitter) {
        if self.ended(poll).is_some() {
            self.pause(now, timing, jitter);
        }
    }

    /// Slows down, the more the longer it goes on. Receives that were outstanding together fail
    /// together: what fails before the pause is over says nothing new.
    pub(super) fn pause(&mut self, now: Time, timing: &Timing, jitter: &mut Jitter) {
        self.desired = 1;
        let lasts = self.pause_ends.filter(|ends| now < *ends);
        let ends = lasts.unwrap_or_else(|| {
            self.failures = self.failures.saturating_add(1);
            now + jitter.backoff(timing.poll_backoff, timing.poll_backoff_max, self.failures)
        });
        self.pause_ends = Some(ends);
        self.retry_at = Some(ends);
    }

    pub(super) fn do_not_pause(&mut self) {
        self.retry_at = None;
    }

    /// The receive was of use.
    pub(super) fn recovered(&mut self) {
        (self.failures, self.pause_ends) = (0, None);
    }

    /// The receive may have been of use.
    pub(super) fn eased(&mut self) {
        (self.failures, self.pause_ends) = (self.failures / 2, None);
    }

    /// No further receive before `at`.
    pub(super) fn not_before(&mut self, at: Time) {
        self.retry_at = self.retry_at.max(Some(at));
    }

    fn ended(&mut self, poll: PollId) -> Option<usize> {
        let asked = self.outstanding.remove(&poll)?;
        self.reserved -= asked;
        Some(asked)
    }
}

/// A moving mean, with one more sample.
pub(super) fn mean(mean: Option<Duration>, sample: Duration) -> Duration {
    mean.map_or(sample, |mean| mean.mul_f64(0.9) + sample.mul_f64(0.1))
}

impl Scheduler {
    /// Whether more than a quarter of the handlers will have nothing to do when so many more are here.
    pub(super) fn handlers_are_idle(&self, more: usize) -> bool {
        4 * (self.running + self.startable() + more) < 3 * self.config.concurrency
    }

    /// Messages (on FIFO: lanes) to hold beyond those running: what can start within the horizon.
    fn prefetch(&self) -> usize {
        let Some(mean) = self.mean_time else { return 0 };
        let per_second = self.config.concurrency as f64 / mean.as_secs_f64().max(1e-6);
        // What is under way must not be missed by the handlers either.
        let round_trip = self.polling.round_trip.unwrap_or_default();
        let under_way = per_second * round_trip.as_secs_f64();
        let limit = self.config.concurrency.max(MAX_BATCH) + under_way as usize;
        // What waits has its lease extended, but none should have to be.
        let horizon = self.config.timing.prefetch_horizon.min(self.config.visibility / 3);
        let startable = per_second * horizon.as_secs_f64();
        if startable >= limit as f64 { limit } else { startable as usize }
    }

    /// Sends the receives that there is room for.
    pub(super) fn poll(&mut self, now: Time) {
        if self.drain.begun() || !self.breaker.allows(now) {
            return;
        }
        let timing = &self.config.timing;
        let longest = self.config.wait.min(self.config.visibility.mul_f64(2.0 / 3.0));
        let longest = Duration::from_secs(longest.as_secs());
        let capacity = self.config.concurrency + self.prefetch();
        let bounded = !self.breaks(Broken::HoldsWithoutBound);
        while self.polling.may_start(now)
            && (!bounded || self.settling.unacknowledged() < timing.max_unacknowledged)
        {
            let waiting = self.startable();
            let room = capacity.saturating_sub(self.running + waiting + self.polling.reserved());
            let room = if bounded { room.min(self.room_in_bytes()) } else { room };
            let starved = waiting == 0 && self.polling.is_idle();
            // A small receive costs as much as a full one: wait until there is room for ten, but
            // not while handlers are idle. What is held and cannot start, behind a limit or a
            // backoff of its group, must not keep others from idle handlers either.
            let held = self.held.len() + self.polling.reserved();
            let idle = starved && self.running < self.config.concurrency;
            let most_held = if idle { self.most_held_at_all() } else { self.most_held() };
            if room < MAX_BATCH && !(starved && room > 0) || bounded && held >= most_held {
                break;
            }
            // While the breaker is open and nothing is held, one message serves as its probe; so it
            // does while nothing can be settled.
            let probing = self.breaker.is_open() || self.settling.fails();
            let max_messages = if probing { 1 } else { room.min(MAX_BATCH) };
            let wait = self.polling.wait(now, timing.shortest_wait.min(longest), longest);
            let request = ReceiveRequest { max_messages, wait, visibility: self.config.visibility };
            let poll = self.polling.start(max_messages);
            self.actions.push(Action::Receive { poll, request });
            if probing {
                break;
            }
        }
    }

    /// Messages for which there is memory, if they are as large as those of late. Of whatever size,
    /// there is for one where nothing is held.
    fn room_in_bytes(&self) -> usize {
        let (largest, reserved) = (self.polling.message_bytes.max(1), self.polling.reserved());
        let free = self.config.timing.max_held_bytes.saturating_sub(self.held_bytes);
        let room = (free / largest).saturating_sub(reserved);
        if self.held.is_empty() && reserved == 0 { room.max(1) } else { room }
    }

    /// Messages (on FIFO: lanes) that wait for nothing but a handler.
    pub(super) fn startable(&self) -> usize {
        if self.config.fifo { self.lanes.startable() } else { self.turns.startable() }
    }

    /// Receives go on slowly once as much is held as should be, or waits for its own group.
    pub(super) fn slow_down_if_full(&mut self, now: Time) {
        let most_blocked = self.config.concurrency + 2 * MAX_BATCH;
        let full = self.held.len() >= self.most_held()
            || self.held_bytes >= self.config.timing.max_held_bytes;
        if full || self.turns.blocked() >= most_blocked {
            self.polling.not_before(now + self.config.timing.shortest_wait);
        }
    }

    /// A bound even while handlers are idle: all that is held waits for something else than a handler,
    /// and more of it would fill the memory and the queue's own limit in flight.
    fn most_held_at_all(&self) -> usize {
        (4 * self.most_held()).min(MAX_IN_FLIGHT)
    }

    /// A bound on what is held while handlers are busy. FIFO lanes hold up to ten messages each, and
    /// lanes blocked by a backoff must not stop the others; finished messages that wait for their
    /// delete count.
    fn most_held(&self) -> usize {
        let per_slot = if self.config.fifo { 2 * MAX_BATCH } else { 2 };
        let most = (self.config.concurrency + MAX_BATCH) * per_slot
            + self.config.timing.max_unacknowledged;
        most.min(MAX_IN_FLIGHT)
    }
}
