//! The HTTP carrier against real servers.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use delivery_worker::{Carrier, Deliver, Failure, HttpCarrier, Metrics, TimeLimits};
use order_events::OrderEvent;
use prometheus::Registry;
use sqs_consumer::{Attempt, AttributeValue, Handler as _, Verdict};
use tokio::net::TcpListener;

use crate::support::{PATIENCE, TempStore, message, order_of};

type Seen = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A delivery system that answers `POST /<status>` with this status.
async fn delivery_system() -> (SocketAddr, Seen) {
    async fn answer(
        State(seen): State<Seen>,
        Path(status): Path<u16>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response {
        seen.lock().unwrap().push((headers, body));
        let status = StatusCode::from_u16(status).unwrap();
        let mut answer = (status, "because ".repeat(1000)).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            answer.headers_mut().insert(header::RETRY_AFTER, "7".parse().unwrap());
        }
        if status.is_redirection() {
            answer.headers_mut().insert(header::LOCATION, "/200".parse().unwrap());
        }
        answer
    }
    let seen = Seen::default();
    let router = Router::new()
        .route("/{status}", post(answer))
        .route("/hang", post(pending::<StatusCode>))
        .with_state(seen.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (addr, seen)
}

async fn deliver(url: &str, order: &OrderEvent) -> Result<(), Failure> {
    HttpCarrier::new(url).unwrap().deliver(order).await
}

#[tokio::test]
async fn the_order_is_posted_as_json_with_its_id_as_idempotency_key() {
    let (addr, seen) = delivery_system().await;
    let order = order_of("상품1");
    deliver(&format!("http://{addr}/201"), &order).await.unwrap();
    let seen = seen.lock().unwrap();
    let (headers, body) = &seen[0];
    assert_eq!(headers["idempotency-key"], order.order_id.to_string());
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(OrderEvent::from_json(std::str::from_utf8(body).unwrap()).unwrap(), order);
}

/// Tracing is off here: with it on, the attempt's own span is told, which links to this one.
#[tokio::test]
async fn the_carrier_is_told_the_traceparent_that_the_message_has_unchanged_or_none() {
    let (addr, seen) = delivery_system().await;
    let temp = TempStore::open().await;
    let carrier = HttpCarrier::new(&format!("http://{addr}/200")).unwrap();
    let limits = TimeLimits { attempt: PATIENCE, carrier: PATIENCE / 2 };
    let metrics = Metrics::register(&Registry::new()).for_queue("a");
    let deliver =
        Deliver::new(temp.store.clone(), Arc::new(carrier), limits, false, "w-1".to_owned());
    let handler = deliver.for_queue("a", false, metrics);
    let received = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";
    for (sent, told) in [(Some(received), Some(received)), (Some("nonsense"), None), (None, None)] {
        let mut message = message(&order_of("a").to_json());
        if let Some(sent) = sent {
            message.attributes.insert("traceparent".to_owned(), AttributeValue::string(sent));
        }
        let verdict = handler.handle(&message, Attempt { number: 1, max: 3 }).await;
        assert_eq!(verdict, Verdict::Done);
        let (headers, _) = seen.lock().unwrap().pop().unwrap();
        let carried = headers.get("traceparent").map(|value| value.to_str().unwrap());
        assert_eq!(carried, told, "of {sent:?}");
    }
}

#[tokio::test]
async fn each_status_has_its_meaning() {
    let (addr, seen) = delivery_system().await;
    for status in [200, 202, 204, 299] {
        assert_eq!(deliver(&format!("http://{addr}/{status}"), &order_of("a")).await, Ok(()));
    }
    for status in [408, 425, 429, 500, 502, 503, 599] {
        let failure = deliver(&format!("http://{addr}/{status}"), &order_of("a")).await;
        let Err(Failure::Unavailable { detail, retry_after }) = failure else {
            panic!("{status}: {failure:?}");
        };
        assert!(detail.starts_with(&format!("status {status}: because")), "{detail}");
        assert_eq!(retry_after, (status == 429).then_some(Duration::from_secs(7)));
    }
    seen.lock().unwrap().clear();
    for code in [301, 302, 307, 308, 400, 401, 404, 409, 422] {
        let failure = deliver(&format!("http://{addr}/{code}"), &order_of("a")).await;
        let Err(Failure::Rejected { status, answer }) = failure else {
            panic!("{code}: {failure:?}");
        };
        assert_eq!((status, answer.len()), (code, 1024));
    }
    assert_eq!(seen.lock().unwrap().len(), 9, "no redirect is followed");
}

#[tokio::test]
async fn a_carrier_that_refuses_connections_or_breaks_them_is_unavailable() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = unused.local_addr().unwrap();
    drop(unused);
    let url = format!("http://name:secret@{addr}/orders");
    let failure = deliver(&url, &order_of("a")).await;
    assert!(matches!(failure, Err(Failure::Unavailable { retry_after: None, .. })), "{failure:?}");
    let text = failure.unwrap_err().to_string();
    assert!(text.contains("connect") && !text.contains("secret"), "{text}");

    let rude = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = rude.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = rude.accept().await {
            drop(connection);
        }
    });
    let failure = deliver(&format!("http://{addr}/"), &order_of("a")).await;
    assert!(matches!(failure, Err(Failure::Unavailable { .. })), "{failure:?}");
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_when_the_carrier_is_made() {
    assert!(HttpCarrier::new("no url").is_err());
}
