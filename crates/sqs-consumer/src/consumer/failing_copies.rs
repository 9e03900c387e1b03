//! Copies to the dead-letter queue that fail, and how often somebody is told of it.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;
use tracing::error;

use crate::{
    queue::{Message, QueueError},
    scheduler::Ticket,
};

/// An outage fails each copy again and again, and a refused one may be tried for hours.
const AT_MOST_EVERY: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct FailingCopies {
    /// Messages whose copy has failed and that are still held.
    held: BTreeSet<Ticket>,
    /// When one was refused last, if none has succeeded since: its message may have been given back.
    refused_at: Option<Instant>,
    told_at: Option<Instant>,
}

impl FailingCopies {
    /// Whether there are some, or were lately.
    pub(super) fn are_there(&self) -> bool {
        let lately = |at: Instant| at.elapsed() < AT_MOST_EVERY;
        !self.held.is_empty() || self.refused_at.is_some_and(lately)
    }

    /// The message is held no more.
    pub(super) fn ended(&mut self, ticket: Ticket) {
        self.held.remove(&ticket);
    }

    pub(super) fn succeeded(&mut self, ticket: Ticket) {
        self.held.remove(&ticket);
        self.refused_at = None;
    }

    /// Notes the failure and, now and then, tells of it.
    pub(super) fn failed(
        &mut self,
        ticket: Ticket,
        (queue, fifo): (&str, bool),
        message: &Message,
        error: &QueueError,
    ) {
        self.held.insert(ticket);
        if !error.is_transient() {
            self.refused_at = Some(Instant::now());
        }
        if self.told_at.is_some_and(|at| at.elapsed() < AT_MOST_EVERY) {
            return;
        }
        self.told_at = Some(Instant::now());
        let (message_id, bytes, waiting) = (&message.message_id, message.bytes(), self.held.len());
        error!(queue, message_id, bytes, waiting, %error, "{}", what_happens(error, fifo));
    }
}

fn what_happens(error: &QueueError, fifo: bool) -> &'static str {
    if error.is_transient() {
        "the dead-letter queue cannot be written"
    } else if fifo {
        "the dead-letter queue refuses a message, which holds up its group until that queue is changed, for instance its MaximumMessageSize"
    } else {
        "the dead-letter queue refuses a message, which goes back to its own queue: change the dead-letter queue, for instance its MaximumMessageSize"
    }
}
