//! Calls on their way to the queue, and their answers.

use std::{rc::Rc, time::Duration};

use sqs_consumer::{
    ReceiveRequest,
    scheduler::{Answer, PollId, Ticket},
};

use super::plan::Down;

/// A call as a worker has sent it.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) worker: usize,
    pub(super) at: u64,
    /// Then the worker takes it for failed.
    pub(super) gives_up_at: u64,
    /// Told apart from the worker's other calls.
    pub(super) number: u64,
    /// It takes longer than usual on its way.
    pub(super) late: bool,
    /// The worker has its answer already, or will not get one from this request.
    pub(super) abandoned: bool,
    pub(super) call: Call,
}

#[derive(Clone, Debug)]
pub(super) enum Call {
    Receive { poll: PollId, request: ReceiveRequest },
    Extend { entries: Vec<Entry> },
    Return { entries: Vec<Entry> },
    Delete { entries: Vec<Entry> },
    DeadLetter { ticket: Ticket, instance: usize },
}

/// One message of a batch call.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) ticket: Ticket,
    pub(super) instance: usize,
    /// Which receive of the message the handle is of.
    pub(super) receive: u64,
    pub(super) handle: Rc<str>,
    pub(super) visibility: Duration,
}

/// A message as it was received.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) instance: usize,
    pub(super) receive: u64,
    pub(super) handle: Rc<str>,
    pub(super) receive_count: u32,
}

/// What a worker learns.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Received {
        poll: PollId,
        requested_at: u64,
        messages: Vec<Got>,
    },
    ReceiveFailed {
        poll: PollId,
    },
    Extended {
        requested_at: u64,
        answers: Vec<(Entry, Answer)>,
    },
    Returned {
        answers: Vec<(Entry, Answer)>,
    },
    Deleted {
        answers: Vec<(Entry, Answer)>,
    },
    DeadLettered {
        ticket: Ticket,
        answer: Answer,
    },
    /// The handler that was started as number `start` has come to its end.
    HandlerEnded {
        ticket: Ticket,
        start: u64,
        at: u64,
    },
}

impl Call {
    /// What a caller takes the call for that gets no answer, or that the queue turns away as a whole.
    pub(super) fn failed(&self, requested_at: u64) -> Told {
        self.comes_to_nothing(requested_at, Answer::Failed)
    }

    /// What it learns when nothing is done, for the same cause in each entry.
    pub(super) fn comes_to_nothing(&self, requested_at: u64, answer: Answer) -> Told {
        let all = |entries: &[Entry]| entries.iter().map(|e| (e.clone(), answer)).collect();
        match self {
            Self::Receive { poll, .. } => Told::ReceiveFailed { poll: *poll },
            Self::Extend { entries } => Told::Extended { requested_at, answers: all(entries) },
            Self::Return { entries } => Told::Returned { answers: all(entries) },
            Self::Delete { entries } => Told::Deleted { answers: all(entries) },
            Self::DeadLetter { ticket, .. } => Told::DeadLettered { ticket: *ticket, answer },
        }
    }

    /// What can be down for it.
    pub(super) fn needs(&self) -> &[Down] {
        match self {
            Self::Receive { .. } => &[Down::Receives],
            Self::Extend { .. } | Self::Return { .. } => &[Down::Settling, Down::Changes],
            Self::Delete { .. } => &[Down::Settling, Down::Deletes],
            Self::DeadLetter { .. } => &[Down::Settling, Down::Copies],
        }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        match self {
            Self::Extend { entries } | Self::Return { entries } | Self::Delete { entries } => {
                entries
            }
            Self::Receive { .. } | Self::DeadLetter { .. } => &[],
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Receive { .. } => "receive",
            Self::Extend { .. } => "extend",
            Self::Return { .. } => "return",
            Self::Delete { .. } => "delete",
            Self::DeadLetter { .. } => "dead letter",
        }
    }

    pub(super) fn is_receive(&self) -> bool {
        matches!(self, Self::Receive { .. })
    }
}
