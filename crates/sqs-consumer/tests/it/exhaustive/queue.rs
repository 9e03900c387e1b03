//! The pure model of SQS as workers see it, and as the checks see it.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use local_sqs::model::{
    MessageState, Millis, ModelSettings, Sqs,
    api::{
        BatchResult, BatchResultEntry, ChangeMessageVisibilityBatchRequest,
        ChangeMessageVisibilityBatchRequestEntry, CreateQueueRequest, DeleteMessageBatchRequest,
        DeleteMessageBatchRequestEntry, ReceiveMessageRequest, SendMessageRequest,
    },
};
use sqs_consumer::{Time, scheduler::Answer};

use super::scene::{Mail, Receipt, Scene};

/// Deadlines that are further away than this are not waited for.
const FAR: Duration = Duration::from_hours(1);

#[derive(Clone, Debug)]
pub(super) struct Queue {
    sqs: Sqs,
    name: &'static str,
    dead_letters: &'static str,
    handles: BTreeMap<Receipt, Arc<str>>,
    /// The messages that are there, as of the last change.
    seen: Vec<Seen>,
    /// Those that it has moved to its dead-letter queue.
    moved: Vec<Mail>,
}

/// A message in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) mail: Mail,
    /// How often it has been received; the newest handle's number.
    pub(super) receives: u32,
    pub(super) in_flight: bool,
}

impl Queue {
    /// A queue to which all messages were sent so long ago that deduplication is over.
    pub(super) fn new(scene: &Scene) -> Self {
        let mut sqs = Sqs::new(ModelSettings::default());
        let (name, dead_letters) =
            if scene.fifo { ("queue.fifo", "dead.fifo") } else { ("queue", "dead") };
        let mut attributes = BTreeMap::new();
        if scene.fifo {
            attributes.insert("FifoQueue".to_owned(), "true".to_owned());
        }
        let create = |sqs: &mut Sqs, name: &str, attributes| {
            let queue_name = Some(name.to_owned());
            let request = CreateQueueRequest { queue_name, attributes, ..Default::default() };
            sqs.create_queue(Millis(0), request).expect("the queue is valid");
        };
        create(&mut sqs, dead_letters, attributes.clone());
        if let Some(most) = scene.max_receives {
            let target = sqs.arn(dead_letters);
            let policy =
                format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":"{most}"}}"#);
            attributes.insert("RedrivePolicy".to_owned(), policy);
        }
        create(&mut sqs, name, attributes);
        for mail in scene.mails() {
            let request = SendMessageRequest {
                queue_url: name.to_owned(),
                message_body: mail.to_string(),
                message_group_id: Some(mail.group_name()),
                message_deduplication_id: scene.fifo.then(|| mail.to_string()),
                ..Default::default()
            };
            sqs.send_message(Millis(0), request).expect("the message is valid");
        }
        let mut queue = Self {
            sqs,
            name,
            dead_letters,
            handles: BTreeMap::new(),
            seen: Vec::new(),
            moved: Vec::new(),
        };
        queue.look();
        queue
    }

    pub(super) fn receive(&mut self, now: Time, max: usize, visibility: Duration) -> Vec<Receipt> {
        let request = ReceiveMessageRequest {
            queue_url: self.name.to_owned(),
            message_system_attribute_names: vec!["ApproximateReceiveCount".to_owned()],
            max_number_of_messages: Some(max as i64),
            visibility_timeout: Some(visibility.as_secs() as i64),
            wait_time_seconds: Some(0),
            ..Default::default()
        };
        let received = self.sqs.receive_message(millis(now), &request).expect("valid");
        let mut receipts = Vec::new();
        for message in received.result.messages {
            let mail = Mail::of_body(&message.body);
            let receive = message.attributes["ApproximateReceiveCount"].parse().expect("a number");
            let receipt = Receipt { mail, receive };
            self.handles.insert(receipt, message.receipt_handle.into());
            receipts.push(receipt);
        }
        self.look();
        receipts
    }

    pub(super) fn change(
        &mut self,
        now: Time,
        entries: impl Iterator<Item = (Receipt, Duration)>,
    ) -> Vec<Answer> {
        let entries: Vec<_> = entries
            .enumerate()
            .map(|(i, (receipt, length))| ChangeMessageVisibilityBatchRequestEntry {
                id: i.to_string(),
                receipt_handle: self.handles[&receipt].to_string(),
                visibility_timeout: Some(length.as_millis().div_ceil(1000) as i64),
            })
            .collect();
        let count = entries.len();
        let queue_url = self.name.to_owned();
        let request = ChangeMessageVisibilityBatchRequest { queue_url, entries };
        let result = self.sqs.change_message_visibility_batch(millis(now), request);
        self.look();
        answers(count, &result.expect("valid"))
    }

    pub(super) fn delete(
        &mut self,
        now: Time,
        receipts: impl Iterator<Item = Receipt>,
    ) -> Vec<Answer> {
        let entries: Vec<_> = receipts
            .enumerate()
            .map(|(i, receipt)| DeleteMessageBatchRequestEntry {
                id: i.to_string(),
                receipt_handle: self.handles[&receipt].to_string(),
            })
            .collect();
        let count = entries.len();
        let queue_url = self.name.to_owned();
        let request = DeleteMessageBatchRequest { queue_url, entries };
        let result = self.sqs.delete_message_batch(millis(now), request);
        self.look();
        answers(count, &result.expect("valid"))
    }

    /// Lets time pass: leases end.
    pub(super) fn advance(&mut self, now: Time) {
        self.sqs.advance(millis(now));
        self.look();
    }

    /// When something changes by itself.
    pub(super) fn next_deadline(&self, now: Time) -> Option<Time> {
        let at = Time::new(Duration::from_millis(self.sqs.next_deadline()?.0));
        (at.saturating_since(now) < FAR).then_some(at)
    }

    pub(super) fn has_receivable(&self) -> bool {
        self.sqs.has_receivable(self.name)
    }

    pub(super) fn seen(&self, mail: Mail) -> Option<Seen> {
        self.seen.iter().find(|seen| seen.mail == mail).copied()
    }

    /// Whether the queue has moved the message to its dead-letter queue.
    pub(super) fn has_moved(&self, mail: Mail) -> bool {
        self.moved.contains(&mail)
    }

    /// Whether the message is leased under this receipt.
    pub(super) fn is_leased(&self, receipt: Receipt) -> bool {
        self.seen(receipt.mail)
            .is_some_and(|seen| seen.in_flight && seen.receives == receipt.receive)
    }

    pub(super) fn identify(&self, now: Time, state: &mut impl Hasher) {
        self.sqs.identify(millis(now), self.name, state);
        self.moved.hash(state);
    }

    /// A number for the queue, given its identity and with all that this leaves out.
    pub(super) fn key(&self, now: Time, identity: u64) -> u64 {
        let mut state = DefaultHasher::new();
        (now, identity).hash(&mut state);
        for receipt in self.handles.keys() {
            receipt.hash(&mut state);
        }
        state.finish()
    }

    fn look(&mut self) {
        let messages = self.sqs.messages(self.name);
        self.seen = messages
            .map(|message| Seen {
                mail: Mail::of_body(&message.body),
                receives: message.receive_count,
                in_flight: matches!(message.state, MessageState::InFlight { .. }),
            })
            .collect();
        let moved = self.sqs.messages(self.dead_letters);
        self.moved = moved.map(|message| Mail::of_body(&message.body)).collect();
    }
}

fn answers(count: usize, result: &BatchResult<BatchResultEntry>) -> Vec<Answer> {
    let mut answers = vec![Answer::Ok; count];
    for failed in &result.failed {
        let position: usize = failed.id.parse().expect("a position");
        answers[position] = Answer::LeaseOver;
    }
    answers
}

fn millis(time: Time) -> Millis {
    Millis(time.since_origin().as_millis() as u64)
}
