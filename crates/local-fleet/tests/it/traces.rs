//! An order's trace, from its client to the carrier.

use axum::{Router, body::Bytes, http::HeaderMap};
use tokio::sync::mpsc;

use crate::{
    client::{Curl, order},
    processes::Separate,
};

const CLIENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_carrier_is_given_the_attempts_trace_which_is_linked_to_the_clients() {
    let (export, mut exports) = mpsc::unbounded_channel();
    let collector = serve(Router::new().fallback(async move |body: Bytes| {
        export.send(body).expect("the test waits");
    }))
    .await;
    let elsewhere = serve(Router::new().fallback(async || ())).await;
    let (delivery, mut deliveries) = mpsc::unbounded_channel();
    let carrier = serve(Router::new().fallback(async move |headers: HeaderMap| {
        delivery.send(headers).expect("the test waits");
    }))
    .await;

    let fleet = Separate::start(30).await;
    let api = fleet.service("order-api", &[("OTEL_EXPORTER_OTLP_ENDPOINT", &elsewhere)]);
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.as_str()),
        ("CARRIER", "http"),
        ("CARRIER_URL", &carrier),
    ];
    let mut worker = fleet.service("delivery-worker", &settings);
    let url = format!("http://{}/api/orders", api.logged("listen").await);
    let answer = Curl::new().post_traced(&url, order("c-1", "상품", 1, 1), CLIENT).await;
    assert_eq!(answer.status, 202, "{}", answer.text);

    let headers = deliveries.recv().await.expect("the order is delivered");
    let carried = headers["traceparent"].to_str().expect("a text");
    let (trace, span) = (&carried[3..35], &carried[36..52]);
    assert_ne!(trace, &CLIENT[3..35], "an attempt is a trace of its own");
    worker.signal("-TERM");
    assert_eq!(worker.ended().await.code(), Some(0));
    let mut exported = Vec::new();
    while let Ok(body) = exports.try_recv() {
        exported.extend_from_slice(&body);
    }
    // OTLP has ids as their bytes.
    for (what, id) in [
        ("the trace that the carrier was told of", trace),
        ("the span that called it", span),
        ("a link to the client's trace", &CLIENT[3..35]),
    ] {
        let id = bytes(id);
        assert!(exported.windows(id.len()).any(|window| window == id), "{what} is not exported");
    }
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
