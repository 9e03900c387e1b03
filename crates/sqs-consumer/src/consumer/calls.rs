//! Carries out actions as tasks whose results come back as facts.

mod handlers;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    sync::mpsc::UnboundedSender,
    task::AbortHandle,
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::{Instrument, Span, error, field, info_span, warn};

pub(super) use self::handlers::Start;
use super::Settings;
use crate::{
    handler::{Handler, Verdict},
    queue::{
        BatchResult, DeadLetter, MAX_BATCH, Message, Queue, QueueError, ReceiptHandle,
        ReceiveRequest,
    },
    scheduler::{Answer, PollId, Ticket},
};

/// What has happened, for the scheduler.
pub(super) enum Fact {
    Received {
        poll: PollId,
        requested_at: Instant,
        result: Result<Vec<Message>, QueueError>,
    },
    Finished {
        ticket: Ticket,
        start: u32,
        took: Duration,
        verdict: Verdict,
    },
    Extended {
        requested_at: Instant,
        answers: Vec<(Ticket, Duration, Answer)>,
    },
    Returned {
        answers: Vec<(Ticket, Answer)>,
    },
    Deleted {
        answers: Vec<(Ticket, Answer)>,
    },
    DeadLettered {
        ticket: Ticket,
        result: Result<(), QueueError>,
    },
    /// Time has passed, says [`super::pulse::Pulse`].
    Pulse,
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
        let (queue, handler) = (self.queue.clone(), self.handler.clone());
        self.spawn(async move {
            let requested_at = Instant::now();
            let span = receive_span(queue.name());
            let call = async {
                let result = caught(queue.receive(request), Err).await;
                let count = result.as_ref().map_or(0, Vec::len);
                Span::current().record("messaging.batch.message_count", count);
                note_failure(&Span::current(), &result);
                result
            };
            let result = call.instrument(span.clone()).await;
            if !span.is_disabled() {
                let messages = result.iter().flatten().take(MAX_BATCH);
                messages.for_each(|message| handler.received(&span, message));
            }
            Fact::Received { poll, requested_at, result }
        });
    }

    pub(super) fn extend(
        &self,
        entries: Vec<(Ticket, Duration)>,
        handles: Vec<(ReceiptHandle, Duration)>,
        until: Option<Instant>,
    ) {
        let queue = self.queue.clone();
        self.spawn(async move {
            let requested_at = Instant::now();
            let count = handles.len();
            let call = in_time(queue.change_visibility(handles), count, until);
            let results = batch(call, count).await;
            let answers = entries
                .into_iter()
                .zip(&results)
                .map(|((ticket, length), result)| (ticket, length, answer("extend", result)))
                .collect();
            Fact::Extended { requested_at, answers }
        });
    }

    /// Waits for handlers that were told to stop: others could have the message before they do. One that
    /// does not stop, since it does not await anything, holds up its own message only (on FIFO: its lane).
    pub(super) fn give_back(&self, returns: Vec<Return>) {
        let queue = self.queue.clone();
        let facts = self.facts.clone();
        tokio::spawn(async move {
            let mut others = returns;
            for patience in [PROMPT, PATIENCE] {
                let stopping: Vec<_> = others.iter().flat_map(|r| r.stopping.clone()).collect();
                all_stopped(&stopping, patience).await;
                // A standard queue would obey the old handle and take the message from whoever has it.
                let may_go =
                    |entry: &mut Return| entry.handlers_have_stopped() && entry.is_leased();
                let stopped: Vec<_> = others.extract_if(.., may_go).collect();
                if !stopped.is_empty() {
                    // Not waited for: meanwhile the leases of the others would run out.
                    tokio::spawn(change_back(queue.clone(), facts.clone(), stopped));
                }
                if others.is_empty() {
                    return;
                }
            }
            warn!(messages = others.len(), "handlers that were told to stop have not in time");
            let answers = others.iter().map(|entry| (entry.ticket, Answer::NotMade)).collect();
            _ = facts.send(Fact::Returned { answers });
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
        let (queue, handler) = (self.queue.clone(), self.handler.clone());
        self.spawn(async move {
            let call = async {
                let name = queue.dead_letter_queue().unwrap_or_default();
                let span = handler.dead_letter_span(&name, &message, &letter);
                let result =
                    queue.dead_letter(&message, &letter, attempts).instrument(span.clone()).await;
                note_failure(&span, &result);
                if result.is_ok() {
                    let (message_id, reason) = (&message.message_id, letter.reason);
                    span.in_scope(|| {
                        warn!(queue = queue.name(), message_id, reason, "dead-lettered");
                    });
                }
                result
            };
            let result = caught(call, Err).await;
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

/// A poll, by the OpenTelemetry conventions. Each attempt at what it brings is a trace of its own; the
/// handler may link it to those of the messages.
fn receive_span(queue: &str) -> Span {
    info_span!(
        "receive",
        otel.name = format_args!("receive {queue}"),
        otel.kind = "client",
        messaging.system = "aws_sqs",
        messaging.operation.name = "receive",
        messaging.operation.type = "receive",
        messaging.destination.name = queue,
        messaging.batch.message_count = field::Empty,
        otel.status_code = field::Empty,
        error.type = field::Empty,
    )
}

fn note_failure<T>(span: &Span, result: &Result<T, QueueError>) {
    if let Err(error) = result {
        span.record("otel.status_code", "ERROR").record("error.type", error.kind());
    }
}

/// What handlers that await something take to stop.
const PROMPT: Duration = Duration::from_millis(20);
/// For those that do not.
const PATIENCE: Duration = Duration::from_secs(1);

/// A message that is to be given back.
pub(super) struct Return {
    pub(super) ticket: Ticket,
    pub(super) handle: ReceiptHandle,
    pub(super) visibility: Duration,
    /// Handlers that must have stopped before: others could have the message at once.
    pub(super) stopping: Vec<AbortHandle>,
    /// The end of its lease.
    pub(super) until: Option<Instant>,
}

impl Return {
    fn handlers_have_stopped(&self) -> bool {
        self.stopping.iter().all(AbortHandle::is_finished)
    }

    fn is_leased(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

async fn change_back(queue: Arc<impl Queue>, facts: UnboundedSender<Fact>, returns: Vec<Return>) {
    let until = returns.iter().filter_map(|entry| entry.until).min();
    let (tickets, handles): (Vec<_>, Vec<_>) =
        returns.into_iter().map(|entry| (entry.ticket, (entry.handle, entry.visibility))).unzip();
    let count = tickets.len();
    let results = batch(in_time(queue.change_visibility(handles), count, until), count).await;
    let answers = tickets.into_iter().zip(&results);
    let answers = answers.map(|(ticket, result)| (ticket, answer("return", result)));
    _ = facts.send(Fact::Returned { answers: answers.collect() });
}

/// Returns when these handlers have stopped, or after a while. Whether they have.
async fn all_stopped(handlers: &[AbortHandle], patience: Duration) -> bool {
    const OFTEN: Duration = Duration::from_millis(1);
    const SELDOM: Duration = Duration::from_millis(100);
    let stopped = async {
        let mut pause = OFTEN;
        while !handlers.iter().all(AbortHandle::is_finished) {
            sleep(pause).await;
            pause = (pause * 5 / 4).min(SELDOM);
        }
    };
    timeout(patience, stopped).await.is_ok()
}

/// A queue that panics is one that did not answer: the scheduler must hear of every call's end.
async fn caught<T>(call: impl Future<Output = T>, failed: impl FnOnce(QueueError) -> T) -> T {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| {
        error!("a call to the queue panicked");
        failed(QueueError::Unavailable(panic_text(panic.as_ref())))
    })
}

/// A change of visibility that is not answered by the end of the first of its leases is given up, with
/// all tries of it that would follow: what is asked for after that is done to somebody else's message.
async fn in_time(
    call: impl Future<Output = BatchResult>,
    count: usize,
    until: Option<Instant>,
) -> BatchResult {
    let Some(until) = until else { return call.await };
    timeout_at(until, call).await.unwrap_or_else(|_| {
        let late = || QueueError::Unavailable("not answered before the lease's end".to_owned());
        std::iter::repeat_with(|| Err(late())).take(count).collect()
    })
}

/// One result per entry, whatever the queue answers.
async fn batch(call: impl Future<Output = BatchResult>, count: usize) -> BatchResult {
    let mut results = caught(call, |error| vec![Err(error); count]).await;
    results.resize_with(count, || Err(QueueError::Unavailable("not answered".to_owned())));
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
