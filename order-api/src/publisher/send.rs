//! The calls: SendMessage for one order, SendMessageBatch for several.

use super::{Confirmed, PublishError, QueueType, batcher::Answer};
use aws_sdk_sqs::{
    Client,
    types::{MessageAttributeValue, SendMessageBatchRequestEntry},
};
use sqs_consumer::{
    QueueError,
    aws::{classify, classify_entry},
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use uuid::Uuid;

/// The message attribute that carries the W3C trace context.
const TRACEPARENT: &str = "traceparent";
/// Its data type.
const STRING: &str = "String";

/// A message as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) order_id: Uuid,
    pub(super) group_id: Arc<str>,
    pub(super) body: String,
    pub(super) traceparent: Option<String>,
}

impl Message {
    pub(super) fn size(&self) -> usize {
        size(&self.body, self.traceparent.as_deref())
    }

    fn attributes(&self) -> Option<HashMap<String, MessageAttributeValue>> {
        let value = self.traceparent.as_deref()?;
        let value = MessageAttributeValue::builder().data_type(STRING).string_value(value).build();
        Some(HashMap::from([(TRACEPARENT.to_owned(), value.expect("the data type is set"))]))
    }
}

/// Bytes of a message, as SQS counts them: names, types and values of the attributes too (AWS SQS
/// quotas).
pub(super) fn size(body: &str, traceparent: Option<&str>) -> usize {
    let attribute = |value: &str| TRACEPARENT.len() + STRING.len() + value.len();
    body.len() + traceparent.map_or(0, attribute)
}

/// Sends to one queue.
#[derive(Debug)]
pub(super) struct Sender {
    client: Client,
    url: String,
    destination: String,
    queue: QueueType,
    /// Whether messages carry their group. On a standard queue that makes it a fair one, which
    /// servers that imitate an older SQS refuse.
    grouped: AtomicBool,
}

impl Sender {
    pub(super) fn new(client: Client, url: &str, queue: QueueType) -> Self {
        let destination = url.rsplit('/').next().unwrap_or(url).to_owned();
        let grouped = AtomicBool::new(true);
        Self { client, url: url.to_owned(), destination, queue, grouped }
    }

    /// The queue's name.
    pub(super) fn destination(&self) -> &str {
        &self.destination
    }

    /// Sends up to ten messages of at most 1 MiB together in one call, or in two, where it turns
    /// out that the server does not take their groups.
    pub(super) async fn send(&self, messages: &[&Message]) -> Answer {
        match messages {
            [message] => match self.send_one(message).await {
                Ok(confirmed) => Answer::Each(vec![Ok(confirmed)]),
                Err(error) => Answer::Failed(error),
            },
            messages => self.send_all(messages).await,
        }
    }

    async fn send_one(&self, message: &Message) -> Result<Confirmed, PublishError> {
        let grouped = self.grouped.load(Ordering::Relaxed);
        let mut sent = self.call(message, grouped).await;
        if grouped && self.may_be_the_group(&sent) {
            sent = self.call(message, false).await;
            self.learn_of_groups(&sent);
        }
        sent
    }

    /// Older servers answer `InvalidParameterValue`, or a text that names the parameter; what else is
    /// wrong with a message stays wrong when it is sent again without its group.
    fn may_be_the_group(&self, sent: &Result<Confirmed, PublishError>) -> bool {
        let Err(PublishError::Refused(QueueError::Rejected(text))) = sent else { return false };
        self.queue == QueueType::Standard
            && ["InvalidParameterValue", "MessageGroupId"].iter().any(|word| text.contains(*word))
    }

    /// What was refused with its group has been sent without it.
    fn learn_of_groups(&self, sent: &Result<Confirmed, PublishError>) {
        if sent.is_ok() && self.grouped.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                queue = self.destination,
                "this SQS does not take a MessageGroupId on a standard queue: sending without, \
                 so that one busy customer can delay the others"
            );
        }
    }

    async fn call(&self, message: &Message, grouped: bool) -> Result<Confirmed, PublishError> {
        let sent = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(message.body.as_str())
            .set_message_group_id(self.group_of(message, grouped))
            .set_message_deduplication_id(self.deduplication_of(message))
            .set_message_attributes(message.attributes())
            .send()
            .await
            .map_err(|error| PublishError::Refused(classify(&error)))?;
        confirmed(sent.message_id, sent.sequence_number)
    }

    async fn send_all(&self, messages: &[&Message]) -> Answer {
        let grouped = self.grouped.load(Ordering::Relaxed);
        let mut answer = self.call_all(messages, grouped).await;
        if let Answer::Each(results) = &mut answer
            && grouped
        {
            self.again_without_group(messages, results).await;
        }
        answer
    }

    /// Those of a batch that may have been refused for their groups.
    async fn again_without_group(
        &self,
        messages: &[&Message],
        results: &mut [Result<Confirmed, PublishError>],
    ) {
        let refused = |place: &usize| self.may_be_the_group(&results[*place]);
        let places: Vec<usize> = (0..results.len()).filter(refused).collect();
        if places.is_empty() {
            return;
        }
        let again: Vec<&Message> = places.iter().map(|place| messages[*place]).collect();
        let again = match self.call_all(&again, false).await {
            Answer::Each(again) => again,
            Answer::Failed(error) => vec![Err(error); places.len()],
        };
        for (place, result) in places.into_iter().zip(again) {
            self.learn_of_groups(&result);
            results[place] = result;
        }
    }

    async fn call_all(&self, messages: &[&Message], grouped: bool) -> Answer {
        let entry = |(position, message): (usize, &&Message)| {
            SendMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .message_body(message.body.as_str())
                .set_message_group_id(self.group_of(message, grouped))
                .set_message_deduplication_id(self.deduplication_of(message))
                .set_message_attributes(message.attributes())
                .build()
                .expect("id and body are set")
        };
        let entries = messages.iter().enumerate().map(entry).collect();
        let call = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => return Answer::Failed(PublishError::Refused(classify(&error))),
        };
        let mut results = vec![None; messages.len()];
        let mut tell = |id: &str, result| {
            if let Some(place) = id.parse().ok().and_then(|at: usize| results.get_mut(at)) {
                *place = Some(result);
            }
        };
        for sent in answer.successful {
            tell(&sent.id, confirmed(Some(sent.message_id), sent.sequence_number));
        }
        for failed in answer.failed {
            tell(&failed.id, Err(PublishError::Refused(classify_entry(&failed))));
        }
        // What the answer does not name is not confirmed.
        let or_not_named = |result: Option<_>| result.unwrap_or_else(|| Err(not_named()));
        Answer::Each(results.into_iter().map(or_not_named).collect())
    }

    fn group_of(&self, message: &Message, grouped: bool) -> Option<String> {
        (grouped || self.queue == QueueType::Fifo).then(|| message.group_id.to_string())
    }

    fn deduplication_of(&self, message: &Message) -> Option<String> {
        (self.queue == QueueType::Fifo).then(|| message.order_id.to_string())
    }
}

/// An answer without a message id confirms nothing.
fn confirmed(
    message_id: Option<String>,
    sequence_number: Option<String>,
) -> Result<Confirmed, PublishError> {
    let message_id = message_id.filter(|id| !id.is_empty()).ok_or_else(not_named)?;
    let sequence = sequence_number.and_then(|number| number.parse().ok());
    Ok(Confirmed { message_id, sequence })
}

fn not_named() -> PublishError {
    let text = "the answer names no message id".to_owned();
    PublishError::Refused(QueueError::Unavailable(text))
}
