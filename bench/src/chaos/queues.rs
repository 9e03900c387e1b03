//! What is in the queues, the faults that the server shows, and the dead letters.

use std::collections::BTreeMap;

use anyhow::ensure;
use hyper::{Request, body::Bytes};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fleet::{Addresses, FIFO, FIFO_DLQ, STANDARD, STANDARD_DLQ};
use crate::http::Client;

/// How often an operation is refused.
const ERROR_RATE: f64 = 0.05;
/// How often an entry of a batch fails by itself.
const ENTRY_ERROR_RATE: f64 = 0.01;
/// How often an answer is lost after the operation had its effect. Not of receives: each would leave ten
/// messages to their visibility timeout with one receive less, and no audit from outside could tell them
/// from those that a worker leaves behind.
const LOST_ANSWER_RATE: f64 = 0.002;
const ERRORS: [&str; 3] = ["Throttling", "InternalFailure", "ServiceUnavailable"];
const OPERATIONS: [&str; 6] = [
    "SendMessage",
    "SendMessageBatch",
    "ReceiveMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibilityBatch",
    "GetQueueAttributes",
];

/// Sets the faults of a round; each round gives each operation another error.
pub(super) async fn set_faults(
    addresses: &Addresses,
    seed: u64,
    round: usize,
) -> anyhow::Result<()> {
    let latency = json!({ "kind": "lognormal", "median_ms": 2.0, "sigma": 1.0 });
    let rule = |(n, operation): (usize, &&str)| {
        let is_receive = *operation == "ReceiveMessage";
        let lost_rate = if is_receive { 0.0 } else { LOST_ANSWER_RATE };
        json!({
            "operation": operation,
            "error_rate": ERROR_RATE,
            "error": ERRORS[(n + round) % ERRORS.len()],
            "entry_error_rate": ENTRY_ERROR_RATE,
            "drop_response_rate": lost_rate,
            "latency": latency,
        })
    };
    let rules: Vec<Value> = OPERATIONS.iter().enumerate().map(rule).collect();
    let faults = json!({ "seed": seed.wrapping_add(round as u64), "rules": rules });
    let (status, answer) = Client::new(addresses.sqs)
        .send(Request::post("/_local/faults"), faults.to_string())
        .await?;
    ensure!(status.is_success(), "the faults are refused: {answer:?}");
    Ok(())
}

pub(super) async fn end_faults(addresses: &Addresses) -> anyhow::Result<()> {
    let request = Request::delete("/_local/faults");
    let (status, answer) = Client::new(addresses.sqs).send(request, Bytes::new()).await?;
    ensure!(status.is_success(), "the faults do not end: {answer:?}");
    Ok(())
}

/// Calls that the server was asked for, and those that it answered with an error on purpose.
pub(super) async fn calls(addresses: &Addresses) -> anyhow::Result<(u64, u64)> {
    let text = Client::new(addresses.sqs).get("/metrics").await?;
    let text = String::from_utf8_lossy(&text);
    let sum = |metric: &str, label: &str| {
        let lines = text.lines().filter(|line| line.starts_with(metric) && line.contains(label));
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum::<f64>() as u64
    };
    Ok((sum("local_sqs_requests_total{", ""), sum("local_sqs_faults_total{", "fault=\"error\"")))
}

/// Turns the server's clock forward.
pub(super) async fn skip(addresses: &Addresses, skip_ms: u64) -> anyhow::Result<()> {
    let body = json!({ "skip_ms": skip_ms }).to_string();
    let (status, answer) =
        Client::new(addresses.sqs).send(Request::post("/_local/clock"), body).await?;
    ensure!(status.is_success(), "the clock does not go on: {answer:?}");
    Ok(())
}

/// Exact counts of the queues.
#[derive(Debug, Deserialize)]
pub(super) struct Counts {
    queues: BTreeMap<String, Count>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Count {
    visible: u64,
    in_flight: u64,
    delayed: u64,
}

pub(super) async fn counts(addresses: &Addresses) -> anyhow::Result<Counts> {
    Ok(serde_json::from_slice(&Client::new(addresses.sqs).get("/").await?)?)
}

impl Counts {
    fn of(&self, names: [&str; 2]) -> impl Iterator<Item = Count> {
        names.map(|name| self.queues.get(name).copied().unwrap_or_default()).into_iter()
    }

    /// Messages of the order queues, whatever their state.
    pub(super) fn waiting(&self) -> u64 {
        let all = |count: Count| count.visible + count.in_flight + count.delayed;
        self.of([STANDARD, FIFO]).map(all).sum()
    }

    /// Messages of the order queues that a worker holds or held.
    pub(super) fn in_flight(&self) -> u64 {
        self.of([STANDARD, FIFO]).map(|count| count.in_flight).sum()
    }

    pub(super) fn dead_letters(&self) -> u64 {
        self.of([STANDARD_DLQ, FIFO_DLQ]).map(|count| count.visible).sum()
    }
}

/// A message, with what it takes to send it again.
pub(super) struct Taken {
    pub(super) body: String,
    pub(super) group: String,
}

/// Takes all messages of an order queue out of it, in its order.
pub(super) async fn take_all(addresses: &Addresses, name: &str) -> anyhow::Result<Vec<Taken>> {
    let url = addresses.queue(name);
    let mut client = Client::new(addresses.sqs);
    let mut taken = Vec::new();
    loop {
        let request = json!({
            "QueueUrl": url,
            "MaxNumberOfMessages": 10,
            "WaitTimeSeconds": 0,
            "MessageSystemAttributeNames": ["MessageGroupId"],
        });
        let answer = client.sqs("ReceiveMessage", &request).await?;
        let messages = answer["Messages"].as_array().map_or(&[][..], Vec::as_slice);
        if messages.is_empty() {
            return Ok(taken);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        taken.extend(messages.iter().map(|message| Taken {
            body: text(&message["Body"]),
            group: text(&message["Attributes"]["MessageGroupId"]),
        }));
        delete(&mut client, &url, messages).await?;
    }
}

/// Sends the messages again, in their order. To a FIFO queue they are new ones: its memory of them
/// must have ended.
pub(super) async fn put_back(
    addresses: &Addresses,
    name: &str,
    messages: &[Taken],
) -> anyhow::Result<()> {
    let mut client = Client::new(addresses.sqs);
    for (n, batch) in messages.chunks(10).enumerate() {
        let entry = |(place, message): (usize, &Taken)| {
            let mut entry = json!({
                "Id": place.to_string(), "MessageBody": message.body, "MessageGroupId": message.group,
            });
            if name == FIFO {
                entry["MessageDeduplicationId"] = format!("again-{n}-{place}").into();
            }
            entry
        };
        let entries: Vec<Value> = batch.iter().enumerate().map(entry).collect();
        let request = json!({ "QueueUrl": addresses.queue(name), "Entries": entries });
        let answer = client.sqs("SendMessageBatch", &request).await?;
        let sent = answer["Successful"].as_array().map_or(0, Vec::len);
        ensure!(sent == batch.len(), "messages cannot be sent again: {answer}");
    }
    Ok(())
}

async fn delete(client: &mut Client, url: &str, messages: &[Value]) -> anyhow::Result<()> {
    let entry = |(n, message): (usize, &Value)| json!({ "Id": n.to_string(), "ReceiptHandle": message["ReceiptHandle"] });
    let entries: Vec<Value> = messages.iter().enumerate().map(entry).collect();
    client.sqs("DeleteMessageBatch", &json!({ "QueueUrl": url, "Entries": entries })).await?;
    Ok(())
}

/// A dead letter.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) fifo: bool,
    pub(super) body: String,
    /// What the worker wrote beside it; nothing when SQS itself moved the message.
    pub(super) reason: Option<String>,
    pub(super) attempts: Option<u64>,
    /// Its id in the queue it comes from.
    pub(super) source_id: String,
}

/// Takes all dead letters out of their queues.
pub(super) async fn dead_letters(addresses: &Addresses) -> anyhow::Result<Vec<Letter>> {
    let mut client = Client::new(addresses.sqs);
    let mut letters = Vec::new();
    for name in [STANDARD_DLQ, FIFO_DLQ] {
        let url = addresses.queue(name);
        loop {
            let request = json!({
                "QueueUrl": url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"],
            });
            let answer = client.sqs("ReceiveMessage", &request).await?;
            let messages = answer["Messages"].as_array().map_or(&[][..], Vec::as_slice);
            if messages.is_empty() {
                break;
            }
            letters.extend(messages.iter().map(|message| letter(name == FIFO_DLQ, message)));
            delete(&mut client, &url, messages).await?;
        }
    }
    Ok(letters)
}

fn letter(fifo: bool, message: &Value) -> Letter {
    let attribute = |name: &str| {
        let value = message["MessageAttributes"][name]["StringValue"].as_str();
        value.map(str::to_owned)
    };
    let id = message["MessageId"].as_str().unwrap_or_default().to_owned();
    Letter {
        fifo,
        body: message["Body"].as_str().unwrap_or_default().to_owned(),
        reason: attribute("dead-letter-reason"),
        attempts: attribute("dead-letter-attempts").and_then(|text| text.parse().ok()),
        source_id: attribute("dead-letter-source-id").unwrap_or(id),
    }
}
