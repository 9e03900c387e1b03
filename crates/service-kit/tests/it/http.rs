use axum::{Extension, Router, http::StatusCode, routing::get};
use prometheus::Registry;
use service_kit::{
    AdminServer, Peer, Problem, Readiness, ServeLimits, Shutdown, ShutdownTrigger, bind,
    build_info, routes, serve,
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
};

/// Sends raw bytes and reads until the server closes the connection.
pub(crate) async fn exchange(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    answer
}

pub(crate) async fn request(addr: SocketAddr, method: &str, path: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    exchange(addr, &request).await
}

pub(crate) struct Served {
    pub(crate) addr: SocketAddr,
    pub(crate) trigger: ShutdownTrigger,
    pub(crate) ended: JoinHandle<io::Result<()>>,
}

pub(crate) fn start(router: Router, limits: ServeLimits) -> Served {
    let listener = bind("LISTEN_ADDR", SocketAddr::from(([127, 0, 0, 1], 0))).expect("bound");
    let addr = listener.local_addr().expect("an address");
    let (trigger, shutdown) = Shutdown::new();
    Served { addr, trigger, ended: tokio::spawn(serve(listener, router, shutdown, limits)) }
}

#[tokio::test]
async fn a_request_says_where_it_comes_from() {
    let peer = async |Extension(Peer(address)): Extension<Peer>| address.to_string();
    let served = start(Router::new().route("/", get(peer)), ServeLimits::default());
    let answer = request(served.addr, "GET", "/").await;
    assert!(answer.ends_with("\r\n\r\n127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_and_every_request_is_measured() {
    let registry = Registry::new();
    let service = Router::new().route("/orders/{id}", get(|| async { "found" })).route(
        "/refused",
        get(|| async {
            Problem::new(StatusCode::BAD_REQUEST, "invalid-order", "The order is invalid")
                .detail("two fields are wrong")
                .field_error("#/items", "must not be empty")
                .retry_after(Duration::from_millis(1200))
        }),
    );
    let served = start(routes(service, &registry), ServeLimits::default());

    assert!(request(served.addr, "GET", "/orders/1").await.starts_with("HTTP/1.1 200"));
    let missing = request(served.addr, "GET", "/nothing").await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    assert!(missing.contains("content-type: application/problem+json"), "{missing}");
    assert!(missing.contains(r#""type":"/problems/not-found""#), "{missing}");
    let wrong = request(served.addr, "POST", "/orders/1").await;
    assert!(wrong.starts_with("HTTP/1.1 405"), "{wrong}");
    assert!(wrong.contains("allow: GET,HEAD"), "{wrong}");
    assert!(wrong.contains(r#""title":"Method not allowed""#), "{wrong}");
    let refused = request(served.addr, "GET", "/refused").await;
    assert!(refused.contains("retry-after: 2"), "{refused}");
    assert!(refused.contains(r##""errors":[{"pointer":"#/items","detail":"must not be empty"}]"##));

    let metrics = prometheus::TextEncoder::new().encode_to_string(&registry.gather());
    let metrics = metrics.expect("metrics are text");
    for labels in [
        r#"{http_request_method="GET",http_response_status_code="200",http_route="/orders/{id}"}"#,
        r#"{http_request_method="GET",http_response_status_code="404",http_route="unmatched"}"#,
        r#"{http_request_method="POST",http_response_status_code="405",http_route="/orders/{id}"}"#,
    ] {
        let line = format!("http_server_request_duration_seconds_count{labels} 1");
        assert!(metrics.contains(&line), "{line} is missing in\n{metrics}");
    }
}

#[tokio::test]
async fn a_shutdown_lets_an_open_request_end_and_takes_no_new_ones() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        move || async move {
            entered.notify_one();
            leave.notified().await;
            "finished"
        }
    };
    let served = start(Router::new().route("/slow", get(handler)), ServeLimits::default());
    let addr = served.addr;
    let open = tokio::spawn(async move { request(addr, "GET", "/slow").await });
    entered.notified().await;
    served.trigger.request();
    tokio::time::timeout(Duration::from_secs(10), async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the listener closes");
    leave.notify_one();
    assert!(open.await.expect("no panic").ends_with("finished"));
    served.ended.await.expect("no panic").expect("ended well");
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_after_the_drain() {
    let entered = Arc::new(Notify::new());
    let handler = {
        let entered = Arc::clone(&entered);
        move || async move {
            entered.notify_one();
            std::future::pending::<()>().await;
        }
    };
    let limits = ServeLimits { drain: Duration::from_millis(20), ..ServeLimits::default() };
    let served = start(Router::new().route("/never", get(handler)), limits);
    let addr = served.addr;
    let open = tokio::spawn(async move { request(addr, "GET", "/never").await });
    entered.notified().await;
    served.trigger.request();
    served.ended.await.expect("no panic").expect("ended well");
    assert_eq!(open.await.expect("no panic"), "", "cut without an answer");
}

#[tokio::test]
async fn a_client_that_never_finishes_its_header_is_disconnected() {
    let limits = ServeLimits { header_read: Duration::from_millis(50), ..ServeLimits::default() };
    let served = start(Router::new(), limits);
    let answer = tokio::time::timeout(
        Duration::from_secs(10),
        exchange(served.addr, "GET / HTTP/1.1\r\nHost: te"),
    );
    assert_eq!(answer.await.expect("disconnected"), "");
}

/// A connection on which a request was answered and which stays open.
pub(crate) async fn idle(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.expect("connected");
    ask(&mut stream).await;
    stream
}

/// Sends a request and reads its answer, which has no body.
pub(crate) async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /idle HTTP/1.1\r\nHost: test\r\n\r\n").await.expect("sent");
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut byte).await.expect("answered");
        assert_eq!(read, 1, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer).expect("a header is text");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

pub(crate) async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    let closed = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut byte));
    matches!(closed.await.expect("closed"), Ok(0) | Err(_))
}

#[tokio::test]
async fn beyond_the_limit_the_connection_that_has_waited_longest_makes_room() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let busy = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        move || async move {
            entered.notify_one();
            leave.notified().await;
        }
    };
    let router = Router::new().route("/busy", get(busy)).route("/idle", get(|| async {}));
    let limits = ServeLimits { connections: 3, ..ServeLimits::default() };
    let served = start(router, limits);
    let addr = served.addr;
    let answering = tokio::spawn(async move { request(addr, "GET", "/busy").await });
    entered.notified().await;
    // Neither one that says nothing nor one in the middle of a header keeps its place.
    let mut silent = TcpStream::connect(addr).await.expect("connected");
    let mut half = TcpStream::connect(addr).await.expect("connected");
    half.write_all(b"GET / HTTP/1.1\r\nHost").await.expect("sent");
    let first = &mut idle(addr).await;
    let second = &mut idle(addr).await;
    assert!(is_closed(&mut silent).await && is_closed(&mut half).await);
    let third = &mut idle(addr).await;
    assert!(is_closed(first).await);
    ask(third).await;
    for _ in 0..100 {
        idle(addr).await;
    }
    assert!(is_closed(second).await && is_closed(third).await);
    leave.notify_one();
    assert!(answering.await.expect("no panic").starts_with("HTTP/1.1 200"));
    served.trigger.request();
    served.ended.await.expect("no panic").expect("ended well");
}

#[tokio::test]
async fn when_all_connections_are_busy_a_new_one_waits_for_the_first_that_is_not() {
    let leave = Arc::new(tokio::sync::Semaphore::new(0));
    let entered = Arc::new(Notify::new());
    let busy = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        move || async move {
            entered.notify_one();
            leave.acquire().await.expect("open").forget();
        }
    };
    let router = Router::new().route("/busy", get(busy)).route("/idle", get(|| async {}));
    let served = start(router, ServeLimits { connections: 1, ..ServeLimits::default() });
    let mut kept = TcpStream::connect(served.addr).await.expect("connected");
    kept.write_all(b"GET /busy HTTP/1.1\r\nHost: test\r\n\r\n").await.expect("sent");
    entered.notified().await;
    let addr = served.addr;
    let waiting = tokio::spawn(async move { request(addr, "GET", "/idle").await });
    leave.add_permits(1);
    assert!(waiting.await.expect("no panic").starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_disconnected() {
    struct Gone(Arc<Notify>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let gone = Arc::new(Notify::new());
    let endless = {
        let gone = Arc::clone(&gone);
        move || async move {
            let kept = Gone(gone);
            let chunks = std::iter::repeat_with(move || {
                _ = &kept;
                Ok::<_, io::Error>(vec![0_u8; 1 << 20])
            });
            axum::body::Body::from_stream(futures_util::stream::iter(chunks))
        }
    };
    let limits = ServeLimits { write: Duration::from_millis(50), ..ServeLimits::default() };
    let served = start(Router::new().route("/endless", get(endless)), limits);
    let mut stream = TcpStream::connect(served.addr).await.expect("connected");
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: test\r\n\r\n").await.expect("sent");
    let given_up = tokio::time::timeout(Duration::from_secs(10), gone.notified());
    given_up.await.expect("the answer is given up");
}

#[tokio::test]
async fn the_admin_listener_shows_metrics_liveness_and_why_the_service_is_not_ready() {
    let registry = Registry::new();
    build_info(&registry, "test-service", "1.2.3");
    let readiness = Readiness::new();
    let (sqs, store) = (readiness.latch("sqs"), readiness.latch("store"));
    let admin = AdminServer::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("bound");
    let addr = admin.local_addr();
    let (trigger, shutdown) = Shutdown::new();
    let ended = tokio::spawn(admin.serve(registry, readiness.clone(), shutdown));

    let metrics = request(addr, "GET", "/metrics").await;
    assert!(
        metrics.contains(r#"build_info{service="test-service",version="1.2.3"} 1"#),
        "{metrics}"
    );
    assert!(request(addr, "GET", "/livez").await.starts_with("HTTP/1.1 200"));
    store.ready();
    assert!(sqs.unready("connection refused") || !readiness.is_ready());
    let unready = request(addr, "GET", "/readyz").await;
    assert!(unready.starts_with("HTTP/1.1 503"), "{unready}");
    assert!(
        unready.contains(
            r#"{"ready":false,"unready":[{"name":"sqs","reason":"connection refused"}]}"#
        ),
        "{unready}"
    );
    assert!(sqs.ready(), "it was not ready before");
    assert!(request(addr, "GET", "/readyz").await.starts_with("HTTP/1.1 200"));
    readiness.stopping();
    assert!(request(addr, "GET", "/readyz").await.contains("shutting down"));

    trigger.request();
    ended.await.expect("no panic").expect("ended well");
}

#[tokio::test]
async fn a_taken_port_is_explained() {
    let taken = bind("LISTEN_ADDR", SocketAddr::from(([127, 0, 0, 1], 0))).expect("bound");
    let addr = taken.local_addr().expect("an address");
    let error = bind("LISTEN_ADDR", addr).expect_err("taken");
    assert_eq!(
        error.to_string(),
        format!("{addr} is in use: stop the other program or set LISTEN_ADDR")
    );
}

#[tokio::test]
async fn a_shutdown_is_requested_by_its_trigger_or_by_the_loss_of_it() {
    let (trigger, shutdown) = Shutdown::new();
    assert!(!shutdown.is_requested());
    trigger.request();
    assert!(shutdown.is_requested());
    shutdown.requested().await;
    let (trigger, shutdown) = Shutdown::new();
    drop(trigger);
    assert!(shutdown.is_requested());
    shutdown.requested().await;
}
