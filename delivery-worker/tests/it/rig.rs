//! A whole worker and an SQS in the same process.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use delivery_worker::{Service, Settings};
use local_sqs::{Handle, Server, ServerSettings};
use order_events::OrderEvent;
use prometheus::Registry;
use reqwest::RequestBuilder;
use serde_json::Value;
use service_kit::{Readiness, Shutdown, ShutdownTrigger, settings::Reader};
use sqs_consumer::aws::{CallMetrics, Connection, Options};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::support::{eventually, get, http_client};

pub(crate) const STANDARD: &str = "order-queue-standard";
pub(crate) const FIFO: &str = "order-queue.fifo";

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

    pub(crate) async fn send(&self, queue: &str, body: &str, group: Option<&str>) {
        self.connection
            .sending()
            .send_message()
            .queue_url(queue_url(self.addr, queue))
            .message_body(body)
            .set_message_group_id(group.map(str::to_owned))
            .send()
            .await
            .expect("it is sent");
    }

    /// Dead letters: their bodies, reasons and message groups.
    pub(crate) async fn dead_letters(&self, queue: &str) -> Vec<(String, String, Option<String>)> {
        let call = self.connection.receiving().receive_message();
        let call = call.queue_url(queue_url(self.addr, queue)).max_number_of_messages(10);
        let call = call.message_attribute_names("All").visibility_timeout(0);
        let call = call.message_system_attribute_names("All".into());
        let found = call.send().await.expect("an answer").messages.unwrap_or_default();
        let reason = |message: &aws_sdk_sqs::types::Message| {
            let value = message.message_attributes.as_ref()?.get("dead-letter-reason")?;
            value.string_value.clone()
        };
        let group = |message: &aws_sdk_sqs::types::Message| {
            message.attributes.as_ref()?.get(&"MessageGroupId".into()).cloned()
        };
        found
            .into_iter()
            .map(|message| {
                let (reason, group) = (reason(&message).unwrap_or_default(), group(&message));
                (message.body.unwrap_or_default(), reason, group)
            })
            .collect()
    }

    /// Messages in the queue, in flight ones too.
    pub(crate) fn messages(&self, queue: &str) -> usize {
        let counts = self.handle.queue_counts(queue).expect("it exists");
        counts.visible + counts.in_flight + counts.delayed
    }
}

pub(crate) fn queue_url(sqs: SocketAddr, queue: &str) -> String {
    format!("http://{sqs}/000000000000/{queue}")
}

/// A worker that runs.
pub(crate) struct Worker {
    pub(crate) api: String,
    pub(crate) admin: String,
    pub(crate) readiness: Readiness,
    stop: ShutdownTrigger,
    ended: JoinHandle<anyhow::Result<()>>,
    pub(crate) directory: TempDir,
}

impl Worker {
    pub(crate) async fn start(sqs: SocketAddr, more: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let database = format!("sqlite://{}/deliveries.db", directory.path().display());
        let mut env: BTreeMap<String, String> = [
            ("LISTEN_ADDR", "127.0.0.1:0".to_owned()),
            ("ADMIN_ADDR", "127.0.0.1:0".to_owned()),
            ("DATABASE_URL", database),
            ("AWS_SQS_ENDPOINT", format!("http://{sqs}")),
            ("SQS_QUEUE_URL_STANDARD", queue_url(sqs, STANDARD)),
            ("SQS_QUEUE_URL_STANDARD_DLQ", queue_url(sqs, "order-queue-standard-dlq")),
            ("SQS_QUEUE_URL_FIFO", queue_url(sqs, FIFO)),
            ("SQS_QUEUE_URL_FIFO_DLQ", queue_url(sqs, "order-queue-dlq.fifo")),
            ("RETRY_BACKOFF", "10ms".to_owned()),
            ("RETRY_BACKOFF_MAX", "20ms".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut reader = Reader::load(Settings::table(), None, env);
        let settings = Settings::read(&mut reader);
        let settings = reader.finish(settings).expect("the settings are right");
        let service = Service::build(settings).await.expect("it is built");
        let (stop, shutdown) = Shutdown::new();
        Self {
            api: format!("http://{}/api/delivery", service.local_addr()),
            admin: format!("http://{}", service.admin_addr()),
            readiness: service.readiness(),
            stop,
            ended: tokio::spawn(service.run(shutdown)),
            directory,
        }
    }

    pub(crate) async fn is_ready(&self) {
        eventually("the worker is ready", || async { self.readiness.is_ready().then_some(()) })
            .await;
    }

    /// The delivery, once it has this status.
    pub(crate) async fn delivery(&self, order: &OrderEvent, status: &str) -> Value {
        let url = format!("{}/orders/{}", self.api, order.order_id);
        eventually(status, || async {
            let (_, delivery) = get(&url).await;
            (delivery["status"] == status).then_some(delivery)
        })
        .await
    }

    pub(crate) async fn metrics(&self) -> String {
        self.try_metrics().await.expect("it is scraped")
    }

    /// None when nobody answers any more.
    pub(crate) async fn try_metrics(&self) -> Option<String> {
        self.shown(http_client().get(format!("{}/metrics", self.admin))).await
    }

    /// What Prometheus is shown.
    pub(crate) async fn scraped(&self) -> String {
        self.try_scraped().await.expect("it is scraped")
    }

    /// None when nobody answers any more.
    pub(crate) async fn try_scraped(&self) -> Option<String> {
        let scrape = http_client().get(format!("{}/metrics", self.admin));
        self.shown(scrape.header("x-prometheus-scrape-timeout-seconds", "10")).await
    }

    async fn shown(&self, request: RequestBuilder) -> Option<String> {
        let answer = request.send().await.ok()?;
        Some(String::from_utf8(answer.bytes().await.ok()?.to_vec()).unwrap())
    }

    pub(crate) fn begin_to_stop(&self) {
        self.stop.request();
    }

    pub(crate) async fn stop(self) {
        self.begin_to_stop();
        let ended = tokio::time::timeout(Duration::from_secs(30), self.ended).await;
        ended.expect("it ends").expect("it does not panic").expect("it ends well");
    }
}
