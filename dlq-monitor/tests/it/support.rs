//! An SQS, and a monitor of it.

use std::{future::Future, net::SocketAddr, time::Duration};

use aws_sdk_sqs::types::MessageAttributeValue;
use dlq_monitor::{Service, Settings, jobs::plan::Timing};
use jiff::Timestamp;
use local_sqs::{Handle, Server, ServerSettings};
use order_events::{Decimal, DeliveryStatus, OrderEvent, OrderItem};
use order_store::{Attempt, DeliveryChange, Outcome, Reason, Record, Store};
use prometheus::Registry;
use service_kit::{Readiness, Shutdown, ShutdownTrigger, settings::Reader};
use sqs_consumer::aws::{CallMetrics, Connection, Options};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::http::{Answer, call};
pub(crate) use crate::logs::Logs;

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
    let limit = Duration::from_mins(2);
    tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| panic!("never: {what}"))
}

pub(crate) fn order() -> OrderEvent {
    order_of("고객 1")
}

pub(crate) fn order_of(customer: &str) -> OrderEvent {
    let item = OrderItem {
        product_id: "p1".to_owned(),
        product_name: "실패테스트".to_owned(),
        quantity: 2,
        price: Decimal::from(10_000),
    };
    OrderEvent::new(Uuid::new_v4(), customer.to_owned(), vec![item], Timestamp::now())
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
        self.send_in_group(queue, "group", body, attributes).await;
    }

    /// The message's id.
    pub(crate) async fn send_in_group(
        &self,
        queue: &str,
        group: &str,
        body: &str,
        attributes: &[(&str, MessageAttributeValue)],
    ) -> String {
        let fifo = queue == FIFO || queue == FIFO_DLQ;
        let mut call = self
            .connection
            .sending()
            .send_message()
            .queue_url(queue_url(self.addr, queue))
            .message_body(body)
            .set_message_group_id(fifo.then(|| group.to_owned()))
            .set_message_deduplication_id(fifo.then(|| Uuid::new_v4().to_string()));
        for (name, value) in attributes {
            call = call.message_attributes(*name, value.clone());
        }
        let sent = call.send().await.expect("it is sent");
        sent.message_id.expect("it has an id")
    }

    /// How many messages there are, received or not.
    pub(crate) fn count(&self, queue: &str) -> usize {
        let counts = self.handle.queue_counts(queue).expect("the queue exists");
        counts.visible + counts.in_flight + counts.delayed
    }

    /// The bodies of a queue's messages, in their order.
    pub(crate) fn bodies(&self, queue: &str) -> Vec<String> {
        self.handle.snapshot().messages(queue).map(|message| message.body).collect()
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
    _directory: Option<TempDir>,
}

/// The settings of a monitor of these queues.
pub(crate) fn environment(sqs: SocketAddr) -> Vec<(String, String)> {
    let queues = [
        ("SQS_QUEUE_URL_STANDARD", STANDARD),
        ("SQS_QUEUE_URL_STANDARD_DLQ", STANDARD_DLQ),
        ("SQS_QUEUE_URL_FIFO", FIFO),
        ("SQS_QUEUE_URL_FIFO_DLQ", FIFO_DLQ),
    ];
    let mut env: Vec<_> =
        queues.map(|(name, queue)| (name.to_owned(), queue_url(sqs, queue))).into();
    env.push(("AWS_SQS_ENDPOINT".to_owned(), format!("http://{sqs}")));
    env
}

/// A SQLite file of its own.
pub(crate) struct Database(TempDir);

impl Database {
    pub(crate) fn create() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.0.path().join("deliveries.db").display())
    }

    /// As a worker has it open.
    pub(crate) async fn open(&self) -> Store {
        let url = self.url().parse().expect("a URL");
        Store::open(&url).await.expect("the store opens")
    }
}

/// What a worker records of an attempt at an order, begun and ended at this time.
pub(crate) fn attempted(
    order: &OrderEvent,
    queue: &str,
    status: DeliveryStatus,
    at: Timestamp,
) -> Record {
    let delivered = status == DeliveryStatus::Delivered;
    Record {
        attempt: Attempt {
            message_id: "in the source".to_owned(),
            order_id: Some(order.order_id),
            queue: queue.to_owned(),
            group: None,
            number: 3,
            outcome: if delivered { Outcome::Delivered } else { Outcome::Failed },
            reason: (!delivered).then_some(Reason::CarrierUnavailable),
            error: (!delivered).then(|| "the carrier is closed".to_owned()),
            worker: "worker-1".to_owned(),
            started_at: at,
            finished_at: at,
        },
        delivery: Some(DeliveryChange::new(order, status)),
    }
}

impl Monitor {
    pub(crate) async fn start(sqs: SocketAddr) -> Self {
        Self::with(environment(sqs)).await
    }

    /// With this database, and what else is set.
    pub(crate) async fn on(sqs: SocketAddr, database: &Database, more: &[(&str, &str)]) -> Self {
        let mut env = environment(sqs);
        env.push(("DATABASE_URL".to_owned(), database.url()));
        env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self::with(env).await
    }

    pub(crate) async fn with(env: Vec<(String, String)>) -> Self {
        Self::timed(env, Timing::DEFAULT).await
    }

    /// With jobs that have this timing.
    pub(crate) async fn timed(mut env: Vec<(String, String)>, timing: Timing) -> Self {
        let mut directory = None;
        if !env.iter().any(|(name, _)| name == "DATABASE_URL") {
            let database = Database::create();
            env.push(("DATABASE_URL".to_owned(), database.url()));
            directory = Some(database.0);
        }
        for (name, value) in [
            ("LISTEN_ADDR", "127.0.0.1:0"),
            ("ADMIN_ADDR", "127.0.0.1:0"),
            ("MONITOR_INTERVAL", "100ms"),
        ] {
            if !env.iter().any(|(known, _)| known == name) {
                env.push((name.to_owned(), value.to_owned()));
            }
        }
        let mut reader = Reader::load(Settings::table(), None, env);
        let settings = Settings::read(&mut reader);
        let settings = reader.finish(settings).expect("the settings are right");
        let service = Service::build(settings).await.expect("it is built").with_job_timing(timing);
        let (stop, shutdown) = Shutdown::new();
        Self {
            api: service.local_addr(),
            admin: service.admin_addr(),
            readiness: service.readiness(),
            stop,
            ended: tokio::spawn(service.run(shutdown)),
            _directory: directory,
        }
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, path: &str, body: serde_json::Value) -> Answer {
        let headers = [("content-type", "application/json")];
        call(self.api, &format!("POST {path}"), &headers, body.to_string().as_bytes()).await
    }

    /// The JSON that a GET is answered with.
    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        let answer = call(self.api, &format!("GET {path}"), &[], b"").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The dead letters that are known of a queue, once there are so many.
    pub(crate) async fn letters(&self, queue: &str, count: usize) -> Vec<serde_json::Value> {
        let path = format!("/api/dlq/messages?limit=200&queue={queue}");
        eventually("the dead letters are known", || async {
            let page = self.json(&path).await;
            let items = page["items"].as_array().cloned().unwrap_or_default();
            (items.len() == count).then_some(items)
        })
        .await
    }

    /// Begins a job, which must be accepted; its id.
    pub(crate) async fn begin(&self, what: &str, body: serde_json::Value) -> String {
        let answer = self.post(&format!("/api/dlq/{what}"), body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    /// The job, once it has ended.
    pub(crate) async fn ended(&self, id: &str) -> serde_json::Value {
        let path = format!("/api/dlq/jobs/{id}");
        eventually("the job ends", || async {
            let job = self.json(&path).await;
            (!job["finishedAt"].is_null()).then_some(job)
        })
        .await
    }

    /// The value of a series.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        self.shown(&[], series).await
    }

    /// The same as Prometheus is shown it.
    pub(crate) async fn scraped(&self, series: &str) -> Option<f64> {
        self.shown(&[("X-Prometheus-Scrape-Timeout-Seconds", "10")], series).await
    }

    async fn shown(&self, headers: &[(&str, &str)], series: &str) -> Option<f64> {
        let text = call(self.admin, "GET /metrics", headers, b"").await.body;
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

/// An SQS, a database, and a monitor of both.
pub(crate) async fn started() -> (Sqs, Database, Monitor) {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    let monitor = Monitor::on(sqs.addr, &database, &[]).await;
    (sqs, database, monitor)
}
