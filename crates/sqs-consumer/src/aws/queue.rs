//! [`Queue`] on aws-sdk-sqs.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_sdk_sqs::{
    error::SdkError,
    operation::{
        change_message_visibility_batch::{
            ChangeMessageVisibilityBatchError, ChangeMessageVisibilityBatchOutput,
        },
        delete_message_batch::{DeleteMessageBatchError, DeleteMessageBatchOutput},
        receive_message::{ReceiveMessageError, ReceiveMessageOutput},
    },
    types::{
        BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
        DeleteMessageBatchRequestEntry, MessageSystemAttributeName, QueueAttributeName,
    },
};
use futures_util::future::BoxFuture;

use super::{
    Connection, classify, convert,
    dead_letter::{MAX_MESSAGE_BYTES, dead_letter_attributes},
    error::classify_entry,
    redrive::{dead_letter_target, is_same_queue, max_receive_count, sibling},
};
use crate::queue::{
    BatchResult, DeadLetter, Message, Queue, QueueAttributes, QueueError, ReceiptHandle,
    ReceiveRequest, SplitDeadLetters,
};

/// What a consumer must know of a message beside its body, and what a copy of it is sent with.
const NEEDED: [MessageSystemAttributeName; 4] = [
    MessageSystemAttributeName::MessageGroupId,
    MessageSystemAttributeName::ApproximateReceiveCount,
    MessageSystemAttributeName::SentTimestamp,
    MessageSystemAttributeName::AwsTraceHeader,
];

/// One queue of a [`Connection`].
#[derive(Clone, Debug)]
pub struct AwsQueue {
    connection: Connection,
    url: Arc<str>,
    name: Arc<str>,
    configured_dead_letter_url: Option<Arc<str>>,
    /// Found in the queue's redrive policy when that was last looked at; used if none is configured.
    policys_dead_letter_url: Arc<RwLock<Option<Arc<str>>>>,
    /// Bytes that a copy for the dead-letter queue may have, as far as is known.
    largest_copy: Arc<AtomicUsize>,
}

impl AwsQueue {
    pub(super) fn new(connection: Connection, url: &str, dead_letter_url: Option<&str>) -> Self {
        Self {
            connection,
            url: url.into(),
            name: name_of(url).into(),
            configured_dead_letter_url: dead_letter_url.map(Arc::from),
            policys_dead_letter_url: Arc::default(),
            largest_copy: Arc::new(AtomicUsize::new(MAX_MESSAGE_BYTES)),
        }
    }

    /// The queue's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn dead_letter_url(&self) -> Option<Arc<str>> {
        self.configured_dead_letter_url.clone().or_else(|| self.policys_dead_letter_url())
    }

    fn policys_dead_letter_url(&self) -> Option<Arc<str>> {
        self.policys_dead_letter_url.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn split_dead_letters(&self) -> Option<SplitDeadLetters> {
        let by_policy = self.policys_dead_letter_url()?;
        let by_consumer = self.configured_dead_letter_url.as_deref()?;
        let split = !is_same_queue(&by_policy, by_consumer);
        split.then(|| SplitDeadLetters {
            by_policy: by_policy.to_string(),
            by_consumer: by_consumer.to_owned(),
        })
    }
}

impl Queue for AwsQueue {
    fn name(&self) -> &str {
        &self.name
    }

    async fn attributes(&self) -> Result<QueueAttributes, QueueError> {
        let call = self
            .connection
            .settling()
            .get_queue_attributes()
            .queue_url(&*self.url)
            .attribute_names(QueueAttributeName::All)
            .send();
        let answer = Box::pin(call).await.map_err(|error| classify(&error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let text = |name: &QueueAttributeName| attributes.get(name).map(String::as_str);
        let policy = text(&QueueAttributeName::RedrivePolicy);
        let target = policy.and_then(dead_letter_target);
        *self.policys_dead_letter_url.write().unwrap_or_else(PoisonError::into_inner) =
            target.map(|target| sibling(&self.url, &target).into());
        let max_message_size = text(&QueueAttributeName::MaximumMessageSize).and_then(bytes);
        let dead_letter_max_message_size = self.check_dead_letter_queue().await?;
        // Where it is not told, room for what this queue takes is all that can be counted on.
        let largest_copy = dead_letter_max_message_size.or(max_message_size);
        self.largest_copy.store(largest_copy.unwrap_or(MAX_MESSAGE_BYTES), Ordering::Relaxed);
        let visibility = text(&QueueAttributeName::VisibilityTimeout)
            .and_then(|seconds| seconds.parse().ok())
            .map_or(Duration::from_secs(30), Duration::from_secs);
        Ok(QueueAttributes {
            visibility,
            max_receive_count: policy.and_then(max_receive_count),
            // Standard queues do not have the attribute; a FIFO queue's name must end so.
            fifo: text(&QueueAttributeName::FifoQueue) == Some("true")
                || self.name.ends_with(".fifo"),
            split_dead_letters: self.split_dead_letters(),
            max_message_size,
            dead_letter_max_message_size,
        })
    }

    async fn receive(&self, request: ReceiveRequest) -> Result<Vec<Message>, QueueError> {
        let answer = self.ask_for_messages(request).await.map_err(|error| classify(&error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(convert::message).collect())
    }

    async fn delete(&self, handles: Vec<ReceiptHandle>) -> BatchResult {
        let count = handles.len();
        match self.ask_to_delete(handles).await {
            Ok(answer) => fates(
                count,
                answer.successful.iter().map(|entry| entry.id.as_str()),
                &answer.failed,
            ),
            Err(error) => vec![Err(classify(&error)); count],
        }
    }

    async fn change_visibility(&self, entries: Vec<(ReceiptHandle, Duration)>) -> BatchResult {
        let count = entries.len();
        match self.ask_to_change_visibility(entries).await {
            Ok(answer) => fates(
                count,
                answer.successful.iter().map(|entry| entry.id.as_str()),
                &answer.failed,
            ),
            Err(error) => vec![Err(classify(&error)); count],
        }
    }

    async fn dead_letter(
        &self,
        message: &Message,
        letter: &DeadLetter,
        attempts: u32,
    ) -> Result<(), QueueError> {
        let Some(url) = self.dead_letter_url() else {
            return Err(QueueError::Rejected("no dead-letter queue is configured".to_owned()));
        };
        let largest = self.largest_copy.load(Ordering::Relaxed);
        let attributes = dead_letter_attributes(message, letter, attempts, largest);
        let mut call = self
            .connection
            .sending()
            .send_message()
            .queue_url(&*url)
            .message_body(&message.body)
            .set_message_attributes(Some(convert::sdk_attributes(&attributes).collect()))
            .set_message_system_attributes(convert::system_attributes(
                message.trace_header.as_deref(),
            ));
        if url.ends_with(".fifo") {
            call = call
                .message_group_id(message.group_id.as_deref().unwrap_or(&message.message_id))
                .message_deduplication_id(&message.message_id);
        }
        Box::pin(call.send()).await.map(|_| ()).map_err(|error| classify(&error))
    }

    fn has_dead_letter_queue(&self) -> bool {
        self.dead_letter_url().is_some()
    }

    fn dead_letter_queue(&self) -> Option<String> {
        self.dead_letter_url().map(|url| name_of(&url).to_owned())
    }
}

fn name_of(url: &str) -> &str {
    url.trim_end_matches('/').rsplit('/').next().unwrap_or(url)
}

/// The calls of every second, boxed where they are made: their futures are of several kilobytes, and
/// would be moved around with every task that holds one.
impl AwsQueue {
    fn ask_for_messages(
        &self,
        request: ReceiveRequest,
    ) -> BoxFuture<'static, Result<ReceiveMessageOutput, SdkError<ReceiveMessageError>>> {
        let call = self
            .connection
            .receiving_for(request.wait)
            .receive_message()
            .queue_url(&*self.url)
            .max_number_of_messages(whole(request.max_messages as u64))
            .wait_time_seconds(whole(request.wait.as_secs()))
            .visibility_timeout(whole(request.visibility.as_secs()))
            .message_attribute_names("All")
            .set_message_system_attribute_names(Some(NEEDED.to_vec()));
        // Some servers know only the older name of the field; without the group there is no order.
        // No more than is needed is asked for: each attribute is sent and parsed for each message.
        #[expect(deprecated, reason = "for other SQS servers; AWS takes both")]
        let call = call.set_attribute_names(Some(
            NEEDED.iter().map(|name| QueueAttributeName::from(name.as_str())).collect(),
        ));
        Box::pin(call.send())
    }

    fn ask_to_delete(
        &self,
        handles: Vec<ReceiptHandle>,
    ) -> BoxFuture<'static, Result<DeleteMessageBatchOutput, SdkError<DeleteMessageBatchError>>>
    {
        // Ids are positions: two receives of one message may share a batch, and ids must differ.
        let entries = handles.into_iter().enumerate().map(|(position, handle)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(handle.0)
                .build()
                .expect("id and handle are set")
        });
        let call = self.connection.settling().delete_message_batch();
        Box::pin(call.queue_url(&*self.url).set_entries(Some(entries.collect())).send())
    }

    fn ask_to_change_visibility(
        &self,
        entries: Vec<(ReceiptHandle, Duration)>,
    ) -> BoxFuture<
        'static,
        Result<ChangeMessageVisibilityBatchOutput, SdkError<ChangeMessageVisibilityBatchError>>,
    > {
        let entries = entries.into_iter().enumerate().map(|(position, (handle, timeout))| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(handle.0)
                .visibility_timeout(whole(timeout.as_millis().div_ceil(1000) as u64))
                .build()
                .expect("id and handle are set")
        });
        let call = self.connection.settling().change_message_visibility_batch();
        Box::pin(call.queue_url(&*self.url).set_entries(Some(entries.collect())).send())
    }
}

/// Each entry's fate by position. An entry that the answer does not mention is not known to have
/// succeeded.
pub(super) fn fates<'a>(
    count: usize,
    successful: impl Iterator<Item = &'a str>,
    failed: &[BatchResultErrorEntry],
) -> BatchResult {
    let mut fates = vec![None; count];
    for position in successful.filter_map(|id| id.parse::<usize>().ok()) {
        if let Some(fate) = fates.get_mut(position) {
            *fate = Some(Ok(()));
        }
    }
    for entry in failed {
        let Some(fate) = entry.id.parse::<usize>().ok().and_then(|p| fates.get_mut(p)) else {
            continue;
        };
        *fate = Some(Err(classify_entry(entry)));
    }
    let missing = || Err(QueueError::Unavailable("not in the batch's answer".to_owned()));
    fates.into_iter().map(|fate| fate.unwrap_or_else(missing)).collect()
}

/// The value of an attribute that counts bytes.
pub(super) fn bytes(text: &str) -> Option<usize> {
    text.parse().ok()
}

fn whole(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_the_answer_leaves_out_has_not_succeeded() {
        let fates = fates(2, ["1"].into_iter(), &[]);
        assert!(fates[0].is_err() && fates[1].is_ok());
    }
}
