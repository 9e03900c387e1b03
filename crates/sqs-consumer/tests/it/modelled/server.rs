//! What the queue does with a call that has reached it.

use std::{collections::BTreeMap, time::Duration};

use local_sqs::model::{
    Millis, Sqs,
    api::{
        BatchResult as ModelBatch, BatchResultEntry, ChangeMessageVisibilityBatchRequest,
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequest,
        DeleteMessageBatchRequestEntry, ReceiveMessageRequest,
    },
};
use sqs_consumer::{BatchResult, Message, QueueError, ReceiptHandle, ReceiveRequest};
use tokio::time::{Instant, timeout_at};

use super::{DEAD, Modelled, What, url};

impl Modelled {
    /// A long poll at the server.
    pub(super) async fn serve_receive(
        &self,
        worker: usize,
        request: ReceiveRequest,
    ) -> Vec<Message> {
        let until = Instant::now() + request.wait;
        loop {
            let changed = self.0.changed.notified();
            let now = self.millis();
            let (got, next) = {
                let mut state = self.state();
                let (most, visibility) = (request.max_messages, request.visibility);
                let got = receive(&mut state.sqs, now, self.name(), most, visibility);
                for message in &got {
                    let handle = message.receipt_handle.0.clone();
                    state.bodies.insert(handle, message.body.clone());
                }
                (got, state.sqs.next_deadline())
            };
            if !got.is_empty() {
                let told = got.iter().map(|m| (m.body.clone(), m.receive_count)).collect();
                self.tell(worker, What::Received(told));
                return got;
            }
            if Instant::now() >= until {
                return got;
            }
            let next = next.map(|at| self.0.started + Duration::from_millis(at.0.max(now.0 + 1)));
            let wake = next.map_or(until, |next| next.min(until));
            _ = timeout_at(wake, changed).await;
        }
    }

    pub(super) fn serve_delete(
        &self,
        worker: usize,
        handles: &[ReceiptHandle],
        fails: &BTreeMap<usize, QueueError>,
    ) -> BatchResult {
        let passed = |position: &usize| !fails.contains_key(position);
        let entries = handles.iter().enumerate().filter(|(position, _)| passed(position));
        let entries: Vec<_> = entries
            .map(|(position, handle)| DeleteMessageBatchRequestEntry {
                id: position.to_string(),
                receipt_handle: handle.0.clone(),
            })
            .collect();
        let mut fates = failing(handles.len(), fails);
        if !entries.is_empty() {
            let request = DeleteMessageBatchRequest { queue_url: url(self.name()), entries };
            let now = self.millis();
            let answer = self.state().sqs.delete_message_batch(now, request).expect("valid");
            merge(&mut fates, &answer);
        }
        let done = |(handle, fate): (&ReceiptHandle, &Result<(), QueueError>)| {
            fate.is_ok().then(|| self.body(handle))
        };
        let deleted = handles.iter().zip(&fates).filter_map(done).collect();
        self.settled(worker, What::Deleted(deleted));
        fates
    }

    pub(super) fn serve_change(
        &self,
        worker: usize,
        changes: &[(ReceiptHandle, Duration)],
        fails: &BTreeMap<usize, QueueError>,
    ) -> BatchResult {
        let passed = |position: &usize| !fails.contains_key(position);
        let entries = changes.iter().enumerate().filter(|(position, _)| passed(position));
        let entries: Vec<_> = entries
            .map(|(position, (handle, length))| ChangeMessageVisibilityBatchRequestEntry {
                id: position.to_string(),
                receipt_handle: handle.0.clone(),
                visibility_timeout: Some(length.as_millis().div_ceil(1000) as i64),
            })
            .collect();
        let mut fates = failing(changes.len(), fails);
        if !entries.is_empty() {
            let queue_url = url(self.name());
            let request = ChangeMessageVisibilityBatchRequest { queue_url, entries };
            let now = self.millis();
            let answer = self.state().sqs.change_message_visibility_batch(now, request);
            merge(&mut fates, &answer.expect("valid"));
        }
        let done = |(change, fate): (&(ReceiptHandle, Duration), &Result<(), QueueError>)| {
            fate.is_ok().then(|| (self.body(&change.0), change.1))
        };
        let changed = changes.iter().zip(&fates).filter_map(done).collect();
        self.settled(worker, What::Changed(changed));
        fates
    }

    pub(super) fn serve_copy(&self, worker: usize, message: &Message) {
        let group = message.group_id.as_deref().unwrap_or(&message.message_id);
        let name = DEAD[usize::from(self.0.shape.fifo)];
        self.send_to(name, group, &message.message_id, &message.body);
        self.settled(worker, What::Copied(message.body.clone()));
    }

    fn body(&self, handle: &ReceiptHandle) -> String {
        self.state().bodies[&handle.0].clone()
    }
}

pub(super) fn receive(
    sqs: &mut Sqs,
    now: Millis,
    name: &str,
    most: usize,
    visibility: Duration,
) -> Vec<Message> {
    let request = ReceiveMessageRequest {
        queue_url: url(name),
        message_system_attribute_names: vec!["All".to_owned()],
        max_number_of_messages: Some(most as i64),
        visibility_timeout: Some(visibility.as_secs() as i64),
        wait_time_seconds: Some(0),
        ..Default::default()
    };
    let received = sqs.receive_message(now, &request).expect("valid").result;
    received
        .messages
        .into_iter()
        .map(|message| Message {
            receive_count: message.attributes["ApproximateReceiveCount"].parse().expect("a number"),
            group_id: message.attributes.get("MessageGroupId").cloned(),
            message_id: message.message_id,
            receipt_handle: ReceiptHandle(message.receipt_handle),
            body: message.body,
            attributes: BTreeMap::new(),
            sent_at_ms: None,
            trace_header: None,
        })
        .collect()
}

fn failing(count: usize, fails: &BTreeMap<usize, QueueError>) -> BatchResult {
    (0..count).map(|position| fails.get(&position).cloned().map_or(Ok(()), Err)).collect()
}

fn merge(fates: &mut BatchResult, answer: &ModelBatch<BatchResultEntry>) {
    for failed in &answer.failed {
        let position: usize = failed.id.parse().expect("ids are positions");
        let text = format!("{}: {}", failed.code, failed.message);
        let over =
            failed.message.contains("ReceiptHandle") || failed.code.contains("ReceiptHandle");
        fates[position] =
            Err(if over { QueueError::LeaseOver(text) } else { QueueError::Rejected(text) });
    }
}
