//! An SQS, a monitor, and what it logs.

use std::{
    future::Future,
    io::Write,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_sqs::types::MessageAttributeValue;
use dlq_monitor::{Service, Settings};
use jiff::Timestamp;
use local_sqs::{Handle, Server, ServerSettings};
use order_events::{Decimal, OrderEvent, OrderItem};
use prometheus::Registry;
use service_kit::{Readiness, Shutdown, ShutdownTrigger, settings::Reader};
use sqs_consumer::aws::{CallMetrics, Connection, Options};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use uuid::Uuid;

pub(crate) const STANDARD: &str = "order-queue-standard";
pub(crate) const STANDARD_DLQ: &str = "order-queue-standard-dlq";
pub(crate) const FIFO: &str = "order-queue.fifo";
pub(crate) const FIFO_DLQ: &str = "order-queue-dlq.fifo";

/// Waits until the question is answered, with a bound.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut question: impl FnMut() -> F,
) -> T {
    let asked = async {
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| panic!("never: {what}"))
}

pub(crate) fn order() -> OrderEvent {
    let item = OrderItem {
        product_id: "p1".to_owned(),
        product_name: "실패테스트".to_owned(),
        quantity: 2,
        price: Decimal::from(10_000),
    };
    OrderEvent::new(Uuid::new_v4(), "고객 1".to_owned(), vec![item], Timestamp::now())
        .expect("a small total")
}

pub(crate) fn text(value: &str) -> MessageAttributeValue {
    let builder = MessageAttributeValue::builder().data_type("String").string_value(value);
    builder.build().expect("it has a type")
}

pub(crate) fn bytes(value: &[u8]) -> MessageAttributeValue {
    let builder = MessageAttributeValue::builder().data_type("Binary");
    builder.binary_value(value.to_vec().into()).build().expect("it has a type")
}

/// An SQS with the fleet's queues.
pub(crate) struct Sqs {
    pub(crate) addr: SocketAddr,
    pub(crate) handle: Handle,
    pub(crate) connection: Connection,
}

impl Sqs {
    pub(crate) async fn start(addr: SocketAddr) -> Self {
        let server = Server::bind(addr, ServerSettings::default()).await.expect("it binds");
        let (addr, handle) = (server.local_addr(), server.handle());
        tokio::spawn(server.serve(std::future::pending()));
        let options = Options { endpoint: Some(format!("http://{addr}")), ..Options::default() };
        let calls = CallMetrics::register(&Registry::new());
        Self { addr, handle, connection: Connection::open(options, None, calls).await }
    }

    pub(crate) async fn anywhere() -> Self {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn send(
        &self,
        queue: &str,
        body: &str,
        attributes: &[(&str, MessageAttributeValue)],
    ) {
        let fifo = queue == FIFO || queue == FIFO_DLQ;
        let mut call = self
            .connection
            .sending()
            .send_message()
            .queue_url(queue_url(self.addr, queue))
            .message_body(body)
            .set_message_group_id(fifo.then(|| "group".to_owned()))
            .set_message_deduplication_id(fifo.then(|| Uuid::new_v4().to_string()));
        for (name, value) in attributes {
            call = call.message_attributes(*name, value.clone());
        }
        call.send().await.expect("it is sent");
    }

    /// Receives up to ten messages for good and gives their bodies.
    pub(crate) async fn take(&self, queue: &str) -> Vec<String> {
        let url = queue_url(self.addr, queue);
        let call = self.connection.receiving().receive_message().queue_url(&url);
        let found = call.max_number_of_messages(10).send().await.expect("an answer");
        let mut bodies = Vec::new();
        for message in found.messages.unwrap_or_default() {
            let handle = message.receipt_handle.expect("a handle");
            let call = self.connection.settling().delete_message().queue_url(&url);
            call.receipt_handle(handle).send().await.expect("it is deleted");
            bodies.push(message.body.unwrap_or_default());
        }
        bodies
    }
}

pub(crate) fn queue_url(sqs: SocketAddr, queue: &str) -> String {
    format!("http://{sqs}/000000000000/{queue}")
}

/// A monitor that runs.
pub(crate) struct Monitor {
    pub(crate) api: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) readiness: Readiness,
    stop: ShutdownTrigger,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl Monitor {
    pub(crate) async fn start(sqs: SocketAddr) -> Self {
        let queues = [
            ("SQS_QUEUE_URL_STANDARD", STANDARD),
            ("SQS_QUEUE_URL_STANDARD_DLQ", STANDARD_DLQ),
            ("SQS_QUEUE_URL_FIFO", FIFO),
            ("SQS_QUEUE_URL_FIFO_DLQ", FIFO_DLQ),
        ];
        let mut env: Vec<_> =
            queues.map(|(name, queue)| (name.to_owned(), queue_url(sqs, queue))).into();
        env.push(("AWS_SQS_ENDPOINT".to_owned(), format!("http://{sqs}")));
        Self::with(env).await
    }

    pub(crate) async fn with(mut env: Vec<(String, String)>) -> Self {
        for (name, value) in [
            ("LISTEN_ADDR", "127.0.0.1:0"),
            ("ADMIN_ADDR", "127.0.0.1:0"),
            ("MONITOR_INTERVAL", "100ms"),
        ] {
            env.push((name.to_owned(), value.to_owned()));
        }
        let mut reader = Reader::load(Settings::table(), None, env);
        let settings = Settings::read(&mut reader);
        let settings = reader.finish(settings).expect("the settings are right");
        let service = Service::build(settings).await.expect("it is built");
        let (stop, shutdown) = Shutdown::new();
        Self {
            api: service.local_addr(),
            admin: service.admin_addr(),
            readiness: service.readiness(),
            stop,
            ended: tokio::spawn(service.run(shutdown)),
        }
    }

    /// The value of a series.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let (_, text) = get(self.admin, "/metrics").await;
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits for a series to have this value.
    #[expect(clippy::float_cmp, reason = "counts are whole")]
    pub(crate) async fn metric_becomes(&self, series: &str, expected: f64) {
        eventually(series, || async { (self.metric(series).await? == expected).then_some(()) })
            .await;
    }

    /// Waits until as many receives as make this many scans of both queues have been answered.
    pub(crate) async fn scans(&self, more: u32) {
        let series = r#"sqs_api_requests_total{error_type="",operation="ReceiveMessage"}"#;
        let before = self.metric(series).await.unwrap_or(0.0);
        // A scan ends with a receive that finds nothing, so four receives are at least one scan.
        let enough = before + f64::from(4 * more);
        eventually("scans", || async { (self.metric(series).await? >= enough).then_some(()) })
            .await;
    }

    pub(crate) async fn stop(self) {
        self.stop.request();
        let ended = tokio::time::timeout(Duration::from_secs(30), self.ended).await;
        ended.expect("it ends").expect("it does not panic").expect("it ends well");
    }
}

/// Status and body of a GET.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a header");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// What is logged on this thread while this exists; a test's tasks run on one thread.
pub(crate) struct Logs {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Logs {
    pub(crate) fn capture() -> Self {
        struct Into(Arc<Mutex<Vec<u8>>>);
        impl Write for Into {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let text = Arc::new(Mutex::new(Vec::new()));
        let into = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::WARN)
            .with_writer(move || Into(into.clone()))
            .finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// The fields of every line that tells of a dead letter.
    pub(crate) fn dead_letters(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.text.lock().unwrap().clone()).expect("logs are UTF-8");
        text.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON"))
            .map(|line| line["fields"].clone())
            .filter(|fields| {
                fields["message"].as_str().is_some_and(|m| m.contains("manual action is needed"))
            })
            .collect()
    }
}
