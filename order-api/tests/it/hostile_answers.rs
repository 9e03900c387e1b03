//! Clients that do not take their answers: what is held for them is in the room of the orders in hand.

use crate::deliveries::{ID, JSON, delivery, serve};
use crate::faults::assert_unavailable;
use crate::harness::{Api, FakeSqs, call, post, until};
use crate::hostile::{Raw, placing, still_serves};
use axum::Router;
use order_api::Settings;
use std::time::Duration;

/// The room for orders in hand, the smallest that can be set.
const ROOM: (&str, &str) = ("PUBLISH_BUFFER_BYTES", "1048576");
/// Longer than anything here takes: what has this time is not given up.
const NEVER: Duration = Duration::from_hours(1);
/// Long enough to find an answer held, and short enough to wait for.
const SOON: Duration = Duration::from_secs(3);

/// What counts the orders that the API has accepted.
const ACCEPTED: &str = r#"orders_accepted_total{queue_type="standard"} "#;
/// What counts the orders that it has told about.
const TOLD: &str = r#"http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/api/orders/{orderId}"} "#;

/// A valid order of some more than so many thousand bytes.
pub(crate) fn order(thousands: usize) -> String {
    let name = "y".repeat(1000);
    let item = format!(r#"{{"productId":"p","productName":"{name}","quantity":1,"price":1}}"#);
    format!(r#"{{"customerId":"c","items":[{}]}}"#, vec![item; thousands].join(","))
}

/// What is counted so far; nothing is before it has happened.
async fn count(api: &Api, name: &str) -> u64 {
    let metrics = api.metrics().await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |count| count.parse().expect("a number"))
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

/// A client that sends a request again and again and reads none of the answers, which are counted
/// under this name, until one is held for it: there was room for these bytes, and now there is not.
/// How many it sent: the system takes some answers from the API.
async fn with_an_unread_answer(
    api: &Api,
    (request, counted): (&str, &str),
    bytes: usize,
) -> (Raw, usize) {
    assert!(has_room(api, bytes).await);
    let mut client = Raw::open(api.addr).await;
    for sent in 1..=100 {
        let before = count(api, counted).await;
        client.send(request).await;
        // From here on nothing has room but the answer.
        until("the request is answered", async || count(api, counted).await > before).await;
        if !has_room(api, bytes).await {
            return (client, sent);
        }
    }
    panic!("no answer is held, or what is held has no room");
}

/// An API that waits for its clients for so long: for the whole of an answer, and while others need
/// the room.
async fn start(more: &[(&str, &str)], answer: Duration, undisturbed: Duration) -> Api {
    let patient = |settings: &mut Settings| {
        settings.limits.write = NEVER;
        settings.limits.answer = answer;
        settings.publish.undisturbed = undisturbed;
    };
    let more = [&[ROOM][..], more].concat();
    Api::start_changed(FakeSqs::start().await.addr, &more, patient).await
}

#[tokio::test]
async fn an_unread_answer_has_room_until_it_is_read_or_its_client_is_gone() {
    let api = start(&[], NEVER, NEVER).await;
    let (half, whole) = (order(400), order(900));
    let request = placing(&half);
    let (mut reading, answers) = with_an_unread_answer(&api, (&request, ACCEPTED), 700_000).await;
    let (leaving, _) = with_an_unread_answer(&api, (&request, ACCEPTED), 300_000).await;
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
    let api = start(&[], SOON, NEVER).await;
    unread_answers_make_room(&api).await;
    api.stop().await;
}

/// Whatever time is left for the answer itself.
#[tokio::test]
async fn an_answer_of_which_nothing_is_taken_gives_way_to_other_orders() {
    let api = start(&[], NEVER, SOON).await;
    unread_answers_make_room(&api).await;
    api.stop().await;
}

async fn unread_answers_make_room(api: &Api) {
    let whole = order(900);
    let (_unread, _) = with_an_unread_answer(api, (&placing(&whole), ACCEPTED), 200_000).await;
    assert!(!is_accepted(api, &whole).await, "it is held");
    until("it is given up", async || is_accepted(api, &whole).await).await;
}

/// An API that is told of an order in some more than 900,000 bytes, and the line that asks for it.
async fn start_telling(undisturbed: Duration) -> (Api, String) {
    let mut large = delivery();
    large["note"] = "y".repeat(900_000).into();
    let worker = Router::new().fallback(async move || (JSON, large.to_string()));
    let url = format!("http://{}", serve(worker).await);
    let api = start(&[("DELIVERY_API_URL", &url)], NEVER, undisturbed).await;
    (api, format!("GET /api/orders/{ID}"))
}

#[tokio::test]
async fn an_unread_answer_about_an_order_has_room_until_it_is_read() {
    let (api, line) = start_telling(NEVER).await;
    let asking = format!("{line} HTTP/1.1\r\nHost: test\r\n\r\n");
    let (mut reading, answers) = with_an_unread_answer(&api, (&asking, TOLD), 200_000).await;
    assert!(!is_accepted(&api, &order(400)).await, "it is held");
    let refused = call(api.addr, &line, &[], b"").await;
    assert_unavailable(&refused, "delivery-status-unavailable");

    for _ in 0..answers {
        assert_eq!(reading.reply().await.expect("an answer").status, 200);
    }
    assert_eq!(call(api.addr, &line, &[], b"").await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn an_answer_about_an_order_of_which_nothing_is_taken_gives_way_to_other_orders() {
    let (api, line) = start_telling(SOON).await;
    let asking = format!("{line} HTTP/1.1\r\nHost: test\r\n\r\n");
    let (_unread, _) = with_an_unread_answer(&api, (&asking, TOLD), 200_000).await;
    let whole = order(900);
    assert!(!is_accepted(&api, &whole).await, "it is held");
    until("it is given up", async || is_accepted(&api, &whole).await).await;
    api.stop().await;
}
