//! What a plan is told, and what it asks for.

use std::time::Duration;

use order_store::{DeadLetterState, JobKind, JobState, Newer, Progress, StoreError};
use sqs_consumer::{ReceiptHandle, Time};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Redriving or discarding.
    pub kind: JobKind,
    /// Whether the queues are FIFO queues.
    pub fifo: bool,
    /// Whether the order within a group may be broken.
    pub may_reorder: bool,
    /// Messages per second, at most.
    pub per_second: Option<u32>,
    /// After so many messages their delivery is waited for.
    pub canary: Option<u64>,
}

impl Terms {
    /// Whether the order within a group is kept, so that what would break it is refused.
    pub fn refuses_disorder(&self) -> bool {
        self.fifo && self.kind == JobKind::Redrive && !self.may_reorder
    }
}

/// Constants of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For how long received messages are invisible, at least: it grows with the queue, so that those
    /// that are left alone do not come back within a pass.
    pub visibility: Duration,
    /// The longest that it grows to.
    pub visibility_max: Duration,
    /// The longest that any call takes, with all its tries.
    pub call: Duration,
    /// For how long the job stays with who has it in hand.
    pub lease: Duration,
    /// From one renewal of that to the next; with a call it is shorter than the lease.
    pub renew: Duration,
    /// Pause after a first failure; doubles.
    pub backoff: Duration,
    /// The longest such pause.
    pub backoff_max: Duration,
    /// Beyond the visibility timeout, how long messages are looked for that do not come.
    pub patience: Duration,
    /// From one look for them to the next.
    pub look_again: Duration,
    /// From one question about the canary to the next.
    pub canary_ask: Duration,
    /// How long the canary's delivery is waited for.
    pub canary_patience: Duration,
}

impl Timing {
    /// For queues as they are.
    pub const DEFAULT: Self = Self {
        visibility: Duration::from_mins(1),
        visibility_max: Duration::from_mins(15),
        call: sqs_consumer::LONGEST_CALL,
        lease: Duration::from_secs(30),
        renew: Duration::from_secs(10),
        backoff: Duration::from_secs(1),
        backoff_max: Duration::from_secs(30),
        patience: Duration::from_secs(15),
        look_again: Duration::from_secs(5),
        canary_ask: Duration::from_secs(2),
        canary_patience: Duration::from_mins(10),
    };

    /// For how long messages of a queue with so many of them are invisible: a pass of some hundreds per
    /// second comes to its end within that.
    pub fn visibility(&self, depth: u64) -> Duration {
        let pass = Duration::from_millis(depth.saturating_mul(10));
        (self.visibility + pass).min(self.visibility_max.max(self.visibility))
    }
}

/// How far a job was when it was taken in hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// What was dealt with by then.
    pub progress: Progress,
    /// Whether its first messages are known to be delivered.
    pub canary_passed: bool,
    /// How many messages were part of it at first; [`u64::MAX`]: that is not known, so that an empty
    /// queue tells that nothing is left, and no number.
    pub selected: u64,
    /// How many dead letters the queue has, about.
    pub depth: u64,
}

/// A received message, as far as a plan must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// SQS's id.
    pub message_id: String,
    /// This receive's handle.
    pub handle: ReceiptHandle,
    /// `MessageGroupId`.
    pub group: Option<String>,
    /// Bytes of body and attributes.
    pub bytes: usize,
}

/// What a received message is to the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not part of it, or dealt with.
    NotSelected,
    /// To be dealt with.
    Selected,
    /// The same, but a newer message of its group would be delivered before it, or is already.
    Overtaken(Newer),
    /// Its copy is where it should be, and that is written down: it is only to be deleted.
    Copied,
}

impl Standing {
    /// What a message is of which this is known: where it is in its life, whether it is part of the
    /// job, whether the job has dealt with it, and what newer one of its group is in its way.
    pub fn of(
        state: DeadLetterState,
        is_part: bool,
        is_dealt_with: bool,
        newer: Option<Newer>,
    ) -> Self {
        match state {
            DeadLetterState::Sent | DeadLetterState::Archived => Self::Copied,
            DeadLetterState::Dead if is_part && !is_dealt_with => {
                newer.map_or(Self::Selected, Self::Overtaken)
            }
            _ => Self::NotSelected,
        }
    }
}

/// What to do. Positions are those of the last receive's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Receive messages from the dead-letter queue.
    Receive {
        /// At most so many.
        most: usize,
        /// Invisible for so long.
        visibility: Duration,
    },
    /// Find out what each received message is to the job, by its position.
    LookUp,
    /// Send copies of these to the source queue, in one call.
    Send {
        /// Their positions.
        entries: Vec<usize>,
    },
    /// Write how far the job is, with what was done.
    Write(Write),
    /// Delete these from the dead-letter queue, in one call.
    Delete {
        /// Their positions.
        entries: Vec<usize>,
    },
    /// Make these visible again, in this order.
    Release {
        /// By their handles.
        handles: Vec<ReceiptHandle>,
    },
    /// Count what is part of the job and not dealt with, and what is not known to be deleted: in the store,
    /// and by SQS where the store cannot know.
    Count,
    /// Count what is not known to be deleted, of a job that ends: whether SQS tells anything or not.
    CountUndeleted,
    /// Ask what became of what was redriven.
    Canary,
    /// Do nothing before this time, unless there is news.
    Wait {
        /// The time.
        until: Time,
    },
    /// Do nothing more: the job is over, or another's.
    Stop,
}

/// What is written of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// How far it is.
    pub state: JobState,
    /// How many messages are dealt with.
    pub progress: Progress,
    /// Whether its first messages are known to be delivered.
    pub canary_passed: bool,
    /// What holds it up, or why it ended.
    pub note: Option<String>,
    /// What was done at messages.
    pub marks: Vec<PlannedMark>,
    /// Messages that were deleted.
    pub deleted: Vec<String>,
    /// Whether the lease is kept.
    pub keep: bool,
}

/// What was done at a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedMark {
    /// Its position.
    pub entry: usize,
    /// Its id.
    pub message_id: String,
    /// What.
    pub what: MarkedAs,
}

/// What was done at a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkedAs {
    /// Its copy is in the source queue.
    Sent,
    /// It is to be archived with this.
    Archived,
    /// It stays dead, for this reason of order.
    Refused(String),
    /// It stays dead, since SQS does not take its copy.
    Failed(String),
}

/// What came of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Of [`Action::Receive`]: the messages, in the order in which they came.
    Received(Result<Vec<Found>, String>),
    /// Of [`Action::LookUp`]: by position.
    LookedUp(Result<Vec<Standing>, String>),
    /// Of [`Action::Send`]: by entry.
    Sent(Vec<Fate>),
    /// Of [`Action::Write`].
    Saved(Result<Saved, String>),
    /// Of [`Action::Delete`]: by entry.
    Deleted(Vec<Fate>),
    /// Of [`Action::Release`], whatever came of it.
    Released,
    /// Of [`Action::Count`].
    Counted(Result<Left, NotCounted>),
    /// Of [`Action::CountUndeleted`].
    Undeleted(Result<u64, String>),
    /// Of [`Action::Canary`]: delivered, failed, waiting.
    Canary(Result<order_store::CanaryCount, String>),
    /// Of [`Action::Wait`].
    Woke,
}

/// What is left of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Messages that it has not dealt with.
    pub unhandled: u64,
    /// Messages that it has copied or archived, and that are not known to be deleted.
    pub undeleted: u64,
}

/// Why it is not known what is left of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCounted {
    /// SQS does not tell.
    Queue(String),
    /// The store does not.
    Store(String),
}

impl From<StoreError> for NotCounted {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// What became of one entry of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// SQS has confirmed it.
    Done,
    /// It is not known, or may succeed later.
    Failed(String),
    /// It will never succeed.
    Refused(String),
    /// The message is no longer this receive's.
    LeaseOver,
}

/// What came of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is written.
    Yes {
        /// Whether somebody asked for the job to be ended early.
        cancelled: bool,
    },
    /// The job is another's.
    Lost,
}
