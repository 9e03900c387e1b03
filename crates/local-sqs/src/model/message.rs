//! A message as a queue keeps it.

use std::sync::Arc;

use uuid::Uuid;

use super::api::MessageAttributes;
use super::groups::GroupId;
use super::time::Millis;

/// A message's place in its queue: increasing, never used twice.
pub(super) type Seq = u64;

/// What never changes about a message, whichever queue it is in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) body: String,
    pub(super) md5_of_body: [u8; 16],
    pub(super) attributes: MessageAttributes,
    pub(super) trace_header: Option<String>,
}

/// Where a message is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageState {
    /// It can be received, unless it is behind another message of its FIFO group.
    Visible,
    /// Sent, but not to be received before this moment.
    Delayed {
        /// When it becomes visible.
        until: Millis,
    },
    /// Received and neither deleted nor visible again.
    InFlight {
        /// When it becomes visible again.
        until: Millis,
        /// When it was received.
        since: Millis,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: Uuid,
    pub(super) content: Arc<Content>,
    pub(super) deduplication_id: Option<Arc<str>>,
    /// When it came into the queue: SentTimestamp, and from when retention counts.
    pub(super) enqueued: Millis,
    pub(super) first_received: Option<Millis>,
    /// Receives in all queues, as ApproximateReceiveCount tells.
    pub(super) receive_count: u32,
    /// Receives in queues that it was moved from; they do not count for this queue's redrive policy.
    pub(super) receives_elsewhere: u32,
    /// ARN of the queue that it was dead-lettered from.
    pub(super) dead_letter_source: Option<Arc<str>>,
    pub(super) state: MessageState,
    /// Number of the receive whose handle is the newest; 0 when there was none.
    pub(super) receipt: u64,
    /// Whether the visibility was changed since that receive.
    pub(super) visibility_changed: bool,
    /// Whether it left flight because somebody wanted so, and not because its time was over.
    pub(super) released: bool,
    /// Where the queue that it is in keeps its group, and the group's name.
    pub(super) place: GroupId,
    /// Its turn among the visible messages of a standard queue.
    pub(super) turn: u64,
}

impl Message {
    /// Whether one more receive would pass a redrive policy's maxReceiveCount.
    pub(super) fn is_exhausted(&self, max_receive_count: u32) -> bool {
        self.receive_count - self.receives_elsewhere >= max_receive_count
    }
}
