//! The scheduler's facts and actions.

use std::{sync::Arc, time::Duration};

use super::MessageId;
use crate::{
    handler::Attempt,
    queue::{QueueError, ReceiveRequest},
};

/// A message that the scheduler holds. Given by the caller, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One receive call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PollId(pub u64);

/// What the scheduler needs to know of a received message; body and handle stay with the caller.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The caller's name for this receive of the message.
    pub ticket: Ticket,
    /// SQS's message id.
    pub message_id: MessageId,
    /// `MessageGroupId`; ignored on a standard queue.
    pub group: Option<Arc<str>>,
    /// `ApproximateReceiveCount`.
    pub receive_count: u32,
    /// Bytes that it takes while it is held: [`crate::queue::Message::bytes`].
    pub bytes: usize,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The work is done.
    Done,
    /// It was done before, so nothing was tried.
    AlreadyDone,
    /// Failed, may succeed later; a lower bound of the backoff.
    Retry {
        /// A lower bound of the backoff.
        not_before: Option<Duration>,
        /// The cause may be one that all messages share.
        shared: bool,
    },
    /// Will never succeed.
    DeadLetter,
    /// It could not begin, for a cause of its own; the attempt does not count.
    NotYet,
    /// A common need is down; the attempt does not count.
    Unavailable,
}

/// What came of one entry of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Ok,
    /// The lease is over: someone else may have the message.
    LeaseOver,
    /// Not done, may work later.
    Failed,
    /// The call was not made, since the message's handler has not stopped; it may be made later.
    NotMade,
    /// Not done and never will be.
    Refused,
}

impl From<&Result<(), QueueError>> for Answer {
    fn from(result: &Result<(), QueueError>) -> Self {
        match result {
            Ok(()) => Self::Ok,
            Err(QueueError::LeaseOver(_)) => Self::LeaseOver,
            Err(error) if error.is_transient() => Self::Failed,
            Err(_) => Self::Refused,
        }
    }
}

/// What the caller is asked to do. Calls are answered by the fact of the same name; batches hold
/// at most [`crate::MAX_BATCH`] entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Receive; answer with [`super::Scheduler::received`] or `receive_failed`.
    Receive {
        /// To be named in the answer.
        poll: PollId,
        /// What to ask for.
        request: ReceiveRequest,
    },
    /// Start the handler; answer with `finished`.
    Start {
        /// The message.
        ticket: Ticket,
        /// The attempt's number.
        attempt: Attempt,
    },
    /// Stop the handler; no answer.
    Cancel {
        /// The message.
        ticket: Ticket,
    },
    /// Extend leases; answer with `extended`.
    Extend {
        /// Messages and for how long from now.
        entries: Vec<(Ticket, Duration)>,
    },
    /// Make messages visible again; answer with `returned`.
    Return {
        /// Messages and after how long from now.
        entries: Vec<(Ticket, Duration)>,
    },
    /// Delete messages; answer with `deleted`.
    Delete {
        /// The messages.
        tickets: Vec<Ticket>,
    },
    /// Copy the message to the dead-letter queue; answer with `dead_lettered`.
    DeadLetter {
        /// The message.
        ticket: Ticket,
    },
    /// `newer` is another receive of the message held as `held`: settle with its handle from now
    /// on and forget `newer`.
    Adopt {
        /// The ticket that stays.
        held: Ticket,
        /// The ticket whose handle is the current one.
        newer: Ticket,
    },
    /// The message is settled; nothing about it follows.
    Forget {
        /// The message.
        ticket: Ticket,
        /// Its end.
        fate: Fate,
    },
}

/// How a held message left this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Deleted after its work was done.
    Deleted,
    /// Deleted after it was copied to the dead-letter queue.
    DeadLettered,
    /// Made visible again because its attempt failed.
    BackedOff,
    /// Made visible again unstarted or unfinished, by a drain or after its lane had to stop.
    Released,
    /// The lease ended first; others may have it.
    Lost,
    /// Still leased when the drain ran out of time: nobody gets it until the timeout.
    Stranded,
}

/// The scheduler's figures, for gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages held in any state.
    pub held: usize,
    /// Handlers running.
    pub running: usize,
    /// FIFO groups with a message held.
    pub groups: usize,
    /// FIFO groups whose head waits for a backoff or for its dead-lettering.
    pub groups_blocked: usize,
    /// Receives outstanding.
    pub polls: usize,
    /// The breaker is open: a common need is down.
    pub breaker_open: bool,
    /// What is held cannot be settled: deletes and visibility changes have failed several times in a row.
    pub settling_fails: bool,
}
