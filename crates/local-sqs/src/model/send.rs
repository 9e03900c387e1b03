//! Sending: checks, deduplication, delays.

use std::sync::Arc;
use std::time::Duration;

use super::api::{
    BatchResult, SendMessageBatchRequest, SendMessageBatchRequestEntry, SendMessageRequest,
    SendMessageResult,
};
use super::dedup::{self, Accepted, DeduplicationKey};
use super::error::{ApiError, ErrorKind};
use super::groups::GroupId;
use super::message::{Content, Message, MessageState};
use super::queue::{Queue, sequence_number};
use super::time::Millis;
use super::{EntryFails, Sqs, checksum, limits, settle_entries, validate};

impl Sqs {
    /// SendMessage.
    pub fn send_message(
        &mut self,
        now: Millis,
        request: SendMessageRequest,
    ) -> Result<SendMessageResult, ApiError> {
        let name = self.open(now, &request.queue_url)?;
        let SendMessageRequest {
            message_body,
            delay_seconds,
            message_attributes,
            message_system_attributes,
            message_deduplication_id,
            message_group_id,
            ..
        } = request;
        let entry = SendMessageBatchRequestEntry {
            id: String::new(),
            message_body,
            delay_seconds,
            message_attributes,
            message_system_attributes,
            message_deduplication_id,
            message_group_id,
        };
        let result = self.send(&name, entry, "One or more parameters are invalid.");
        self.close(&name);
        result.map(|result| SendMessageResult { id: None, ..result })
    }

    /// SendMessageBatch. Each entry has its own fate.
    pub fn send_message_batch(
        &mut self,
        now: Millis,
        request: SendMessageBatchRequest,
    ) -> Result<BatchResult<SendMessageResult>, ApiError> {
        self.send_message_batch_with(now, request, &mut |_| None)
    }

    pub(super) fn send_message_batch_with(
        &mut self,
        now: Millis,
        request: SendMessageBatchRequest,
        fails: EntryFails<'_>,
    ) -> Result<BatchResult<SendMessageResult>, ApiError> {
        let name = self.open(now, &request.queue_url)?;
        let ids = request.entries.iter().map(|entry| entry.id.as_str());
        validate::batch("SendMessageBatchRequestEntry", ids)?;
        let bytes = |entry: &SendMessageBatchRequestEntry| {
            validate::message_bytes(&entry.message_body, &entry.message_attributes)
        };
        let total: usize = request.entries.iter().map(bytes).sum();
        if total > self.limits.message_bytes {
            return Err(ApiError::new(
                ErrorKind::BatchRequestTooLong,
                format!(
                    "Batch requests cannot be longer than {} bytes. You have sent {total} bytes.",
                    self.limits.message_bytes
                ),
            ));
        }
        self.check_fifo_batch(&name, &request.entries)?;
        let problem = "One or more parameters cannot be validated.";
        let result = settle_entries(
            request.entries,
            fails,
            |entry| entry.id.clone(),
            |entry| self.send(&name, entry, problem),
        );
        self.close(&name);
        Ok(result)
    }

    /// AWS refuses a whole batch to a FIFO queue when an entry lacks one of its ids.
    fn check_fifo_batch(
        &self,
        name: &str,
        entries: &[SendMessageBatchRequestEntry],
    ) -> Result<(), ApiError> {
        let Some(queue) = self.queues.get(name).filter(|queue| queue.is_fifo()) else {
            return Ok(());
        };
        for entry in entries {
            if entry.message_deduplication_id.is_none()
                && !queue.attributes.content_based_deduplication
            {
                return Err(deduplication_id_needed());
            }
            if entry.message_group_id.is_none() {
                return Err(ApiError::invalid_parameter(
                    "The request must contain the parameter MessageGroupId.",
                ));
            }
        }
        Ok(())
    }

    fn send(
        &mut self,
        name: &str,
        entry: SendMessageBatchRequestEntry,
        size_problem: &str,
    ) -> Result<SendMessageResult, ApiError> {
        let now = self.now;
        let interval = self.limits.deduplication_interval;
        let message_id = self.random.next_uuid();
        let queue = self.queues.get_mut(name).ok_or_else(ApiError::queue_does_not_exist)?;
        check_content(&entry, queue, size_problem)?;
        let delay = delay(&entry, queue)?;
        let (group, deduplication_id) = identifiers(&entry, queue)?;
        let trace_header = validate::trace_header(&entry.message_system_attributes)?;

        let md5_of_body = checksum::of_body(&entry.message_body);
        let mut result = SendMessageResult {
            id: Some(entry.id),
            message_id: message_id.to_string(),
            md5_of_message_body: checksum::hex(&md5_of_body),
            md5_of_message_attributes: checksum::of_attributes(&entry.message_attributes),
            md5_of_message_system_attributes: checksum::of_attributes(
                &entry.message_system_attributes,
            ),
            sequence_number: None,
        };
        let scope = group.as_deref().filter(|_| queue.deduplicates_per_group(now));
        let key = deduplication_id.as_deref().map(|id| DeduplicationKey::new(scope, id));
        if let Some(accepted) = key.as_ref().and_then(|key| queue.deduplication.find(key)) {
            result.message_id = accepted.message_id.to_string();
            result.sequence_number = Some(sequence_number(accepted.sequence_number));
            return Ok(result);
        }
        let message = Message {
            id: message_id,
            content: Arc::new(Content {
                body: entry.message_body,
                md5_of_body,
                attributes: entry.message_attributes,
                trace_header,
            }),
            deduplication_id,
            enqueued: now,
            first_received: None,
            receive_count: 0,
            receives_elsewhere: 0,
            dead_letter_source: None,
            state: if delay.is_zero() {
                MessageState::Visible
            } else {
                MessageState::Delayed { until: now + delay }
            },
            receipt: 0,
            visibility_changed: false,
            released: false,
            place: GroupId::default(),
            turn: 0,
        };
        let seq = queue.add(message, group.as_deref());
        if let Some(key) = key {
            let accepted = Accepted { message_id, sequence_number: seq };
            queue.deduplication.remember(key, accepted, now, interval);
            result.sequence_number = Some(sequence_number(seq));
        }
        Ok(result)
    }
}

fn check_content(
    entry: &SendMessageBatchRequestEntry,
    queue: &Queue,
    size_problem: &str,
) -> Result<(), ApiError> {
    if entry.message_body.is_empty() {
        return Err(ApiError::missing("MessageBody"));
    }
    let limit = queue.attributes.maximum_message_size;
    let bytes = validate::message_bytes(&entry.message_body, &entry.message_attributes);
    if bytes as u64 > limit {
        return Err(ApiError::invalid_parameter(format!(
            "{size_problem} Reason: Message must be shorter than {limit} bytes."
        )));
    }
    validate::characters(&entry.message_body)?;
    validate::message_attributes(&entry.message_attributes)
}

/// The message's own delay, or else the queue's. FIFO queues know only the queue's.
fn delay(entry: &SendMessageBatchRequestEntry, queue: &Queue) -> Result<Duration, ApiError> {
    let seconds = entry.delay_seconds;
    if let Some(seconds) = seconds.filter(|seconds| !limits::DELAY_SECONDS.contains(seconds)) {
        return Err(ApiError::invalid_value(
            seconds,
            "DelaySeconds",
            "DelaySeconds must be >= 0 and <= 900.",
        ));
    }
    match seconds {
        Some(seconds) if queue.is_fifo() && seconds != 0 => Err(ApiError::invalid_value(
            seconds,
            "DelaySeconds",
            "The request include parameter that is not valid for this queue type.",
        )),
        Some(seconds) if !queue.is_fifo() => Ok(Duration::from_secs(seconds.unsigned_abs())),
        _ => Ok(queue.attributes.delay()),
    }
}

type Identifiers = (Option<String>, Option<Arc<str>>);

/// The message group id and the deduplication id, as the queue's type wants them.
fn identifiers(
    entry: &SendMessageBatchRequestEntry,
    queue: &Queue,
) -> Result<Identifiers, ApiError> {
    let group = entry.message_group_id.as_deref();
    if let Some(group) = group {
        validate::token("MessageGroupId", group)?;
    }
    let deduplication_id = entry.message_deduplication_id.as_deref();
    if !queue.is_fifo() {
        if let Some(id) = deduplication_id {
            return Err(ApiError::invalid_value(
                id,
                "MessageDeduplicationId",
                "The request includes a parameter that is not valid for this queue type.",
            ));
        }
        return Ok((group.map(str::to_owned), None));
    }
    let group = group.ok_or_else(|| ApiError::missing("MessageGroupId"))?;
    let deduplication_id = match deduplication_id {
        Some(id) => {
            validate::token("MessageDeduplicationId", id)?;
            Arc::from(id)
        }
        None if queue.attributes.content_based_deduplication => {
            Arc::from(dedup::of_content(&entry.message_body))
        }
        None => return Err(deduplication_id_needed()),
    };
    Ok((Some(group.to_owned()), Some(deduplication_id)))
}

fn deduplication_id_needed() -> ApiError {
    ApiError::invalid_parameter(
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
    )
}
