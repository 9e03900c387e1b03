//! FIFO groups whose order a redrive would break without looking as if it did.

use std::time::Duration;

use jiff::Timestamp;
use order_events::{DeliveryStatus, OrderEvent};
use order_store::Store;
use serde_json::{Value, json};

use crate::{
    console::browser::Browser,
    support::{FIFO, FIFO_DLQ, Monitor, attempted, eventually, order_of, started},
};

/// A worker has tried an order so many seconds ago.
async fn tried(store: &Store, order: &OrderEvent, status: DeliveryStatus, seconds: u64) {
    let at = Timestamp::now() - Duration::from_secs(seconds);
    store.write(attempted(order, FIFO, status, at)).await.expect("it is written");
}

async fn thought(monitor: &Monitor, allow: bool) -> Value {
    let body = json!({ "queue": FIFO_DLQ, "all": true, "dryRun": true, "allowReorder": allow });
    monitor.post("/api/dlq/redrive", body).await.json()
}

async fn redriven(monitor: &Monitor, allow: bool) -> Value {
    let body = json!({ "queue": FIFO_DLQ, "all": true, "allowReorder": allow });
    monitor.ended(&monitor.begin("redrive", body).await).await
}

#[tokio::test]
async fn an_order_does_not_go_back_behind_a_newer_one_that_is_being_delivered() {
    let (sqs, database, monitor) = started().await;
    let (store, dead, newer) = (database.open().await, order_of("c-1"), order_of("c-1"));
    tried(&store, &dead, DeliveryStatus::Failed, 20).await;
    tried(&store, &newer, DeliveryStatus::Pending, 10).await;
    sqs.send_in_group(FIFO_DLQ, "c-1", &dead.to_json(), &[]).await;
    monitor.letters(FIFO_DLQ, 1).await;
    let dry_run = thought(&monitor, false).await;
    let expected =
        json!({ "newerDelivered": 0, "newerOnTheWay": 1, "newerAhead": 0, "earlierStays": 0 });
    assert_eq!((&dry_run["wouldRefuse"], &dry_run["refusals"]), (&1.into(), &expected));
    let page = Browser::new(monitor.api).page(&format!("/redrive?queue={FIFO_DLQ}")).await;
    assert!(page.contains("1: newer messages of their groups are in the source queue"), "{page}");
    let job = redriven(&monitor, false).await;
    assert_eq!((&job["done"], &job["refused"]), (&0.into(), &1.into()), "{job}");
    assert_eq!((sqs.count(FIFO), sqs.count(FIFO_DLQ)), (0, 1));
    let page = Browser::new(monitor.api)
        .page(&format!("/jobs/{}", job["id"].as_str().expect("an id")))
        .await;
    assert!(page.contains("<span class=\"chip state-partly\">nothing done</span>"), "{page}");
    assert!(!page.contains("state-completed\""), "it is not called good: {page}");
    let why = monitor.letters(FIFO_DLQ, 1).await.remove(0);
    let why = why["job"]["detail"].as_str().expect("a reason");
    assert!(why.contains("in the source queue or being delivered"), "{why}");
    assert_eq!(thought(&monitor, true).await["wouldRefuse"], 0);
    let job = redriven(&monitor, true).await;
    assert_eq!((&job["done"], &job["refused"]), (&1.into(), &0.into()), "{job}");
    monitor.stop().await;
}

#[tokio::test]
async fn an_order_does_not_go_back_behind_a_newer_one_that_was_redriven_before_it() {
    let (sqs, database, monitor) = started().await;
    let (store, older, newer) = (database.open().await, order_of("c-1"), order_of("c-1"));
    tried(&store, &older, DeliveryStatus::Failed, 20).await;
    tried(&store, &newer, DeliveryStatus::Failed, 10).await;
    for dead in [&older, &newer] {
        sqs.send_in_group(FIFO_DLQ, "c-1", &dead.to_json(), &[]).await;
    }
    monitor.letters(FIFO_DLQ, 2).await;
    assert_eq!(thought(&monitor, false).await["wouldRefuse"], 0, "dead too, behind it");
    let job = redriven(&monitor, false).await;
    assert_eq!((&job["done"], &job["refused"]), (&2.into(), &0.into()), "{job}");
    assert_eq!(sqs.bodies(FIFO), [older.to_json(), newer.to_json()]);
    // The first one dies again before the second is attempted.
    tried(&store, &older, DeliveryStatus::Failed, 0).await;
    sqs.send_in_group(FIFO_DLQ, "c-1", &older.to_json(), &[]).await;
    monitor.letters(FIFO_DLQ, 1).await;
    assert_eq!(thought(&monitor, false).await["refusals"]["newerOnTheWay"], 1);
    let job = redriven(&monitor, false).await;
    assert_eq!((&job["done"], &job["refused"]), (&0.into(), &1.into()), "{job}");
    monitor.stop().await;
}

#[tokio::test]
async fn an_order_that_died_again_does_not_go_back_behind_a_newer_one_that_is_dead_before_it() {
    let (sqs, database, monitor) = started().await;
    let (store, older, newer) = (database.open().await, order_of("c-1"), order_of("c-1"));
    tried(&store, &older, DeliveryStatus::Failed, 20).await;
    tried(&store, &newer, DeliveryStatus::Failed, 10).await;
    for dead in [&newer, &older] {
        sqs.send_in_group(FIFO_DLQ, "c-1", &dead.to_json(), &[]).await;
    }
    monitor.letters(FIFO_DLQ, 2).await;
    let dry_run = thought(&monitor, false).await;
    assert_eq!(
        (&dry_run["wouldRefuse"], &dry_run["refusals"]["newerAhead"]),
        (&1.into(), &1.into())
    );
    let job = redriven(&monitor, false).await;
    assert_eq!((&job["done"], &job["refused"]), (&1.into(), &1.into()), "{job}");
    assert_eq!(sqs.bodies(FIFO), [newer.to_json()]);
    let jobs = Browser::new(monitor.api).page("/jobs").await;
    assert!(jobs.contains("<span class=\"chip state-partly\">completed in part</span>"), "{jobs}");
    monitor.stop().await;
}

#[tokio::test]
async fn what_nobody_can_see_of_the_order_is_told_before_and_after() {
    let (sqs, _database, monitor) = started().await;
    sqs.send_in_group(FIFO_DLQ, "c-1", &order_of("c-1").to_json(), &[]).await;
    monitor.letters(FIFO_DLQ, 1).await;
    let path = format!("/redrive?queue={FIFO_DLQ}");
    let browser = Browser::new(monitor.api);
    assert_eq!(thought(&monitor, false).await["unseenInSource"], 0);
    assert!(!browser.page(&path).await.contains("id=\"unseen\""), "there is nothing to say");
    // Newer ones that no worker has attempted.
    for _ in 0..2 {
        sqs.send_in_group(FIFO, "c-1", &order_of("c-1").to_json(), &[]).await;
    }
    eventually("the source queue is looked at", || async {
        (thought(&monitor, false).await["unseenInSource"] == 2).then_some(())
    })
    .await;
    assert!(browser.page(&path).await.contains("About 2 messages are in the source queue."));
    assert_eq!(thought(&monitor, true).await["unseenInSource"], json!(null), "it may break");
    let job = redriven(&monitor, false).await;
    assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &1.into()), "{job}");
    let note = job["note"].as_str().expect("a note");
    assert!(note.contains("(about 2)") && note.contains("cannot be seen"), "{note}");
    monitor.stop().await;
}

#[tokio::test]
async fn a_job_says_nothing_of_an_empty_source_queue_or_where_the_order_may_break() {
    let (sqs, _database, monitor) = started().await;
    for allow in [false, true] {
        sqs.send_in_group(FIFO_DLQ, "c-1", &order_of("c-1").to_json(), &[]).await;
        monitor.letters(FIFO_DLQ, 1).await;
        let job = redriven(&monitor, allow).await;
        assert_eq!((&job["done"], &job["note"]), (&1.into(), &json!(null)), "{job}");
        assert_eq!(sqs.count(FIFO), if allow { 2 } else { 1 });
    }
    monitor.stop().await;
}
