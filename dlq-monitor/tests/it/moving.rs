//! Jobs that SQS does itself: whole standard queues, moved by a task.

use serde_json::json;

use crate::support::{FIFO_DLQ, Monitor, STANDARD, STANDARD_DLQ, eventually, queue_url, started};

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
    let url = queue_url(sqs.addr, STANDARD_DLQ);
    let hidden = eventually("one that no scan has in hand", || async {
        let call = sqs.connection.receiving().receive_message().queue_url(&url);
        let found = call.visibility_timeout(3_600).send().await.expect("an answer");
        found.messages.unwrap_or_default().pop()
    })
    .await;
    let body = json!({ "queue": STANDARD_DLQ, "all": true, "reason": "mended" });
    let id = monitor.begin("redrive", body).await;
    let path = format!("/api/dlq/jobs/{id}");
    let job = eventually("SQS has moved what it could", || async {
        let job = monitor.json(&path).await;
        (job["method"] == "messages").then_some(job)
    })
    .await;
    assert_eq!((&job["state"], &job["done"]), (&"running".into(), &4.into()), "{job}");
    assert_eq!((sqs.count(STANDARD_DLQ), sqs.count(STANDARD)), (1, 4));
    let call = sqs.connection.settling().change_message_visibility().queue_url(&url);
    let call = call.set_receipt_handle(hidden.receipt_handle).visibility_timeout(0);
    call.send().await.expect("it is visible again");
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
    let url = queue_url(sqs.addr, STANDARD_DLQ);
    eventually("one that no scan has in hand", || async {
        let call = sqs.connection.receiving().receive_message().queue_url(&url);
        let found = call.visibility_timeout(3_600).send().await.expect("an answer");
        found.messages.unwrap_or_default().pop()
    })
    .await;
    let id = monitor.begin("redrive", json!({ "queue": STANDARD_DLQ, "all": true })).await;
    let job = monitor.ended(&id).await;
    assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &2.into()), "{job}");
    assert_eq!(job["notFound"], 1, "{job}");
    let note = job["note"].as_str().expect("a note");
    assert!(note.starts_with("SQS moved 2 of 3 messages") && note.contains("1 were not found"));
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
