//! The queue as the consumer sees it, in SQS's own words.
//!
//! [`Queue`] is the seam between the consumer and the wire: the AWS adapter implements it for
//! production, tests implement it to inject faults. It models SQS, not brokers in general.

use std::{collections::BTreeMap, future::Future, time::Duration};

/// The most entries that one SQS batch call takes, and the most messages one receive returns.
///
/// Source: AWS SQS API reference, `ReceiveMessage` and `DeleteMessageBatch`.
pub const MAX_BATCH: usize = 10;

/// What a call may take with all its tries, but for a receive.
pub const LONGEST_CALL: Duration = Duration::from_secs(10);

/// A message as received: content, identity and the lease that came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// SQS's id of the message; the same in every receive.
    pub message_id: String,
    /// The handle of this very receive, needed to delete the message or change its visibility.
    pub receipt_handle: ReceiptHandle,
    /// The body as sent.
    pub body: String,
    /// Message attributes as sent.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// `MessageGroupId`; always there on a FIFO queue, possible on a standard one (fair queues).
    pub group_id: Option<String>,
    /// `ApproximateReceiveCount`, this receive included; at least 1.
    pub receive_count: u32,
    /// `SentTimestamp`, milliseconds since the Unix epoch, when the server told it.
    pub sent_at_ms: Option<u64>,
    /// `AWSTraceHeader`, by which AWS X-Ray follows the message: the one system attribute that a sender sets.
    pub trace_header: Option<String>,
}

impl Message {
    /// Bytes of body and attributes, as SQS counts them for its limit of 1 MiB: names, types, values.
    pub fn bytes(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, value)| name.len() + value.bytes());
        self.body.len() + attributes.sum::<usize>()
    }
}

/// A receipt handle.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiptHandle(pub String);

impl From<&str> for ReceiptHandle {
    fn from(handle: &str) -> Self {
        Self(handle.to_owned())
    }
}

/// The value of a message attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// Data type `String`, `Number` or either with a custom suffix, and the text.
    Text {
        /// The data type as sent, for example `String` or `Number.int`.
        data_type: String,
        /// The value.
        value: String,
    },
    /// Data type `Binary`, or with a custom suffix, and the bytes.
    Binary {
        /// The data type as sent.
        data_type: String,
        /// The value.
        value: Vec<u8>,
    },
}

impl AttributeValue {
    /// A plain `String` attribute.
    pub fn string(value: impl Into<String>) -> Self {
        Self::Text { data_type: "String".to_owned(), value: value.into() }
    }

    /// The text of a `String` or `Number` attribute.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text { value, .. } => Some(value),
            Self::Binary { .. } => None,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Text { data_type, value } => data_type.len() + value.len(),
            Self::Binary { data_type, value } => data_type.len() + value.len(),
        }
    }
}

/// What one receive asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveRequest {
    /// At most this many messages, 1 to [`MAX_BATCH`].
    pub max_messages: usize,
    /// How long SQS may hold the call open for a first message, whole seconds, 0 to 20.
    pub wait: Duration,
    /// The visibility timeout of the messages received, whole seconds.
    pub visibility: Duration,
}

/// What is known of a queue before it is consumed, or sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueAttributes {
    /// `VisibilityTimeout`.
    pub visibility: Duration,
    /// `maxReceiveCount` of the redrive policy; none without a redrive policy.
    pub max_receive_count: Option<u32>,
    /// `FifoQueue`.
    pub fifo: bool,
    /// `MaximumMessageSize`, bytes of body and attributes; none where the server does not tell it.
    pub max_message_size: Option<usize>,
    /// `MaximumMessageSize` of the dead-letter queue that [`Queue::dead_letter`] sends to; none where
    /// there is none, or where it may not be read.
    pub dead_letter_max_message_size: Option<usize>,
    /// Set if the redrive policy names another queue than [`Queue::dead_letter`] sends to.
    pub split_dead_letters: Option<SplitDeadLetters>,
}

/// The two dead-letter queues of one queue, by their URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitDeadLetters {
    /// Where SQS moves messages, as the redrive policy says.
    pub by_policy: String,
    /// Where this consumer sends the messages that it gives up.
    pub by_consumer: String,
}

/// A message on its way to the dead-letter queue, by this worker's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Why, from the application's closed list of reasons, for example `unparseable`.
    pub reason: &'static str,
    /// Free text beside the reason; cut to 1 KiB when sent.
    pub detail: String,
}

/// Why a queue call failed as a whole, or one entry of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The receipt handle is no longer valid or the message is not in flight: the lease is over.
    #[error("the message is no longer leased by this receive: {0}")]
    LeaseOver(String),
    /// SQS asks for fewer calls (throttling), or the queue has too many messages in flight.
    #[error("throttled: {0}")]
    Throttled(String),
    /// Credentials or permissions are missing.
    #[error("access denied: {0}")]
    AccessDenied(String),
    /// The queue does not exist.
    #[error("the queue does not exist: {0}")]
    NoSuchQueue(String),
    /// SQS refused the request and would refuse it again.
    #[error("rejected: {0}")]
    Rejected(String),
    /// No answer, a broken answer or a server fault: worth trying again.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl QueueError {
    /// A name for metrics, from a closed list.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::LeaseOver(_) => "lease_over",
            Self::Throttled(_) => "throttled",
            Self::AccessDenied(_) => "access_denied",
            Self::NoSuchQueue(_) => "no_such_queue",
            Self::Rejected(_) => "rejected",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// Whether the same call can succeed later without anyone changing the request.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Throttled(_)
                | Self::AccessDenied(_)
                | Self::NoSuchQueue(_)
                | Self::Unavailable(_)
        )
    }
}

/// The fate of each entry of a batch call, by position.
pub type BatchResult = Vec<Result<(), QueueError>>;

/// One SQS queue, as a consumer uses it.
///
/// Batch calls take at most [`MAX_BATCH`] entries and answer each by its position. An error of the
/// whole call is given to each entry.
pub trait Queue: Send + Sync + 'static {
    /// A short name for logs and metrics, such as `order-queue.fifo`.
    fn name(&self) -> &str;

    /// Reads the queue's attributes.
    fn attributes(&self) -> impl Future<Output = Result<QueueAttributes, QueueError>> + Send;

    /// Receives messages, waiting up to the request's `wait` for a first one.
    ///
    /// The returned future must run to its end: messages that arrive for a dropped call stay leased.
    fn receive(
        &self,
        request: ReceiveRequest,
    ) -> impl Future<Output = Result<Vec<Message>, QueueError>> + Send;

    /// Deletes messages by their receipt handles.
    fn delete(&self, handles: Vec<ReceiptHandle>) -> impl Future<Output = BatchResult> + Send;

    /// Sets the time, counted from now, for which each message stays invisible.
    fn change_visibility(
        &self,
        entries: Vec<(ReceiptHandle, Duration)>,
    ) -> impl Future<Output = BatchResult> + Send;

    /// Sends a copy of the message to the dead-letter queue with its reason and the number of
    /// attempts that it had.
    ///
    /// On FIFO the copy keeps the group and takes the message id as deduplication id, so a repeated
    /// call has no second effect within five minutes.
    fn dead_letter(
        &self,
        message: &Message,
        letter: &DeadLetter,
        attempts: u32,
    ) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Whether [`Queue::dead_letter`] has somewhere to send to; asked after [`Queue::attributes`],
    /// which may have found it.
    fn has_dead_letter_queue(&self) -> bool;

    /// The short name of that queue, for traces.
    fn dead_letter_queue(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_bytes_of_its_body_and_of_its_attributes_names_types_and_values() {
        let binary = AttributeValue::Binary { data_type: "Binary".to_owned(), value: vec![0; 3] };
        let attributes = [("name", AttributeValue::string("value")), ("bin", binary)];
        let message = Message {
            message_id: "not counted".to_owned(),
            receipt_handle: "nor this".into(),
            body: "주문".to_owned(),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value)).into(),
            group_id: None,
            receive_count: 1,
            sent_at_ms: None,
            trace_header: None,
        };
        assert_eq!(message.bytes(), 6 + (4 + 6 + 5) + (3 + 6 + 3));
    }
}
