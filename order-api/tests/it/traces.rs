//! A client's trace where the API takes no part in it: tracing is off in all of these.

use crate::{
    deliveries::{JSON, delivery, serve},
    harness::{Api, FakeSqs, ORDER, call, open, read_answer, until},
};
use axum::{Router, http::HeaderMap};
use serde_json::Value;
use tokio::{net::TcpStream, sync::mpsc};

/// A flag that tracing here knows nothing of is set.
const RECEIVED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
const CONTENT: (&str, &str) = ("Content-Type", "application/json");

async fn send(api: &Api, traceparent: Option<&str>) -> TcpStream {
    let mut headers = vec![CONTENT];
    headers.extend(traceparent.map(|value| ("traceparent", value)));
    open(api.addr, "POST /api/orders", &headers, ORDER.as_bytes()).await
}

#[tokio::test]
async fn an_orders_message_carries_the_traceparent_of_its_own_request_unchanged_or_none() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[("PUBLISH_CONCURRENCY", "1")]).await;
    let another = RECEIVED.replace("4bf9", "0bf9");
    let broken = RECEIVED.replace("4bf9", "4BF9");
    sqs.close_gate();
    let mut clients = vec![send(&api, Some(RECEIVED)).await];
    until("a call is under way", async || sqs.sent() == 1).await;
    // These share the next call.
    for traceparent in [Some(&*another), None, Some(&*broken)] {
        clients.push(send(&api, traceparent).await);
        let buffered = format!("\norder_publish_buffered {}\n", clients.len());
        until("it is taken in", async || api.metrics().await.contains(&buffered)).await;
    }
    sqs.open_gate();
    for client in &mut clients {
        assert_eq!(read_answer(client).await.status, 202);
    }
    assert_eq!(sqs.calls(), [1, 3]);
    let sends = sqs.sends.lock().expect("no panic").clone();
    let carried = |message: &Value| {
        let attribute = message["MessageAttributes"].get("traceparent")?;
        Some(attribute["StringValue"].as_str().expect("a text").to_owned())
    };
    let carried: Vec<Option<String>> = sends.iter().map(carried).collect();
    assert_eq!(carried, [Some(RECEIVED.to_owned()), Some(another), None, None]);
    api.stop().await;
}

#[tokio::test]
async fn a_question_about_an_order_carries_it_to_the_delivery_worker() {
    let (seen, mut asked) = mpsc::unbounded_channel();
    let worker = serve(Router::new().fallback(async move |headers: HeaderMap| {
        seen.send(headers).expect("the test waits");
        (JSON, delivery().to_string())
    }));
    let url = format!("http://{}", worker.await);
    let api = Api::start(FakeSqs::start().await.addr, &[("DELIVERY_API_URL", &url)]).await;
    let path = format!("GET /api/orders/{}", crate::deliveries::ID);
    for headers in [&[("traceparent", RECEIVED)][..], &[]] {
        assert_eq!(call(api.addr, &path, headers, b"").await.status, 200);
        let asked = asked.recv().await.expect("it was asked");
        let carried = asked.get("traceparent").map(|value| value.to_str().expect("a text"));
        assert_eq!(carried, headers.first().map(|(_, value)| *value));
    }
    api.stop().await;
}
