//! Receiving: which messages, in which words, and the way back when nobody got them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::api::{MessageAttributes, ReceiveMessageRequest, ReceiveMessageResult, ReceivedMessage};
use super::error::{ApiError, ErrorKind};
use super::handle::Receipt;
use super::message::{Message, MessageState, Seq};
use super::queue::{Queue, sequence_number};
use super::redrive::queue_of_arn;
use super::time::Millis;
use super::{Sqs, attributes, checksum, limits, validate};

/// Names of message system attributes that a receiver can ask for.
const SYSTEM_ATTRIBUTES: [&str; 11] = [
    "All",
    "AWSTraceHeader",
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    "DeadLetterQueueSourceArn",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    "SequenceNumber",
    "SqsManagedSseEnabled",
];

/// What every message gives as its sender.
const SENDER_ID: &str = "AIDALOCALSQS00000SENDER";

/// An answer to a receive, with what is needed to take it back.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// The answer.
    pub result: ReceiveMessageResult,
    /// Hand this to [`Sqs::give_back`] when the answer cannot be delivered.
    pub lease: Lease,
}

/// The messages that one receive made invisible, and what they were before.
#[derive(Debug, Clone, Default)]
pub struct Lease {
    queue: Option<Arc<str>>,
    attempt: Option<String>,
    taken: Vec<Taken>,
}

#[derive(Debug, Clone, Copy)]
struct Taken {
    seq: Seq,
    receive: u64,
    first_received_before: Option<Millis>,
    receipt_before: u64,
    visibility_changed_before: bool,
    released_before: bool,
}

impl Sqs {
    /// ReceiveMessage as a short poll: what can be received now, which may be nothing.
    ///
    /// The waiting of a long poll is the caller's, by [`Sqs::receive_wait`] and [`Sqs::take_awakened`].
    pub fn receive_message(
        &mut self,
        now: Millis,
        request: &ReceiveMessageRequest,
    ) -> Result<Received, ApiError> {
        let name = self.open(now, &request.queue_url)?;
        let limits = self.limits.clone();
        let wait = self.receive_wait(request)?;
        let wanted = Wanted::of(request)?;
        let (target, max_receive_count) = self.dead_letter_target(&name);
        let queue = self.queues.get_mut(&*name).ok_or_else(ApiError::queue_does_not_exist)?;
        let visibility = wanted.visibility.unwrap_or_else(|| queue.attributes.visibility());
        let until = now.max(self.now) + visibility;
        let since = self.now;

        let attempt = request.receive_request_attempt_id.as_deref().filter(|_| queue.is_fifo());
        if let Some(id) = attempt {
            validate::token("ReceiveRequestAttemptId", id)?;
            if let Some(result) = replay(queue, id, since, until, &wanted)? {
                self.close(&name);
                return Ok(Received { result, lease: Lease::default() });
            }
        }

        let room = limits.in_flight.saturating_sub(queue.in_flight());
        if room == 0 {
            queue.note_limit_reached();
            // AWS answers OverLimit to short polls of standard queues only.
            if queue.is_fifo() || !wait.is_zero() {
                return Ok(Received::default());
            }
            return Err(ApiError::new(
                ErrorKind::OverLimit,
                "Too many messages have been received without being deleted. Please delete your received messages or let them timeout before receiving more.",
            ));
        }

        let mut received = Received::default();
        let mut dead = Vec::new();
        let count = wanted.count.min(room);
        while received.lease.taken.len() < count {
            let run = queue.next_run(count - received.lease.taken.len());
            if run.is_empty() {
                break;
            }
            for seq in run {
                let exhausted = queue.messages.get(&seq).is_some_and(|message| {
                    max_receive_count.is_some_and(|m| message.is_exhausted(m))
                });
                if exhausted {
                    dead.extend(queue.take_out(seq));
                } else if let Some((taken, message)) = take(queue, seq, since, until, &wanted) {
                    received.lease.taken.push(taken);
                    received.result.messages.push(message);
                }
            }
        }
        if let Some(id) = attempt.filter(|_| !received.lease.taken.is_empty()) {
            let receipts = received.lease.taken.iter().map(|taken| (taken.seq, taken.receive));
            queue.attempts.remember(id, receipts.collect(), since, limits.receive_attempt_interval);
            received.lease.attempt = Some(id.to_owned());
        }
        received.lease.queue = Some(Arc::clone(&name));
        if let Some(target) = target {
            self.dead_letter(&name, &target, dead);
        }
        self.close(&name);
        Ok(received)
    }

    /// How long a receive waits when there is nothing: its own wish, or the queue's setting.
    pub fn receive_wait(&self, request: &ReceiveMessageRequest) -> Result<Duration, ApiError> {
        let queue = self.queue(&request.queue_url)?;
        let wait =
            validate::within("WaitTimeSeconds", request.wait_time_seconds, &limits::WAIT_SECONDS)?;
        Ok(wait.map_or_else(|| queue.attributes.wait(), |s| Duration::from_secs(s.unsigned_abs())))
    }

    /// Takes back an answer that its receiver did not get: the messages are as if never received.
    pub fn give_back(&mut self, now: Millis, lease: Lease) {
        self.advance(now);
        let Some(name) = lease.queue else { return };
        let Some(queue) = self.queues.get_mut(&*name) else {
            return;
        };
        if let Some(id) = &lease.attempt {
            queue.attempts.forget(id);
        }
        for taken in lease.taken.into_iter().rev() {
            let Some(message) = queue.messages.get_mut(&taken.seq) else {
                continue;
            };
            if message.receipt != taken.receive {
                continue;
            }
            message.receipt = taken.receipt_before;
            message.first_received = taken.first_received_before;
            message.visibility_changed = taken.visibility_changed_before;
            message.released = taken.released_before;
            message.receive_count -= 1;
            if matches!(message.state, MessageState::InFlight { .. }) {
                queue.restore_turn(taken.seq);
            }
        }
        self.close(&name);
    }

    /// The dead-letter queue of a queue, when it has one and it exists, and its maxReceiveCount.
    fn dead_letter_target(&self, name: &str) -> (Option<Arc<str>>, Option<u32>) {
        let policy = self.queues.get(name).and_then(|queue| queue.attributes.redrive.as_ref());
        let target = policy.and_then(|policy| {
            let target = queue_of_arn(&policy.dead_letter_target_arn)?;
            Some((self.queues.get_key_value(target)?.0.clone(), policy.max_receive_count))
        });
        target.unzip()
    }

    /// Moves messages to a dead-letter queue. A standard queue keeps the time from which retention
    /// counts; a FIFO queue starts it anew and takes the message id as deduplication id.
    fn dead_letter(
        &mut self,
        source: &str,
        target: &Arc<str>,
        dead: Vec<(Message, Option<Arc<str>>)>,
    ) {
        if dead.is_empty() {
            return;
        }
        let now = self.now;
        let source_arn: Arc<str> = self.arn(source).into();
        if let Some(queue) = self.queues.get_mut(&**target) {
            for (mut message, group) in dead {
                if queue.is_fifo() {
                    message.enqueued = now;
                    message.deduplication_id = Some(message.id.to_string().into());
                }
                message.receives_elsewhere = message.receive_count;
                message.dead_letter_source = Some(Arc::clone(&source_arn));
                message.state = MessageState::Visible;
                message.receipt = 0;
                queue.add(message, group.as_deref());
            }
        }
        self.close(target);
    }
}

/// What a receiver asked for.
struct Wanted<'a> {
    count: usize,
    visibility: Option<Duration>,
    system: Vec<&'a str>,
    attributes: &'a [String],
}

impl<'a> Wanted<'a> {
    fn of(request: &'a ReceiveMessageRequest) -> Result<Self, ApiError> {
        let count = request.max_number_of_messages.unwrap_or(1);
        if !limits::RECEIVE_MESSAGES.contains(&count) {
            return Err(ApiError::invalid_value(
                count,
                "MaxNumberOfMessages",
                "Must be between 1 and 10, if provided.",
            ));
        }
        let visibility = validate::within(
            "VisibilityTimeout",
            request.visibility_timeout,
            &limits::VISIBILITY_SECONDS,
        )?;
        let names = request.attribute_names.iter().chain(&request.message_system_attribute_names);
        let system: Vec<&str> = names.map(String::as_str).collect();
        for name in &request.attribute_names {
            // The older list may name a queue's attributes too; they are ignored.
            if !SYSTEM_ATTRIBUTES.contains(&name.as_str()) {
                attributes::check_name(name)?;
            }
        }
        for name in &request.message_system_attribute_names {
            if !SYSTEM_ATTRIBUTES.contains(&name.as_str()) {
                return Err(attributes::unknown(name));
            }
        }
        Ok(Self {
            count: count as usize,
            visibility: visibility.map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
            system,
            attributes: &request.message_attribute_names,
        })
    }

    fn wants_attribute(&self, name: &str) -> bool {
        self.attributes.iter().any(|wanted| match wanted.as_str() {
            "All" | ".*" | "*" => true,
            wanted => match wanted.strip_suffix(".*") {
                Some(prefix) => name.starts_with(prefix),
                None => wanted == name,
            },
        })
    }

    fn wants_system(&self, name: &str) -> bool {
        self.system.iter().any(|wanted| *wanted == "All" || *wanted == name)
    }

    /// The message in the receiver's words.
    fn describe(&self, queue: &Queue, seq: Seq, message: &Message) -> ReceivedMessage {
        let content = &message.content;
        let millis = |at: Millis| at.0.to_string();
        let seq_number = queue.is_fifo().then(|| sequence_number(seq));
        let system = [
            ("AWSTraceHeader", content.trace_header.clone()),
            ("ApproximateFirstReceiveTimestamp", message.first_received.map(millis)),
            ("ApproximateReceiveCount", Some(message.receive_count.to_string())),
            ("DeadLetterQueueSourceArn", message.dead_letter_source.as_deref().map(str::to_owned)),
            ("MessageDeduplicationId", message.deduplication_id.as_deref().map(str::to_owned)),
            ("MessageGroupId", queue.group_of(message).map(ToString::to_string)),
            ("SenderId", Some(SENDER_ID.to_owned())),
            ("SentTimestamp", Some(millis(message.enqueued))),
            ("SequenceNumber", seq_number),
        ];
        let attributes: BTreeMap<String, String> = system
            .into_iter()
            .filter(|(name, _)| self.wants_system(name))
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect();
        let message_attributes: MessageAttributes = content
            .attributes
            .iter()
            .filter(|(name, _)| self.wants_attribute(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let receipt = Receipt { queue: queue.incarnation, seq, receive: message.receipt };
        ReceivedMessage {
            message_id: message.id.to_string(),
            receipt_handle: receipt.encode(),
            md5_of_body: checksum::hex(&content.md5_of_body),
            body: content.body.clone(),
            attributes,
            md5_of_message_attributes: checksum::of_attributes(&message_attributes),
            message_attributes,
        }
    }
}

/// Makes a message invisible for a receiver.
fn take(
    queue: &mut Queue,
    seq: Seq,
    now: Millis,
    until: Millis,
    wanted: &Wanted<'_>,
) -> Option<(Taken, ReceivedMessage)> {
    let receive = queue.next_receive_number();
    let message = queue.messages.get_mut(&seq)?;
    let taken = Taken {
        seq,
        receive,
        first_received_before: message.first_received,
        receipt_before: message.receipt,
        visibility_changed_before: message.visibility_changed,
        released_before: message.released,
    };
    message.receipt = receive;
    message.visibility_changed = false;
    message.released = false;
    message.receive_count += 1;
    message.first_received.get_or_insert(now);
    queue.set_state(seq, MessageState::InFlight { until, since: now });
    let message = queue.messages.get(&seq)?;
    Some((taken, wanted.describe(queue, seq, message)))
}

/// Answers a repeated attempt with the same messages and handles, and starts their visibility timeout
/// anew. `None` when there was no such attempt or its messages' visibility timeout is over. When one of
/// them was deleted or its visibility was changed, the attempt cannot be repeated.
fn replay(
    queue: &mut Queue,
    id: &str,
    now: Millis,
    until: Millis,
    wanted: &Wanted<'_>,
) -> Result<Option<ReceiveMessageResult>, ApiError> {
    let Some(receipts) = queue.attempts.find(id) else {
        return Ok(None);
    };
    let mut expired = false;
    for (seq, receive) in &receipts {
        let message = queue.messages.get(seq);
        if message.is_none_or(|m| m.receipt == *receive && m.visibility_changed) {
            return Err(ApiError::invalid_value(
                id,
                "ReceiveRequestAttemptId",
                "The receiveRequestAttemptId is not valid anymore since the receive call is not retryable.",
            ));
        }
        expired |= message.is_none_or(|m| {
            m.receipt != *receive || !matches!(m.state, MessageState::InFlight { .. })
        });
    }
    if expired {
        queue.attempts.forget(id);
        return Ok(None);
    }
    let mut result = ReceiveMessageResult::default();
    for (seq, _) in receipts {
        queue.set_state(seq, MessageState::InFlight { until, since: now });
        if let Some(message) = queue.messages.get(&seq) {
            result.messages.push(wanted.describe(queue, seq, message));
        }
    }
    Ok(Some(result))
}
