//! Every number that AWS documents as a limit or a fixed time, in one place.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The limits of SQS, as its
/// [quotas](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-quotas.html)
/// and its API reference give them.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Messages in flight in one queue, standard or FIFO.
    pub in_flight: usize,
    /// Bytes of a message, and of all messages of a batch, attributes included.
    pub message_bytes: usize,
    /// How long a deduplication id is remembered.
    pub deduplication_interval: Duration,
    /// How long a ReceiveRequestAttemptId can be used again.
    pub receive_attempt_interval: Duration,
    /// How long a message may stay invisible, counted from its receive.
    pub total_visibility_timeout: Duration,
    /// How long after a purge the next one is refused.
    pub purge_interval: Duration,
    /// How long a deleted queue's name cannot be used. AWS documents 60 s; zero by
    /// default here because test suites delete and create the same queues in a row.
    pub deleted_name_interval: Duration,
    /// How long a changed DeduplicationScope takes to hold. AWS documents up to 60 s for attributes of
    /// a queue; the others hold at once here.
    pub propagation_interval: Duration,
    /// Messages that a message move task moves in a second when no rate is asked for.
    pub move_rate: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 120_000,
            message_bytes: 1_048_576,
            deduplication_interval: Duration::from_mins(5),
            receive_attempt_interval: Duration::from_mins(5),
            total_visibility_timeout: Duration::from_hours(12),
            purge_interval: Duration::from_mins(1),
            deleted_name_interval: Duration::ZERO,
            propagation_interval: Duration::from_mins(1),
            move_rate: 500,
        }
    }
}

/// Entries of a batch request.
pub(crate) const BATCH_ENTRIES: usize = 10;
/// Attributes that a sender may put on one message.
pub(crate) const MESSAGE_ATTRIBUTES: usize = 10;
/// Seconds that a message may be delayed.
pub(crate) const DELAY_SECONDS: RangeInclusive<i64> = 0..=900;
/// Seconds of a visibility timeout.
pub(crate) const VISIBILITY_SECONDS: RangeInclusive<i64> = 0..=43_200;
/// Seconds of a long poll.
pub(crate) const WAIT_SECONDS: RangeInclusive<i64> = 0..=20;
/// Messages of one receive.
pub(crate) const RECEIVE_MESSAGES: RangeInclusive<i64> = 1..=10;
/// Messages per second that may be asked of a message move task.
pub(crate) const MOVE_RATE: RangeInclusive<i64> = 1..=500;
/// Message move tasks that are remembered and listed for a queue.
pub(crate) const MOVE_TASKS_LISTED: RangeInclusive<i64> = 1..=10;
/// Queues in one page of a listing.
pub(crate) const LIST_RESULTS: RangeInclusive<i64> = 1..=1000;
/// Tags of a queue.
pub(crate) const TAGS: usize = 50;
