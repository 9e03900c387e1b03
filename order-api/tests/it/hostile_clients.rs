//! Clients that are slow, silent, greedy or gone, and the others that must not notice.

use crate::harness::{Api, FakeSqs, until};
use crate::hostile::{Queue, Raw, order, request, status_for_somebody_else, still_serves};
use std::net::SocketAddr;
use tokio::task::JoinSet;

/// The smallest number of connections that the API can be set to.
const CONNECTIONS: (&str, &str) = ("MAX_CONNECTIONS", "16");

/// A request whose body is announced with this length, and as much of it as is given.
fn unfinished(announced: usize, body: &str) -> String {
    format!(
        "POST /api/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {announced}\r\n\r\n{body}"
    )
}

async fn with_sent(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> Raw {
    let mut client = Raw::open(addr).await;
    client.send(bytes).await;
    client
}

#[tokio::test]
async fn a_request_that_comes_byte_by_byte_is_one_request_and_holds_up_nobody() {
    let queue = Queue::start().await;
    let api = Api::start(queue.addr(), &[]).await;
    let mut slow = Raw::open(api.addr).await;
    for (n, byte) in request("slow").bytes().enumerate() {
        slow.send([byte]).await;
        if n % 50 == 0 {
            still_serves(&api).await;
        }
    }
    let reply = slow.reply().await.expect("an answer");
    assert_eq!(reply.status, 202, "{reply:?}");
    let bodies = queue.take_all().await;
    assert_eq!(
        bodies.iter().filter(|body| body.contains("slow")).collect::<Vec<_>>(),
        [&reply.body]
    );
    api.stop().await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_refused_and_its_order_goes_nowhere() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    let order = order("endless");
    let mut silent = with_sent(api.addr, &unfinished(order.len() + 1, &order)).await;
    let chunked = unfinished(0, "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let mut chunks =
        with_sent(api.addr, &format!("{chunked}{:x}\r\n{order}\r\n", order.len())).await;
    still_serves(&api).await;
    for client in [&mut silent, &mut chunks] {
        let reply = client.reply().await.expect("an answer");
        assert_eq!(
            (reply.status, reply.json()["type"].as_str()),
            (408, Some("/problems/body-timeout"))
        );
        client.until_closed().await;
    }
    assert_eq!(sqs.sent(), 1, "only somebody else's order");
    api.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing_behind() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    let whole = request("gone").into_bytes();
    for cut in (1..whole.len()).step_by(7) {
        let mut client = with_sent(api.addr, &whole[..cut]).await;
        client.finish().await;
        for reply in client.replies().await {
            assert_eq!(reply.status, 400, "{reply:?}");
        }
    }
    still_serves(&api).await;
    assert_eq!(sqs.sent(), 1, "only somebody else's order");
    api.stop().await;
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order_each_with_its_own_answer() {
    let queue = Queue::start().await;
    let api = Api::start(queue.addr(), &[]).await;
    let mut client = Raw::open(api.addr).await;
    let mut requests = String::new();
    for n in 0..100 {
        let next = match n % 4 {
            0 | 1 => request(&format!("customer-{n}")),
            2 => request("").replacen("POST /", "POST /api", 1),
            _ => format!("GET /nothing/{n} HTTP/1.1\r\nHost: test\r\n\r\n"),
        };
        requests.push_str(&next);
    }
    client.send(requests).await;
    let mut accepted = Vec::new();
    for n in 0..100 {
        let reply = client.reply().await.expect("an answer");
        match n % 4 {
            0 | 1 => {
                assert_eq!(reply.status, 202, "{n}: {reply:?}");
                assert_eq!(reply.json()["customerId"], format!("customer-{n}"));
                accepted.push(reply.body);
            }
            2 => assert_eq!(reply.status, 404, "{n}: {reply:?}"),
            _ => assert!(reply.body.contains(&format!("/nothing/{n}\"")), "{n}: {reply:?}"),
        }
    }
    accepted.sort();
    assert_eq!(queue.take_all().await, accepted);
    api.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_told_to_go_on_or_not_to_send_at_all() {
    let queue = Queue::start().await;
    let api = Api::start(queue.addr(), &[]).await;
    let asking = |announced, body| {
        unfinished(announced, body).replacen("\r\n", "\r\nExpect: 100-continue\r\n", 1)
    };
    let order = order("asks");
    let mut client = with_sent(api.addr, &asking(order.len(), "")).await;
    assert_eq!(client.reply().await.expect("go on").status, 100);
    client.send(&order).await;
    assert_eq!(client.reply().await.expect("an answer").status, 202);
    let mut large = with_sent(api.addr, &asking(1 << 30, "")).await;
    let replies = large.replies().await;
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [413]);
    api.stop().await;
}

/// The answer says why; a reset connection would say nothing.
#[tokio::test]
async fn a_client_that_is_refused_while_it_sends_still_gets_to_read_why() {
    let api = Api::start(FakeSqs::start().await.addr, &[]).await;
    let body = "x".repeat(4 << 20);
    for (line, content, status) in [
        ("POST /nowhere", "application/json", 404),
        ("PUT /api/orders", "application/json", 405),
        ("POST /api/orders", "text/plain", 415),
        ("POST /api/orders", "application/json", 413),
    ] {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: test\r\nContent-Type: {content}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut client = with_sent(api.addr, &(head + &body)).await;
        let reply = client.reply().await.unwrap_or_else(|| panic!("{line}: no answer"));
        assert_eq!(reply.status, status, "{line}: {reply:?}");
    }
    for length in [17 << 10, 4 << 20] {
        let long = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(length));
        let reply = with_sent(api.addr, &long).await.reply().await.expect("an answer");
        assert_eq!(reply.status, 431, "{length}: {reply:?}");
    }
    api.stop().await;
}

#[tokio::test]
async fn connections_that_end_neither_header_nor_body_make_room_for_others_at_once() {
    let api = Api::start(FakeSqs::start().await.addr, &[CONNECTIONS]).await;
    let attacks = ["", "POST /api/orders HTTP/1.1\r\nHost: te", &*unfinished(1000, "{")];
    let mut held = Vec::new();
    for n in 0..240 {
        held.push(with_sent(api.addr, attacks[n % attacks.len()]).await);
        if n % 4 == 0 {
            still_serves(&api).await;
        }
    }
    held[0].until_closed().await;
    api.stop().await;
}

#[tokio::test]
async fn a_full_house_of_orders_that_are_being_sent_gives_nobody_elses_place_away() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[CONNECTIONS, ("PUBLISH_TIMEOUT", "10s")]).await;
    sqs.close_gate();
    let mut busy = Vec::new();
    for n in 0..16 {
        busy.push(with_sent(api.addr, &request(&format!("customer-{n}"))).await);
    }
    until("all are being sent", async || sqs.sent() == 1 || sqs.sent() == 16).await;
    let mut next = with_sent(api.addr, &request("next")).await;
    sqs.open_gate();
    for (n, client) in busy.iter_mut().enumerate() {
        let reply = client.reply().await.expect("an answer");
        assert_eq!(
            (reply.status, reply.json()["customerId"].as_str()),
            (202, Some(&*format!("customer-{n}")))
        );
    }
    assert_eq!(next.reply().await.expect("an answer").status, 202);
    api.stop().await;
}

/// A mebibyte less a byte from each of so many clients fills the room for orders in hand.
#[tokio::test]
async fn bodies_that_fill_the_room_and_never_end_make_room_for_others() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[("PUBLISH_BUFFER_BYTES", "4194304")]).await;
    let (announced, sent) = (1 << 20, " ".repeat((1 << 20) - 1));
    let mut greedy = JoinSet::new();
    for _ in 0..4 {
        let mut client = with_sent(api.addr, &unfinished(announced, &sent)).await;
        greedy.spawn(async move { client.reply().await.expect("an answer").status });
    }
    // Each turn lets the server read on; what they send is all there before anybody else wants room.
    for _ in 0..1000 {
        let mut client = Raw::open(api.addr).await;
        client.send("GET /api/orders/health HTTP/1.1\r\nHost: test\r\n\r\n").await;
        assert_eq!(client.reply().await.expect("an answer").status, 200);
    }
    let first = loop {
        let status = status_for_somebody_else(&api).await;
        assert!([202, 503].contains(&status), "{status}");
        if let Some(first) = greedy.try_join_next() {
            break first.expect("no panic");
        }
    };
    assert_eq!(first, 503, "one has to make room before its time is up");
    still_serves(&api).await;
    api.stop().await;
}
