//! What following a move task is told, and what it asks for.

use order_store::JobState;
use sqs_consumer::Time;

use super::super::plan::Saved;

/// A move task, as SQS lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveTask {
    /// Names it, while it runs.
    pub handle: Option<String>,
    /// Where it is.
    pub status: MoveStatus,
    /// Messages that it has moved, about.
    pub moved: u64,
    /// When it was started, in milliseconds since the epoch.
    pub started_at_ms: i64,
}

/// Where a move task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveStatus {
    /// It moves messages, or is about to end.
    Running,
    /// It has moved what there was.
    Completed,
    /// Somebody ended it.
    Cancelled,
    /// It ended, for this reason.
    Failed(String),
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveAction {
    /// List the tasks of the dead-letter queue, newest first.
    List,
    /// Start one.
    Start,
    /// End this one.
    Cancel {
        /// Its handle.
        handle: String,
    },
    /// Write how far it is.
    Write {
        /// The job's state.
        state: JobState,
        /// Messages moved.
        moved: u64,
        /// Whether a task is to be started with the next action.
        asking: bool,
        /// Why it ended, or what holds it up.
        note: Option<String>,
        /// Whether the lease is kept.
        keep: bool,
    },
    /// Count the messages that are in the dead-letter queue, about, visible or not.
    Count,
    /// Do nothing before this time, unless there is news.
    Wait {
        /// The time.
        until: Time,
    },
    /// SQS does not move this queue, or has not moved all of it, for this reason: what is left is to be
    /// done message by message.
    DoItOtherwise {
        /// The reason.
        why: String,
        /// How many messages SQS has moved; none when it has moved nothing and did not try.
        moved: Option<u64>,
    },
    /// Do nothing more.
    Stop,
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveEvent {
    /// Of [`MoveAction::List`].
    Listed(Result<Vec<MoveTask>, String>),
    /// Of [`MoveAction::Start`]: started, not known, or refused for good.
    Started(Result<(), StartError>),
    /// Of [`MoveAction::Cancel`], whatever came of it.
    Cancelled,
    /// Of [`MoveAction::Count`].
    Counted(Result<u64, String>),
    /// Of [`MoveAction::Write`]; with the time at which starting was written down, in milliseconds.
    Saved(Result<(Saved, Option<i64>), String>),
    /// Of [`MoveAction::Wait`].
    Woke,
}

/// Why a task was not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// It is not known whether it was, or it may be later.
    Unknown(String),
    /// SQS does not do it.
    Refused(String),
}
