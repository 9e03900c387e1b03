//! How orders share calls.

use crate::{
    faults::assert_unavailable,
    harness::{Api, FakeSqs, ORDER, confirmed, open, post, read_answer, refused, until},
};
use serde_json::Value;
use std::time::Duration;
use tokio::{io::AsyncWriteExt, net::TcpStream};

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

/// An order of a customer for a product of this name.
fn order(customer: &str, product: &str) -> String {
    ORDER.replace("customer-001", customer).replace("상품1", product)
}

async fn send(api: &Api, query: &str, body: &str) -> TcpStream {
    open(api.addr, &format!("POST /api/orders{query}"), &JSON, body.as_bytes()).await
}

/// The API's metric of that name and labels.
async fn metric(api: &Api, name: &str) -> String {
    let metrics = api.metrics().await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} is not in {metrics}")).trim().to_owned()
}

/// With a call under way, sends these orders one after the other, each once the one before it is in
/// the buffer; then lets all calls go on, and waits for the answers.
async fn behind_a_call(api: &Api, sqs: &FakeSqs, query: &str, orders: &[String]) -> Vec<u16> {
    sqs.close_gate();
    let before = sqs.sent();
    let mut clients = vec![send(api, query, &order("somebody", "first")).await];
    until("a call is under way", async || sqs.sent() > before).await;
    for order in orders {
        clients.push(send(api, query, order).await);
        let buffered = clients.len().to_string();
        until("it is taken in", async || metric(api, "order_publish_buffered").await == buffered)
            .await;
    }
    sqs.open_gate();
    let mut statuses = Vec::new();
    for client in &mut clients {
        statuses.push(read_answer(client).await.status);
    }
    statuses.remove(0);
    statuses
}

/// A call for each queue, and a linger that does not end.
const ONE_CALL: [(&str, &str); 2] = [("PUBLISH_CONCURRENCY", "1"), ("PUBLISH_LINGER", "1s")];

#[tokio::test]
async fn orders_that_come_while_a_call_is_under_way_share_the_next() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &ONE_CALL).await;
    let orders: Vec<String> = (0..12).map(|n| order("c", &format!("product {n}"))).collect();
    for (query, calls) in [("", [1, 10, 2]), ("?queueType=fifo", [1, 10, 2])] {
        let statuses = behind_a_call(&api, &sqs, query, &orders).await;
        assert_eq!(statuses, [202; 12]);
        assert_eq!(sqs.calls()[sqs.calls().len() - 3..], calls);
    }
    let names: Vec<String> = products(&sqs.sends.lock().expect("no panic")[14..]);
    let expected: Vec<String> = (0..12).map(|n| format!("product {n}")).collect();
    assert_eq!(names, expected, "in the order in which they were taken in");
    let calls = metric(
        &api,
        "order_publish_batch_size_count{messaging_destination_name=\"order-queue.fifo\"}",
    );
    assert_eq!(calls.await, "3");
    api.stop().await;
}

fn products(messages: &[Value]) -> Vec<String> {
    let name = |message: &Value| {
        let body = message["MessageBody"].as_str().expect("a body");
        let body: Value = serde_json::from_str(body).expect("JSON");
        body["items"][0]["productName"].as_str().expect("a name").to_owned()
    };
    messages.iter().map(name).collect()
}

#[tokio::test]
async fn of_a_batch_only_the_order_that_sqs_does_not_take_is_refused() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &ONE_CALL).await;
    sqs.answer_sends(|message| {
        if message["MessageBody"].as_str().is_some_and(|body| body.contains("poison")) {
            return refused(400, "InvalidMessageContents", "a character");
        }
        confirmed(message)
    });
    let orders = [order("a", "good"), order("b", "poison"), order("c", "good")];
    for query in ["", "?queueType=fifo"] {
        assert_eq!(behind_a_call(&api, &sqs, query, &orders).await, [202, 503, 202]);
    }
    assert_eq!(sqs.calls(), [1, 3, 1, 3], "what is refused by name is not sent again");
    api.stop().await;
}

#[tokio::test]
async fn a_batch_of_a_server_that_knows_no_fair_queues_is_sent_without_groups() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &ONE_CALL).await;
    sqs.answer_sends(|message| {
        if message["MessageGroupId"].is_null() || message["MessageGroupId"] == "somebody" {
            return confirmed(message);
        }
        refused(400, "InvalidParameterValue", "not valid for this queue type")
    });
    let orders = [order("a", "one"), order("b", "two")];
    assert_eq!(behind_a_call(&api, &sqs, "", &orders).await, [202, 202]);
    assert_eq!(sqs.calls(), [1, 2, 2], "with their groups, then without");
    assert_eq!(behind_a_call(&api, &sqs, "", &orders).await, [202, 202]);
    assert_eq!(sqs.calls(), [1, 2, 2, 1, 2], "remembered");
    api.stop().await;
}

#[tokio::test]
async fn one_that_fails_for_a_moment_is_sent_again_and_accepted() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &ONE_CALL).await;
    let failed = std::sync::atomic::AtomicBool::new(false);
    sqs.answer_sends(move |message| {
        let busy = message["MessageBody"].as_str().is_some_and(|body| body.contains("unlucky"));
        if busy && !failed.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return refused(500, "InternalError", "busy");
        }
        confirmed(message)
    });
    let orders = [order("a", "lucky"), order("a", "unlucky")];
    assert_eq!(behind_a_call(&api, &sqs, "?queueType=fifo", &orders).await, [202, 202]);
    assert_eq!(sqs.calls(), [1, 2, 1]);
    api.stop().await;
}

#[tokio::test]
async fn one_that_a_later_order_of_its_customer_has_overtaken_is_not_accepted() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &ONE_CALL).await;
    sqs.answer_sends(|message| {
        if message["MessageBody"].as_str().is_some_and(|body| body.contains("unlucky")) {
            return refused(500, "InternalError", "busy");
        }
        confirmed(message)
    });
    let orders = [order("a", "unlucky"), order("a", "lucky")];
    assert_eq!(behind_a_call(&api, &sqs, "?queueType=fifo", &orders).await, [503, 202]);
    assert_eq!(sqs.calls(), [1, 2], "it was not sent again, behind the later one");
    api.stop().await;
}

#[tokio::test]
async fn an_order_whose_client_has_gone_before_its_call_is_not_sent() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &ONE_CALL).await;
    sqs.close_gate();
    let mut first = send(&api, "", ORDER).await;
    until("a call is under way", async || sqs.sent() == 1).await;
    let gone = send(&api, "", &order("a", "given up")).await;
    until("it is taken in", async || metric(&api, "order_publish_buffered").await == "2").await;
    drop(gone);
    let gone = "orders_abandoned_total";
    until("the API has noticed", async || metric(&api, gone).await == "1").await;
    sqs.open_gate();
    assert_eq!(read_answer(&mut first).await.status, 202);
    api.stop().await;
    assert_eq!(sqs.sent(), 1);
}

#[tokio::test]
async fn orders_beyond_the_buffers_bytes_are_turned_away() {
    let sqs = FakeSqs::start().await;
    let bounds = [("PUBLISH_BUFFER_BYTES", "1048576"), ("PUBLISH_CONCURRENCY", "1")];
    let api = Api::start(sqs.addr, &bounds).await;
    sqs.close_gate();
    let large = ORDER.replacen("\"items\":[", &format!("\"items\":[{}", many_items(600)), 1);
    assert!(large.len() > 600_000, "{}", large.len());
    let mut first = send(&api, "", &large).await;
    until("a call is under way", async || sqs.sent() == 1).await;
    assert_unavailable(&post(api.addr, "", &large).await, "overloaded");
    let mut small = send(&api, "", ORDER).await;
    until("there is room for it", async || metric(&api, "order_publish_buffered").await == "2")
        .await;
    sqs.open_gate();
    assert_eq!(read_answer(&mut first).await.status, 202);
    assert_eq!(read_answer(&mut small).await.status, 202);
    api.stop().await;
}

fn many_items(count: usize) -> String {
    let name = "y".repeat(1000);
    let item = format!(r#"{{"productId":"p","productName":"{name}","quantity":1,"price":1}},"#);
    item.repeat(count)
}

#[tokio::test]
async fn bodies_that_are_being_read_take_room_too_and_give_it_back() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[("PUBLISH_BUFFER_BYTES", "1048576")]).await;
    let large = ORDER.replacen("\"items\":[", &format!("\"items\":[{}", many_items(600)), 1);
    // All but the last byte.
    let almost = &large[..large.len() - 1];
    let head = format!(
        "POST /api/orders HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        large.len()
    );
    let mut slow = TcpStream::connect(api.addr).await.expect("connected");
    slow.write_all(head.as_bytes()).await.expect("sent");
    slow.write_all(almost.as_bytes()).await.expect("sent");
    let mut slow = tokio::spawn(async move { read_answer(&mut slow).await });
    // The room holds one of them. Before the slow one has had its time it is the other that has to go.
    let refused = loop {
        tokio::select! {
            answer = &mut slow => break answer.expect("no panic"),
            answer = post(api.addr, "", &large) => {
                if answer.status != 202 {
                    break answer;
                }
            }
        }
    };
    assert_unavailable(&refused, "overloaded");
    assert_eq!(post(api.addr, "", ORDER).await.status, 202, "small ones still have room");
    slow.abort();
    until("the room is free again", async || post(api.addr, "", &large).await.status == 202).await;
    api.stop().await;
}

/// Orders of one call have deadlines of their own, each told by one timer for all.
#[tokio::test]
async fn an_order_is_told_at_its_own_deadline_though_it_shares_a_call_with_a_later_one() {
    let sqs = FakeSqs::start().await;
    let bounds = [("PUBLISH_CONCURRENCY", "1"), ("PUBLISH_TIMEOUT", "3s")];
    let api = Api::start(sqs.addr, &bounds).await;
    sqs.close_gate();
    let mut first = send(&api, "", ORDER).await;
    until("its call is under way", async || sqs.sent() == 1).await;
    // That one's time is over at 3 s; then the two share a call, which has time until 5.5 s.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut earlier = send(&api, "", ORDER).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut later = send(&api, "", ORDER).await;
    assert_unavailable(&read_answer(&mut first).await, "queue-unavailable");
    until("they share a call", async || sqs.calls() == [1, 2]).await;
    assert_unavailable(&read_answer(&mut earlier).await, "queue-unavailable");
    sqs.open_gate();
    assert_eq!(read_answer(&mut later).await.status, 202, "its time was not over");
    api.stop().await;
}
