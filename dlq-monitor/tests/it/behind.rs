//! FIFO groups of which SQS does not show everything: no more than ten of a group at once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    console::browser::Browser,
    support::{FIFO, FIFO_DLQ, Monitor, STANDARD_DLQ, Sqs, eventually, started},
};

/// A group with so many dead messages, of which the first ten are known.
async fn with_group(count: usize) -> (Sqs, crate::support::Database, Monitor) {
    let (sqs, database, monitor) = started().await;
    for i in 0..count {
        sqs.send_in_group(FIFO_DLQ, "g", &i.to_string(), &[]).await;
    }
    eventually("all are counted", || async {
        let overview = monitor.json("/api/dlq/queues").await;
        let queues = overview["queues"].as_array()?;
        let queue = queues.iter().find(|queue| queue["queue"] == FIFO_DLQ)?;
        let numbers = ["visible", "inFlight", "delayed"].map(|of| queue[of].as_u64());
        (numbers.into_iter().sum::<Option<u64>>()? == count as u64).then_some(())
    })
    .await;
    monitor.letters(FIFO_DLQ, 10).await;
    (sqs, database, monitor)
}

fn counts(job: &Value) -> [u64; 4] {
    ["selected", "done", "refused", "notFound"].map(|name| job[name].as_u64().expect("a count"))
}

#[tokio::test]
async fn all_of_a_fifo_queue_is_what_was_dead_behind_the_first_of_a_group_too() {
    for kind in ["redrive", "discard"] {
        let (sqs, _database, monitor) = with_group(25).await;
        let thought = json!({ "queue": FIFO_DLQ, "all": true, "dryRun": true, "reason": "x" });
        let thought = monitor.post(&format!("/api/dlq/{kind}"), thought).await.json();
        assert_eq!(
            (&thought["selected"], &thought["unseen"]),
            (&10.into(), &15.into()),
            "{thought}"
        );
        let browser = Browser::new(monitor.api);
        let page = browser.page(&format!("/{kind}?queue={FIFO_DLQ}")).await;
        assert!(page.contains("About 15 more are in the queue"), "{page}");
        assert!(page.contains("go along"), "{page}");
        let body = json!({ "queue": FIFO_DLQ, "all": true, "reason": "x", "expectedCount": 10 });
        let job = monitor.ended(&monitor.begin(kind, body).await).await;
        assert_eq!((counts(&job), &job["state"]), ([10, 25, 0, 0], &"completed".into()), "{job}");
        let note = job["note"].as_str().expect("a note");
        assert!(note.contains("15 more than were in sight"), "{note}");
        for path in ["/jobs", "/audit"] {
            let page = browser.page(path).await;
            assert!(page.contains("10 messages in sight and those behind them"), "{path}: {page}");
        }
        assert_eq!(sqs.count(FIFO_DLQ), 0);
        let in_order: Vec<String> = (0..25).map(|i| i.to_string()).collect();
        assert_eq!(sqs.bodies(FIFO), if kind == "redrive" { in_order } else { Vec::new() });
        monitor.stop().await;
    }
}

#[tokio::test]
async fn what_dies_after_a_job_was_asked_for_is_no_part_of_it() {
    let (sqs, _database, monitor) = with_group(12).await;
    let id = monitor.begin("redrive", json!({ "queue": FIFO_DLQ, "all": true, "rate": 2 })).await;
    eventually("it has begun", || async { (sqs.count(FIFO) > 0).then_some(()) }).await;
    for (group, body) in [("g", "late"), ("another", "too")] {
        sqs.send_in_group(FIFO_DLQ, group, body, &[]).await;
    }
    let job = monitor.ended(&id).await;
    assert_eq!((counts(&job), &job["state"]), ([10, 12, 0, 0], &"completed".into()), "{job}");
    assert_eq!(sqs.count(FIFO), 12);
    let left = monitor.letters(FIFO_DLQ, 2).await;
    assert!(left.iter().all(|letter| letter["job"].is_null()), "{left:?}");
    monitor.stop().await;
}

#[tokio::test]
async fn a_filter_means_what_is_in_sight_and_says_what_is_not() {
    let (sqs, _database, monitor) = with_group(25).await;
    let filter = json!({ "reason": "unknown" });
    let thought = json!({ "queue": FIFO_DLQ, "filter": filter, "dryRun": true });
    let thought = monitor.post("/api/dlq/redrive", thought).await.json();
    assert_eq!((&thought["selected"], &thought["unseen"]), (&10.into(), &15.into()), "{thought}");
    let page = format!("/redrive?queue={FIFO_DLQ}&reason=unknown");
    let page = Browser::new(monitor.api).page(&page).await;
    assert!(page.contains("About 15 more are in the queue"), "{page}");
    assert!(page.contains("They are not among these, and stay"), "{page}");
    let id = monitor.begin("redrive", json!({ "queue": FIFO_DLQ, "filter": filter })).await;
    let job = monitor.ended(&id).await;
    assert_eq!((counts(&job), &job["state"]), ([10, 10, 0, 0], &"completed".into()), "{job}");
    assert_eq!((sqs.count(FIFO), sqs.count(FIFO_DLQ)), (10, 15));
    monitor.stop().await;
}

#[tokio::test]
async fn a_fifo_redrive_says_where_nothing_is_known_of_newer_deliveries() {
    let (_sqs, database, monitor) = with_group(10).await;
    let browser = Browser::new(monitor.api);
    let page = format!("/redrive?queue={FIFO_DLQ}");
    let told = "Whether newer orders were delivered cannot be known";
    let shown = browser.page(&page).await;
    assert!(shown.contains(told), "{shown}");
    let (order, now) = (crate::support::order(), jiff::Timestamp::now());
    let delivered = order_events::DeliveryStatus::Delivered;
    let record = crate::support::attempted(&order, FIFO, delivered, now);
    database.open().await.write(record).await.expect("it is written");
    let shown = browser.page(&page).await;
    assert!(!shown.contains(told), "{shown}");
    monitor.stop().await;
}

#[tokio::test]
async fn the_oldest_message_is_no_longer_one_that_was_redriven_though_not_everything_is_seen() {
    let (sqs, _database, monitor) = started().await;
    let first = sqs.send_in_group(FIFO_DLQ, "g", "0", &[]).await;
    sqs.handle.skip(Duration::from_hours(1));
    for i in 1..13 {
        sqs.send_in_group(FIFO_DLQ, "g", &i.to_string(), &[]).await;
    }
    monitor.letters(FIFO_DLQ, 10).await;
    let oldest = format!("sqs_queue_oldest_message_timestamp_seconds{{queue=\"{FIFO_DLQ}\"}}");
    let incomplete = format!("dlq_scan_complete{{queue=\"{FIFO_DLQ}\"}}");
    let before = eventually("it is looked at", || monitor.metric(&oldest)).await;
    let id = monitor.begin("redrive", json!({ "queue": FIFO_DLQ, "ids": [first] })).await;
    assert_eq!(monitor.ended(&id).await["done"], 1);
    eventually("the oldest is another", || async {
        let now = monitor.metric(&oldest).await?;
        (now > before + 3_500.0).then_some(())
    })
    .await;
    monitor.metric_becomes(&incomplete, 0.0).await;
    assert_eq!(sqs.count(FIFO_DLQ), 12, "SQS shows ten of them");
    assert_eq!(sqs.count(STANDARD_DLQ), 0);
    monitor.stop().await;
}
