//! Clients that mean no good, or know no better: raw bytes against a running API, and what is in the
//! queue afterwards.

use crate::harness::{Api, ORDER, call, queue_url};
use local_sqs::{Server, ServerSettings};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

/// Far beyond what anything here takes: a server that is silent for so long hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, read from a connection that may go on.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The header lines.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A connection whose client decides about every byte.
pub(crate) struct Raw {
    stream: BufReader<TcpStream>,
}

impl Raw {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("connected");
        stream.set_nodelay(true).expect("no delay");
        Self { stream: BufReader::new(stream) }
    }

    /// Sends as much as the server takes: it may have closed the connection already.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = timeout(PATIENCE, self.stream.write_all(bytes.as_ref()));
        let _ = sent.await.expect("the server reads or closes");
    }

    /// Says that nothing more will come.
    pub(crate) async fn finish(&mut self) {
        // The server may have closed the connection already.
        let _ = self.stream.shutdown().await;
    }

    /// The next answer; nothing when the server closes the connection instead.
    pub(crate) async fn reply(&mut self) -> Option<Reply> {
        timeout(PATIENCE, self.read_reply()).await.expect("the server answers or closes")
    }

    async fn read_reply(&mut self) -> Option<Reply> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            // An error is a reset: the connection is closed as well.
            if self.stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                assert_eq!(head, "", "the server closes in the middle of an answer's header");
                return None;
            }
        }
        let status = head.strip_prefix("HTTP/1.1 ").or(head.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {head}"));
        let mut reply = Reply { status, head, body: String::new() };
        let length =
            reply.header("content-length").map_or(0, |length| length.parse().expect("a number"));
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.expect("the announced body");
        reply.body = String::from_utf8(body).expect("text");
        Some(reply)
    }

    /// All answers until the server closes the connection.
    pub(crate) async fn replies(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        while let Some(reply) = self.reply().await {
            replies.push(reply);
        }
        replies
    }

    /// Waits until the server has closed the connection, which answers no more.
    pub(crate) async fn until_closed(&mut self) {
        let mut rest = Vec::new();
        // An error is a reset, which closes as well.
        let _ = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.expect("closed");
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

/// A valid request as bytes, of an order whose customer tells it from others.
pub(crate) fn request(customer: &str) -> String {
    placing(&order(customer))
}

/// A request with this body, which leaves its connection open.
pub(crate) fn placing(body: &str) -> String {
    format!(
        "POST /api/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn order(customer: &str) -> String {
    ORDER.replace("customer-001", customer)
}

/// A real queue, of which everything that was ever sent to it is known.
pub(crate) struct Queue {
    addr: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Queue {
    pub(crate) async fn start() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(any, ServerSettings::default()).await.expect("bound");
        let addr = server.local_addr();
        let serving = tokio::spawn(async {
            server.serve(std::future::pending()).await.expect("serves");
        });
        Self { addr, serving }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes the bodies of all messages of the standard queue out of it, in the alphabet's order.
    pub(crate) async fn take_all(&self) -> Vec<String> {
        let url = queue_url(self.addr, "order-queue-standard");
        let mut bodies = Vec::new();
        loop {
            let receive =
                json!({ "QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0 });
            let answer = self.ask("ReceiveMessage", &receive).await;
            let Some(messages) = answer["Messages"].as_array().filter(|found| !found.is_empty())
            else {
                bodies.sort();
                return bodies;
            };
            for message in messages {
                bodies.push(message["Body"].as_str().expect("a body").to_owned());
            }
        }
    }

    async fn ask(&self, operation: &str, request: &Value) -> Value {
        let target = format!("AmazonSQS.{operation}");
        let headers = [("Content-Type", "application/x-amz-json-1.0"), ("X-Amz-Target", &*target)];
        let answer = call(self.addr, "POST /", &headers, request.to_string().as_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

/// What the API answers to an order of somebody else.
pub(crate) async fn status_for_somebody_else(api: &Api) -> u16 {
    let mut client = Raw::open(api.addr).await;
    client.send(request("somebody-else")).await;
    client.reply().await.expect("an answer").status
}

/// The API takes an order of somebody else.
pub(crate) async fn still_serves(api: &Api) {
    assert_eq!(status_for_somebody_else(api).await, 202);
}
