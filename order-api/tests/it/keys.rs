//! `Idempotency-Key`: a repetition is the same order with the same answer, another order is refused.

use crate::faults::assert_unavailable;
use crate::harness::{
    Answer, Api, FakeSqs, ORDER, call, confirmed, open, post, queue_url, read_answer, refused,
    until,
};
use crate::hostile_answers;
use order_events::OrderEvent;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use std::{net::SocketAddr, path::Path};

async fn order(addr: SocketAddr, query: &str, key: &str, body: &str) -> Answer {
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
    call(addr, &format!("POST /api/orders{query}"), &headers, body.as_bytes()).await
}

/// The answer to an order that was accepted.
async fn accepted(addr: SocketAddr, key: &str, body: &str) -> Answer {
    let answer = order(addr, "", key, body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer
}

fn id(answer: &Answer) -> String {
    OrderEvent::from_json(&answer.body).expect("an order").order_id.to_string()
}

fn assert_refused(answer: &Answer) {
    assert_eq!((answer.status, answer.problem().as_str()), (422, "idempotency-key-reused"));
}

fn other_order() -> String {
    ORDER.replace("12.50", "12.51")
}

fn url(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("fleet.db").display())
}

#[tokio::test]
async fn a_repetition_has_the_same_answer_and_is_sent_once() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    let first = accepted(api.addr, "key", ORDER).await;
    for body in [ORDER.to_owned(), ORDER.replace(',', " ,\n ")] {
        let again = accepted(api.addr, "key", &body).await;
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("location"), first.header("location"));
    }
    assert_eq!(sqs.sent(), 1, "what SQS has confirmed is not sent again");
    assert_ne!(id(&accepted(api.addr, "another key", ORDER).await), id(&first));
    let other_customer = ORDER.replace("customer-001", "customer-002");
    assert_ne!(id(&accepted(api.addr, "key", &other_customer).await), id(&first));
    let metrics = api.metrics().await;
    assert!(metrics.contains(r#"orders_keyed_total{outcome="first"} 3"#), "{metrics}");
    assert!(metrics.contains(r#"orders_keyed_total{outcome="same"} 2"#), "{metrics}");
    api.stop().await;
}

#[tokio::test]
async fn another_order_or_queue_with_the_same_key_is_refused() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    accepted(api.addr, "key", ORDER).await;
    assert_refused(&order(api.addr, "", "key", &other_order()).await);
    // Numbers are compared as they are written, since the answer repeats them so.
    assert_refused(&order(api.addr, "", "key", &ORDER.replace("12.50", "12.5")).await);
    assert_refused(&order(api.addr, "?queueType=fifo", "key", ORDER).await);
    assert_eq!(sqs.sent(), 1);
    // An order that cannot be accepted uses no key up.
    let invalid = ORDER.replace("12.50", "-1");
    assert_eq!(order(api.addr, "", "new key", &invalid).await.problem(), "invalid-order");
    accepted(api.addr, "new key", ORDER).await;
    let too_large = order(api.addr, "", "newer key", &almost_too_large()).await;
    assert_eq!(too_large.problem(), "order-too-large");
    accepted(api.addr, "newer key", ORDER).await;
    api.stop().await;
}

#[tokio::test]
async fn an_order_to_a_queue_that_is_not_set_up_uses_no_key_up() {
    let (sqs, folder) = (FakeSqs::start().await, tempfile::tempdir().expect("a folder"));
    let (standard, database) = (queue_url(sqs.addr, "order-queue-standard"), url(folder.path()));
    let queue = ("SQS_QUEUE_URL_STANDARD", &*standard);
    for settings in [vec![queue], vec![queue, ("DATABASE_URL", &*database)]] {
        let api = Api::start_with(&settings).await;
        let refused = order(api.addr, "?queueType=fifo", "key", ORDER).await;
        assert_unavailable(&refused, "queue-not-configured");
        accepted(api.addr, "key", ORDER).await;
        api.stop().await;
    }
}

#[tokio::test]
async fn beyond_the_bound_of_orders_only_what_sqs_has_confirmed_is_answered_and_no_key_is_used_up()
{
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[("PUBLISH_BUFFER_ORDERS", "1")]).await;
    let first = accepted(api.addr, "key", ORDER).await;
    sqs.close_gate();
    let headers = [("Content-Type", "application/json")];
    let mut sending = open(api.addr, "POST /api/orders", &headers, ORDER.as_bytes()).await;
    until("the buffer is full", async || sqs.sent() == 2).await;
    assert_unavailable(&order(api.addr, "", "new key", &other_order()).await, "overloaded");
    assert_eq!(accepted(api.addr, "key", ORDER).await.body, first.body);
    sqs.open_gate();
    assert_eq!(read_answer(&mut sending).await.status, 202);
    accepted(api.addr, "new key", ORDER).await;
    api.stop().await;
}

#[tokio::test]
async fn orders_that_wait_for_the_store_are_bounded_and_what_is_beyond_does_not_ask_it() {
    let (sqs, folder) = (FakeSqs::start().await, tempfile::tempdir().expect("a folder"));
    // Where the database's folder would be, a file is in the way.
    let place = folder.path().join("a file");
    std::fs::write(&place, "").expect("written");
    let database = url(&place);
    let settings = [("DATABASE_URL", &*database), ("PUBLISH_BUFFER_ORDERS", "1")];
    let api = Api::start(sqs.addr, &settings).await;
    let answers =
        tokio::join!(order(api.addr, "", "one", ORDER), order(api.addr, "", "another", ORDER));
    let mut problems = [answers.0.problem(), answers.1.problem()];
    problems.sort_unstable();
    assert_eq!(problems, ["idempotency-keys-unavailable", "overloaded"]);
    let metrics = api.metrics().await;
    assert!(metrics.contains(r#"orders_keyed_total{outcome="unknown"} 1"#), "{metrics}");
    api.stop().await;
}

/// A body that may be read, of an order that is larger than SQS takes with its id and time.
fn almost_too_large() -> String {
    const LARGEST: usize = 1024 * 1024;
    let body = |items: usize, rest: usize| {
        let item = |name: String| {
            format!(r#"{{"productId":"p","productName":"{name}","quantity":1,"price":1}}"#)
        };
        let mut items: Vec<String> = (0..items).map(|_| item("n".repeat(1024))).collect();
        items.push(item("n".repeat(rest)));
        format!(r#"{{"customerId":"customer-001","items":[{}]}}"#, items.join(","))
    };
    let each = body(2, 1).len() - body(1, 1).len();
    let whole = (LARGEST - body(0, 0).len()) / each;
    let rest = LARGEST - body(whole, 0).len();
    let body = body(whole, rest.clamp(1, 1024));
    assert!((LARGEST - 100..=LARGEST).contains(&body.len()), "{}", body.len());
    body
}

#[tokio::test]
async fn a_repetition_of_what_sqs_has_not_confirmed_is_sent_again_as_the_same_order() {
    let sqs = FakeSqs::start().await;
    sqs.answer_sends(|_| refused(403, "AccessDenied", "not now"));
    let api = Api::start(sqs.addr, &[]).await;
    assert_eq!(order(api.addr, "", "key", ORDER).await.problem(), "queue-unavailable");
    sqs.answer_sends(confirmed);
    let answer = accepted(api.addr, "key", ORDER).await;
    let bodies: Vec<String> = {
        let sends = sqs.sends.lock().expect("no panic");
        sends.iter().map(|send| send["MessageBody"].as_str().expect("a body").to_owned()).collect()
    };
    assert_eq!(bodies, [answer.body.clone(), answer.body], "with the time of the first request");
    api.stop().await;
}

#[tokio::test]
async fn without_a_store_every_replica_gives_a_repetition_the_same_id_and_another_order_its_own() {
    let sqs = FakeSqs::start().await;
    let (one, two) = (Api::start(sqs.addr, &[]).await, Api::start(sqs.addr, &[]).await);
    let first = accepted(one.addr, "key", ORDER).await;
    assert_eq!(id(&accepted(two.addr, "key", ORDER).await), id(&first));
    let three = Api::start(sqs.addr, &[]).await;
    let other = accepted(three.addr, "key", &other_order()).await;
    assert_ne!(id(&other), id(&first), "it is not taken for the former and lost");
    for api in [one, two, three] {
        api.stop().await;
    }
}

#[tokio::test]
async fn with_a_store_answers_and_refusals_are_the_same_on_all_replicas_and_after_restarts() {
    let (sqs, folder) = (FakeSqs::start().await, tempfile::tempdir().expect("a folder"));
    let database = url(folder.path());
    let settings = [("DATABASE_URL", database.as_str())];
    let (one, two) = (Api::start(sqs.addr, &settings).await, Api::start(sqs.addr, &settings).await);
    let at_once = tokio::join!(
        accepted(one.addr, "key", ORDER),
        accepted(two.addr, "key", ORDER),
        accepted(one.addr, "key", ORDER),
        accepted(two.addr, "key", ORDER)
    );
    let first = at_once.0;
    for answer in [at_once.1, at_once.2, at_once.3] {
        assert_eq!(answer.body, first.body);
    }
    assert_refused(&order(two.addr, "", "key", &other_order()).await);
    one.stop().await;
    two.stop().await;
    let restarted = Api::start(sqs.addr, &settings).await;
    assert_eq!(accepted(restarted.addr, "key", ORDER).await.body, first.body);
    assert_refused(&order(restarted.addr, "", "key", &other_order()).await);
    restarted.stop().await;
}

/// Their clients have their answers, and may be gone; what the store has of them is in memory all
/// the same.
#[tokio::test]
async fn orders_that_wait_for_a_silent_store_keep_their_room() {
    let (sqs, folder) = (FakeSqs::start().await, tempfile::tempdir().expect("a folder"));
    let database = url(folder.path());
    let settings = [("DATABASE_URL", database.as_str()), ("PUBLISH_BUFFER_BYTES", "1048576")];
    let api = Api::start(sqs.addr, &settings).await;
    accepted(api.addr, "key", ORDER).await;
    let file = SqliteConnectOptions::new().filename(folder.path().join("fleet-keys.db"));
    let mut other = file.connect().await.expect("it connects");
    let lock = other.begin_with("BEGIN IMMEDIATE").await.expect("nobody else writes");
    let large = hostile_answers::order(900);
    // The store tries to write the first for seconds; the second waits behind that.
    let answers =
        tokio::join!(order(api.addr, "", "first", ORDER), order(api.addr, "", "second", &large));
    for answer in [answers.0, answers.1] {
        assert_unavailable(&answer, "idempotency-keys-unavailable");
    }
    assert_unavailable(&post(api.addr, "", &large).await, "overloaded");
    lock.rollback().await.expect("unlocked");
    until("there is room again", async || post(api.addr, "", &large).await.status == 202).await;
    api.stop().await;
}

#[tokio::test]
async fn orders_with_a_key_do_not_wait_for_whoever_writes_deliveries() {
    let (sqs, folder) = (FakeSqs::start().await, tempfile::tempdir().expect("a folder"));
    let deliveries = SqliteConnectOptions::new().filename(folder.path().join("fleet.db"));
    let mut worker = deliveries.create_if_missing(true).connect().await.expect("it connects");
    let writing = worker.begin_with("BEGIN EXCLUSIVE").await.expect("nobody else writes");
    let api = Api::start(sqs.addr, &[("DATABASE_URL", url(folder.path()).as_str())]).await;
    let first = accepted(api.addr, "key", ORDER).await;
    assert_eq!(accepted(api.addr, "key", ORDER).await.body, first.body);
    assert_refused(&order(api.addr, "", "key", &other_order()).await);
    writing.rollback().await.expect("it ends");
    api.stop().await;
}

#[tokio::test]
async fn while_the_store_is_away_keyed_orders_are_refused_and_others_accepted() {
    let (sqs, folder) = (FakeSqs::start().await, tempfile::tempdir().expect("a folder"));
    // Where the database's folder would be, a file is in the way.
    let place = folder.path().join("not yet");
    std::fs::write(&place, "").expect("written");
    let database = url(&place);
    let api = Api::start(sqs.addr, &[("DATABASE_URL", database.as_str())]).await;
    let away = order(api.addr, "", "key", ORDER).await;
    assert_eq!((away.status, away.problem().as_str()), (503, "idempotency-keys-unavailable"));
    assert_eq!(away.header("retry-after"), Some("1"));
    assert_eq!(sqs.sent(), 0, "what is refused is not sent");
    let headers = [("Content-Type", "application/json")];
    let other = call(api.addr, "POST /api/orders", &headers, ORDER.as_bytes()).await;
    assert_eq!(other.status, 202);
    std::fs::remove_file(&place).expect("removed");
    until("the store is there", async || order(api.addr, "", "key", ORDER).await.status == 202)
        .await;
    api.stop().await;
}
