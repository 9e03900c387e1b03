//! What the application brings: a [`Handler`], and the [`Verdict`] it gives on each message.

use std::{future::Future, time::Duration};

use tracing::Span;

use crate::queue::{DeadLetter, Message};

/// One attempt at a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// Counts from 1: the receive count plus the retries in place since that receive.
    pub number: u32,
    /// The last attempt's number; a failure in it dead-letters the message.
    pub max: u32,
}

impl Attempt {
    /// Whether a failure now is final.
    pub fn is_last(self) -> bool {
        self.number >= self.max
    }
}

/// What becomes of a message after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The work is done and remembered: delete the message.
    Done,
    /// The work was done and remembered before this attempt: delete the message. Nothing was
    /// handed to anybody, so unlike [`Verdict::Done`] this does not show that what messages are
    /// handed to works: the shared failures of others count as if it had not come.
    AlreadyDone,
    /// Failed, try again after a backoff until the attempts are used up.
    Retry {
        /// What the message is dead-lettered with if this attempt was the last one.
        letter: DeadLetter,
        /// A lower bound of the backoff (for example an HTTP `Retry-After`).
        not_before: Option<Duration>,
        /// The cause may be everyone's (what all messages are handed to is down) and not this
        /// message's own. Attempts that fail so count only while others succeed.
        shared: bool,
    },
    /// Will never succeed: dead-letter at once.
    DeadLetter(DeadLetter),
    /// Not this message's turn: other work that this one must wait for, such as an attempt at the same
    /// thing, is still under way. The attempt has not begun and does not count; the message is kept
    /// leased and tried again after a backoff.
    NotYet(String),
    /// Something that every message needs (such as the store) is down. The attempt does not count:
    /// the message is kept leased, nothing is acknowledged, and the consumer slows down.
    Unavailable(String),
}

/// The application's work on one message. Must be safe to repeat: SQS delivers at least once.
///
/// The future is dropped when the lease is lost, when the handler's time is up, or when a drain
/// passes its deadline: at its next `await`. What computes for long or blocks without one runs on until
/// then, is warned of, and what it says in the end counts as if it had been in time; a message is given back
/// only when its handler has stopped, but a lease that is lost is lost. Leases are extended meanwhile, unless
/// such handlers block all threads of the runtime: use `tokio::task::spawn_blocking` for what blocks.
/// A panic counts as a failed attempt with the reason
/// [`crate::Settings::panic_reason`].
pub trait Handler: Send + Sync + 'static {
    /// Works on one message.
    fn handle(&self, message: &Message, attempt: Attempt) -> impl Future<Output = Verdict> + Send;

    /// The attempt panicked or ran out of time after it `took` so long, for the reason in `letter`: a
    /// chance to remember that, and to answer with another verdict than a retry.
    fn interrupted(
        &self,
        message: &Message,
        attempt: Attempt,
        took: Duration,
        letter: DeadLetter,
    ) -> impl Future<Output = Verdict> + Send {
        let _ = (message, attempt, took);
        std::future::ready(Verdict::Retry { letter, not_before: None, shared: false })
    }

    /// The span of the receive that has brought the message: who makes a trace of a message knows which
    /// one to link it to. Of a receive there are at most [`crate::MAX_BATCH`] messages.
    fn received(&self, receive: &Span, message: &Message) {
        let _ = (receive, message);
    }

    /// The span in which a copy of the message is sent to this dead-letter queue and what comes of it is
    /// logged: who makes a trace of a message knows which one. If it has the fields `otel.status_code` and
    /// `error.type`, a failure is recorded in them.
    fn dead_letter_span(&self, queue: &str, message: &Message, letter: &DeadLetter) -> Span {
        let _ = (queue, message, letter);
        Span::none()
    }
}
