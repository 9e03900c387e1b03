//! What became of an order, asked of a delivery worker behind the API.

use crate::harness::{Answer, Api, FakeSqs, ORDER, call, open, post, until};
use axum::{
    Router,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use order_api::Settings;
use serde_json::{Value, json};
use service_kit::settings::Reader;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{net::TcpListener, sync::Semaphore};

pub(crate) const ID: &str = "47e715ef-7d35-5e8f-8d5c-ac406378c6c8";

pub(crate) fn delivery() -> Value {
    json!({
        "deliveryId": "0d5fbc3e-8d0c-4f0e-9a3e-2f1b9c6f7a10",
        "orderId": ID,
        "customerId": "customer-001",
        "address": "registered address of customer customer-001",
        "status": "DELIVERED",
        "timestamp": "2026-11-23T05:22:01.702113Z",
        "createdAt": "2026-11-23T05:22:01.698871Z",
        "queue": "order-queue-standard",
        "attemptCount": 0,
        "attempts": [],
        "addedLater": true,
    })
}

/// A delivery worker that answers as it is told, and remembers what it was asked.
#[derive(Clone)]
struct Worker {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl Worker {
    async fn start<A: IntoResponse + 'static>(
        answer: impl Fn() -> A + Clone + Send + Sync + 'static,
    ) -> Self {
        let asked: Arc<Mutex<Vec<(String, HeaderMap)>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let router =
            Router::new().fallback(async move |uri: Uri, headers: HeaderMap| -> Response {
                seen.lock().expect("no panic").push((uri.to_string(), headers));
                answer().into_response()
            });
        Self { addr: serve(router).await, asked }
    }
}

pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async { axum::serve(listener, router).await });
    addr
}

async fn api_of(worker: SocketAddr) -> Api {
    let url = format!("http://{worker}/below/");
    Api::start(FakeSqs::start().await.addr, &[("DELIVERY_API_URL", &url)]).await
}

async fn ask(api: &Api, id: &str) -> Answer {
    call(api.addr, &format!("GET /api/orders/{id}"), &[], b"").await
}

pub(crate) const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

#[tokio::test]
async fn the_location_of_an_accepted_order_answers_with_its_delivery_at_the_same_address() {
    let worker = Worker::start(|| (JSON, delivery().to_string())).await;
    let api = api_of(worker.addr).await;
    let accepted = post(api.addr, "", ORDER).await;
    let location = accepted.header("location").expect("a location").to_owned();
    let id = accepted.json()["orderId"].as_str().expect("an id").to_owned();
    assert_eq!(location, format!("/api/orders/{id}"));
    let answer = call(api.addr, &format!("GET {location}"), &[], b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), delivery(), "as the worker has it, fields of later versions too");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let asked = worker.asked.lock().expect("no panic").clone();
    assert_eq!(asked[0].0, format!("/below/api/delivery/orders/{id}"));
    api.stop().await;
}

#[tokio::test]
async fn no_header_leaks_through_in_either_direction() {
    let worker = Worker::start(|| {
        let headers = [
            ("content-type", "application/json"),
            ("set-cookie", "session=1"),
            ("x-internal", "10.0.0.7"),
            ("server", "worker"),
        ];
        (headers, delivery().to_string())
    })
    .await;
    let api = api_of(worker.addr).await;
    let headers =
        [("Authorization", "Bearer secret"), ("Cookie", "a=b"), ("X-Forwarded-For", "1.2.3.4")];
    let answer = call(api.addr, &format!("GET /api/orders/{ID}?debug=1"), &headers, b"").await;
    assert_eq!(answer.status, 200);
    for name in ["set-cookie", "x-internal", "server"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    let (uri, seen) = worker.asked.lock().expect("no panic")[0].clone();
    assert_eq!(uri, format!("/below/api/delivery/orders/{ID}"));
    let mut names: Vec<&str> = seen.keys().map(axum::http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "host", "user-agent"]);
    api.stop().await;
}

#[tokio::test]
async fn connections_to_the_worker_are_used_again() {
    let connections = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let addr = listener.local_addr().expect("an address");
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let mut request = [0; 1024];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let body = delivery().to_string();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    stream.write_all(answer.as_bytes()).await.expect("written");
                }
            });
        }
    });
    let api = api_of(addr).await;
    for _ in 0..5 {
        assert_eq!(ask(&api, ID).await.status, 200);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    api.stop().await;
}

#[tokio::test]
async fn an_order_that_the_worker_does_not_know_is_a_404_that_says_it_may_still_be_waiting() {
    let worker = Worker::start(|| {
        let body = json!({ "type": "/problems/unknown-order", "status": 404 }).to_string();
        (StatusCode::NOT_FOUND, [("content-type", "application/problem+json")], body)
    })
    .await;
    let api = api_of(worker.addr).await;
    let answer = ask(&api, ID).await;
    assert_eq!((answer.status, answer.problem().as_str()), (404, "unknown-order"));
    assert!(answer.body.contains("waiting in its queue"), "{answer:?}");
    api.stop().await;
}

#[tokio::test]
async fn an_order_whose_message_is_no_order_is_a_410_with_the_workers_words() {
    let worker = Worker::start(|| {
        let detail = format!("the message of order {ID} is no order (unparseable: no items)");
        let kind = "/problems/unreadable-order";
        let body = json!({ "type": kind, "status": 410, "detail": detail }).to_string();
        (StatusCode::GONE, [("content-type", "application/problem+json")], body)
    })
    .await;
    let api = api_of(worker.addr).await;
    let answer = ask(&api, ID).await;
    assert_eq!((answer.status, answer.problem().as_str()), (410, "unreadable-order"));
    assert!(answer.body.contains("is no order (unparseable: no items)"), "{answer:?}");
    api.stop().await;
}

#[tokio::test]
async fn an_id_that_is_none_is_refused_before_anybody_is_asked() {
    let worker = Worker::start(|| (JSON, delivery().to_string())).await;
    let api = api_of(worker.addr).await;
    for id in
        ["1", "47e715ef7d355e8f8d5cac406378c6c8", "..%2f..%2fadmin", "%ff", &format!("{ID}%00")]
    {
        let answer = ask(&api, id).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-order-id"), "{id}");
    }
    assert!(worker.asked.lock().expect("no panic").is_empty());
    api.stop().await;
}

#[tokio::test]
async fn a_worker_that_cannot_answer_now_is_a_503_that_says_when_to_ask_again() {
    let unavailable = Worker::start(|| StatusCode::SERVICE_UNAVAILABLE).await;
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        listener.local_addr().expect("an address")
    };
    for worker in [unavailable.addr, gone] {
        let api = api_of(worker).await;
        let answer = ask(&api, ID).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (503, "delivery-status-unavailable")
        );
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(!answer.body.contains("127.0.0.1"), "addresses stay inside");
        api.stop().await;
    }
}

/// As while a worker's pod ends: its Service leads the next connection to another one.
#[tokio::test]
async fn a_question_is_asked_again_when_the_worker_that_has_it_stops() {
    for unable in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
        let times = Arc::new(AtomicUsize::new(0));
        let worker = Worker::start(move || {
            let able = times.fetch_add(1, Ordering::Relaxed) == 4;
            let status = if able { StatusCode::OK } else { unable };
            (status, JSON, delivery().to_string())
        })
        .await;
        let api = api_of(worker.addr).await;
        let answer = ask(&api, ID).await;
        assert_eq!((answer.status, answer.json()), (200, delivery()), "{unable}");
        assert_eq!(worker.asked.lock().expect("no panic").len(), 5);
        api.stop().await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let addr = listener.local_addr().expect("an address");
    let api = api_of(addr).await;
    let served = async {
        // Connections that end with the worker that had them.
        for _ in 0..3 {
            drop(listener.accept().await.expect("a connection"));
        }
        let router = Router::new().fallback(async || (JSON, delivery().to_string()));
        tokio::spawn(async { axum::serve(listener, router).await });
    };
    let (answer, ()) = tokio::join!(ask(&api, ID), served);
    assert_eq!((answer.status, answer.json()), (200, delivery()));
    api.stop().await;
}

#[tokio::test]
async fn what_no_delivery_worker_would_answer_is_a_502() {
    let mebibyte = 1024 * 1024;
    let answers: [fn() -> Response; 6] = [
        || ([("content-type", "text/html")], "<h1>hello</h1>").into_response(),
        || StatusCode::NOT_FOUND.into_response(),
        || (StatusCode::GONE, JSON, "{}").into_response(),
        || (StatusCode::TEMPORARY_REDIRECT, [("location", "http://10.0.0.1/")]).into_response(),
        || (StatusCode::UNAUTHORIZED, "who are you?").into_response(),
        || StatusCode::NO_CONTENT.into_response(),
    ];
    for answer in answers {
        let worker = Worker::start(answer).await;
        let api = api_of(worker.addr).await;
        let answer = ask(&api, ID).await;
        assert_eq!((answer.status, answer.problem().as_str()), (502, "delivery-status-invalid"));
        assert_eq!(worker.asked.lock().expect("no panic").len(), 1, "no redirect is followed");
        api.stop().await;
    }
    let endless = Worker::start(move || (JSON, " ".repeat(mebibyte + 1))).await;
    let api = api_of(endless.addr).await;
    assert_eq!(ask(&api, ID).await.problem(), "delivery-status-unavailable");
    api.stop().await;
}

#[tokio::test]
async fn questions_do_not_pile_up_behind_a_worker_that_hangs_and_orders_are_taken_meanwhile() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let router = Router::new().fallback(async move || {
        counted.fetch_add(1, Ordering::Relaxed);
        held.acquire().await.expect("the gate stays").forget();
        (JSON, delivery().to_string())
    });
    let api = api_of(serve(router).await).await;
    let line = format!("GET /api/orders/{ID}");
    let mut waiting = Vec::new();
    for _ in 0..256 {
        waiting.push(open(api.addr, &line, &[], b"").await);
    }
    until("all places are taken", async || asked.load(Ordering::Relaxed) == 256).await;
    assert_eq!(ask(&api, ID).await.problem(), "delivery-status-unavailable");
    assert_eq!(post(api.addr, "", ORDER).await.status, 202);
    gate.add_permits(1000);
    drop(waiting);
    api.stop().await;
}

#[tokio::test]
async fn where_clients_reach_the_worker_themselves_the_api_leads_them_there() {
    let base = [("DELIVERY_BASE_URL", "https://deliveries.example/")];
    let api = Api::start(FakeSqs::start().await.addr, &base).await;
    let answer = ask(&api, ID).await;
    assert_eq!(answer.status, 307);
    let there = format!("https://deliveries.example/api/delivery/orders/{ID}");
    assert_eq!(answer.header("location"), Some(there.as_str()));
    assert_eq!(ask(&api, "1").await.problem(), "invalid-order-id");
    api.stop().await;
}

#[tokio::test]
async fn without_a_worker_the_problem_names_the_setting() {
    let api = Api::start(FakeSqs::start().await.addr, &[]).await;
    let answer = ask(&api, ID).await;
    assert_eq!((answer.status, answer.problem().as_str()), (501, "delivery-status-not-configured"));
    assert!(answer.body.contains("DELIVERY_API_URL"), "{answer:?}");
    api.stop().await;
}

#[test]
fn the_two_ways_to_a_worker_exclude_each_other_and_are_urls() {
    let read = |env: &[(&str, &str)]| {
        let env = env.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let mut reader = Reader::load(Settings::table(), None, env);
        let settings = Settings::read(&mut reader);
        reader.finish(settings).map(|_| ()).map_err(|problems| problems.to_string())
    };
    let url = "http://worker:8081";
    assert_eq!(read(&[("DELIVERY_API_URL", url)]), Ok(()));
    assert_eq!(read(&[("DELIVERY_BASE_URL", url)]), Ok(()));
    let both = read(&[("DELIVERY_API_URL", url), ("DELIVERY_BASE_URL", url)]);
    assert!(both.expect_err("both").contains("not together with DELIVERY_API_URL"));
    for wrong in ["worker:8081", "http://worker/?a=b", "http://worker/#a", "ftp://worker"] {
        let error = read(&[("DELIVERY_API_URL", wrong)]).expect_err(wrong);
        assert!(error.contains("DELIVERY_API_URL") && error.contains(wrong), "{error}");
    }
}
