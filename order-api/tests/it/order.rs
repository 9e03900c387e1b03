//! The order of one customer's orders on their way to a FIFO queue.

use crate::faults::assert_unavailable;
use crate::harness::{Api, FakeSqs, ORDER, confirmed, open, read_answer, refused, until};
use serde_json::Value;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::net::TcpStream;

const FIFO: &str = "POST /api/orders?queueType=fifo";
const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

/// An order whose product tells it from others.
fn order(customer: &str, product: &str) -> String {
    ORDER.replace("customer-001", customer).replace("상품1", product)
}

async fn ask(addr: SocketAddr, customer: &str, product: &str) -> TcpStream {
    open(addr, FIFO, &JSON, order(customer, product).as_bytes()).await
}

async fn status(mut asked: TcpStream) -> u16 {
    read_answer(&mut asked).await.status
}

fn product(message: &Value) -> String {
    let body = message["MessageBody"].as_str().expect("a body");
    let event: Value = serde_json::from_str(body).expect("an order");
    event["items"][0]["productName"].as_str().expect("a name").to_owned()
}

fn sent(sqs: &FakeSqs) -> Vec<String> {
    sqs.sends.lock().expect("no panic").iter().map(product).collect()
}

/// Sends `first` and then `second` of one customer, and `other` of another one; SQS has answered none.
async fn three(api: &Api, sqs: &FakeSqs) -> [TcpStream; 3] {
    sqs.close_gate();
    let first = ask(api.addr, "one", "first").await;
    until("the first is being sent", async || sqs.sent() == 1).await;
    let second = ask(api.addr, "one", "second").await;
    let other = ask(api.addr, "another", "other").await;
    until("another customer does not wait", async || sqs.sent() == 2).await;
    assert_eq!(sent(sqs), ["first", "other"], "the second waits for the first");
    [first, second, other]
}

#[tokio::test]
async fn trap_16_a_later_order_is_never_accepted_before_an_earlier_one_that_is_still_to_be_retried()
{
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[("PUBLISH_TIMEOUT", "10s")]).await;
    let failures = Arc::new(AtomicUsize::new(2));
    sqs.answer_sends(move |message| {
        let fails = |left: usize| left.checked_sub(1);
        let order = Ordering::Relaxed;
        if product(message) == "first" && failures.fetch_update(order, order, fails).is_ok() {
            return refused(500, "InternalError", "try again");
        }
        confirmed(message)
    });
    let asked = three(&api, &sqs).await;
    sqs.open_gate();
    for asked in asked {
        assert_eq!(status(asked).await, 202);
    }
    let one: Vec<String> = sent(&sqs).into_iter().filter(|product| product != "other").collect();
    assert_eq!(one, ["first", "first", "first", "second"]);
    api.stop().await;
}

#[tokio::test]
async fn trap_16b_an_order_that_has_finally_failed_does_not_hold_up_the_next() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[("PUBLISH_TIMEOUT", "10s")]).await;
    sqs.answer_sends(|message| match product(message).as_str() {
        "first" => refused(400, "InvalidMessageContents", "a character"),
        _ => confirmed(message),
    });
    let [mut first, second, other] = three(&api, &sqs).await;
    sqs.open_gate();
    assert_unavailable(&read_answer(&mut first).await, "queue-unavailable");
    assert_eq!((status(second).await, status(other).await), (202, 202));
    assert_eq!(sent(&sqs).last().map(String::as_str), Some("second"));
    api.stop().await;
}
