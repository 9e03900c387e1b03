//! Runs handlers: for as long as they may take, and whatever they do.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    task::AbortHandle,
    time::{Instant, timeout},
};
use tracing::{error, warn};

use super::{Calls, Fact, all_stopped, panic_text};
use crate::{
    handler::{Attempt, Handler, Verdict},
    queue::{DeadLetter, Message, Queue},
    scheduler::Ticket,
};

/// A handler that is to begin.
pub(in crate::consumer) struct Start {
    pub(in crate::consumer) ticket: Ticket,
    /// Names the start among those of its ticket.
    pub(in crate::consumer) number: u32,
    pub(in crate::consumer) attempt: Attempt,
    /// Those that must have stopped before.
    pub(in crate::consumer) predecessors: Vec<AbortHandle>,
}

impl<Q: Queue, H: Handler> Calls<Q, H> {
    pub(in crate::consumer) fn start(&self, start: Start, message: Arc<Message>) -> AbortHandle {
        let Start { ticket, number: start, attempt, predecessors } = start;
        let handler = self.handler.clone();
        let (limit, timeout_reason, panic_reason) =
            (self.handler_timeout, self.timeout_reason, self.panic_reason);
        let facts = self.facts.clone();
        // Boxed here: the runtime would move it about ten times before it is done.
        let task = tokio::spawn(Box::pin(async move {
            if !predecessors.is_empty() && !all_stopped(&predecessors, limit).await {
                let verdict =
                    Verdict::NotYet("an earlier handler of it has not stopped".to_owned());
                _ = facts.send(Fact::Finished { ticket, start, took: limit, verdict });
                return;
            }
            let started = Instant::now();
            // A handler may panic before it has made its future, and when that is dropped.
            let work = async { handler.handle(&message, attempt).await };
            let work = AssertUnwindSafe(async { timeout(limit, work).await });
            let end = work.catch_unwind().await;
            let took = started.elapsed();
            if took > limit + LATE {
                tell_late(&message, attempt, took, limit);
            }
            let interrupted = match end {
                Ok(Ok(verdict)) => {
                    _ = facts.send(Fact::Finished { ticket, start, took, verdict });
                    return;
                }
                Err(panic) => {
                    DeadLetter { reason: panic_reason, detail: panic_text(panic.as_ref()) }
                }
                Ok(Err(_)) => DeadLetter {
                    reason: timeout_reason,
                    detail: format!("the handler took longer than {limit:?}"),
                },
            };
            // Boxed, so that it takes no room in each of the tasks that do not need it.
            let remembered = remember(&*handler, &message, attempt, took, interrupted, limit);
            let verdict = Box::pin(remembered).await;
            let took = started.elapsed();
            _ = facts.send(Fact::Finished { ticket, start, took, verdict });
        }));
        task.abort_handle()
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
    let remember = AssertUnwindSafe(async { timeout(limit, remember).await });
    match remember.catch_unwind().await {
        Ok(Ok(verdict)) => verdict,
        Err(_) => Verdict::Retry { letter: interrupted, not_before: None, shared: false },
        Ok(Err(_)) => {
            let what = "what is to remember an interrupted attempt";
            Verdict::Unavailable(format!("{what} did not answer for {limit:?}"))
        }
    }
}

/// A handler's time can only be called when it awaits something. What it says then counts all the same:
/// the work is done, or has failed.
fn tell_late(message: &Message, attempt: Attempt, took: Duration, limit: Duration) {
    let (message_id, receives, attempt) =
        (&message.message_id, message.receive_count, attempt.number);
    warn!(
        message_id,
        receives,
        attempt,
        ?took,
        ?limit,
        "the handler came back after its time: it blocks its thread instead of awaiting something, or the process stood still"
    );
}

/// What a handler may be late by without being told of.
const LATE: Duration = Duration::from_secs(1);
