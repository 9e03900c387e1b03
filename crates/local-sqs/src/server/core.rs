//! The model behind a lock, and the receives that wait for it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::clock::Clock;
use super::faults::FaultState;
use super::metrics::Metrics;
use crate::model::api::{ReceiveMessageRequest, ReceiveMessageResult};
use crate::model::{ApiError, Lease, Millis, QueueCounts, Received, Sqs};

/// What the connections, the timer and the handles share.
#[derive(Debug)]
pub(super) struct Shared {
    core: Mutex<Core>,
    pub(super) clock: Clock,
    pub(super) faults: FaultState,
    pub(super) metrics: Metrics,
    /// Rung when the model's next deadline has become earlier.
    rearm: Notify,
}

#[derive(Debug)]
struct Core {
    model: Sqs,
    /// Waiting receives by queue, in the order in which they came.
    waiting: BTreeMap<Arc<str>, BTreeMap<u64, Waiter>>,
    next_waiter: u64,
    /// Set when the server is to stop: receives no longer wait.
    polls_ended: bool,
    /// What the timer sleeps until.
    armed: Option<Millis>,
}

#[derive(Debug)]
struct Waiter {
    request: ReceiveMessageRequest,
    reply: oneshot::Sender<Result<Received, ApiError>>,
}

impl Shared {
    pub(super) fn new(model: Sqs, clock: Clock, faults: FaultState) -> Self {
        let core = Core {
            model,
            waiting: BTreeMap::new(),
            next_waiter: 0,
            polls_ended: false,
            armed: None,
        };
        Self {
            core: Mutex::new(core),
            clock,
            faults,
            metrics: Metrics::new(),
            rearm: Notify::new(),
        }
    }

    /// Runs an operation on the model and tells whoever waits for its effects.
    pub(super) fn with_model<T>(&self, operation: impl FnOnce(&mut Sqs, Millis) -> T) -> T {
        let mut core = self.lock();
        let now = self.clock.now();
        let result = operation(&mut core.model, now);
        self.settle(&mut core, now);
        result
    }

    /// Receives, waiting as long as the request or the queue says.
    ///
    /// When this future is dropped nothing stays received.
    pub(super) async fn receive(
        self: &Arc<Self>,
        request: ReceiveMessageRequest,
    ) -> Result<ReceiveMessageResult, ApiError> {
        let (mut poll, wait) = {
            let mut core = self.lock();
            let now = self.clock.now();
            // What has become receivable by now is for those who wait already.
            core.model.advance(now);
            core.serve_waiting(now);
            let received = core.model.receive_message(now, &request);
            let waits = match &received {
                Ok(received) if received.result.messages.is_empty() && !core.polls_ended => {
                    core.model.receive_wait(&request)?
                }
                _ => Duration::ZERO,
            };
            if waits.is_zero() {
                self.settle(&mut core, now);
                return received.map(|received| received.result);
            }
            let poll = self.wait_in_line(&mut core, request)?;
            self.settle(&mut core, now);
            (poll, waits)
        };
        let answer = tokio::time::timeout(wait, &mut poll.answer).await;
        match answer {
            Ok(Ok(answer)) => answer.map(|received| received.result),
            // Time is up, or the server ends its polls. What came at the same moment still counts.
            _ => poll.leave().unwrap_or_else(|| Ok(Received::default())).map(|r| r.result),
        }
    }

    /// Answers every waiting receive and lets none wait from now on.
    pub(super) fn end_long_polls(&self) {
        let mut core = self.lock();
        core.polls_ended = true;
        core.waiting.clear();
    }

    /// Keeps time for the model, for ever.
    pub(super) async fn keep_time(&self) -> Infallible {
        loop {
            let deadline = {
                let mut core = self.lock();
                let now = self.clock.now();
                core.model.advance(now);
                self.settle(&mut core, now);
                core.armed = core.model.next_deadline();
                core.armed
            };
            let rung = self.rearm.notified();
            match deadline {
                Some(deadline) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(self.clock.instant(deadline)) => {}
                        () = rung => {}
                    }
                }
                None => rung.await,
            }
        }
    }

    /// Turns the clock forward.
    pub(super) fn skip(&self, by: Duration) {
        self.clock.skip(by);
        self.with_model(Sqs::advance);
        self.rearm.notify_one();
    }

    /// The exact numbers of every queue's messages.
    pub(super) fn counts(&self) -> Vec<(Arc<str>, QueueCounts)> {
        self.with_model(|model, now| {
            model.advance(now);
            let named = |name: &Arc<str>| Some((Arc::clone(name), model.counts(name)?));
            model.queue_names().filter_map(named).collect()
        })
    }

    /// How many receives wait, in all queues.
    pub(super) fn waiting_receives(&self) -> usize {
        self.lock().waiting.values().map(BTreeMap::len).sum()
    }

    fn wait_in_line(
        self: &Arc<Self>,
        core: &mut Core,
        request: ReceiveMessageRequest,
    ) -> Result<Poll, ApiError> {
        let queue = core.model.queue_name(&request.queue_url)?;
        let (reply, answer) = oneshot::channel();
        let id = core.next_waiter;
        core.next_waiter += 1;
        let line = core.waiting.entry(Arc::clone(&queue)).or_default();
        line.insert(id, Waiter { request, reply });
        Ok(Poll { shared: Arc::clone(self), queue, id, answer })
    }

    /// Gives what became receivable to those who wait, and sets the timer.
    fn settle(&self, core: &mut Core, now: Millis) {
        core.serve_waiting(now);
        let deadline = core.model.next_deadline();
        let sooner =
            deadline.is_some_and(|deadline| core.armed.is_none_or(|armed| deadline < armed));
        if sooner {
            core.armed = deadline;
            self.rearm.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        // A panic in the model is a bug that a test shows; the other queues go on.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Serves waiting receives in the order in which they came. A receive can itself awaken another
    /// queue, by dead letters, hence the outer loop.
    fn serve_waiting(&mut self, now: Millis) {
        loop {
            let awakened: BTreeSet<Arc<str>> = self.model.take_awakened();
            if awakened.is_empty() {
                return;
            }
            for queue in awakened {
                self.serve_line(&queue, now);
            }
        }
    }

    fn serve_line(&mut self, queue: &Arc<str>, now: Millis) {
        let Some(line) = self.waiting.get_mut(queue) else {
            return;
        };
        while let Some(first) = line.first_entry() {
            if first.get().reply.is_closed() {
                first.remove();
                continue;
            }
            let received = self.model.receive_message(now, &first.get().request);
            if received.as_ref().is_ok_and(|received| received.result.messages.is_empty()) {
                break;
            }
            // A receiver that has gone meanwhile leaves its messages to the next one.
            if let Err(Ok(undelivered)) = first.remove().reply.send(received) {
                self.model.give_back(now, undelivered.lease);
            }
        }
        if line.is_empty() {
            self.waiting.remove(queue);
        }
    }
}

/// A receive's place in the line. Dropping it leaves the line and returns what was handed out but
/// not taken.
struct Poll {
    shared: Arc<Shared>,
    queue: Arc<str>,
    id: u64,
    answer: oneshot::Receiver<Result<Received, ApiError>>,
}

impl Poll {
    /// Leaves the line, with the answer if there was one already.
    fn leave(&mut self) -> Option<Result<Received, ApiError>> {
        let mut core = self.shared.lock();
        if let Some(line) = core.waiting.get_mut(&self.queue) {
            line.remove(&self.id);
            if line.is_empty() {
                core.waiting.remove(&self.queue);
            }
        }
        self.answer.try_recv().ok()
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        if let Some(Ok(undelivered)) = self.leave() {
            let lease: Lease = undelivered.lease;
            self.shared.with_model(|model, now| model.give_back(now, lease));
        }
    }
}
