//! Carries out actions as tasks whose results come back as facts.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    sync::mpsc::UnboundedSender,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};
use tracing::{error, warn};

use super::Settings;
use crate::{
    handler::{Attempt, Handler, Verdict},
    queue::{BatchResult, DeadLetter, Message, Queue, QueueError, ReceiptHandle, ReceiveRequest},
    scheduler::{Answer, PollId, Ticket},
};

/// What has happened, for the scheduler.
pub(super) enum Fact {
    Received { poll: PollId, requested_at: Instant, result: Result<Vec<Message>, QueueError> },
    Finished { ticket: Ticket, start: u32, took: Duration, verdict: Verdict },
    Extended { requested_at: Instant, answers: Vec<(Ticket, Duration, Answer)> },
    Returned { answers: Vec<(Ticket, Answer)> },
    Deleted { answers: Vec<(Ticket, Answer)> },
    DeadLettered { ticket: Ticket, result: Result<(), QueueError> },
}

impl Fact {
    /// Whether there are messages to work on.
    pub(super) fn is_activity(&self) -> bool {
        match self {
            Self::Received { result, .. } => result.as_ref().is_ok_and(|some| !some.is_empty()),
            Self::Finished { .. } => true,
            _ => false,
        }
    }
}

pub(super) struct Calls<Q, H> {
    queue: Arc<Q>,
    handler: Arc<H>,
    handler_timeout: Duration,
    facts: UnboundedSender<Fact>,
    timeout_reason: &'static str,
    panic_reason: &'static str,
}

impl<Q: Queue, H: Handler> Calls<Q, H> {
    pub(super) fn new(
        queue: Arc<Q>,
        handler: Arc<H>,
        settings: &Settings,
        facts: UnboundedSender<Fact>,
    ) -> Self {
        let &Settings { handler_timeout, timeout_reason, panic_reason, .. } = settings;
        Self { queue, handler, handler_timeout, facts, timeout_reason, panic_reason }
    }

    /// The call runs to its end whatever happens to the consumer: its messages must not be lost.
    pub(super) fn receive(&self, poll: PollId, request: ReceiveRequest) {
        let queue = self.queue.clone();
        self.spawn(async move {
            let requested_at = Instant::now();
            let result = caught(queue.receive(request), Err).await;
            Fact::Received { poll, requested_at, result }
        });
    }

    pub(super) fn start(
        &self,
        ticket: Ticket,
        start: u32,
        message: Arc<Message>,
        attempt: Attempt,
    ) -> AbortHandle {
        let handler = self.handler.clone();
        let (limit, timeout_reason, panic_reason) =
            (self.handler_timeout, self.timeout_reason, self.panic_reason);
        let facts = self.facts.clone();
        // Boxed here: the runtime would move it about ten times before it is done.
        let task = tokio::spawn(Box::pin(async move {
            let started = Instant::now();
            // A handler may panic before it has made its future.
            let work = async { handler.handle(&message, attempt).await };
            let work = AssertUnwindSafe(work).catch_unwind();
            let interrupted = match timeout(limit, work).await {
                Ok(Ok(verdict)) => {
                    let took = started.elapsed();
                    _ = facts.send(Fact::Finished { ticket, start, took, verdict });
                    return;
                }
                Ok(Err(panic)) => {
                    DeadLetter { reason: panic_reason, detail: panic_text(panic.as_ref()) }
                }
                Err(_) => DeadLetter {
                    reason: timeout_reason,
                    detail: format!("the handler took longer than {limit:?}"),
                },
            };
            let took = started.elapsed();
            // Boxed, so that it takes no room in each of the tasks that do not need it.
            let remembered = remember(&*handler, &message, attempt, took, interrupted, limit);
            let verdict = Box::pin(remembered).await;
            let took = started.elapsed();
            _ = facts.send(Fact::Finished { ticket, start, took, verdict });
        }));
        task.abort_handle()
    }

    pub(super) fn extend(
        &self,
        entries: Vec<(Ticket, Duration)>,
        handles: Vec<(ReceiptHandle, Duration)>,
    ) {
        let queue = self.queue.clone();
        self.spawn(async move {
            let requested_at = Instant::now();
            let count = handles.len();
            let results = batch(queue.change_visibility(handles), count).await;
            let answers = entries
                .into_iter()
                .zip(&results)
                .map(|((ticket, length), result)| (ticket, length, answer("extend", result)))
                .collect();
            Fact::Extended { requested_at, answers }
        });
    }

    /// Waits for handlers that were told to stop: others could have the message before they do. One that
    /// does not stop, since it does not await anything, keeps its batch from being sent.
    pub(super) fn give_back(
        &self,
        entries: Vec<(Ticket, Duration)>,
        handles: Vec<(ReceiptHandle, Duration)>,
        stopping: Vec<AbortHandle>,
    ) {
        let queue = self.queue.clone();
        self.spawn(async move {
            let count = handles.len();
            let results = if have_stopped(&stopping).await {
                batch(queue.change_visibility(handles), count).await
            } else {
                vec![Err(QueueError::Unavailable("its handler does not stop".to_owned())); count]
            };
            let tickets = entries.into_iter().map(|(ticket, _)| ticket);
            let answers =
                tickets.zip(&results).map(|(ticket, result)| (ticket, answer("return", result)));
            Fact::Returned { answers: answers.collect() }
        });
    }

    pub(super) fn delete(&self, tickets: Vec<Ticket>, handles: Vec<ReceiptHandle>) {
        let queue = self.queue.clone();
        self.spawn(async move {
            let results = batch(queue.delete(handles), tickets.len()).await;
            let answers = tickets
                .into_iter()
                .zip(&results)
                .map(|(ticket, result)| (ticket, answer("delete", result)));
            Fact::Deleted { answers: answers.collect() }
        });
    }

    pub(super) fn dead_letter(
        &self,
        ticket: Ticket,
        message: Arc<Message>,
        letter: DeadLetter,
        attempts: u32,
    ) {
        let queue = self.queue.clone();
        self.spawn(async move {
            let result = caught(queue.dead_letter(&message, &letter, attempts), Err).await;
            Fact::DeadLettered { ticket, result }
        });
    }

    fn spawn(&self, call: impl Future<Output = Fact> + Send + 'static) {
        let facts = self.facts.clone();
        tokio::spawn(async move {
            // The consumer may be gone already, after a drain that ran out of time.
            _ = facts.send(call.await);
        });
    }
}

/// Lets the handler know that its attempt was interrupted.
async fn remember(
    handler: &impl Handler,
    message: &Message,
    attempt: Attempt,
    took: Duration,
    interrupted: DeadLetter,
    limit: Duration,
) -> Verdict {
    let DeadLetter { reason, detail } = &interrupted;
    let (message_id, number) = (&message.message_id, attempt.number);
    error!(message_id, attempt = number, reason, detail, "the handler was interrupted");
    let letter = interrupted.clone();
    let remember = async { handler.interrupted(message, attempt, took, letter).await };
    match timeout(limit, AssertUnwindSafe(remember).catch_unwind()).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) => Verdict::Retry { letter: interrupted, not_before: None, shared: false },
        Err(_) => {
            let what = "what is to remember an interrupted attempt";
            Verdict::Unavailable(format!("{what} did not answer for {limit:?}"))
        }
    }
}

/// Whether all of them have stopped, after a while at most.
async fn have_stopped(handlers: &[AbortHandle]) -> bool {
    const PATIENCE: Duration = Duration::from_secs(1);
    const LOOK: Duration = Duration::from_millis(1);
    let stopped = async {
        while !handlers.iter().all(AbortHandle::is_finished) {
            sleep(LOOK).await;
        }
    };
    timeout(PATIENCE, stopped).await.is_ok()
}

/// A queue that panics is one that did not answer: the scheduler must hear of every call's end.
async fn caught<T>(call: impl Future<Output = T>, failed: impl FnOnce(QueueError) -> T) -> T {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| {
        error!("a call to the queue panicked");
        failed(QueueError::Unavailable(panic_text(panic.as_ref())))
    })
}

/// One result per entry, whatever the queue answers.
async fn batch(call: impl Future<Output = BatchResult>, count: usize) -> BatchResult {
    let mut results = caught(call, |error| vec![Err(error); count]).await;
    results.resize(count, Err(QueueError::Unavailable("not answered".to_owned())));
    results
}

fn answer(call: &'static str, result: &Result<(), QueueError>) -> Answer {
    if let Err(error) = result {
        warn!(call, %error, "settling failed");
    }
    Answer::from(result)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("no text"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_handler_that_blocks_has_not_stopped_until_it_awaits() {
        let (begun, begins) = mpsc::channel();
        let (go_on, blocks) = mpsc::channel();
        let task = tokio::spawn(async move {
            begun.send(()).expect("the test waits");
            blocks.recv().expect("the test says when");
            std::future::pending::<()>().await;
        });
        begins.recv().expect("it begins");
        let handlers = [task.abort_handle()];
        task.abort();
        assert!(have_stopped(&handlers).now_or_never().is_none());
        assert!(!have_stopped(&handlers).await, "it is not waited for without end");
        go_on.send(()).expect("it blocks");
        assert!(have_stopped(&handlers).await);
    }
}
