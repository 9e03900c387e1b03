//! A consumer that runs: what has happened goes to the scheduler, its actions become calls.

mod health;
mod turn;

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};
use tracing::{debug, error, info, warn};

use super::{
    Activity, Consumer, Drained, Health,
    calls::{Calls, Fact, Return, Start},
    failing_copies::FailingCopies,
    pulse::Pulse,
    settings::describe,
    slots::{self, Slots},
};
use crate::{
    handler::{Attempt, Handler, Verdict},
    metrics::QueueMetrics,
    queue::{Message, Queue, QueueAttributes, QueueError},
    scheduler::{Action, Answer, Arrival, Ended, Fate, Scheduler, Ticket},
    time::Time,
};

/// As much is looked at before what follows from it is done.
const FACTS: usize = 256;

/// The state of a consumer that runs.
pub(super) struct Running<Q, H> {
    facts: mpsc::UnboundedReceiver<Fact>,
    queue: Arc<Q>,
    scheduler: Scheduler,
    slots: Slots,
    calls: Calls<Q, H>,
    metrics: QueueMetrics,
    health: watch::Sender<Health>,
    fifo: bool,
    started: Instant,
    draining: bool,
    drained: Drained,
    next_ticket: u64,
    failing_copies: FailingCopies,
    /// More receives than this are more than the redrive policy allows.
    max_receive_count: Option<u32>,
    /// The latest failure that may be everyone's.
    shared_cause: Option<String>,
    activity: Activity,
    pulse: Option<Pulse>,
    /// What a start may take until its handler's end, the times included for which it waits for others
    /// and remembers an interruption, if the handler does not block.
    longest_start: Duration,
}

impl<Q: Queue, H: Handler> Running<Q, H> {
    pub(super) fn new(consumer: Consumer<Q, H>, attributes: &QueueAttributes) -> Self {
        let (sender, facts) = mpsc::unbounded_channel();
        let Consumer { queue, handler, settings, metrics, health } = consumer;
        let config = settings.config(attributes, queue.has_dead_letter_queue());
        describe(queue.name(), &config);
        for warning in settings.warnings(attributes) {
            warn!(queue = queue.name(), "{warning}");
        }
        let pulse = Pulse::start(queue.name(), sender.clone());
        let metrics = metrics.for_queue(queue.name(), attributes.fifo);
        metrics.concurrency_limit.set(config.concurrency as i64);
        Self {
            facts,
            scheduler: Scheduler::new(config, Time::ZERO),
            slots: Slots::default(),
            calls: Calls::new(queue.clone(), handler, &settings, sender),
            queue,
            metrics,
            health,
            fifo: attributes.fifo,
            started: Instant::now(),
            draining: false,
            drained: Drained::default(),
            next_ticket: 0,
            failing_copies: FailingCopies::default(),
            max_receive_count: attributes.max_receive_count,
            shared_cause: None,
            activity: settings.activity,
            pulse,
            longest_start: settings.handler_timeout.saturating_mul(3),
        }
    }

    /// Consumes until `shutdown` is ready, then drains to the end.
    pub(super) async fn until_drained(
        mut self,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Drained {
        let mut facts = Vec::new();
        let mut timer = pin!(sleep(Duration::ZERO));
        loop {
            let now = self.now();
            self.notice_activity();
            for action in self.scheduler.advance(now) {
                self.execute(action);
            }
            self.publish();
            if self.scheduler.is_drained() {
                return self.drained();
            }
            let wakeup = self.scheduler.next_wakeup(now);
            if let Some(at) = wakeup {
                let at = self.instant(at);
                if timer.deadline() != at || timer.is_elapsed() {
                    timer.as_mut().reset(at);
                }
            }
            // Nothing is lost by the branch not taken: calls and handlers are tasks of their own, and
            // what is due is done in every turn of the loop.
            tokio::select! {
                biased;
                () = &mut shutdown, if !self.draining => {
                    self.draining = true;
                    let now = self.now();
                    self.scheduler.drain(now);
                    let held = self.scheduler.stats().held;
                    info!(queue = self.queue.name(), held, "draining");
                }
                _ = self.facts.recv_many(&mut facts, FACTS) => {
                    // The runtime polls what was woken last first, so this is woken for each handler
                    // that ends. Those that are ready to end as well go before, and are seen together.
                    turn::after_others().await;
                    while facts.len() < FACTS && let Ok(fact) = self.facts.try_recv() {
                        facts.push(fact);
                    }
                    let now = self.now();
                    if facts.iter().any(Fact::is_activity) {
                        self.activity.mark();
                    }
                    for fact in facts.drain(..) {
                        self.apply(now, fact);
                    }
                }
                () = &mut timer, if wakeup.is_some() => {}
            }
        }
    }

    fn now(&self) -> Time {
        Time::new(self.started.elapsed())
    }

    fn instant(&self, time: Time) -> Instant {
        self.started + time.since_origin()
    }

    fn lease_ends(&self, ticket: Ticket) -> Option<Instant> {
        self.scheduler.lease_ends(ticket).map(|at| self.instant(at))
    }

    fn drained(self) -> Drained {
        let Drained { released, stranded } = self.drained;
        info!(queue = self.queue.name(), released, stranded, "drained");
        self.drained
    }

    fn apply(&mut self, now: Time, fact: Fact) {
        match fact {
            Fact::Received { poll, requested_at, result } => match result {
                Ok(messages) => {
                    let arrivals = self.arrived(messages);
                    let requested_at = Time::new(requested_at - self.started);
                    self.scheduler.received(now, poll, requested_at, arrivals);
                }
                Err(error) => {
                    self.scheduler.receive_failed(now, poll);
                    self.receive_failed(&error);
                }
            },
            Fact::Finished { ticket, start, took, verdict } => {
                // One that was to be stopped may have ended by itself. The scheduler takes from it what it
                // says of all, unless it could be taken for the end of a later start.
                if !self.slots.is_outdated(ticket, start) {
                    self.finished(now, ticket, took, verdict);
                }
            }
            Fact::Extended { requested_at, answers } => {
                for (_, _, answer) in &answers {
                    self.metrics.extended(match answer {
                        Answer::Ok => "ok",
                        Answer::LeaseOver => "lost",
                        _ => "failed",
                    });
                }
                let requested_at = Time::new(requested_at - self.started);
                self.scheduler.extended(now, requested_at, &answers);
            }
            Fact::Returned { answers } => self.scheduler.returned(now, &answers),
            Fact::Deleted { answers } => self.scheduler.deleted(now, &answers),
            Fact::DeadLettered { ticket, result } => self.dead_lettered(now, ticket, result),
            Fact::Pulse => {
                if let Some(pulse) = &self.pulse {
                    pulse.seen();
                }
            }
        }
    }

    fn dead_lettered(&mut self, now: Time, ticket: Ticket, result: Result<(), QueueError>) {
        self.scheduler.dead_lettered(now, ticket, Answer::from(&result));
        let Err(error) = result else {
            self.failing_copies.succeeded(ticket);
            return;
        };
        // Of one that was given up meanwhile nothing will be heard again.
        let Some(slot) = self.slots.get_mut(ticket) else { return };
        let queue = (self.queue.name(), self.fifo);
        self.failing_copies.failed(ticket, queue, &slot.message, &error);
        self.health.send_replace(Health::Failing(format!("dead-letter queue: {error}")));
    }

    /// Lets the scheduler know when another consumer of this process was last busy.
    fn notice_activity(&mut self) {
        if let Some(last) = self.activity.last() {
            let last = last.saturating_duration_since(self.started);
            self.scheduler.active_elsewhere(Time::new(last));
        }
    }

    fn arrived(&mut self, messages: Vec<Message>) -> Vec<Arrival> {
        if !messages.is_empty() {
            info!(queue = self.queue.name(), messages = messages.len(), "received a batch");
        }
        self.metrics.consumed.inc_by(messages.len() as u64);
        let wall_clock_ms = slots::wall_clock_ms();
        let mut arrivals = Vec::with_capacity(messages.len());
        for message in messages {
            self.metrics.receive_count.observe(f64::from(message.receive_count));
            if self.max_receive_count.is_some_and(|most| message.receive_count > most) {
                let (message_id, receives) = (&message.message_id, message.receive_count);
                warn!(
                    queue = self.queue.name(),
                    message_id,
                    receives,
                    "received more often than the redrive policy allowed at the start: it was changed, or its dead-letter queue is gone"
                );
            }
            // What comes again has waited for its retry, or for the end of whoever had it.
            if message.receive_count == 1
                && let Some(sent_at) = message.sent_at_ms
            {
                let waited = wall_clock_ms.saturating_sub(sent_at);
                self.metrics.queue_wait.observe(waited as f64 / 1000.0);
            }
            let ticket = Ticket(self.next_ticket);
            self.next_ticket += 1;
            arrivals.push(Arrival {
                ticket,
                message_id: message.message_id.as_str().into(),
                group: message.group_id.as_deref().map(Into::into),
                receive_count: message.receive_count,
                bytes: message.bytes(),
            });
            self.slots.insert(ticket, message);
        }
        arrivals
    }

    fn receive_failed(&mut self, error: &QueueError) {
        let failures = self.scheduler.failed_receives();
        warn!(queue = self.queue.name(), %error, failures, "receiving failed");
        self.health.send_replace(Health::Failing(error.to_string()));
    }

    fn finished(&mut self, now: Time, ticket: Ticket, took: Duration, verdict: Verdict) {
        let (ended, error_type) = match verdict {
            Verdict::Done => (Ended::Done, ""),
            Verdict::AlreadyDone => (Ended::AlreadyDone, ""),
            Verdict::Retry { letter, not_before, shared } => {
                let reason = letter.reason;
                if shared {
                    self.shared_cause = Some(format!("{reason}: {}", letter.detail));
                }
                self.slots.set_letter(ticket, letter);
                (Ended::Retry { not_before, shared }, reason)
            }
            Verdict::DeadLetter(letter) => {
                let reason = letter.reason;
                self.slots.set_letter(ticket, letter);
                (Ended::DeadLetter, reason)
            }
            Verdict::NotYet(reason) => {
                debug!(queue = self.queue.name(), %reason, "not yet");
                (Ended::NotYet, "not_yet")
            }
            Verdict::Unavailable(reason) => {
                // Those that ran beside the first one find the same, each.
                if self.scheduler.stats().breaker_open {
                    debug!(queue = self.queue.name(), %reason, "a common need is still down");
                } else {
                    warn!(queue = self.queue.name(), %reason, "pausing: a common need is down");
                }
                self.health.send_replace(Health::Failing(reason));
                (Ended::Unavailable, "unavailable")
            }
        };
        self.metrics.processed(took.as_secs_f64(), error_type);
        self.scheduler.finished(now, ticket, ended);
    }

    fn execute(&mut self, action: Action) {
        match action {
            Action::Receive { poll, request } => self.calls.receive(poll, request),
            Action::Start { ticket, attempt } => self.start(ticket, attempt),
            Action::Cancel { ticket } => self.slots.cancel(ticket),
            Action::Extend { entries } => {
                for &(ticket, _) in &entries {
                    self.tell_if_blocked(ticket);
                }
                let handles = self.slots.handles(&entries);
                let until = entries.iter().filter_map(|&(ticket, _)| self.lease_ends(ticket)).min();
                self.calls.extend(entries, handles, until);
            }
            Action::Return { entries } => {
                let mut returns = Vec::with_capacity(entries.len());
                for (ticket, visibility) in entries {
                    returns.push(Return {
                        ticket,
                        handle: self.slots.handle(ticket),
                        visibility,
                        stopping: self.slots.predecessors(ticket, self.fifo),
                        until: self.lease_ends(ticket),
                    });
                }
                self.calls.give_back(returns);
            }
            Action::Delete { tickets } => {
                let handles = tickets.iter().map(|ticket| self.slots.handle(*ticket)).collect();
                self.calls.delete(tickets, handles);
            }
            Action::DeadLetter { ticket } => {
                let Some(slot) = self.slots.get_mut(ticket) else {
                    return;
                };
                self.calls.dead_letter(ticket, slot.message.clone(), slot.letter(), slot.attempts);
            }
            Action::Adopt { held, newer } => self.slots.adopt(held, newer),
            Action::Forget { ticket, fate } => self.forget(ticket, fate),
        }
    }

    fn start(&mut self, ticket: Ticket, attempt: Attempt) {
        let predecessors = self.slots.predecessors(ticket, self.fifo);
        let Some(slot) = self.slots.get_mut(ticket) else {
            return;
        };
        let start = Start { ticket, number: slot.starts(attempt), attempt, predecessors };
        slot.handler = Some(self.calls.start(start, slot.message.clone()));
    }

    fn forget(&mut self, ticket: Ticket, fate: Fate) {
        let Some(slot) = self.slots.remove(ticket) else {
            return;
        };
        self.failing_copies.ended(ticket);
        let (queue, message_id) = (self.queue.name(), &slot.message.message_id);
        match fate {
            Fate::Deleted | Fate::BackedOff => debug!(queue, message_id, ?fate, "settled"),
            Fate::DeadLettered => self.metrics.dead_lettered(slot.letter().reason),
            Fate::Released => {
                // A lane that closes gives messages back as well.
                if self.draining {
                    self.drained.released += 1;
                    self.metrics.released.inc();
                }
                debug!(queue, message_id, "released");
            }
            Fate::Lost => {
                self.metrics.leases_lost.inc();
                warn!(queue, message_id, "the visibility timeout ended while the message was held");
            }
            Fate::Stranded => {
                self.drained.stranded += 1;
                self.metrics.stranded.inc();
                error!(queue, message_id, "stranded: leased until its visibility timeout");
            }
        }
    }
}
