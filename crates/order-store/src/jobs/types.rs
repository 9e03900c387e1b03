//! What is written and read of jobs.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

/// An enumeration with one spelling for the store and for answers.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The spelling in the store and in answers.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The one of this spelling.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }
    };
}

words! {
    /// What a job does.
    JobKind {
        /// Messages go back to their source queue.
        Redrive = "redrive",
        /// Messages go to the archive.
        Discard = "discard",
    }
}

words! {
    /// How a job does it.
    JobMethod {
        /// Message by message.
        Messages = "messages",
        /// SQS moves the whole queue (`StartMessageMoveTask`).
        MoveTask = "move_task",
    }
}

words! {
    /// How far a job is.
    JobState {
        /// Nobody has begun.
        Queued = "queued",
        /// It is being done.
        Running = "running",
        /// Its first messages are redriven, and it waits until they are delivered.
        Canary = "canary",
        /// It is done.
        Completed = "completed",
        /// It was ended early, as somebody asked.
        Cancelled = "cancelled",
        /// It ended early, for a reason that its note says.
        Failed = "failed",
    }
}

words! {
    /// What somebody asked for.
    JobAction {
        /// Redriving.
        Redrive = "redrive",
        /// Discarding.
        Discard = "discard",
        /// Ending a job early.
        Cancel = "cancel",
    }
}

impl JobState {
    /// Whether nothing comes after it.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Failed)
    }
}

/// A job that is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Its id; ids of version 7 rise with time.
    pub id: Uuid,
    /// What it does.
    pub kind: JobKind,
    /// How.
    pub method: JobMethod,
    /// The dead-letter queue's name.
    pub queue: String,
    /// What exactly was asked for, as the caller writes it.
    pub request: String,
    /// Dead letters with greater ids are not part of it.
    pub through: i64,
    /// Who asked; cut to 1 KiB.
    pub requested_by: String,
    /// Why; cut to 1 KiB.
    pub why: String,
    /// How many dead letters are part of it.
    pub selected: u64,
    /// When.
    pub at: Timestamp,
}

/// How far a job is, in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Redriven, or discarded.
    pub done: u64,
    /// Left where they are by a rule of order.
    pub refused: u64,
    /// Left where they are since SQS does not take them.
    pub failed: u64,
    /// Not met any more: expired, taken by others, or hidden.
    pub not_found: u64,
    /// Of what is done: not known to be deleted when the job ended.
    pub undeleted: u64,
}

/// A job as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    pub kind: JobKind,
    /// How.
    pub method: JobMethod,
    /// The dead-letter queue's name.
    pub queue: String,
    /// What exactly was asked for.
    pub request: String,
    /// Dead letters with greater ids are not part of it.
    pub through: i64,
    /// Who asked.
    pub requested_by: String,
    /// Why.
    pub why: String,
    /// How far it is.
    pub state: JobState,
    /// Who asked for it to be ended early.
    pub cancelled_by: Option<String>,
    /// How many dead letters were part of it when it was asked for.
    pub selected: u64,
    /// How many of them are dealt with.
    pub progress: Progress,
    /// Whether its first messages are known to be delivered.
    pub canary_passed: bool,
    /// What is known of the move task.
    pub task: Option<String>,
    /// What holds it up, or why it ended as it did.
    pub note: Option<String>,
    /// How often it was written.
    pub step: i64,
    /// Who has it in hand; empty: nobody.
    pub holder: String,
    /// Until when.
    pub until: Timestamp,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was begun.
    pub started_at: Option<Timestamp>,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// What a job came to at a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The message.
    pub message_id: String,
    /// What.
    pub what: Marked,
}

/// What a job came to at a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marked {
    /// SQS has confirmed its copy in the source queue.
    Sent,
    /// This goes to the archive, with the same commit.
    Archived(Archived),
    /// It stays, for a reason of order.
    Refused(String),
    /// It stays, since SQS does not take its copy.
    Failed(String),
}

/// A message that is archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// `MessageGroupId`.
    pub group: Option<String>,
    /// The body, of any size.
    pub body: String,
    /// The attributes, as the caller writes them.
    pub attributes: String,
}

/// How far a job is, to be written by who has it in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The job.
    pub job: Uuid,
    /// Its dead-letter queue.
    pub queue: String,
    /// Who writes.
    pub holder: String,
    /// The step that the writer knows; the next one is written.
    pub step: i64,
    /// How far the job is.
    pub state: JobState,
    /// How it is done.
    pub method: JobMethod,
    /// How many messages are dealt with, those of this checkpoint included.
    pub progress: Progress,
    /// Whether the canary has passed.
    pub canary_passed: bool,
    /// What is known of the move task.
    pub task: Option<String>,
    /// What holds it up; cut to 1 KiB.
    pub note: Option<String>,
    /// What was done at messages since the last checkpoint.
    pub marks: Vec<Mark>,
    /// Messages whose deletion from the dead-letter queue SQS has confirmed since then.
    pub deleted: Vec<String>,
    /// Whether everything that is part of the job was moved by SQS.
    pub all_moved: bool,
    /// The time.
    pub now: Timestamp,
    /// For how long the job stays this holder's; zero gives it up.
    pub lease: Duration,
}

/// What became of redriven orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CanaryCount {
    /// Delivered.
    pub delivered: u64,
    /// Failed, or dead again.
    pub failed: u64,
    /// Not known yet.
    pub waiting: u64,
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Rises with time.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub requested_by: String,
    /// What.
    pub action: JobAction,
    /// The dead-letter queue's name.
    pub queue: String,
    /// The job.
    pub job_id: Uuid,
    /// Why.
    pub why: String,
    /// What exactly was asked for.
    pub request: String,
    /// How many dead letters were part of the job; none: it is not kept any more.
    pub selected: Option<u64>,
}
