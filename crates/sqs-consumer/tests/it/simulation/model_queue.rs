//! The pure model of SQS behind the calls that a worker makes, with waiting long polls.

use std::{collections::BTreeMap, time::Duration};

use local_sqs::model::{
    ErrorKind, Millis, ModelSettings, Sqs,
    api::{
        BatchResult, BatchResultEntry, ChangeMessageVisibilityBatchRequest,
        ChangeMessageVisibilityBatchRequestEntry, CreateQueueRequest, DeleteMessageBatchRequest,
        DeleteMessageBatchRequestEntry, ReceiveMessageRequest, SendMessageRequest,
    },
};
use sqs_consumer::{
    ReceiveRequest, Time,
    scheduler::{Answer, PollId, Ticket},
};

use super::PollKey;

/// A call on its way to the queue.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Receive { poll: PollId, request: ReceiveRequest, requested_at: Time },
    Extend { entries: Vec<(Ticket, String, Duration)>, requested_at: Time },
    Return { entries: Vec<(Ticket, String, Duration)> },
    Delete { entries: Vec<(Ticket, String)> },
    DeadLetter { ticket: Ticket, message_id: String, group: String, body: String },
}

/// An answer on its way back.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Received { poll: PollId, requested_at: Time, messages: Vec<Got> },
    ReceiveFailed { poll: PollId },
    Extended { requested_at: Time, answers: Vec<(Ticket, Duration, Answer)> },
    Returned(Vec<(Ticket, Answer)>),
    Deleted(Vec<(Ticket, Answer)>),
    DeadLettered(Ticket, Answer),
}

#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) message_id: String,
    pub(super) handle: String,
    pub(super) body: String,
    pub(super) receive_count: u32,
}

impl Asked {
    /// What the caller learns when no answer comes.
    pub(super) fn failure(&self) -> Told {
        let all = |tickets: Vec<Ticket>| tickets.into_iter().map(|t| (t, Answer::Failed)).collect();
        match self {
            Self::Receive { poll, .. } => Told::ReceiveFailed { poll: *poll },
            Self::Extend { entries, requested_at } => Told::Extended {
                requested_at: *requested_at,
                answers: entries
                    .iter()
                    .map(|(t, _, length)| (*t, *length, Answer::Failed))
                    .collect(),
            },
            Self::Return { entries } => {
                Told::Returned(all(entries.iter().map(|(t, ..)| *t).collect()))
            }
            Self::Delete { entries } => {
                Told::Deleted(all(entries.iter().map(|(t, _)| *t).collect()))
            }
            Self::DeadLetter { ticket, .. } => Told::DeadLettered(*ticket, Answer::Failed),
        }
    }
}

impl Told {
    /// The same call's answer, had it been lost.
    pub(super) fn failure(self) -> Self {
        let all = |answers: Vec<(Ticket, Answer)>| {
            answers.into_iter().map(|(t, _)| (t, Answer::Failed)).collect()
        };
        match self {
            Self::Received { poll, .. } | Self::ReceiveFailed { poll } => {
                Self::ReceiveFailed { poll }
            }
            Self::Extended { requested_at, answers } => Self::Extended {
                requested_at,
                answers: answers.into_iter().map(|(t, l, _)| (t, l, Answer::Failed)).collect(),
            },
            Self::Returned(answers) => Self::Returned(all(answers)),
            Self::Deleted(answers) => Self::Deleted(all(answers)),
            Self::DeadLettered(ticket, _) => Self::DeadLettered(ticket, Answer::Failed),
        }
    }
}

pub(super) struct ModelQueue {
    sqs: Sqs,
    fifo: bool,
    url: String,
    dead_url: String,
    name: &'static str,
    dead_name: &'static str,
    waiting: BTreeMap<PollKey, (ReceiveRequest, Time, Time)>,
    sent: Vec<String>,
}

impl ModelQueue {
    pub(super) fn new(fifo: bool, seed: u64) -> Self {
        let mut sqs = Sqs::new(ModelSettings { seed, ..ModelSettings::default() });
        let (name, dead_name) = if fifo { ("queue.fifo", "dead.fifo") } else { ("queue", "dead") };
        for name in [dead_name, name] {
            let mut attributes = BTreeMap::new();
            if fifo {
                attributes.insert("FifoQueue".to_owned(), "true".to_owned());
            }
            let queue_name = name.to_owned();
            let request = CreateQueueRequest {
                queue_name: Some(queue_name),
                attributes,
                ..Default::default()
            };
            sqs.create_queue(Millis(0), request).expect("the queue is valid");
        }
        let url = |name: &str| format!("http://sqs/000000000000/{name}");
        let (url, dead_url) = (url(name), url(dead_name));
        let (waiting, sent) = (BTreeMap::new(), Vec::new());
        Self { sqs, fifo, url, dead_url, name, dead_name, waiting, sent }
    }

    pub(super) fn send(&mut self, now: Time, group: &str, body: &str) {
        let url = self.url.clone();
        self.send_to(now, url, group, body, body);
        self.sent.push(body.to_owned());
    }

    fn send_to(&mut self, now: Time, queue_url: String, group: &str, id: &str, body: &str) {
        let request = SendMessageRequest {
            queue_url,
            message_body: body.to_owned(),
            message_group_id: Some(group.to_owned()),
            message_deduplication_id: self.fifo.then(|| id.to_owned()),
            ..Default::default()
        };
        self.sqs.send_message(millis(now), request).expect("the message is valid");
    }

    /// Carries out a call; a long poll that finds nothing waits and is answered later.
    pub(super) fn ask(&mut self, now: Time, worker: usize, asked: Asked) -> Option<Told> {
        Some(match asked {
            Asked::Receive { poll, request, requested_at } => {
                let until = now + request.wait;
                self.waiting.insert(PollKey(worker, poll), (request, requested_at, until));
                return None;
            }
            Asked::Extend { entries, requested_at } => {
                let fates = self.change(now, &entries);
                let answers = entries.iter().zip(fates).map(|((t, _, l), fate)| (*t, *l, fate));
                Told::Extended { requested_at, answers: answers.collect() }
            }
            Asked::Return { entries } => {
                let fates = self.change(now, &entries);
                Told::Returned(entries.iter().zip(fates).map(|((t, ..), f)| (*t, f)).collect())
            }
            Asked::Delete { entries } => {
                let request = DeleteMessageBatchRequest {
                    queue_url: self.url.clone(),
                    entries: entries
                        .iter()
                        .enumerate()
                        .map(|(i, (_, handle))| DeleteMessageBatchRequestEntry {
                            id: i.to_string(),
                            receipt_handle: handle.clone(),
                        })
                        .collect(),
                };
                let result = self.sqs.delete_message_batch(millis(now), request).expect("valid");
                let fates = fates(entries.len(), &result);
                Told::Deleted(entries.iter().zip(fates).map(|((t, _), f)| (*t, f)).collect())
            }
            Asked::DeadLetter { ticket, message_id, group, body } => {
                let url = self.dead_url.clone();
                self.send_to(now, url, &group, &message_id, &body);
                Told::DeadLettered(ticket, Answer::Ok)
            }
        })
    }

    fn change(&mut self, now: Time, entries: &[(Ticket, String, Duration)]) -> Vec<Answer> {
        let request = ChangeMessageVisibilityBatchRequest {
            queue_url: self.url.clone(),
            entries: entries
                .iter()
                .enumerate()
                .map(|(i, (_, handle, length))| ChangeMessageVisibilityBatchRequestEntry {
                    id: i.to_string(),
                    receipt_handle: handle.clone(),
                    visibility_timeout: Some(length.as_millis().div_ceil(1000) as i64),
                })
                .collect(),
        };
        let result = self.sqs.change_message_visibility_batch(millis(now), request).expect("valid");
        fates(entries.len(), &result)
    }

    /// Answers the waiting long polls that find something or whose time is up.
    pub(super) fn serve_polls(&mut self, now: Time) -> Vec<(usize, Told)> {
        self.sqs.advance(millis(now));
        let mut answers = Vec::new();
        for (key, (request, requested_at, until)) in self.waiting.clone() {
            let messages = self.receive(now, request);
            if messages.is_empty() && now < until {
                continue;
            }
            self.waiting.remove(&key);
            let PollKey(worker, poll) = key;
            answers.push((worker, Told::Received { poll, requested_at, messages }));
        }
        answers
    }

    fn receive(&mut self, now: Time, request: ReceiveRequest) -> Vec<Got> {
        let request = ReceiveMessageRequest {
            queue_url: self.url.clone(),
            message_system_attribute_names: vec!["ApproximateReceiveCount".to_owned()],
            max_number_of_messages: Some(request.max_messages as i64),
            visibility_timeout: Some(request.visibility.as_secs() as i64),
            wait_time_seconds: Some(0),
            ..Default::default()
        };
        let received = self.sqs.receive_message(millis(now), &request).expect("valid");
        let got = |message: local_sqs::model::api::ReceivedMessage| Got {
            receive_count: message.attributes["ApproximateReceiveCount"].parse().unwrap(),
            message_id: message.message_id,
            handle: message.receipt_handle,
            body: message.body,
        };
        received.result.messages.into_iter().map(got).collect()
    }

    /// When a waiting poll may next be answered without another call.
    pub(super) fn next_change(&self, now: Time) -> Option<Time> {
        if self.waiting.is_empty() {
            return None;
        }
        let own = self.sqs.next_deadline().map(|at| Time::new(Duration::from_millis(at.0)));
        let polls = self.waiting.values().map(|(_, _, until)| *until).min();
        own.into_iter().chain(polls).filter(|at| *at > now).min()
    }

    /// The worker's connections are gone: its polls consume nothing any more.
    pub(super) fn gone(&mut self, worker: usize) {
        self.waiting.retain(|key, _| key.0 != worker);
    }

    pub(super) fn is_empty(&self) -> bool {
        let counts = self.sqs.counts(self.name).expect("it exists");
        counts.visible == 0 && counts.in_flight == 0 && counts.delayed == 0
    }

    pub(super) fn left(&self) -> Vec<String> {
        self.sqs.messages(self.name).map(|m| format!("{} {:?}", m.body, m.state)).collect()
    }

    pub(super) fn dead_bodies(&self) -> Vec<String> {
        self.sqs.messages(self.dead_name).map(|message| message.body).collect()
    }

    pub(super) fn all_sent(&self) -> &[String] {
        &self.sent
    }
}

fn fates(count: usize, result: &BatchResult<BatchResultEntry>) -> Vec<Answer> {
    let mut fates = vec![Answer::Ok; count];
    for failed in &result.failed {
        let over = failed.code == ErrorKind::MessageNotInflight.query_code()
            || failed.code == ErrorKind::ReceiptHandleIsInvalid.query_code()
            || failed.message.contains("expired");
        let position: usize = failed.id.parse().unwrap();
        fates[position] = if over { Answer::LeaseOver } else { Answer::Refused };
    }
    fates
}

fn millis(time: Time) -> Millis {
    Millis(time.since_origin().as_millis() as u64)
}
