//! A lean SQS client: one connection, the calls that measurements make, and nothing that would be
//! measured along with the server.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// One keep-alive connection; one call at a time.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    addr: SocketAddr,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Message {
    pub(crate) receipt_handle: String,
}

/// The messages in a queue.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Counts {
    pub(crate) visible: usize,
    pub(crate) in_flight: usize,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Received {
    messages: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    successful: Vec<IgnoredAny>,
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, addr })
    }

    /// Creates a queue and returns its URL.
    pub(crate) async fn create(&mut self, name: &str) -> anyhow::Result<String> {
        self.create_with(name, json!({ "VisibilityTimeout": "43200" })).await
    }

    /// Creates a queue as those of the fleet, with a dead-letter queue of the fleet's.
    pub(crate) async fn create_for_worker(&mut self, name: &str) -> anyhow::Result<String> {
        let fifo = name.strip_suffix(".fifo").is_some();
        let dead = if fifo { "order-queue-dlq.fifo" } else { "order-queue-standard-dlq" };
        let arn = format!("arn:aws:sqs:us-east-1:000000000000:{dead}");
        let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": 3 }).to_string();
        let attributes = json!({ "VisibilityTimeout": "30", "RedrivePolicy": policy });
        self.create_with(name, attributes).await
    }

    async fn create_with(&mut self, name: &str, mut attributes: Value) -> anyhow::Result<String> {
        if name.strip_suffix(".fifo").is_some() {
            attributes["FifoQueue"] = "true".into();
        }
        let body = json!({ "QueueName": name, "Attributes": attributes });
        self.call("CreateQueue", body.to_string()).await?;
        Ok(format!("http://{}/000000000000/{name}", self.addr))
    }

    /// Sends a batch of entries, all of which must be accepted.
    pub(crate) async fn send(&mut self, queue: &str, entries: &[Value]) -> anyhow::Result<()> {
        let body = json!({ "QueueUrl": queue, "Entries": entries }).to_string();
        let answer = self.call("SendMessageBatch", body).await?;
        let batch: Batch = serde_json::from_slice(&answer)?;
        ensure!(batch.successful.len() == entries.len(), "a message was refused: {answer:?}");
        Ok(())
    }

    /// Receives up to ten messages, waiting for the first as long as is said.
    pub(crate) async fn receive(
        &mut self,
        queue: &str,
        wait_seconds: u8,
    ) -> anyhow::Result<Vec<Message>> {
        let body = format!(
            r#"{{"QueueUrl":"{queue}","MaxNumberOfMessages":10,"WaitTimeSeconds":{wait_seconds}}}"#
        );
        let answer = self.call("ReceiveMessage", body).await?;
        Ok(serde_json::from_slice::<Received>(&answer)?.messages)
    }

    /// Deletes received messages, all of which must be there.
    pub(crate) async fn delete(&mut self, queue: &str, messages: &[Message]) -> anyhow::Result<()> {
        let entry = |(n, message): (usize, &Message)| json!({ "Id": n.to_string(), "ReceiptHandle": message.receipt_handle });
        let entries: Vec<Value> = messages.iter().enumerate().map(entry).collect();
        let body = json!({ "QueueUrl": queue, "Entries": entries }).to_string();
        let answer = self.call("DeleteMessageBatch", body).await?;
        let batch: Batch = serde_json::from_slice(&answer)?;
        ensure!(batch.successful.len() == messages.len(), "a delete was refused: {answer:?}");
        Ok(())
    }

    /// How many receives wait at the server, which only local-sqs tells.
    pub(crate) async fn waiting_receives(&mut self) -> anyhow::Result<usize> {
        let page: Value = serde_json::from_slice(&self.page("/").await?)?;
        let waiting = page["waiting_receives"].as_u64();
        Ok(waiting.context("the status page tells waiting_receives")? as usize)
    }

    /// What is in a queue, exactly, which only local-sqs tells.
    pub(crate) async fn counts(&mut self, name: &str) -> anyhow::Result<Counts> {
        let mut page: Value = serde_json::from_slice(&self.page("/").await?)?;
        Ok(serde_json::from_value(page["queues"][name].take())?)
    }

    /// Waits until nothing of the queue is left, not even in flight.
    pub(crate) async fn emptied(&mut self, name: &str) -> anyhow::Result<()> {
        for _ in 0..60_000 {
            let Counts { visible, in_flight } = self.counts(name).await?;
            if visible + in_flight == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        anyhow::bail!("messages are left after a minute: {:?}", self.counts(name).await?)
    }

    /// The requests that the server has answered, by operation.
    pub(crate) async fn requests(&mut self) -> anyhow::Result<BTreeMap<String, u64>> {
        let text = String::from_utf8(self.page("/metrics").await?.to_vec())?;
        let mut requests = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("local_sqs_requests_total{")) {
            let operation =
                line.split_once("operation=\"").and_then(|(_, rest)| rest.split('"').next());
            let operation = operation.context("the counter has an operation")?;
            let (_, count) = line.rsplit_once(' ').context("a metric has a value")?;
            *requests.entry(operation.to_owned()).or_default() += count.parse::<f64>()? as u64;
        }
        Ok(requests)
    }

    /// Holds up each call that a consumer makes by so much.
    pub(crate) async fn hold_up(&mut self, latency: Duration) -> anyhow::Result<()> {
        let consumers = ["ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"];
        self.hold_up_operations(&consumers, latency).await
    }

    /// Holds up each call that a producer makes by so much.
    pub(crate) async fn hold_up_sends(&mut self, latency: Duration) -> anyhow::Result<()> {
        self.hold_up_operations(&["SendMessage", "SendMessageBatch"], latency).await
    }

    async fn hold_up_operations(
        &mut self,
        operations: &[&str],
        latency: Duration,
    ) -> anyhow::Result<()> {
        let ms = latency.as_secs_f64() * 1e3;
        let rule = |operation: &&str| json!({ "operation": operation, "latency": { "kind": "fixed", "ms": ms } });
        let rules: Vec<Value> = operations.iter().map(rule).collect();
        let faults = json!({ "seed": 1, "rules": rules });
        let request = Request::post("/_local/faults")
            .header("host", self.addr.to_string())
            .body(Full::new(Bytes::from(faults.to_string())))?;
        self.answer(request).await.map(drop)
    }

    async fn page(&mut self, path: &str) -> anyhow::Result<Bytes> {
        let request = Request::get(path)
            .header("host", self.addr.to_string())
            .header("accept", "application/json")
            .body(Full::default())?;
        self.answer(request).await
    }

    async fn call(&mut self, operation: &str, body: String) -> anyhow::Result<Bytes> {
        let request = Request::post("/")
            .header("host", self.addr.to_string())
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{operation}"))
            .body(Full::new(Bytes::from(body)))?;
        self.answer(request).await.with_context(|| operation.to_owned())
    }

    async fn answer(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "{status}: {answer:?}");
        Ok(answer)
    }
}

/// An entry of a send batch.
pub(crate) fn entry(id: usize, body: &str, ids: Option<(&str, &str)>, delay_seconds: u16) -> Value {
    let mut entry = json!({ "Id": id.to_string(), "MessageBody": body });
    if let Some((group, deduplication)) = ids {
        entry["MessageGroupId"] = group.into();
        if !deduplication.is_empty() {
            entry["MessageDeduplicationId"] = deduplication.into();
        }
    }
    if delay_seconds > 0 {
        entry["DelaySeconds"] = delay_seconds.into();
    }
    entry
}

/// The median of figures.
pub(crate) fn median(mut figures: Vec<f64>) -> anyhow::Result<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().context("there is at least one figure")
}
