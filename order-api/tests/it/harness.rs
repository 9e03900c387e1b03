//! A running API, an HTTP client made of bytes, and an SQS that answers as it is told.

use crate::document::{assert_documented, assert_orders_are_as_documented};
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use order_api::{Service, Settings};
use serde_json::{Value, json};
use service_kit::{Readiness, Shutdown, ShutdownTrigger, settings::Reader};
use std::{
    fmt::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};

/// Far beyond what anything here takes: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const ORDER: &str = r#"{"customerId":"customer-001","items":[{"productId":"p1","productName":"상품1","quantity":2,"price":12.50}]}"#;

/// Waits for a condition, within bounds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The last part of a problem's type, after checking that it is a problem.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status);
        let kind = json["type"].as_str().expect("a problem has a type");
        kind.rsplit('/').next().expect("a slug").to_owned()
    }
}

/// Sends a request on a connection of its own.
pub(crate) async fn call(
    addr: SocketAddr,
    request_line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = open(addr, request_line, headers, body).await;
    let answer = read_answer(&mut stream).await;
    assert_documented(request_line, &answer);
    answer
}

/// Sends a request and leaves the connection to the caller.
pub(crate) async fn open(
    addr: SocketAddr,
    request_line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> TcpStream {
    let mut head = format!(
        "{request_line} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").expect("a String takes everything");
    }
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(addr).await.expect("connected");
    stream.write_all(head.as_bytes()).await.expect("the head is sent");
    stream.write_all(body).await.expect("the body is sent");
    stream
}

pub(crate) async fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    read.expect("answered in time").expect("answered");
    let text = String::from_utf8(bytes).expect("the answer is text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Posts an order as JSON.
pub(crate) async fn post(addr: SocketAddr, query: &str, body: &str) -> Answer {
    let headers = [("Content-Type", "application/json")];
    let answer = call(addr, &format!("POST /api/orders{query}"), &headers, body.as_bytes()).await;
    assert_orders_are_as_documented(body, &answer);
    answer
}

/// An API that serves until it is stopped.
pub(crate) struct Api {
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) readiness: Readiness,
    pub(crate) trigger: ShutdownTrigger,
    pub(crate) ended: JoinHandle<anyhow::Result<()>>,
}

impl Api {
    /// An API on ports of the system's choice, with the order queues of `sqs`.
    pub(crate) async fn start(sqs: SocketAddr, more: &[(&str, &str)]) -> Self {
        Self::start_changed(sqs, more, |_| ()).await
    }

    /// The same with a change of what has no name in the environment.
    pub(crate) async fn start_changed(
        sqs: SocketAddr,
        more: &[(&str, &str)],
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let standard = queue_url(sqs, "order-queue-standard");
        let fifo = queue_url(sqs, "order-queue.fifo");
        let mut env = vec![("SQS_QUEUE_URL_STANDARD", &*standard), ("SQS_QUEUE_URL_FIFO", &*fifo)];
        env.extend_from_slice(more);
        Self::start_as(&env, change).await
    }

    pub(crate) async fn start_with(env: &[(&str, &str)]) -> Self {
        Self::start_as(env, |_| ()).await
    }

    async fn start_as(env: &[(&str, &str)], change: impl FnOnce(&mut Settings)) -> Self {
        let local = [("LISTEN_ADDR", "127.0.0.1:0"), ("ADMIN_ADDR", "127.0.0.1:0")];
        let env =
            local.iter().chain(env).map(|(name, value)| (name.to_string(), value.to_string()));
        let mut reader = Reader::load(Settings::table(), None, env);
        let settings = Settings::read(&mut reader);
        let mut settings = reader.finish(settings).expect("the settings are valid");
        change(&mut settings);
        let service = Service::build(settings).await.expect("built");
        let (trigger, shutdown) = Shutdown::new();
        Self {
            addr: service.local_addr(),
            admin: service.admin_addr(),
            readiness: service.readiness(),
            trigger,
            ended: tokio::spawn(service.run(shutdown)),
        }
    }

    pub(crate) async fn until_ready(&self) {
        until("the API is ready", async || {
            !self.readiness.report().is_empty() && self.readiness.is_ready()
        })
        .await;
    }

    pub(crate) async fn metrics(&self) -> String {
        call(self.admin, "GET /metrics", &[], b"").await.body
    }

    pub(crate) async fn stop(self) {
        self.trigger.request();
        let ended = tokio::time::timeout(PATIENCE, self.ended).await.expect("stops in time");
        ended.expect("no panic").expect("stops well");
    }
}

pub(crate) fn queue_url(sqs: SocketAddr, name: &str) -> String {
    format!("http://{sqs}/000000000000/{name}")
}

/// What the misbehaving SQS answers to SendMessage, and about each message of a SendMessageBatch.
pub(crate) type Script = dyn Fn(&Value) -> (StatusCode, Value) + Send + Sync;

/// An SQS at the wire that answers as it is told. Every call that sends waits for a permit of `gate`.
#[derive(Clone)]
pub(crate) struct FakeSqs {
    pub(crate) addr: SocketAddr,
    pub(crate) gate: Arc<Semaphore>,
    /// The messages that came in.
    pub(crate) sends: Arc<Mutex<Vec<Value>>>,
    /// How many messages each call had.
    pub(crate) calls: Arc<Mutex<Vec<usize>>>,
    /// How many calls were answered.
    pub(crate) answered: Arc<Mutex<usize>>,
    script: Arc<Mutex<Arc<Script>>>,
}

impl FakeSqs {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let fake = Self {
            addr: listener.local_addr().expect("an address"),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            sends: Arc::default(),
            calls: Arc::default(),
            answered: Arc::default(),
            script: Arc::new(Mutex::new(Arc::new(confirmed))),
        };
        let router = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        fake
    }

    pub(crate) fn answer_sends(
        &self,
        script: impl Fn(&Value) -> (StatusCode, Value) + Send + Sync + 'static,
    ) {
        *self.script.lock().expect("no panic") = Arc::new(script);
    }

    /// Makes sends wait until [`Self::open_gate`].
    pub(crate) fn close_gate(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn open_gate(&self) {
        self.gate.add_permits(1000);
    }

    /// Notes a call and waits at the gate; what it is to be answered.
    async fn takes(&self, messages: Vec<Value>) -> Arc<Script> {
        self.calls.lock().expect("no panic").push(messages.len());
        self.sends.lock().expect("no panic").extend(messages);
        self.gate.acquire().await.expect("the gate stays").forget();
        *self.answered.lock().expect("no panic") += 1;
        Arc::clone(&self.script.lock().expect("no panic"))
    }

    pub(crate) fn calls(&self) -> Vec<usize> {
        self.calls.lock().expect("no panic").clone()
    }

    pub(crate) fn sent(&self) -> usize {
        self.sends.lock().expect("no panic").len()
    }

    pub(crate) fn answered(&self) -> usize {
        *self.answered.lock().expect("no panic")
    }
}

pub(crate) fn confirmed(_: &Value) -> (StatusCode, Value) {
    (StatusCode::OK, json!({ "MessageId": "5fea7756-0ea4-451a-a703-a558b933e274" }))
}

pub(crate) fn refused(status: u16, code: &str, message: &str) -> (StatusCode, Value) {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": message }))
}

async fn answer(State(fake): State<FakeSqs>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let (status, json) = match target {
        Some("AmazonSQS.SendMessage") => {
            let message: Value = serde_json::from_slice(&body).expect("the SDK sends JSON");
            let script = fake.takes(vec![message.clone()]).await;
            script(&message)
        }
        Some("AmazonSQS.SendMessageBatch") => {
            let batch: Value = serde_json::from_slice(&body).expect("the SDK sends JSON");
            let mut messages = batch["Entries"].as_array().expect("entries").clone();
            for message in &mut messages {
                message["QueueUrl"] = batch["QueueUrl"].clone();
            }
            let script = fake.takes(messages.clone()).await;
            (StatusCode::OK, about_each(&messages, &*script))
        }
        Some("AmazonSQS.GetQueueAttributes") => {
            let attributes = json!({ "VisibilityTimeout": "30", "FifoQueue": "true" });
            (StatusCode::OK, json!({ "Attributes": attributes }))
        }
        other => refused(400, "InvalidAction", &format!("{other:?}")),
    };
    (status, [("content-type", "application/x-amz-json-1.0")], json.to_string()).into_response()
}

/// The answer to a batch of which each message is answered for itself.
fn about_each(messages: &[Value], script: &Script) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for message in messages {
        let (status, mut json) = script(message);
        json["Id"] = message["Id"].clone();
        if status.is_success() {
            json["MD5OfMessageBody"] = json!("0");
            successful.push(json);
        } else {
            let code = json["__type"].as_str().and_then(|code| code.rsplit('#').next());
            json["Code"] = json!(code);
            json["SenderFault"] = json!(status.is_client_error());
            failed.push(json);
        }
    }
    json!({ "Successful": successful, "Failed": failed })
}
