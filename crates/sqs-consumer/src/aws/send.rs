//! Sending messages as they were received, to whatever queue.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

use super::{AwsQueue, convert, error::classify, queue::fates};
use crate::queue::{AttributeValue, BatchResult};

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The body.
    pub body: String,
    /// Message attributes.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// `AWSTraceHeader`.
    pub trace_header: Option<String>,
    /// `MessageGroupId`; needed by a FIFO queue.
    pub group_id: Option<String>,
    /// `MessageDeduplicationId`; for FIFO queues only.
    pub deduplication_id: Option<String>,
}

impl AwsQueue {
    /// Sends messages in one call: at most [`crate::MAX_BATCH`], and together no more than SQS takes in one.
    /// Each has its own fate, by position; an error of the whole call is given to each.
    pub async fn send_batch(&self, messages: Vec<Outgoing>) -> BatchResult {
        let count = messages.len();
        let entries = messages.into_iter().enumerate().map(|(position, message)| {
            SendMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .message_body(message.body)
                .set_message_attributes(Some(
                    convert::sdk_attributes(&message.attributes).collect(),
                ))
                .set_message_system_attributes(convert::system_attributes(
                    message.trace_header.as_deref(),
                ))
                .set_message_group_id(message.group_id)
                .set_message_deduplication_id(message.deduplication_id)
                .build()
                .expect("id and body are set")
        });
        let call = self.connection().sending().send_message_batch();
        let call = call.queue_url(self.url()).set_entries(Some(entries.collect()));
        match Box::pin(call.send()).await {
            Ok(answer) => fates(
                count,
                answer.successful.iter().map(|entry| entry.id.as_str()),
                &answer.failed,
            ),
            Err(error) => vec![Err(classify(&error)); count],
        }
    }
}
