//! Valid requests with bytes changed at random.

use crate::harness::{Api, FakeSqs};
use crate::hostile::{Raw, order, still_serves};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::timeout;

const CASES: u64 = 5_000;
const CLIENTS: u64 = 32;
/// A request that has become longer waits for its end for ever; after so long the client says that
/// there is none.
const IMPATIENCE: Duration = Duration::from_millis(200);

const HEAD: &str = "POST /api/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n";

/// Words that mean something to a server, to be put anywhere.
const WORDS: [&str; 24] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    "\r\n\r\n",
    ":",
    " ",
    "\t",
    ",",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "Connection: close\r\n",
    "Host: b\r\n",
    "\"",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "-",
    "e999",
    "\u{feff}",
    "고객",
];

/// A case's request: the same for the same number. Half of them are changed anywhere; the others only
/// in their bodies, which are framed well.
fn mutated(case: u64) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(case);
    let mut body = order(&format!("case-{case}")).into_bytes();
    let anywhere: bool = random.random();
    if !anywhere {
        change(&mut body, &mut random);
    }
    let length = body.len();
    let (head, end) = if random.random_ratio(1, 4) {
        (format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n"), "\r\n0\r\n\r\n")
    } else {
        (format!("Content-Length: {length}\r\n\r\n"), "")
    };
    let mut bytes = [HEAD.as_bytes(), head.as_bytes(), &body, end.as_bytes()].concat();
    if anywhere {
        change(&mut bytes, &mut random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, random: &mut StdRng) {
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..6) {
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 if bytes.len() > 1 => {
                bytes.remove(at);
            }
            3 => {
                let end = (at + random.random_range(1..20)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 if random.random_ratio(1, 4) => bytes.truncate(at.max(1)),
            _ => {
                let word = WORDS[random.random_range(0..WORDS.len())];
                bytes.splice(at..at, word.bytes());
            }
        }
    }
}

/// The bodies of the answers that say that an order was accepted.
async fn accepted(addr: SocketAddr, case: u64) -> Vec<String> {
    let mut client = Raw::open(addr).await;
    client.send(mutated(case)).await;
    let mut accepted = Vec::new();
    let mut finished = false;
    loop {
        let reply = if let Ok(reply) = timeout(IMPATIENCE, client.reply()).await {
            reply
        } else {
            assert!(!finished, "case {case}: no end after the client's");
            finished = true;
            client.finish().await;
            client.reply().await
        };
        let Some(reply) = reply else { return accepted };
        assert!(reply.status < 500, "case {case}: {reply:?}");
        if reply.status == 202 {
            accepted.push(reply.body);
        }
    }
}

#[tokio::test]
async fn no_change_of_bytes_makes_the_server_fail_hang_or_promise_what_it_does_not_keep() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    let next = Arc::new(AtomicU64::new(0));
    let clients = (0..CLIENTS).map(|_| {
        let (next, addr) = (Arc::clone(&next), api.addr);
        tokio::spawn(async move {
            let mut orders = Vec::new();
            loop {
                let case = next.fetch_add(1, Relaxed);
                if case >= CASES {
                    return orders;
                }
                orders.extend(accepted(addr, case).await);
            }
        })
    });
    let mut promised = HashSet::new();
    for client in clients.collect::<Vec<_>>() {
        for order in client.await.expect("no panic") {
            assert!(promised.insert(order), "an order was promised twice");
        }
    }
    assert!(promised.len() > 100, "some changes do no harm: {}", promised.len());
    let sends = sqs.sends.lock().expect("no panic").clone();
    let sent =
        sends.iter().map(|message| message["MessageBody"].as_str().expect("a body").to_owned());
    let sent: HashSet<String> = sent.collect();
    let broken: Vec<_> = promised.difference(&sent).collect();
    assert!(broken.is_empty(), "promised and not sent: {broken:?}");
    still_serves(&api).await;
    api.stop().await;
}
