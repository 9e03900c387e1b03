//! Clients that do not take their answers: what is held for them is in the room of the orders in hand.

use crate::faults::assert_unavailable;
use crate::harness::{Api, FakeSqs, post, until};
use crate::hostile::{Raw, placing, still_serves};
use order_api::Settings;
use std::time::Duration;

/// The room for orders in hand, the smallest that can be set.
const ROOM: (&str, &str) = ("PUBLISH_BUFFER_BYTES", "1048576");
/// Longer than anything here takes: what has this time is not given up.
const NEVER: Duration = Duration::from_hours(1);

/// A valid order of some more than so many thousand bytes.
fn order(thousands: usize) -> String {
    let name = "y".repeat(1000);
    let item = format!(r#"{{"productId":"p","productName":"{name}","quantity":1,"price":1}}"#);
    format!(r#"{{"customerId":"c","items":[{}]}}"#, vec![item; thousands].join(","))
}

/// How many orders the API has accepted.
async fn accepted(api: &Api) -> u64 {
    let metrics = api.metrics().await;
    let name = r#"orders_accepted_total{queue_type="standard"} "#;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|count| count.parse().ok()).expect("the API counts them")
}

/// Whether an order is accepted; one that is not has no room now, and is to come back.
async fn is_accepted(api: &Api, order: &str) -> bool {
    let answer = post(api.addr, "", order).await;
    if answer.status != 202 {
        assert_unavailable(&answer, "overloaded");
    }
    answer.status == 202
}

/// Whether there is room for so many bytes: that they are no order is said when all of them are there.
async fn has_room(api: &Api, bytes: usize) -> bool {
    let answer = post(api.addr, "", &" ".repeat(bytes)).await;
    if answer.status != 400 {
        assert_unavailable(&answer, "overloaded");
    }
    answer.status == 400
}

/// A client that sends one order after the other and reads no answer, until one is held for it: there
/// was room for these bytes, and now there is not. How many orders it sent: the system takes some
/// answers from the API.
async fn with_an_unread_answer(api: &Api, order: &str, bytes: usize) -> (Raw, usize) {
    assert!(has_room(api, bytes).await);
    let mut client = Raw::open(api.addr).await;
    for sent in 1..=100 {
        let before = accepted(api).await;
        client.send(placing(order)).await;
        // From here on nothing has room but the answer.
        until("the order is accepted", async || accepted(api).await > before).await;
        if !has_room(api, bytes).await {
            return (client, sent);
        }
    }
    panic!("no answer is held, or what is held has no room");
}

async fn start(sqs: &FakeSqs, answer: Duration) -> Api {
    let patient = |settings: &mut Settings| {
        settings.limits.write = NEVER;
        settings.limits.answer = answer;
    };
    Api::start_changed(sqs.addr, &[ROOM], patient).await
}

#[tokio::test]
async fn an_unread_answer_has_room_until_it_is_read_or_its_client_is_gone() {
    let sqs = FakeSqs::start().await;
    let api = start(&sqs, NEVER).await;
    let (half, whole) = (order(400), order(900));
    let (mut reading, answers) = with_an_unread_answer(&api, &half, 700_000).await;
    let (leaving, _) = with_an_unread_answer(&api, &half, 300_000).await;
    assert!(!is_accepted(&api, &half).await, "two of them are held");
    still_serves(&api).await;

    for _ in 0..answers {
        assert_eq!(reading.reply().await.expect("an answer").status, 202);
    }
    assert!(is_accepted(&api, &half).await, "one of them is read");
    drop(leaving);
    until("the other is given up", async || is_accepted(&api, &whole).await).await;
    api.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_not_read_in_its_time_makes_room_for_other_orders() {
    let sqs = FakeSqs::start().await;
    let api = start(&sqs, Duration::from_secs(3)).await;
    let whole = order(900);
    let (_unread, _) = with_an_unread_answer(&api, &whole, 200_000).await;
    assert!(!is_accepted(&api, &whole).await, "it is held");
    until("it is given up", async || is_accepted(&api, &whole).await).await;
    api.stop().await;
}
