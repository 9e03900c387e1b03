//! The pure model of SQS behind the few calls that a job makes.

use std::{collections::BTreeMap, time::Duration};

use local_sqs::model::{
    Millis, ModelSettings, Sqs,
    api::{
        ChangeMessageVisibilityRequest, CreateQueueRequest, DeleteMessageRequest,
        ReceiveMessageRequest, ReceivedMessage, SendMessageRequest,
    },
};

/// A source queue and its dead-letter queue. A message's body is its number.
pub(super) struct Queues {
    sqs: Sqs,
    fifo: bool,
    pub(super) source: &'static str,
    pub(super) dead: &'static str,
}

impl Queues {
    pub(super) fn new(seed: u64, fifo: bool) -> Self {
        let mut sqs = Sqs::new(ModelSettings { seed, ..ModelSettings::default() });
        let (source, dead) = if fifo { ("queue.fifo", "dead.fifo") } else { ("queue", "dead") };
        for name in [dead, source] {
            let mut attributes = BTreeMap::new();
            attributes.insert("MessageRetentionPeriod".to_owned(), "1209600".to_owned());
            if fifo {
                attributes.insert("FifoQueue".to_owned(), "true".to_owned());
            }
            let request = CreateQueueRequest {
                queue_name: Some(name.to_owned()),
                attributes,
                ..Default::default()
            };
            sqs.create_queue(Millis(0), request).expect("the queue is valid");
        }
        Self { sqs, fifo, source, dead }
    }

    pub(super) fn send(&mut self, now: u64, queue: &str, group: u32, id: &str, number: usize) {
        let request = SendMessageRequest {
            queue_url: queue.to_owned(),
            message_body: number.to_string(),
            message_group_id: Some(group.to_string()),
            message_deduplication_id: self.fifo.then(|| id.to_owned()),
            ..Default::default()
        };
        self.sqs.send_message(Millis(now), request).expect("the message is valid");
    }

    pub(super) fn receive(
        &mut self,
        now: u64,
        queue: &str,
        most: usize,
        visibility: Duration,
    ) -> Vec<ReceivedMessage> {
        let request = ReceiveMessageRequest {
            queue_url: queue.to_owned(),
            message_system_attribute_names: vec!["All".to_owned()],
            max_number_of_messages: Some(most as i64),
            visibility_timeout: Some(visibility.as_secs() as i64),
            ..Default::default()
        };
        let received = self.sqs.receive_message(Millis(now), &request);
        received.expect("the receive is valid").result.messages
    }

    /// Whether the queue says yes; a standard one says it to any handle.
    pub(super) fn delete(&mut self, now: u64, queue: &str, handle: &str) -> bool {
        let request =
            DeleteMessageRequest { queue_url: queue.to_owned(), receipt_handle: handle.to_owned() };
        self.sqs.delete_message(Millis(now), &request).is_ok()
    }

    pub(super) fn release(&mut self, now: u64, handle: &str) {
        let request = ChangeMessageVisibilityRequest {
            queue_url: self.dead.to_owned(),
            receipt_handle: handle.to_owned(),
            visibility_timeout: Some(0),
        };
        _ = self.sqs.change_message_visibility(Millis(now), &request);
    }

    pub(super) fn advance(&mut self, now: u64) {
        self.sqs.advance(Millis(now));
    }

    /// The messages of a queue in their order: number, id, group.
    pub(super) fn messages(&self, queue: &str) -> Vec<(usize, String, u32)> {
        let messages = self.sqs.messages(queue);
        messages
            .map(|message| {
                let group = message.group.and_then(|group| group.parse().ok());
                (number(&message.body), message.message_id, group.unwrap_or(u32::MAX))
            })
            .collect()
    }
}

pub(super) fn number(body: &str) -> usize {
    body.parse().expect("a body is a number")
}
