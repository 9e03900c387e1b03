//! What ten thousand connections cost the binary.

use crate::binary::start;
use crate::harness::{call, until};
use crate::hostile::{Raw, placing, request};
use order_api::limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;

/// Connections, where the hard limit of open files allows so many.
const CONNECTIONS: usize = 10_000;
/// Files that the test, or the binary, needs beside its connections.
const OTHER_FILES: usize = 600;
/// What it is called that a client does which reads nothing of a large answer. What the system does not
/// take of the answer from the API counts here.
const UNREAD: &str = "in front of a large answer";

/// As many connections as there are to be, or as the hard limit of open files leaves.
#[expect(clippy::print_stderr, reason = "it says how much was tested")]
fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("raised");
    let files = limit.maximum.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    let count = CONNECTIONS.min(files.saturating_sub(OTHER_FILES));
    eprintln!("{count} connections of {CONNECTIONS}: {files} files may be open");
    assert!(count >= 400, "too few files may be open: {files}");
    count
}

/// The resident memory of a process, in bytes.
fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).expect("a size");
    kib.parse::<usize>().expect("a number") * 1024
}

async fn is_healthy(addr: SocketAddr) -> bool {
    let mut client = Raw::open(addr).await;
    client.send("GET /api/orders/health HTTP/1.1\r\nHost: test\r\n\r\n").await;
    client.reply().await.is_some_and(|reply| reply.status == 200)
}

/// A request whose answer is as large as one gets that has no room among the orders in hand: as many
/// invalid parts as are listed and more, with the longest that is said of any.
fn refused() -> String {
    let item = r#"{"productId":"p","productName":"n","quantity":0,"price":1}"#;
    let items = vec![item; limits::ERRORS + 1].join(",");
    placing(&format!(r#"{{"customerId":"c","items":[{items}]}}"#))
}

/// Waits until so many orders were refused as invalid.
async fn until_refused(admin: SocketAddr, count: usize) {
    let line = format!("orders_rejected_total{{reason=\"invalid-order\"}} {count}\n");
    until("all are refused", async || {
        call(admin, "GET /metrics", &[], b"").await.body.contains(&line)
    })
    .await;
}

/// Whatever a client has got half done when it falls silent, its connection takes no more than this.
#[tokio::test]
async fn ten_thousand_connections_cost_a_bounded_memory_each_and_others_are_served() {
    let count = connections();
    let half = request("half");
    let half = &half[..half.len() - 1];
    let long = format!("X-A: {}", "a".repeat(15_000));
    let header = format!("GET / HTTP/1.1\r\nHost: test\r\n{long}");
    let both = format!(
        "POST /api/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         Content-Length: 4000\r\n{long}\r\n\r\n{}",
        " ".repeat(3_000)
    );
    let refused = refused();
    for (name, sent, most) in [
        ("silent", "", 32 * 1024),
        ("answered", "GET /api/orders/health HTTP/1.1\r\nHost: test\r\n\r\n", 32 * 1024),
        ("in a body", half, 48 * 1024),
        ("in a header of almost the limit", &*header, 48 * 1024),
        ("in a body after such a header", &*both, 48 * 1024),
        (UNREAD, &*refused, 48 * 1024),
    ] {
        let running = start(&[("MAX_CONNECTIONS", "20000"), ("RUST_LOG", "info")]).await;
        let pid = running.child.id().expect("it runs");
        assert!(is_healthy(running.addr).await);
        let before = resident(pid);
        let mut clients = Vec::with_capacity(count);
        for n in 0..count {
            let mut client = Raw::open(running.addr).await;
            client.send(sent).await;
            if name == "answered" {
                assert_eq!(client.reply().await.expect("an answer").status, 200);
            }
            clients.push(client);
            // All of them are answered, with few at a time to wait for.
            if name == UNREAD && (clients.len() % 500 == 0 || clients.len() == count) {
                until_refused(running.admin, clients.len()).await;
            }
            assert!(n % 1000 != 0 || is_healthy(running.addr).await);
        }
        assert!(is_healthy(running.addr).await);
        let each = resident(pid).saturating_sub(before) / count;
        assert!(each <= most, "{name}: {each} bytes for each of {count} connections");
    }
}
