//! How much an answer may take of the server, and for how long.

use crate::http::{idle, request, start};
use axum::{
    Extension, Router,
    body::{Body, Bytes},
    routing::get,
};
use prometheus::Registry;
use service_kit::{GivesWay, ServeLimits, routes};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// More than the system takes from the server for a client that does not read.
const LARGE: usize = 64 << 20;

/// Asks for the path, for which the connection is kept open no longer than for the answer.
async fn ask(addr: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.expect("connected");
    let head = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
}

#[tokio::test]
async fn what_an_answer_repeats_of_its_request_is_short_however_long_that_is() {
    let service = Router::new().route("/orders", get(|| async {}));
    let served = start(routes(service, &Registry::new()), ServeLimits::default());
    let long = "a".repeat(10_000);
    let missing = request(served.addr, "GET", &format!("/{long}")).await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    assert!(missing.contains("there is nothing at /aaaa") && missing.contains("…"), "{missing}");
    let wrong = request(served.addr, &long, "/orders").await;
    assert!(wrong.starts_with("HTTP/1.1 405"), "{wrong}");
    assert!(wrong.contains("/orders does not take aaaa"), "{wrong}");
    for answer in [missing, wrong] {
        assert!(answer.len() < 1024, "{answer}");
    }
}

/// The content of an answer, and the knowledge that somebody holds it.
struct Content {
    bytes: Vec<u8>,
    _held: Arc<()>,
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Sees whether the content of the latest answer is held.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Weak<()>>>);

impl Watched {
    fn content(&self) -> Bytes {
        let held = Arc::new(());
        *self.0.lock().expect("no panic") = Arc::downgrade(&held);
        Bytes::from_owner(Content { bytes: vec![b'a'; LARGE], _held: held })
    }

    fn is_held(&self) -> bool {
        self.0.lock().expect("no panic").strong_count() > 0
    }

    async fn until_let_go(&self) {
        let let_go = async {
            while self.is_held() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, let_go).await.expect("it is let go");
    }
}

/// What an order takes of its room is in its answer's hands: nobody may copy the answer and let go of it.
#[tokio::test]
async fn an_answer_is_held_as_it_was_given_until_it_is_taken_or_its_client_is_gone() {
    let watched = Watched::default();
    let large = {
        let watched = watched.clone();
        move || async move { watched.content() }
    };
    let router = Router::new().route("/large", get(large));
    let limits = ServeLimits { write: PATIENCE, answer: PATIENCE, ..ServeLimits::default() };
    let served = start(router, limits);
    let begun = async || {
        let mut stream = ask(served.addr, "/large").await;
        let mut first = [0; 1024];
        stream.read_exact(&mut first).await.expect("answered");
        assert!(watched.is_held(), "most of it is not taken yet");
        stream
    };

    let mut reading = begun().await;
    let mut rest = Vec::new();
    reading.read_to_end(&mut rest).await.expect("the rest");
    assert!(rest.len() > LARGE - 1024);
    watched.until_let_go().await;

    drop(begun().await);
    watched.until_let_go().await;
}

#[tokio::test]
async fn an_answer_of_which_nothing_is_taken_is_let_go_when_it_gives_way() {
    let (watched, wanted) = (Watched::default(), Arc::new(Notify::new()));
    let large = {
        let (watched, wanted) = (watched.clone(), Arc::clone(&wanted));
        move || async move {
            let gives_way = GivesWay::new(move || Arc::clone(&wanted).notified_owned());
            (Extension(gives_way), watched.content())
        }
    };
    let never = Duration::from_hours(1);
    let limits = ServeLimits { write: never, answer: never, ..ServeLimits::default() };
    let served = start(Router::new().route("/large", get(large)), limits);
    let mut stream = ask(served.addr, "/large").await;
    let mut first = [0; 1024];
    stream.read_exact(&mut first).await.expect("answered");
    assert!(watched.is_held(), "most of it is not taken yet");
    wanted.notify_one();
    watched.until_let_go().await;
}

/// The server has read the next request before the client has taken the answer before; that is no
/// reason to keep the connection.
#[tokio::test]
async fn connections_with_requests_in_a_row_whose_answers_are_not_taken_make_room_for_others() {
    let content = Bytes::from(vec![0; LARGE]);
    let router = Router::new()
        .route("/large", get(move || async move { content }))
        .route("/idle", get(|| async {}));
    let never = Duration::from_hours(1);
    let limits =
        ServeLimits { connections: 4, write: never, answer: never, ..ServeLimits::default() };
    let served = start(router, limits);
    let mut unread = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(served.addr).await.expect("connected");
        let row = "GET /large HTTP/1.1\r\nHost: test\r\n\r\n".repeat(3);
        stream.write_all(row.as_bytes()).await.expect("sent");
        let mut first = [0; 1024];
        stream.read_exact(&mut first).await.expect("answered");
        unread.push(stream);
    }
    for _ in 0..4 {
        timeout(PATIENCE, idle(served.addr)).await.expect("one of them makes room");
    }
}

/// The first one is told to close; by the time that it has taken its answer it has a request again.
#[tokio::test]
async fn for_a_connection_that_is_to_close_and_gets_to_a_request_another_one_makes_room() {
    let content = Bytes::from(vec![0; LARGE]);
    let router = Router::new()
        .route("/large", get(move || async move { content }))
        .route("/busy", get(std::future::pending::<()>))
        .route("/idle", get(|| async {}));
    let never = Duration::from_hours(1);
    let limits =
        ServeLimits { connections: 2, write: never, answer: never, ..ServeLimits::default() };
    let served = start(router, limits);
    let mut first = TcpStream::connect(served.addr).await.expect("connected");
    let row = ["/large", "/busy"].map(|path| format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    first.write_all(row.concat().as_bytes()).await.expect("sent");
    let mut part = vec![0; 1 << 20];
    first.read_exact(&mut part[..1024]).await.expect("answered");
    let _second = idle(served.addr).await;
    let addr = served.addr;
    let newcomer = tokio::spawn(async move { idle(addr).await });
    let mut taken = 1024;
    while taken < LARGE {
        match first.read(&mut part).await {
            Ok(read) if read > 0 => taken += read,
            // It was too slow, and has been cut: it makes room itself.
            _ => break,
        }
    }
    timeout(PATIENCE, newcomer).await.expect("there is room").expect("no panic");
}

#[tokio::test]
async fn a_client_that_goes_on_taking_its_answer_is_cut_when_the_time_for_the_whole_is_over() {
    let endless = || async {
        let chunks = futures_util::stream::repeat_with(|| Ok::<_, io::Error>(vec![0_u8; 1 << 20]));
        Body::from_stream(chunks)
    };
    let limits = ServeLimits {
        write: Duration::from_hours(1),
        answer: Duration::from_millis(50),
        ..ServeLimits::default()
    };
    let served = start(Router::new().route("/endless", get(endless)), limits);
    let mut stream = ask(served.addr, "/endless").await;
    let taking = async {
        let mut part = vec![0; 64 * 1024];
        while stream.read(&mut part).await.is_ok_and(|read| read > 0) {}
    };
    timeout(PATIENCE, taking).await.expect("the connection is cut");
}
