//! An order's trace, from its client to the carrier, to its death and back.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    client::{Answer, Curl, order},
    collector::{Collector, Exported, serve},
    processes::{Process, Separate},
};

/// A queue, and an order's way through it.
struct Way {
    queue_type: &'static str,
    queue: &'static str,
    dead: &'static str,
    /// What the client says of its trace.
    client: &'static str,
}

const WAYS: [Way; 2] = [
    Way {
        queue_type: "standard",
        queue: "order-queue-standard",
        dead: "order-queue-standard-dlq",
        client: "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    },
    Way {
        queue_type: "fifo",
        queue: "order-queue.fifo",
        dead: "order-queue-dlq.fifo",
        client: "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
    },
];

/// A carrier that refuses every order until it is told to take them, and what it was called with.
struct Carrier {
    url: String,
    open: Arc<AtomicBool>,
    calls: mpsc::UnboundedReceiver<HeaderMap>,
}

impl Carrier {
    async fn start() -> Self {
        let (call, calls) = mpsc::unbounded_channel();
        let open = Arc::new(AtomicBool::new(false));
        let opened = open.clone();
        let url = serve(Router::new().fallback(async move |headers: HeaderMap| {
            call.send(headers).expect("the test waits");
            let open = opened.load(Ordering::SeqCst);
            if open { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY }
        }))
        .await;
        Self { url, open, calls }
    }

    /// Trace and span that its callers have named.
    fn named(&mut self) -> Vec<String> {
        let mut named = Vec::new();
        while let Ok(headers) = self.calls.try_recv() {
            named.push(headers["traceparent"].to_str().expect("a text")[3..52].to_owned());
        }
        named
    }
}

/// A fleet that tells a collector.
struct Told {
    collector: Collector,
    carrier: Carrier,
    fleet: Separate,
    curl: Curl,
    api: Process,
    monitor: Process,
    orders: String,
    dlq: String,
}

impl Told {
    async fn start() -> Self {
        let (collector, carrier) = (Collector::start().await, Carrier::start().await);
        let fleet = Separate::start(30).await;
        let otlp = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str());
        let api = fleet.service("order-api", &[otlp]);
        let monitor = fleet.service("dlq-monitor", &[otlp, ("MONITOR_INTERVAL", "200ms")]);
        let orders = format!("http://{}/api/orders", api.logged("listen").await);
        let dlq = format!("http://{}/api/dlq", monitor.logged("listen").await);
        Self { collector, carrier, fleet, curl: Curl::new(), api, monitor, orders, dlq }
    }

    fn worker(&self, more: &[(&'static str, &str)]) -> Process {
        let mut settings = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.collector.url.as_str()),
            ("CARRIER_URL", self.carrier.url.as_str()),
            ("RETRY_BACKOFF", "50ms"),
        ];
        settings.extend(more);
        self.fleet.service("delivery-worker", &settings)
    }

    /// Places an order for each way, whose deaths the monitor comes to know; their ids.
    async fn place_and_see_die(&self, product: &str) -> Vec<String> {
        let mut ids = Vec::new();
        for Way { queue_type, dead, client, .. } in WAYS {
            let url = format!("{}?queueType={queue_type}", self.orders);
            let placed = order("c-1", product, 1, 1);
            let answer = self.curl.post_traced(&url, placed, &format!("00-{client}-01")).await;
            assert_eq!(answer.status, 202, "{}", answer.text);
            let id = answer.json()["orderId"].as_str().expect("an id").to_owned();
            let known = |answer: &Answer| answer.json()["items"][0]["orderId"] == *id;
            let url = format!("{}/messages?queue={dead}", self.dlq);
            self.curl.until(&url, "the dead order", known).await;
            ids.push(id);
        }
        ids
    }

    /// Message by message: where SQS moves a whole queue, nothing of ours touches a message.
    async fn redrive_until_delivered(&self, worker: &Process, ids: &[String]) {
        let deliveries = format!("http://{}/api/delivery/orders", worker.logged("listen").await);
        for (Way { dead, .. }, id) in WAYS.iter().zip(ids) {
            let wanted = json!({
                "queue": dead, "all": true, "method": "messages", "reason": "it is mended",
            });
            let answer = self.curl.post(&format!("{}/redrive", self.dlq), wanted.to_string()).await;
            assert_eq!(answer.status, 202, "{}", answer.text);
            let delivered = |answer: &Answer| answer.json()["status"] == "DELIVERED";
            self.curl.until(&format!("{deliveries}/{id}"), "DELIVERED", delivered).await;
        }
    }
}

async fn stop(process: &mut Process) {
    process.signal("-TERM");
    assert_eq!(process.ended().await.code(), Some(0));
}

/// What is expected of an attempt: why it fails, if it does, and what the carrier answers, if it is asked.
type Tried = (Option<&'static str>, Option<&'static str>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orders_way_to_its_death_and_back_is_told_to_the_collector_as_one_tree() {
    let mut told = Told::start().await;
    let mut worker = told.worker(&[]);
    let ids = told.place_and_see_die("상품").await;
    told.carrier.open.store(true, Ordering::SeqCst);
    told.redrive_until_delivered(&worker, &ids).await;
    for process in [&mut told.api, &mut worker, &mut told.monitor] {
        stop(process).await;
    }
    let (spans, called) = (told.collector.spans(), told.carrier.named());
    let attempts: [Tried; 2] = [(Some("carrier_rejected"), Some("422")), (None, Some("200"))];
    for (way, id) in WAYS.iter().zip(&ids) {
        let tree = Tree {
            spans: &spans,
            way,
            id,
            called: &called,
            carrier: &told.carrier.url,
            workers: &[&worker],
        };
        let Ends { send, buried, redriven } = tree.holds(&attempts, true);
        let [before, after] = tree.attempts(send)[..] else { panic!("two attempts") };
        let begun = [send, before, buried.expect("it is rejected"), redriven, after];
        let begun = begun.map(|span| span.span.start_time_unix_nano);
        assert!(begun.is_sorted(), "one after the other: {begun:?}");
    }
    let of_monitor =
        |span: &Exported| span.is("dlq-monitor", "POST /api/dlq/redrive", SpanKind::Server);
    assert_eq!(spans.iter().filter(|span| of_monitor(span)).count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_retry_of_a_failing_order_is_in_its_tree_and_so_is_what_comes_of_its_redrive() {
    let mut told = Told::start().await;
    told.carrier.open.store(true, Ordering::SeqCst);
    let mut strict = told.worker(&[]);
    let ids = told.place_and_see_die("실패테스트").await;
    stop(&mut strict).await;
    let mut lenient = told.worker(&[("FAIL_TEST_PRODUCTS", "false")]);
    told.redrive_until_delivered(&lenient, &ids).await;
    for process in [&mut told.api, &mut lenient, &mut told.monitor] {
        stop(process).await;
    }
    let (spans, called) = (told.collector.spans(), told.carrier.named());
    let failed: Tried = (Some("forced"), None);
    let attempts = [failed, failed, failed, (None, Some("200"))];
    for (way, id) in WAYS.iter().zip(&ids) {
        let tree = Tree {
            spans: &spans,
            way,
            id,
            called: &called,
            carrier: &told.carrier.url,
            workers: &[&strict, &lenient],
        };
        // Of the standard queue SQS itself moves what has been received too often.
        tree.holds(&attempts, way.queue_type == "fifo");
    }
}

/// The spans of one order: the client's, the API's, the producer's are a tree; and linked to the last one
/// are the attempts with what they asked of others, the sending to the dead-letter queue, and the redrive.
struct Tree<'a> {
    spans: &'a [Exported],
    way: &'a Way,
    id: &'a str,
    called: &'a [String],
    carrier: &'a str,
    workers: &'a [&'a Process],
}

impl<'a> Tree<'a> {
    /// Its send by the API, the one to the dead-letter queue where there is one, its redrive.
    fn holds(&self, tried: &[Tried], by_worker: bool) -> Ends<'a> {
        let send = self.producer();
        let attempts = self.attempts(send);
        assert_eq!(attempts.len(), tried.len(), "attempts");
        for (attempt, tried) in attempts.iter().zip(tried) {
            self.is_an_attempt(attempt, tried);
        }
        let Way { queue, dead, .. } = self.way;
        let receive = format!("receive {queue}");
        let brought = |span: &&Exported| {
            span.is("delivery-worker", &receive, SpanKind::Client)
                && span.attribute("messaging.batch.message_count").as_deref() == Some("1")
        };
        let receives: Vec<_> = self.spans.iter().filter(brought).collect();
        assert!((2..=attempts.len()).contains(&receives.len()), "{} receives", receives.len());
        assert!(receives.iter().all(|span| span.links() == [send.ids()]), "of this order");

        let buried = self.linked(send, "delivery-worker", &format!("send {dead}"));
        assert_eq!(buried.len(), usize::from(by_worker), "sent to the dead-letter queue");
        for span in &buried {
            assert_eq!(span.attribute("reason").as_deref(), tried[0].0);
            assert!(self.is_logged(span), "the line of the death names its trace");
        }
        let [redriven] = self.linked(send, "dlq-monitor", &format!("send {queue}"))[..] else {
            panic!("one send is the redrive's")
        };
        for span in buried.iter().chain([&redriven]) {
            assert_eq!(span.failure(), None);
            assert_eq!(span.attribute("order_id").as_deref(), Some(self.id));
        }
        Ends { send, buried: buried.first().copied(), redriven }
    }

    fn parts(&self, of: &str) -> Vec<&'a Exported> {
        self.spans.iter().filter(|span| span.parent() == of).collect()
    }

    /// Of these of a service, by name and linked to this span, in the order in which they began.
    fn linked(&self, to: &Exported, service: &str, name: &str) -> Vec<&'a Exported> {
        let is_one = |span: &&Exported| {
            span.is(service, name, SpanKind::Client) && span.links().contains(&to.ids())
        };
        self.spans.iter().filter(is_one).collect()
    }

    fn is_logged(&self, span: &Exported) -> bool {
        self.workers.iter().any(|worker| worker.count(&span.ids()[..32]) > 0)
    }

    fn producer(&self) -> &'a Exported {
        let [request] = self.parts(self.way.client)[..] else {
            panic!("one request is the client's")
        };
        assert!(request.is("order-api", "POST /api/orders", SpanKind::Server));
        let [keys, send] = self.parts(&request.ids())[..] else {
            panic!("a look at its key and one send are the request's")
        };
        assert!(keys.is("order-api", "write keyed_requests", SpanKind::Client));
        assert_eq!(keys.attribute("db.system.name").as_deref(), Some("sqlite"));
        assert!(send.is("order-api", &format!("send {}", self.way.queue), SpanKind::Producer));
        assert_eq!(send.attribute("order_id").as_deref(), Some(self.id));
        assert_eq!([request, keys, send].map(Exported::failure), [None, None, None]);
        send
    }

    fn attempts(&self, send: &Exported) -> Vec<&'a Exported> {
        let process = format!("process {}", self.way.queue);
        let is_one = |span: &&Exported| {
            span.is("delivery-worker", &process, SpanKind::Consumer)
                && span.links().contains(&send.ids())
        };
        self.spans.iter().filter(is_one).collect()
    }

    fn is_an_attempt(&self, attempt: &Exported, (failure, answer): &Tried) {
        assert!(attempt.parent().ends_with('-'), "an attempt is a trace of its own");
        assert_eq!(attempt.attribute("order_id").as_deref(), Some(self.id));
        assert_eq!(attempt.failure().as_deref(), *failure);
        assert!(self.is_logged(attempt), "the worker's log names the attempt's trace");
        let asked = self.parts(&attempt.ids());
        let names: Vec<_> = asked.iter().map(|span| span.span.name.as_str()).collect();
        let Some(status) = answer else {
            assert_eq!(names, ["read deliveries", "write deliveries"]);
            return;
        };
        assert_eq!(names, ["read deliveries", "POST", "write deliveries"]);
        assert!(asked.iter().all(|span| span.span.kind() == SpanKind::Client));
        let databases = [asked[0], asked[2]].map(|span| span.attribute("db.system.name"));
        assert_eq!(databases, [Some("sqlite".to_owned()), Some("sqlite".to_owned())]);
        let place = ["url.full", "server.address", "server.port"];
        let place = place.map(|name| asked[1].attribute(name).expect("it says where"));
        assert_eq!(place[0], format!("http://{}:{}/", place[1], place[2]));
        assert_eq!(place[0].trim_end_matches('/'), self.carrier, "the carrier's");
        assert_eq!(asked[1].attribute("http.response.status_code").as_deref(), Some(*status));
        let refused = Some(*status).filter(|status| *status != "200");
        let failures = asked.iter().map(|span| span.failure()).collect::<Vec<_>>();
        assert_eq!(failures, [None, refused.map(str::to_owned), None]);
        assert!(self.called.contains(&asked[1].ids()), "the carrier is told of the call to it");
    }
}

/// What is linked, from its first send to its last.
struct Ends<'a> {
    send: &'a Exported,
    buried: Option<&'a Exported>,
    redriven: &'a Exported,
}
