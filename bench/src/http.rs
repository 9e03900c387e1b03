//! A lean HTTP client: one keep-alive connection, opened again when it breaks.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    http::request::Builder,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Nothing that is asked here takes this long unless its process hangs.
const LONGEST: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    addr: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A client that connects when it is first used.
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, sender: None }
    }

    /// Sends a request once; after an error the next one goes over a new connection.
    pub(crate) async fn send(
        &mut self,
        request: Builder,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = request.header("host", self.addr.to_string()).body(Full::new(body.into()))?;
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        let answered = async {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let status = response.status();
            anyhow::Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        let answer = tokio::time::timeout(LONGEST, answered).await.context("no answer")??;
        self.sender = Some(sender);
        Ok(answer)
    }

    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Bytes> {
        let request = Request::get(path).header("accept", "application/json");
        let (status, body) = self.send(request, Bytes::new()).await?;
        ensure!(status.is_success(), "GET {path} answered {status}");
        Ok(body)
    }

    /// One SQS operation.
    pub(crate) async fn sqs(&mut self, operation: &str, body: &Value) -> anyhow::Result<Value> {
        let request = Request::post("/")
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{operation}"));
        let (status, answer) = self.send(request, body.to_string()).await?;
        ensure!(status.is_success(), "{operation} answered {status}: {answer:?}");
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.addr).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
