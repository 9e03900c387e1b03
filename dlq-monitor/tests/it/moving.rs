//! Jobs that SQS does itself: whole standard queues, moved by a task.

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use crate::support::{
    Database, FIFO_DLQ, Monitor, STANDARD, STANDARD_DLQ, Sqs, eventually, queue_url, started,
};

/// Receives the dead messages of these bodies, and keeps them; gives their handles.
async fn hidden(sqs: &Sqs, bodies: &[&str]) -> Vec<String> {
    let url = queue_url(sqs.addr, STANDARD_DLQ);
    let kept = tokio::sync::Mutex::new(Vec::new());
    eventually("scans have none of them in hand", || async {
        let call = sqs.connection.receiving().receive_message().queue_url(&url);
        let call = call.max_number_of_messages(10).visibility_timeout(3_600);
        let mut kept = kept.lock().await;
        for message in call.send().await.expect("an answer").messages.unwrap_or_default() {
            let handle = message.receipt_handle.expect("a handle");
            if bodies.contains(&message.body.as_deref().unwrap_or_default()) {
                kept.push(handle);
            } else {
                shown(sqs, &[handle]).await;
            }
        }
        (kept.len() == bodies.len()).then_some(())
    })
    .await;
    kept.into_inner()
}

/// Gives them back.
async fn shown(sqs: &Sqs, handles: &[String]) {
    for handle in handles {
        let call = sqs.connection.settling().change_message_visibility();
        let call = call.queue_url(queue_url(sqs.addr, STANDARD_DLQ)).visibility_timeout(0);
        call.receipt_handle(handle).send().await.expect("it is visible again");
    }
}

/// The job, once SQS has moved what it could and the others go one by one.
async fn one_by_one(monitor: &Monitor, id: &str) -> Value {
    let path = format!("/api/dlq/jobs/{id}");
    eventually("SQS has moved what it could", || async {
        let job = monitor.json(&path).await;
        (job["method"] == "messages").then_some(job)
    })
    .await
}

fn counts(job: &Value) -> [u64; 5] {
    ["selected", "done", "refused", "failed", "notFound"]
        .map(|name| job[name].as_u64().expect("a count"))
}

#[tokio::test]
async fn a_whole_standard_queue_is_moved_by_sqs_itself_and_followed() {
    let (sqs, _database, monitor) = started().await;
    for i in 0..5 {
        sqs.send(STANDARD_DLQ, &format!("{i}"), &[]).await;
    }
    monitor.letters(STANDARD_DLQ, 5).await;
    let body = json!({ "queue": STANDARD_DLQ, "all": true, "by": "me", "reason": "mended" });
    let id = monitor.begin("redrive", body).await;
    let job = monitor.ended(&id).await;
    assert_eq!(
        (&job["state"], &job["method"]),
        (&"completed".into(), &"move_task".into()),
        "{job}"
    );
    assert_eq!((&job["selected"], &job["done"]), (&5.into(), &5.into()));
    assert_eq!((sqs.count(STANDARD_DLQ), sqs.count(STANDARD)), (0, 5));
    monitor.letters(STANDARD_DLQ, 0).await;
    let redriven = "dlq_redriven_messages_total{outcome=\"redriven\"}";
    monitor.metric_becomes(redriven, 5.0).await;
    let audit = monitor.json("/api/dlq/audit").await;
    let entry = &audit["items"][0];
    assert_eq!((&entry["action"], &entry["jobId"]), (&"redrive".into(), &id.into()));
    assert_eq!((&entry["requestedBy"], &entry["why"]), (&"me (no token)".into(), &"mended".into()));
    monitor.stop().await;
}

#[tokio::test]
async fn while_sqs_moves_a_queue_the_others_are_watched_and_nothing_of_it_is_hidden() {
    let (sqs, _database, monitor) = started().await;
    for i in 0..60 {
        sqs.send(STANDARD_DLQ, &format!("{i}"), &[]).await;
    }
    monitor.letters(STANDARD_DLQ, 60).await;
    let body = json!({ "queue": STANDARD_DLQ, "all": true, "rate": 1, "reason": "mended" });
    let id = monitor.begin("redrive", body).await;
    let path = format!("/api/dlq/jobs/{id}");
    eventually("it has begun", || async {
        let job = monitor.json(&path).await;
        job["done"].as_u64().is_some_and(|done| done > 0).then_some(())
    })
    .await;
    sqs.send(FIFO_DLQ, "another", &[]).await;
    monitor.letters(FIFO_DLQ, 1).await;
    let in_flight =
        format!("sqs_queue_messages{{queue=\"{STANDARD_DLQ}\",role=\"dlq\",state=\"in_flight\"}}");
    assert_eq!(monitor.metric(&in_flight).await.map(|count| count as u64), Some(0));
    let job = monitor.json(&path).await;
    assert_eq!((&job["state"], &job["method"]), (&"running".into(), &"move_task".into()), "{job}");
    let answer = monitor.post(&format!("{path}/cancel"), json!({ "reason": "too slow" })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(monitor.ended(&id).await["state"], "cancelled");
    // It is looked at again.
    sqs.send(STANDARD_DLQ, "newly dead", &[]).await;
    eventually("what died meanwhile is known", || async {
        let page =
            monitor.json(&format!("/api/dlq/messages?queue={STANDARD_DLQ}&text=newly")).await;
        page["items"].as_array().is_some_and(|items| items.len() == 1).then_some(())
    })
    .await;
    monitor.stop().await;
}

#[tokio::test]
async fn a_message_that_somebody_else_has_while_sqs_moves_is_redriven_by_the_job_afterwards() {
    let (sqs, _database, monitor) = started().await;
    for i in 0..5 {
        sqs.send(STANDARD_DLQ, &format!("{i}"), &[]).await;
    }
    monitor.letters(STANDARD_DLQ, 5).await;
    let handles = hidden(&sqs, &["3"]).await;
    let body = json!({ "queue": STANDARD_DLQ, "all": true, "reason": "mended" });
    let id = monitor.begin("redrive", body).await;
    let job = one_by_one(&monitor, &id).await;
    assert_eq!((&job["state"], &job["done"]), (&"running".into(), &4.into()), "{job}");
    assert_eq!((sqs.count(STANDARD_DLQ), sqs.count(STANDARD)), (1, 4));
    shown(&sqs, &handles).await;
    let job = monitor.ended(&id).await;
    assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &5.into()), "{job}");
    assert_eq!((&job["notFound"], &job["refused"]), (&0.into(), &0.into()), "{job}");
    let note = job["note"].as_str().expect("a note");
    assert!(note.starts_with("SQS moved 4 of 5 messages"), "{note}");
    let mut bodies = sqs.bodies(STANDARD);
    bodies.sort();
    assert_eq!(
        (bodies, sqs.count(STANDARD_DLQ)),
        (["0", "1", "2", "3", "4"].map(str::to_owned).into(), 0)
    );
    let redriven = "dlq_redriven_messages_total{outcome=\"redriven\"}";
    monitor.metric_becomes(redriven, 5.0).await;
    let all = monitor.json("/api/dlq/messages?state=redriven&limit=200").await;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(5), "{all}");
    monitor.stop().await;
}

#[tokio::test]
async fn what_is_taken_for_good_while_sqs_moves_is_counted_as_not_found() {
    let (sqs, _database, monitor) = started().await;
    for i in 0..3 {
        sqs.send(STANDARD_DLQ, &format!("{i}"), &[]).await;
    }
    monitor.letters(STANDARD_DLQ, 3).await;
    hidden(&sqs, &["1"]).await;
    let id = monitor.begin("redrive", json!({ "queue": STANDARD_DLQ, "all": true })).await;
    let job = monitor.ended(&id).await;
    assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &2.into()), "{job}");
    assert_eq!(job["notFound"], 1, "{job}");
    let note = job["note"].as_str().expect("a note");
    assert!(note.starts_with("SQS moved 2 of 3 messages") && note.contains("1 were not found"));
    monitor.stop().await;
}

/// A job on four messages of which two are hidden, while two that the monitor has not met are moved with
/// the others: SQS counts as many as were meant. Its id, and the handles.
async fn moved_enough(sqs: &Sqs, monitor: &Monitor) -> (String, Vec<String>) {
    monitor.letters(STANDARD_DLQ, 4).await;
    let handles = hidden(sqs, &["2", "3"]).await;
    for body in ["4", "5"] {
        sqs.send(STANDARD_DLQ, body, &[]).await;
    }
    let id = monitor.begin("redrive", json!({ "queue": STANDARD_DLQ, "all": true })).await;
    let job = one_by_one(monitor, &id).await;
    assert_eq!((counts(&job), &job["state"]), ([4, 4, 0, 0, 0], &"running".into()), "{job}");
    (id, handles)
}

/// An SQS with four dead messages, and a monitor that looks once.
async fn with_four() -> (Sqs, Database, Monitor) {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    for body in ["0", "1", "2", "3"] {
        sqs.send(STANDARD_DLQ, body, &[]).await;
    }
    let monitor = Monitor::on(sqs.addr, &database, &[("MONITOR_INTERVAL", "1h")]).await;
    (sqs, database, monitor)
}

#[tokio::test]
async fn what_arrives_while_sqs_moves_does_not_stand_for_what_somebody_has() {
    let (sqs, _database, monitor) = with_four().await;
    let (id, handles) = moved_enough(&sqs, &monitor).await;
    shown(&sqs, &handles).await;
    let job = monitor.ended(&id).await;
    assert_eq!((counts(&job), &job["state"]), ([4, 6, 0, 0, 0], &"completed".into()), "{job}");
    let note = job["note"].as_str().expect("a note");
    assert!(note.starts_with("SQS moved 4 messages, not all of them of the 4"), "{note}");
    assert!(note.ends_with("2 more than were meant went along: they arrived meanwhile"), "{note}");
    assert_eq!((sqs.count(STANDARD), sqs.count(STANDARD_DLQ)), (6, 0));
    let redriven = "dlq_redriven_messages_total{outcome=\"redriven\"}";
    monitor.metric_becomes(redriven, 6.0).await;
    monitor.letters(STANDARD_DLQ, 0).await;
    monitor.stop().await;
}

#[tokio::test]
async fn what_somebody_has_for_good_is_not_found_though_sqs_moved_as_many() {
    let (sqs, _database, monitor) = with_four().await;
    let (id, _handles) = moved_enough(&sqs, &monitor).await;
    let job = monitor.ended(&id).await;
    assert_eq!((counts(&job), &job["state"]), ([4, 4, 0, 0, 2], &"completed".into()), "{job}");
    assert!(job["note"].as_str().is_some_and(|note| note.contains("2 were not found")), "{job}");
    let redriven = monitor.json("/api/dlq/messages?state=redriven").await;
    assert_eq!(redriven["items"], json!([]), "which of them SQS moved is not known");
    monitor.stop().await;
}

#[tokio::test]
async fn what_sqs_does_not_take_one_by_one_is_counted_as_failed_and_stays_dead() {
    let (sqs, _database, monitor) = started().await;
    let large = "large".repeat(1_000);
    for body in ["0", "1", &large] {
        sqs.send(STANDARD_DLQ, body, &[]).await;
    }
    monitor.letters(STANDARD_DLQ, 3).await;
    let handles = hidden(&sqs, &[&large]).await;
    let id = monitor.begin("redrive", json!({ "queue": STANDARD_DLQ, "all": true })).await;
    assert_eq!(counts(&one_by_one(&monitor, &id).await), [3, 2, 0, 0, 0]);
    let call = sqs.connection.settling().set_queue_attributes();
    let call = call.attributes(QueueAttributeName::MaximumMessageSize, "1024");
    call.queue_url(queue_url(sqs.addr, STANDARD)).send().await.expect("it is set");
    // One that dies now is no part of it.
    sqs.send(STANDARD_DLQ, "new", &[]).await;
    shown(&sqs, &handles).await;
    let job = monitor.ended(&id).await;
    assert_eq!((counts(&job), &job["state"]), ([3, 2, 0, 1, 0], &"completed".into()), "{job}");
    assert_eq!((sqs.count(STANDARD), sqs.count(STANDARD_DLQ)), (2, 2));
    let left = monitor.letters(STANDARD_DLQ, 2).await;
    let outcomes: Vec<_> = left.iter().map(|letter| &letter["job"]["outcome"]).collect();
    assert_eq!(outcomes, [&json!(null), &json!("failed")], "{left:?}");
    monitor.stop().await;
}

#[tokio::test]
async fn monitors_that_begin_while_sqs_moves_a_queue_hide_nothing_of_it() {
    let (sqs, database, monitor) = started().await;
    for i in 0..30 {
        sqs.send(STANDARD_DLQ, &format!("{i}"), &[]).await;
    }
    monitor.letters(STANDARD_DLQ, 30).await;
    let body = json!({ "queue": STANDARD_DLQ, "all": true, "rate": 3 });
    let id = monitor.begin("redrive", body).await;
    eventually("it has begun", || async { (sqs.count(STANDARD) > 0).then_some(()) }).await;
    monitor.stop().await;
    assert!(sqs.count(STANDARD_DLQ) > 0, "SQS is slow");
    let (one, other) =
        tokio::join!(Monitor::on(sqs.addr, &database, &[]), Monitor::on(sqs.addr, &database, &[]));
    let job = one.ended(&id).await;
    assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &30.into()), "{job}");
    assert_eq!((&job["method"], &job["note"]), (&"move_task".into(), &json!(null)), "{job}");
    assert_eq!((sqs.count(STANDARD_DLQ), sqs.count(STANDARD)), (0, 30));
    one.stop().await;
    other.stop().await;
}
