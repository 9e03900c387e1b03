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
    processes::Separate,
};

/// Queue type, queue, dead-letter queue, and what the client says of its trace.
const WAYS: [(&str, &str, &str, &str); 2] = [
    (
        "standard",
        "order-queue-standard",
        "order-queue-standard-dlq",
        "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    ),
    (
        "fifo",
        "order-queue.fifo",
        "order-queue-dlq.fifo",
        "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
    ),
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orders_way_to_its_death_and_back_is_told_to_the_collector_as_one_tree() {
    let (mut collector, mut carrier) = (Collector::start().await, Carrier::start().await);
    let fleet = Separate::start(30).await;
    let (url, refusing) = (collector.url.clone(), carrier.url.clone());
    let otlp = ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str());
    let mut api = fleet.service("order-api", &[otlp]);
    let to = ("CARRIER_URL", refusing.as_str());
    let mut worker = fleet.service("delivery-worker", &[otlp, to]);
    let mut monitor = fleet.service("dlq-monitor", &[otlp, ("MONITOR_INTERVAL", "200ms")]);
    let orders = format!("http://{}/api/orders", api.logged("listen").await);
    let dlq = format!("http://{}/api/dlq", monitor.logged("listen").await);
    let deliveries = format!("http://{}/api/delivery/orders", worker.logged("listen").await);

    let curl = Curl::new();
    let mut ids = Vec::new();
    for (queue_type, _, dead, client) in WAYS {
        let (url, parent) = (format!("{orders}?queueType={queue_type}"), format!("00-{client}-01"));
        let answer = curl.post_traced(&url, order("c-1", "상품", 1, 1), &parent).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let id = answer.json()["orderId"].as_str().expect("an id").to_owned();
        let known = |answer: &Answer| answer.json()["items"][0]["orderId"] == *id;
        curl.until(&format!("{dlq}/messages?queue={dead}"), "the dead order", known).await;
        ids.push(id);
    }
    carrier.open.store(true, Ordering::SeqCst);
    for ((_, _, dead, _), id) in WAYS.iter().zip(&ids) {
        let wanted = json!({ "queue": dead, "all": true, "reason": "the carrier takes it now" });
        let answer = curl.post(&format!("{dlq}/redrive"), wanted.to_string()).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let delivered = |answer: &Answer| answer.json()["status"] == "DELIVERED";
        curl.until(&format!("{deliveries}/{id}"), "DELIVERED", delivered).await;
    }
    for service in [&mut api, &mut worker, &mut monitor] {
        service.signal("-TERM");
        assert_eq!(service.ended().await.code(), Some(0));
    }

    let (spans, called) = (collector.spans(), carrier.named());
    for ((_, queue, _, client), id) in WAYS.iter().zip(&ids) {
        holds(&spans, queue, client, id, &called, |text| worker.count(text));
    }
    let of_monitor =
        |span: &Exported| span.is("dlq-monitor", "POST /api/dlq/redrive", SpanKind::Server);
    assert_eq!(spans.iter().filter(|span| of_monitor(span)).count(), 2);
}

/// The spans of one order are a tree: the client's, the API's, the producer's; and linked to that one,
/// before the death and after the redrive, the attempts with what they asked of others.
fn holds(
    spans: &[Exported],
    queue: &str,
    client: &str,
    order: &str,
    called: &[String],
    logged: impl Fn(&str) -> usize,
) {
    let parts = |of: &str| spans.iter().filter(|span| span.parent() == of).collect::<Vec<_>>();
    let [request] = parts(client)[..] else { panic!("one request is the client's") };
    assert!(request.is("order-api", "POST /api/orders", SpanKind::Server));
    let [send] = parts(&request.ids())[..] else { panic!("one send is the request's") };
    assert!(send.is("order-api", &format!("send {queue}"), SpanKind::Producer));
    assert_eq!(send.attribute("order_id").as_deref(), Some(order));

    let process = format!("process {queue}");
    let attempts = spans.iter().filter(|span| span.links().contains(&send.ids()));
    let attempts = attempts.collect::<Vec<_>>();
    assert_eq!(attempts.len(), 2, "one before the order's death, one after its redrive");
    for (attempt, status) in attempts.iter().zip(["422", "200"]) {
        assert!(attempt.is("delivery-worker", &process, SpanKind::Consumer));
        assert!(attempt.parent().ends_with('-'), "an attempt is a trace of its own");
        assert_eq!(attempt.attribute("order_id").as_deref(), Some(order));
        let names = ["read deliveries", "POST", "write deliveries"];
        let asked = parts(&attempt.ids());
        assert_eq!(asked.iter().map(|span| span.span.name.as_str()).collect::<Vec<_>>(), names);
        assert!(asked.iter().all(|span| span.span.kind() == SpanKind::Client));
        assert_eq!(asked[1].attribute("http.response.status_code").as_deref(), Some(status));
        assert!(called.contains(&asked[1].ids()), "the carrier is told of the call to it");
        assert!(logged(&attempt.ids()[..32]) > 0, "the worker's log names the attempt's trace");
    }
    let receive = format!("receive {queue}");
    let brought = |span: &&Exported| {
        span.is("delivery-worker", &receive, SpanKind::Client)
            && span.attribute("messaging.batch.message_count").as_deref() == Some("1")
    };
    assert_eq!(spans.iter().filter(brought).count(), 2, "each attempt had a receive");
}
