//! The HTTP carrier against servers that do what servers must not do.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use delivery_worker::{Carrier, Deliver, Failure, HttpCarrier, Metrics, TimeLimits};
use futures_util::future::join_all;
use prometheus::Registry;
use sqs_consumer::{Attempt, Handler as _, Verdict as Decided};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{PATIENCE, TempStore, message, order_of};

/// What an attempt has for the carrier, here short: a server that hangs is waited for so long. The cases
/// of a table wait side by side.
const CARRIER_TIMEOUT: Duration = Duration::from_secs(2);

/// What the server does with a connection once it has read a request.
#[derive(Clone, Copy)]
enum Act {
    /// Writes this.
    Write(&'static [u8]),
    /// Writes this again and again, for as long as the other side takes it.
    Repeat(&'static [u8]),
    /// Says no more, and keeps the connection.
    Hang,
    /// Closes with a reset instead of an end.
    Reset,
    /// Waits for the next request.
    Next,
}
use Act::{Hang, Next, Repeat, Reset, Write};

/// How an attempt ends.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Delivered,
    /// Tried again, not before so many seconds.
    Unavailable(Option<u64>),
    TimedOut,
    /// For good, with this status and so many bytes of the answer.
    Rejected(u16, usize),
}
use Verdict::{Delivered, Rejected, TimedOut, Unavailable};

#[derive(Clone, Default)]
struct Seen {
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

/// A server that goes through the acts on every connection, then closes it.
async fn server(acts: &'static [Act]) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let seen = Seen::default();
    let server = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            server.connections.fetch_add(1, Relaxed);
            tokio::spawn(misbehave(stream, acts, server.clone()));
        }
    });
    (addr, seen)
}

async fn misbehave(mut stream: TcpStream, acts: &[Act], seen: Seen) {
    if !read_request(&mut stream).await {
        return;
    }
    seen.requests.fetch_add(1, Relaxed);
    for act in acts {
        match act {
            Write(bytes) => {
                // The client may have seen enough.
                let _ = stream.write_all(bytes).await;
            }
            Repeat(bytes) => while stream.write_all(bytes).await.is_ok() {},
            Hang => std::future::pending().await,
            Reset => stream.set_zero_linger().unwrap(),
            Next => {
                if !read_request(&mut stream).await {
                    return;
                }
                seen.requests.fetch_add(1, Relaxed);
            }
        }
    }
}

/// Reads a request to its end; false when there is none.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return true;
            }
        }
        match stream.read_buf(&mut request).await {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}

/// One attempt within the carrier's time, as the worker makes it.
async fn attempt(carrier: &HttpCarrier) -> (Verdict, String) {
    let order = order_of("a");
    let answer = timeout(CARRIER_TIMEOUT, carrier.deliver(&order)).await;
    let failure = match answer {
        Ok(Ok(())) => return (Delivered, String::new()),
        Ok(Err(failure)) => failure,
        Err(_) => Failure::TimedOut(CARRIER_TIMEOUT),
    };
    let verdict = match &failure {
        Failure::Unavailable { retry_after, .. } => {
            Unavailable(retry_after.map(|after| after.as_secs()))
        }
        Failure::TimedOut(_) => TimedOut,
        Failure::Rejected { status, answer } => Rejected(*status, answer.len()),
    };
    (verdict, failure.to_string())
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn the_status_decides_whatever_follows_it() {
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const REFUSED: &[u8] = b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n";
    const SIXTY_FOUR: &[u8] =
        b"40\r\nbadbadbadbadbadbadbadbadbadbadbadbadbadbadbadbadbadbadbadbadbad!\r\n";
    const GARBLED: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    let cases: &[(&str, &'static [Act], Verdict)] = &[
        ("an answer", &[Write(OK)], Delivered),
        ("no words for the status", &[Write(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")], Delivered),
        ("a body that never begins", &[Write(CHUNKED), Hang], Delivered),
        ("a body that never ends", &[Write(CHUNKED), Write(b"2\r\nok\r\n"), Hang], Delivered),
        ("a body without end", &[Write(CHUNKED), Repeat(b"2\r\nok\r\n")], Delivered),
        ("a body cut short", &[Write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok")], Delivered),
        ("a body that is reset", &[Write(CHUNKED), Reset], Delivered),
        ("broken chunks", &[Write(CHUNKED), Write(b"xyz\r\nok\r\n")], Delivered),
        ("a body that ends with the connection", &[Write(b"HTTP/1.0 200 OK\r\n\r\nok")], Delivered),
        ("204 with a body", &[Write(b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok")], Delivered),
        ("a length and chunks", &[Write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")], Delivered),
        ("interim answers", &[Write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), Write(OK)], Delivered),
        ("a refusal that never ends", &[Write(REFUSED), Write(b"3\r\nbad\r\n"), Hang], Rejected(400, 3)),
        ("a refusal cut short", &[Write(REFUSED), Write(b"3\r\nbad\r\n")], Rejected(400, 3)),
        ("a refusal without end", &[Write(REFUSED), Repeat(SIXTY_FOUR)], Rejected(400, 1024)),
        ("a refusal that is no text", &[Write(b"HTTP/1.1 422 No\r\n\r\n"), Write(GARBLED)], Rejected(422, 48)),
        ("a redirect to itself", &[Write(b"HTTP/1.1 307 Again\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")], Rejected(307, 0)),
        ("a status that is none of the known", &[Write(b"HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n")], Rejected(799, 0)),
        ("an outage", &[Write(b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy")], Unavailable(None)),
    ];
    join_all(cases.iter().map(async |(name, acts, expected)| {
        let (addr, _) = server(acts).await;
        let carrier = HttpCarrier::new(&format!("http://{addr}/")).unwrap();
        assert_eq!(attempt(&carrier).await.0, *expected, "{name}");
    }))
    .await;
}

/// However little time it has: what follows the status has time of its own.
#[tokio::test]
async fn a_refusal_whose_words_do_not_come_is_one_though_the_carriers_time_is_up() {
    const REFUSED: &[u8] = b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n";
    const BUSY: &[u8] = b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases: [(&'static [Act], Verdict); 2] =
        [(&[Write(REFUSED), Hang], Rejected(400, 0)), (&[Write(BUSY), Hang], Unavailable(Some(7)))];
    for (acts, expected) in cases {
        let (addr, _) = server(acts).await;
        let temp = TempStore::open().await;
        let carrier_time = Duration::from_millis(500);
        let carrier = HttpCarrier::new(&format!("http://{addr}/")).unwrap().within(carrier_time);
        let limits = TimeLimits { attempt: PATIENCE, carrier: carrier_time };
        let registry = Registry::new();
        let deliver =
            Deliver::new(temp.store.clone(), Arc::new(carrier), limits, false, "w-1".to_owned());
        let handler = deliver.for_queue("a", false, Metrics::register(&registry).for_queue("a"));
        let order = order_of("a");
        let first = Attempt { number: 1, max: 3 };
        let verdict = handler.handle(&message(&order.to_json()), first).await;
        match expected {
            Rejected(..) => assert!(matches!(verdict, Decided::DeadLetter(_)), "{verdict:?}"),
            _ => assert!(
                matches!(verdict, Decided::Retry { not_before: Some(_), .. }),
                "its wish is heard: {verdict:?}"
            ),
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_is_an_outage() {
    const LINE: &[u8] =
        b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    let cases: &[(&str, &'static [Act], Verdict)] = &[
        ("an end at once", &[], Unavailable(None)),
        ("a reset at once", &[Reset], Unavailable(None)),
        ("an end in the header", &[Write(b"HTTP/1.1 200 OK\r\nContent-")], Unavailable(None)),
        (
            "a reset in the header",
            &[Write(b"HTTP/1.1 200 OK\r\nContent-"), Reset],
            Unavailable(None),
        ),
        ("nonsense", &[Write(b"no idea what this is\r\n\r\n")], Unavailable(None)),
        ("zeros", &[Write(&[0; 4096])], Unavailable(None)),
        ("another version", &[Write(b"HTTP/2.0 200 OK\r\n\r\n")], Unavailable(None)),
        ("a request", &[Write(b"GET / HTTP/1.1\r\n\r\n")], Unavailable(None)),
        ("a status that is no number", &[Write(b"HTTP/1.1 OK 200\r\n\r\n")], Unavailable(None)),
        (
            "a length that is no number",
            &[Write(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n")],
            Unavailable(None),
        ),
        (
            "two lengths",
            &[Write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok")],
            Unavailable(None),
        ),
        ("a header without end", &[Write(b"HTTP/1.1 200 OK\r\n"), Repeat(LINE)], Unavailable(None)),
        ("silence", &[Hang], TimedOut),
        ("silence in the header", &[Write(b"HTTP/1.1 200 OK\r\nContent-"), Hang], TimedOut),
        ("interim answers without end", &[Repeat(b"HTTP/1.1 100 Continue\r\n\r\n")], TimedOut),
    ];
    join_all(cases.iter().map(async |(name, acts, expected)| {
        let (addr, seen) = server(acts).await;
        let carrier = HttpCarrier::new(&format!("http://name:secret@{addr}/")).unwrap();
        let (verdict, text) = attempt(&carrier).await;
        assert_eq!(verdict, *expected, "{name}: {text}");
        assert!(!text.contains("secret"), "{name}: {text}");
        let sent = seen.requests.load(Relaxed);
        assert_eq!(sent, 1, "{name}: an attempt hands the order over once");
    }))
    .await;
}

#[tokio::test]
async fn a_carrier_says_when_it_wants_to_be_tried_again() {
    let cases: &[(&'static [Act], Option<u64>)] = &[
        (&[Write(b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")], Some(7)),
        (&[Write(b"HTTP/1.1 503 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")], Some(0)),
        (&[Write(b"HTTP/1.1 503 No\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n")], Some(0)),
        (&[Write(b"HTTP/1.1 503 No\r\nRetry-After: Wed, 01 Dec 9999 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n")], Some(43_200)),
        (&[Write(b"HTTP/1.1 503 No\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n")], Some(43_200)),
        (&[Write(b"HTTP/1.1 503 No\r\nRetry-After: -1\r\nContent-Length: 0\r\n\r\n")], None),
        (&[Write(b"HTTP/1.1 503 No\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n")], None),
        (&[Write(b"HTTP/1.1 503 No\r\nRetry-After: \xff\r\nContent-Length: 0\r\n\r\n")], None),
    ];
    for (acts, expected) in cases {
        let (addr, _) = server(acts).await;
        let carrier = HttpCarrier::new(&format!("http://{addr}/")).unwrap();
        let (verdict, text) = attempt(&carrier).await;
        assert_eq!(verdict, Unavailable(*expected), "{text}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again_after_every_answer_that_ends() {
    const REFUSED: &[u8] =
        b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n";
    const EMPTY: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
    let (addr, seen) = server(&[
        Write(OK),
        Next,
        Write(EMPTY),
        Next,
        Write(REFUSED),
        Next,
        Write(OK),
        Next,
        Write(OK),
    ])
    .await;
    let carrier = HttpCarrier::new(&format!("http://{addr}/")).unwrap();
    for expected in [Delivered, Delivered, Rejected(404, 2), Delivered, Delivered] {
        assert_eq!(attempt(&carrier).await.0, expected);
    }
    assert_eq!((seen.connections.load(Relaxed), seen.requests.load(Relaxed)), (1, 5));
}

/// Bytes behind an answer are not the answer to the next order.
#[tokio::test]
async fn a_connection_with_more_than_an_answer_is_not_used_again() {
    const TWO: &[u8] =
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n";
    let (addr, seen) = server(&[Write(TWO), Hang]).await;
    let carrier = HttpCarrier::new(&format!("http://{addr}/")).unwrap();
    for _ in 0..5 {
        assert_eq!(attempt(&carrier).await.0, Delivered);
    }
    assert_eq!(seen.connections.load(Relaxed), 5);
}

/// The carrier may have the order that it was reading when it closed, so that attempt has failed; it
/// is the worker that makes the next one, under the same key.
#[tokio::test]
async fn an_order_that_meets_a_closing_connection_is_not_repeated_within_its_attempt() {
    let (addr, seen) = server(&[Write(OK), Next]).await;
    let carrier = HttpCarrier::new(&format!("http://{addr}/")).unwrap();
    for expected in [Delivered, Unavailable(None), Delivered, Unavailable(None)] {
        assert_eq!(attempt(&carrier).await.0, expected);
    }
    assert_eq!((seen.connections.load(Relaxed), seen.requests.load(Relaxed)), (2, 4));
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_was_idle_costs_no_attempt() {
    let (addr, seen) = server(&[Write(OK)]).await;
    let carrier = HttpCarrier::new(&format!("http://{addr}/")).unwrap();
    for n in 1..=20 {
        assert_eq!(attempt(&carrier).await.0, Delivered, "{n}");
        // Until the client has had its turn to see the end.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(seen.connections.load(Relaxed), n);
    }
}

/// Nobody answers the handshake once the queue of connections is full.
#[tokio::test]
async fn a_carrier_that_lets_nobody_connect_is_given_up_within_the_time_to_connect() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let addr = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = timeout(CARRIER_TIMEOUT, TcpStream::connect(addr)).await {
        waiting.push(stream);
    }
    let carrier = HttpCarrier::new(&format!("http://{addr}/")).unwrap();
    let order = order_of("a");
    let failure = timeout(PATIENCE, carrier.deliver(&order)).await.expect("it is given up");
    let Err(Failure::Unavailable { detail, retry_after: None }) = failure else {
        panic!("{failure:?}");
    };
    assert!(detail.starts_with("cannot connect"), "{detail}");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_an_outage_that_says_so() {
    let (addr, _) = server(&[Write(OK)]).await;
    let roots = rustls::RootCertStore::empty();
    let carrier = HttpCarrier::trusting(&format!("https://name:secret@{addr}/"), roots).unwrap();
    let (verdict, text) = attempt(&carrier).await;
    // The server waits for a request and the client for a handshake.
    assert!(matches!(verdict, TimedOut | Unavailable(None)), "{text}");
    assert!(!text.contains("secret"), "{text}");
}
