//! A server on a port of the system's choice, and an SDK client for it.

use std::future::Future;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use local_sqs::{Handle, Server, ServerSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const STANDARD: &str = "order-queue-standard";
pub(crate) const FIFO: &str = "order-queue.fifo";

pub(crate) struct Running {
    pub(crate) endpoint: String,
    pub(crate) handle: Handle,
    pub(crate) client: Client,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// A server with the default queues.
    pub(crate) async fn start() -> Self {
        Self::with_settings(ServerSettings::default()).await
    }

    pub(crate) async fn with_settings(settings: ServerSettings) -> Self {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), settings).await.unwrap();
        let (endpoint, handle) = (server.endpoint(), server.handle());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        let client = client(&endpoint);
        Self { endpoint, handle, client, stop, serving }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/000000000000/{name}", self.endpoint)
    }

    /// Stops the server and returns when it has finished.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        within(self.serving).await.unwrap().unwrap();
    }

    pub(crate) async fn send(&self, name: &str, body: &str) {
        let send = self.client.send_message().queue_url(self.url(name)).message_body(body);
        send.set_message_group_id(name.strip_suffix(".fifo").map(|_| "a".to_owned()))
            .send()
            .await
            .unwrap();
    }

    /// Waits until this number of receives is waiting at the server.
    pub(crate) async fn until_waiting(&self, receives: usize) {
        within(async {
            while self.handle.waiting_receives() != receives {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Sends bytes as they are and returns the whole answer.
    pub(crate) async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        within(stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Asks for one of the server's own pages, or anything else that is a GET.
    pub(crate) async fn get(&self, target: &str) -> String {
        self.raw(format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.endpoint.trim_start_matches("http://")).await.unwrap()
    }
}

/// A POST in AWS JSON 1.0, after which the connection closes.
pub(crate) fn json_request(operation: &str, body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: sqs.example:81\r\nx-amz-target: AmazonSQS.{operation}\r\n\
         content-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn client(endpoint: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("any", "thing", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// A bound for what must happen soon; generous because machines are slow at times.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("in time")
}
