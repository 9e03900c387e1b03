//! A call to the queue, and what may happen to it.

use std::{collections::BTreeMap, time::Duration};

use sqs_consumer::QueueError;

/// What a call asks the queue to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Attributes,
    Receive,
    Delete,
    ChangeVisibility,
    DeadLetter,
}

/// A call on its way to the queue.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) operation: Operation,
    pub(crate) worker: usize,
    /// Since the queue's beginning.
    pub(crate) at: Duration,
    /// The messages, with the new visibility where there is one.
    pub(crate) entries: Vec<(String, Duration)>,
}

impl Ask {
    pub(crate) fn is(&self, operation: Operation) -> bool {
        self.operation == operation
    }

    /// A visibility change that keeps messages rather than giving them back.
    pub(crate) fn extends(&self, visibility: Duration) -> bool {
        self.is(Operation::ChangeVisibility) && self.entries.iter().all(|(_, l)| *l == visibility)
    }
}

/// What happens to a call; by default nothing does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault {
    /// On the way to the queue.
    pub(crate) request_takes: Duration,
    /// It has no effect and is answered so.
    pub(crate) refused: Option<QueueError>,
    /// Entries, by their position, that have no effect and are answered so.
    pub(crate) entries: BTreeMap<usize, QueueError>,
    /// On the way back.
    pub(crate) answer_takes: Duration,
    /// It has its effect, and the caller learns only this.
    pub(crate) answered_with: Option<QueueError>,
    /// It has its effect and is never answered.
    pub(crate) answer_hangs: bool,
}

impl Fault {
    pub(crate) fn refused(error: QueueError) -> Self {
        Self { refused: Some(error), ..Self::default() }
    }

    pub(crate) fn unavailable() -> Self {
        Self::refused(unavailable())
    }

    /// The effect takes place; the answer gets lost.
    pub(crate) fn lost() -> Self {
        Self { answered_with: Some(unavailable()), ..Self::default() }
    }

    pub(crate) fn slow_request(takes: Duration) -> Self {
        Self { request_takes: takes, ..Self::default() }
    }

    pub(crate) fn slow_answer(takes: Duration) -> Self {
        Self { answer_takes: takes, ..Self::default() }
    }

    /// One entry of the batch fails by itself.
    pub(crate) fn entry(position: usize, error: QueueError) -> Self {
        Self { entries: BTreeMap::from([(position, error)]), ..Self::default() }
    }
}

pub(crate) fn unavailable() -> QueueError {
    QueueError::Unavailable("injected".to_owned())
}
