//! A real server in this process, a connection to it, and a handler that keeps a diary.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use local_sqs::{Handle, Server, ServerSettings};
use prometheus::Registry;
use sqs_consumer::{
    Attempt, Consumer, DeadLetter, Drained, Handler, Health, Message, Metrics, Settings, Verdict,
    aws::{CallMetrics, Connection, Options},
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tracing::level_filters::LevelFilter;

pub(crate) const STANDARD: &str = "order-queue-standard";
pub(crate) const FIFO: &str = "order-queue.fifo";
pub(crate) const STANDARD_DLQ: &str = "order-queue-standard-dlq";
pub(crate) const FIFO_DLQ: &str = "order-queue-dlq.fifo";

pub(crate) struct Rig {
    pub(crate) server: Handle,
    pub(crate) endpoint: String,
    pub(crate) connection: Connection,
    _stop: oneshot::Sender<()>,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let address = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(address, ServerSettings::default()).await.unwrap();
        let (endpoint, handle) = (server.endpoint(), server.handle());
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(server.serve(async {
            _ = stopped.await;
        }));
        let options = Options { endpoint: Some(endpoint.clone()), ..Options::default() };
        let calls = CallMetrics::register(&Registry::new());
        let connection = Connection::open(options, None, calls).await;
        Self { server: handle, endpoint, connection, _stop: stop }
    }

    pub(crate) fn url(&self, queue: &str) -> String {
        format!("{}/000000000000/{queue}", self.endpoint)
    }

    /// Sends bodies; on a FIFO queue a body `group/number` goes to its group.
    pub(crate) async fn send(&self, queue: &str, bodies: impl IntoIterator<Item = String>) {
        let bodies: Vec<String> = bodies.into_iter().collect();
        for batch in bodies.chunks(10) {
            let entries = batch.iter().enumerate().map(|(i, body)| {
                let entry = SendMessageBatchRequestEntry::builder().id(i.to_string());
                let entry = entry.message_body(body);
                let entry = if queue.ends_with(".fifo") {
                    let group = body.split('/').next().unwrap();
                    entry.message_group_id(group).message_deduplication_id(body)
                } else {
                    entry
                };
                entry.build().unwrap()
            });
            let sent = self
                .connection
                .sending()
                .send_message_batch()
                .queue_url(self.url(queue))
                .set_entries(Some(entries.collect()))
                .send()
                .await
                .unwrap();
            assert!(sent.failed.is_empty(), "{:?}", sent.failed);
        }
    }

    pub(crate) fn consume(&self, queue: &str, diary: &Diary, settings: Settings) -> Consuming {
        let dead = if queue == FIFO { FIFO_DLQ } else { STANDARD_DLQ };
        self.consume_with(queue, Some(dead), diary, settings)
    }

    pub(crate) fn consume_with(
        &self,
        queue: &str,
        dead: Option<&str>,
        diary: &Diary,
        settings: Settings,
    ) -> Consuming {
        let dead = dead.map(|dead| self.url(dead));
        let source = self.connection.queue(&self.url(queue), dead.as_deref());
        let registry = Registry::new();
        let metrics = Metrics::register(&registry, "test");
        let consumer = Consumer::new(source, diary.clone(), settings, metrics).unwrap();
        let health = consumer.health();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(consumer.run(async {
            _ = stopped.await;
        }));
        Consuming { health, registry, stop, running }
    }

    pub(crate) async fn set_attribute(&self, queue: &str, name: QueueAttributeName, value: &str) {
        let client = self.connection.settling().set_queue_attributes();
        client.queue_url(self.url(queue)).attributes(name, value).send().await.unwrap();
    }

    pub(crate) async fn purge(&self, queue: &str) {
        let client = self.connection.settling().purge_queue();
        client.queue_url(self.url(queue)).send().await.unwrap();
    }

    /// Messages waiting and in flight.
    pub(crate) fn counts(&self, queue: &str) -> (u64, u64) {
        let counts = self.server.queue_counts(queue).unwrap();
        (counts.visible as u64, counts.in_flight as u64)
    }

    pub(crate) async fn until_empty(&self, queue: &str) {
        until(&format!("{queue} is empty"), || self.counts(queue) == (0, 0)).await;
    }
}

pub(crate) struct Consuming {
    pub(crate) health: watch::Receiver<Health>,
    pub(crate) registry: Registry,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Drained>,
}

impl Consuming {
    pub(crate) async fn stop(self) -> Drained {
        drop(self.stop);
        self.running.await.unwrap()
    }
}

/// What a diary's handler does with a message, by body and attempt.
pub(crate) type Rule = fn(&str, Attempt) -> Doing;

pub(crate) enum Doing {
    Succeed(Duration),
    Fail,
    /// Fails for a cause that all messages may share.
    FailShared,
    Unavailable,
    Reject,
    Panic,
    Hang,
}

impl Doing {
    pub(crate) async fn perform(self) -> Verdict {
        let letter = |detail: &str| DeadLetter { reason: "test", detail: detail.to_owned() };
        let retry =
            |shared| Verdict::Retry { letter: letter("it failed"), not_before: None, shared };
        match self {
            Self::Succeed(time) => {
                if !time.is_zero() {
                    tokio::time::sleep(time).await;
                }
                Verdict::Done
            }
            Self::Fail => retry(false),
            Self::FailShared => retry(true),
            Self::Unavailable => Verdict::Unavailable("the store is down".to_owned()),
            Self::Reject => Verdict::DeadLetter(letter("no good")),
            Self::Panic => panic!("on purpose"),
            Self::Hang => std::future::pending().await,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Diary {
    rule: Rule,
    /// Bodies in the order in which they took effect; a repetition has no second effect.
    effects: Arc<Mutex<Vec<String>>>,
    /// Every attempt by body.
    attempts: Arc<Mutex<BTreeMap<String, Vec<u32>>>>,
}

impl Diary {
    pub(crate) fn new(rule: Rule) -> Self {
        Self { rule, effects: Arc::default(), attempts: Arc::default() }
    }

    pub(crate) fn effects(&self) -> Vec<String> {
        self.effects.lock().unwrap().clone()
    }

    pub(crate) fn attempts(&self, body: &str) -> Vec<u32> {
        self.attempts.lock().unwrap().get(body).cloned().unwrap_or_default()
    }

    /// The numbers of `group/number` bodies in order of effect, by group.
    pub(crate) fn by_group(&self) -> BTreeMap<String, Vec<u32>> {
        let mut groups = BTreeMap::<String, Vec<u32>>::new();
        for body in self.effects() {
            let (group, number) = body.split_once('/').unwrap();
            groups.entry(group.to_owned()).or_default().push(number.parse().unwrap());
        }
        groups
    }

    pub(crate) async fn until(&self, effects: usize) {
        let seen = || self.effects.lock().unwrap().len();
        until(&format!("{effects} effects"), || seen() >= effects).await;
    }
}

impl Handler for Diary {
    async fn handle(&self, message: &Message, attempt: Attempt) -> Verdict {
        let body = message.body.clone();
        self.attempts.lock().unwrap().entry(body.clone()).or_default().push(attempt.number);
        let verdict = (self.rule)(&body, attempt).perform().await;
        if verdict == Verdict::Done {
            let mut effects = self.effects.lock().unwrap();
            if !effects.contains(&body) {
                effects.push(body);
            }
        }
        verdict
    }
}

/// Warnings, as text.
#[derive(Clone, Default)]
pub(crate) struct Warnings(Arc<Mutex<Vec<u8>>>);

impl Warnings {
    /// Those of this thread, as long as the guard lives.
    pub(crate) fn collect() -> (Self, tracing::subscriber::DefaultGuard) {
        let warnings = Self::default();
        let guard = tracing::subscriber::set_default(warnings.subscriber());
        (warnings, guard)
    }

    pub(crate) fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + 'static {
        // With no other one, tracing would take what a thread without any first tells of for what nobody
        // wants to hear, in all threads.
        static ANOTHER: OnceLock<tracing::Dispatch> = OnceLock::new();
        ANOTHER.get_or_init(|| {
            let deaf = tracing_subscriber::fmt().with_max_level(LevelFilter::OFF);
            tracing::Dispatch::new(deaf.finish())
        });
        let writer = self.clone();
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Warnings {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Settings whose backoffs suit a test.
pub(crate) fn quick() -> Settings {
    Settings {
        retry_backoff: Duration::from_millis(20),
        retry_backoff_max: Duration::from_millis(50),
        max_attempts: Some(3),
        drain_timeout: Duration::from_secs(10),
        seed: Some(1),
        ..Settings::default()
    }
}

/// Waits for a condition, with a bound that only a broken program reaches.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let reached = tokio::time::timeout(Duration::from_mins(1), waiting).await;
    assert!(reached.is_ok(), "not reached: {what}");
}
