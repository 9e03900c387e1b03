//! The pure model of SQS behind the few calls that a worker makes.

use std::collections::BTreeMap;

use local_sqs::model::{
    ApiError, EntryFails, ErrorKind, Limits, Millis, ModelSettings, Sqs,
    api::{
        BatchResult, BatchResultEntry, ChangeMessageVisibilityBatchRequest,
        ChangeMessageVisibilityBatchRequestEntry, CreateQueueRequest, DeleteMessageBatchRequest,
        DeleteMessageBatchRequestEntry, ReceiveMessageRequest, ReceivedMessage, Request, Response,
        SendMessageRequest, StartMessageMoveTaskRequest,
    },
};
use sqs_consumer::{ReceiveRequest, scheduler::Answer};

use super::{calls::Entry, plan::Plan};

/// The queue under test and its dead-letter queue.
pub(super) struct Queues {
    sqs: Sqs,
    fifo: bool,
    name: &'static str,
    dead_name: &'static str,
}

/// A message as the model knows it.
pub(super) struct Known {
    pub(super) message_id: String,
    /// Its place in its FIFO queue.
    pub(super) sequence: u64,
}

impl Queues {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut limits = Limits::default();
        limits.in_flight = plan.in_flight_limit.unwrap_or(limits.in_flight);
        let mut sqs =
            Sqs::new(ModelSettings { seed: plan.seed, limits, ..ModelSettings::default() });
        let (name, dead_name) =
            if plan.fifo { ("queue.fifo", "dead.fifo") } else { ("queue", "dead") };
        let mut attributes = BTreeMap::new();
        // The longest that there is, for handlers that take half a day.
        attributes.insert("MessageRetentionPeriod".to_owned(), "1209600".to_owned());
        if plan.fifo {
            attributes.insert("FifoQueue".to_owned(), "true".to_owned());
        }
        create(&mut sqs, dead_name, attributes.clone());
        if let Some(most) = plan.redrive {
            let target = sqs.arn(dead_name);
            let policy =
                format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":"{most}"}}"#);
            attributes.insert("RedrivePolicy".to_owned(), policy);
        }
        create(&mut sqs, name, attributes);
        Self { sqs, fifo: plan.fifo, name, dead_name }
    }

    pub(super) fn send(&mut self, now: u64, group: Option<u32>, body: &str) -> Known {
        self.send_to(now, self.name, group, body, body)
    }

    /// A copy for the dead-letter queue, as a worker sends it. Its deduplication id is the message's
    /// id, so that a repeated one has no second effect.
    pub(super) fn dead_letter(&mut self, now: u64, group: Option<u32>, id: &str, body: &str) {
        self.send_to(now, self.dead_name, group, id, body);
    }

    fn send_to(
        &mut self,
        now: u64,
        name: &str,
        group: Option<u32>,
        deduplication_id: &str,
        body: &str,
    ) -> Known {
        let request = SendMessageRequest {
            queue_url: name.to_owned(),
            message_body: body.to_owned(),
            message_group_id: group.map(|group| group.to_string()),
            message_deduplication_id: self.fifo.then(|| deduplication_id.to_owned()),
            ..Default::default()
        };
        let result = self.sqs.send_message(Millis(now), request).expect("the message is valid");
        let sequence = result.sequence_number.map_or(0, |number| number.parse().expect("a number"));
        Known { message_id: result.message_id, sequence }
    }

    /// What can be received now. None if the queue refuses for too many in flight.
    pub(super) fn receive(
        &mut self,
        now: u64,
        request: &ReceiveRequest,
    ) -> Option<Vec<ReceivedMessage>> {
        let request = ReceiveMessageRequest {
            queue_url: self.name.to_owned(),
            message_system_attribute_names: vec![
                "ApproximateReceiveCount".to_owned(),
                "SequenceNumber".to_owned(),
            ],
            max_number_of_messages: Some(request.max_messages as i64),
            visibility_timeout: Some(request.visibility.as_secs() as i64),
            wait_time_seconds: Some(request.wait.as_secs() as i64),
            ..Default::default()
        };
        match self.sqs.receive_message(Millis(now), &request) {
            Ok(received) => Some(received.result.messages),
            Err(error) if error.kind == ErrorKind::OverLimit => None,
            Err(error) => panic!("the receive is valid: {error}"),
        }
    }

    pub(super) fn change_visibility(
        &mut self,
        now: u64,
        entries: &[Entry],
        fails: EntryFails<'_>,
    ) -> Vec<Answer> {
        let entry = |(position, entry): (usize, &Entry)| ChangeMessageVisibilityBatchRequestEntry {
            id: position.to_string(),
            receipt_handle: entry.handle.to_string(),
            visibility_timeout: Some(entry.visibility.as_millis().div_ceil(1000) as i64),
        };
        let request = Request::ChangeMessageVisibilityBatch(ChangeMessageVisibilityBatchRequest {
            queue_url: self.name.to_owned(),
            entries: entries.iter().enumerate().map(entry).collect(),
        });
        match self.sqs.apply_with(Millis(now), request, fails) {
            Ok(Response::ChangeMessageVisibilityBatch(result)) => answers(entries.len(), &result),
            other => panic!("the batch is valid: {other:?}"),
        }
    }

    pub(super) fn delete(
        &mut self,
        now: u64,
        entries: &[Entry],
        fails: EntryFails<'_>,
    ) -> Vec<Answer> {
        let entry = |(position, entry): (usize, &Entry)| DeleteMessageBatchRequestEntry {
            id: position.to_string(),
            receipt_handle: entry.handle.to_string(),
        };
        let request = Request::DeleteMessageBatch(DeleteMessageBatchRequest {
            queue_url: self.name.to_owned(),
            entries: entries.iter().enumerate().map(entry).collect(),
        });
        match self.sqs.apply_with(Millis(now), request, fails) {
            Ok(Response::DeleteMessageBatch(result)) => answers(entries.len(), &result),
            other => panic!("the batch is valid: {other:?}"),
        }
    }

    /// Moves the dead letters back. Nothing happens if that is already under way.
    pub(super) fn redrive(&mut self, now: u64) {
        let request = StartMessageMoveTaskRequest {
            source_arn: self.sqs.arn(self.dead_name),
            destination_arn: Some(self.sqs.arn(self.name)),
            max_number_of_messages_per_second: None,
        };
        _ = self.sqs.start_message_move_task(Millis(now), request);
    }

    pub(super) fn advance(&mut self, now: u64) {
        self.sqs.advance(Millis(now));
    }

    /// When something next changes by itself.
    pub(super) fn next_change(&self) -> Option<u64> {
        self.sqs.next_deadline().map(|at| at.0)
    }

    pub(super) fn has_receivable(&self) -> bool {
        self.sqs.has_receivable(self.name)
    }

    /// Messages in the queue, and in its dead-letter queue.
    pub(super) fn counts(&self) -> (usize, usize) {
        let count = |name| {
            let counts = self.sqs.counts(name).expect("it exists");
            counts.visible + counts.in_flight + counts.delayed
        };
        (count(self.name), count(self.dead_name))
    }

    /// The messages in the queue: id, state.
    pub(super) fn messages(&self) -> impl Iterator<Item = local_sqs::model::MessageView> {
        self.sqs.messages(self.name)
    }

    /// The bodies in the dead-letter queue.
    pub(super) fn dead_bodies(&self) -> impl Iterator<Item = String> {
        self.sqs.messages(self.dead_name).map(|message| message.body)
    }
}

fn create(sqs: &mut Sqs, name: &str, attributes: BTreeMap<String, String>) {
    let request =
        CreateQueueRequest { queue_name: Some(name.to_owned()), attributes, ..Default::default() };
    sqs.create_queue(Millis(0), request).expect("the queue is valid");
}

/// The failure of a batch's entry for reasons of the server's own.
pub(super) fn server_fault() -> ApiError {
    ApiError::new(ErrorKind::InternalError, "We encountered an internal error.")
}

/// The failure of one for reasons that will not pass.
pub(super) fn refusal() -> ApiError {
    ApiError::new(ErrorKind::UnsupportedOperation, "Error code 400. Unsupported operation.")
}

/// Failures in the scheduler's terms, as the adapter for SQS tells them.
fn answers(count: usize, result: &BatchResult<BatchResultEntry>) -> Vec<Answer> {
    let mut answers = vec![Answer::Ok; count];
    for failed in &result.failed {
        let position: usize = failed.id.parse().expect("ids are positions");
        let about_handle = failed.message.replace(' ', "").contains("ReceiptHandle");
        answers[position] = match failed.code.rsplit(['.', '#']).next().unwrap_or_default() {
            "ReceiptHandleIsInvalid" | "MessageNotInflight" => Answer::LeaseOver,
            "InvalidParameterValue" if about_handle => Answer::LeaseOver,
            "InternalError" => Answer::Failed,
            "UnsupportedOperation" => Answer::Refused,
            other => panic!("an unexpected failure: {other}: {}", failed.message),
        };
    }
    answers
}
