//! Jobs from end to end: what is asked for, what becomes of the messages, and what is told of it.

use std::time::Duration;

use jiff::Timestamp;
use order_events::DeliveryStatus;
use serde_json::{Value, json};

use crate::support::{
    FIFO, FIFO_DLQ, Logs, Monitor, STANDARD, STANDARD_DLQ, attempted, bytes, eventually, order,
    order_of, started, text,
};

fn ids(letters: &[Value]) -> Vec<&str> {
    letters.iter().filter_map(|letter| letter["messageId"].as_str()).collect()
}

#[tokio::test]
async fn named_messages_go_back_with_what_they_were_sent_with_and_the_others_stay() {
    let logs = Logs::capture();
    let (sqs, _database, monitor) = started().await;
    let dead = order();
    let sent = [
        ("traceparent", text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
        ("picture", bytes(&[0, 255])),
        ("dead-letter-reason", text("forced")),
        ("dead-letter-attempts", text("3")),
    ];
    sqs.send(STANDARD_DLQ, &dead.to_json(), &sent).await;
    sqs.send(STANDARD_DLQ, "other", &[]).await;
    let letters = monitor.letters(STANDARD_DLQ, 2).await;
    let letter = letters.iter().find(|letter| letter["reason"] == "forced").expect("the order");
    let id = letter["messageId"].as_str().expect("an id");
    let body = json!({ "queue": STANDARD_DLQ, "ids": [id], "rate": 100 });
    let job = monitor.ended(&monitor.begin("redrive", body).await).await;
    assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &1.into()), "{job}");
    assert_eq!(job["method"], "messages");
    assert_eq!(
        (sqs.bodies(STANDARD), sqs.bodies(STANDARD_DLQ)),
        (vec![dead.to_json()], vec!["other".to_owned()])
    );
    let url = crate::support::queue_url(sqs.addr, STANDARD);
    let call = sqs.connection.receiving().receive_message().queue_url(url);
    let found = call.message_attribute_names("All").send().await.expect("an answer");
    let message = found.messages.unwrap_or_default().pop().expect("it is there");
    let mut names: Vec<String> =
        message.message_attributes.unwrap_or_default().into_keys().collect();
    names.sort();
    assert_eq!(names, ["picture", "traceparent"], "its death is taken off, its trace is kept");
    let shown = monitor.json(&format!("/api/dlq/messages/{STANDARD_DLQ}/{id}")).await;
    assert_eq!(
        (&shown["state"], &shown["job"]["outcome"]),
        (&"redriven".into(), &"redriven".into())
    );
    let dealt_with = monitor
        .json(&format!("/api/dlq/jobs/{}/messages", job["id"].as_str().expect("an id")))
        .await;
    assert_eq!(dealt_with["items"][0]["messageId"], id);
    let told = logs.telling("the message is redriven");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["job"], &told[0]["message_id"]), (&job["id"], &id.into()));
    assert_eq!(told[0]["order_id"], dead.order_id.to_string());
    assert_eq!(told[0]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    monitor.stop().await;
}

#[tokio::test]
async fn a_fifo_queue_goes_back_in_order_group_by_group() {
    let (sqs, _database, monitor) = started().await;
    for i in 0..12 {
        sqs.send_in_group(FIFO_DLQ, &format!("group-{}", i % 2), &i.to_string(), &[]).await;
    }
    monitor.letters(FIFO_DLQ, 12).await;
    let id = monitor.begin("redrive", json!({ "queue": FIFO_DLQ, "all": true })).await;
    let job = monitor.ended(&id).await;
    assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &12.into()), "{job}");
    assert_eq!(sqs.count(FIFO_DLQ), 0);
    for group in 0..2 {
        let numbers =
            sqs.bodies(FIFO).into_iter().map(|body| body.parse::<u32>().expect("a number"));
        let of_group: Vec<u32> = numbers.filter(|number| number % 2 == group).collect();
        assert!(of_group.is_sorted() && of_group.len() == 6, "{of_group:?}");
    }
    monitor.stop().await;
}

#[tokio::test]
async fn an_overtaken_order_stays_dead_unless_that_is_asked_for() {
    let logs = Logs::capture();
    let (sqs, database, monitor) = started().await;
    let (store, dead, newer) = (database.open().await, order_of("c-1"), order_of("c-1"));
    let (then, now) = (Timestamp::now() - Duration::from_secs(1), Timestamp::now());
    for (order, status, at) in
        [(&dead, DeliveryStatus::Failed, then), (&newer, DeliveryStatus::Delivered, now)]
    {
        store.write(attempted(order, FIFO, status, at)).await.expect("it is written");
    }
    sqs.send_in_group(FIFO_DLQ, "c-1", &dead.to_json(), &[]).await;
    sqs.send_in_group(FIFO_DLQ, "c-2", &order_of("c-2").to_json(), &[]).await;
    monitor.letters(FIFO_DLQ, 2).await;
    let thought = json!({ "queue": FIFO_DLQ, "all": true, "dryRun": true });
    let thought = monitor.post("/api/dlq/redrive", thought).await.json();
    assert_eq!(
        (&thought["selected"], &thought["wouldRefuse"]),
        (&2.into(), &1.into()),
        "{thought}"
    );
    assert_eq!(sqs.count(FIFO), 0, "it was only thought through");
    let id = monitor.begin("redrive", json!({ "queue": FIFO_DLQ, "all": true })).await;
    let job = monitor.ended(&id).await;
    assert_eq!((&job["done"], &job["refused"]), (&1.into(), &1.into()), "{job}");
    let left = monitor.letters(FIFO_DLQ, 1).await;
    assert_eq!(left[0]["job"]["outcome"], "refused");
    let why = left[0]["job"]["detail"].as_str().expect("a reason");
    assert!(why.contains("newer messages"), "{why}");
    let told = logs.telling("the message stays dead");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["order_id"], dead.order_id.to_string());
    assert_eq!(told[0]["why"], why);
    let body = json!({ "queue": FIFO_DLQ, "all": true, "allowReorder": true });
    let job = monitor.ended(&monitor.begin("redrive", body).await).await;
    assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &1.into()), "{job}");
    assert_eq!((sqs.count(FIFO), sqs.count(FIFO_DLQ)), (2, 0));
    monitor.stop().await;
}

#[tokio::test]
async fn what_is_behind_a_dead_letter_that_stays_is_refused_and_a_dry_run_says_so() {
    let (sqs, _database, monitor) = started().await;
    let mut sent = Vec::new();
    for (group, body) in [("a", "0"), ("a", "1"), ("a", "2"), ("b", "3")] {
        sent.push(sqs.send_in_group(FIFO_DLQ, group, body, &[]).await);
    }
    monitor.letters(FIFO_DLQ, 4).await;
    for (selected, refused) in [(&[1, 2, 3][..], 2), (&[0, 2, 3], 1), (&[0, 1, 3], 0), (&[3], 0)] {
        let ids: Vec<_> = selected.iter().map(|&i| &sent[i]).collect();
        let body = json!({ "queue": FIFO_DLQ, "ids": ids, "dryRun": true });
        let thought = monitor.post("/api/dlq/redrive", body).await.json();
        assert_eq!(thought["wouldRefuse"], refused, "{selected:?}: {thought}");
    }
    let ids = [&sent[1], &sent[2], &sent[3]];
    let body = json!({ "queue": FIFO_DLQ, "ids": ids, "allowReorder": true, "dryRun": true });
    let thought = monitor.post("/api/dlq/redrive", body).await.json();
    assert_eq!(thought["wouldRefuse"], 0, "{thought}");
    let id = monitor.begin("redrive", json!({ "queue": FIFO_DLQ, "ids": ids })).await;
    let job = monitor.ended(&id).await;
    assert_eq!((&job["done"], &job["refused"]), (&1.into(), &2.into()), "{job}");
    assert_eq!((sqs.bodies(FIFO), sqs.count(FIFO_DLQ)), (vec!["3".to_owned()], 3));
    monitor.stop().await;
}

#[tokio::test]
async fn the_canary_goes_first_and_the_others_when_it_is_delivered_or_not_at_all() {
    for delivered in [true, false] {
        let (sqs, database, monitor) = started().await;
        let orders: Vec<_> = (0..4).map(|_| order()).collect();
        for order in &orders {
            sqs.send(STANDARD_DLQ, &order.to_json(), &[]).await;
        }
        monitor.letters(STANDARD_DLQ, 4).await;
        let body = json!({ "queue": STANDARD_DLQ, "all": true, "canary": 1 });
        let refused = monitor.post("/api/dlq/redrive", body.clone()).await;
        assert_eq!((refused.status, refused.problem().as_str()), (409, "canary-blind"));
        let earlier = attempted(&order(), STANDARD, DeliveryStatus::Delivered, Timestamp::now());
        database.open().await.write(earlier).await.expect("it is written");
        let id = monitor.begin("redrive", body).await;
        eventually("the canary is sent and waited for", || async {
            let job = monitor.json(&format!("/api/dlq/jobs/{id}")).await;
            (job["state"] == "canary").then_some(())
        })
        .await;
        assert_eq!(sqs.count(STANDARD), 1);
        let body = sqs.bodies(STANDARD).remove(0);
        let first = orders.iter().find(|order| order.to_json() == body).expect("one of them");
        let status = if delivered { DeliveryStatus::Delivered } else { DeliveryStatus::Failed };
        let store = database.open().await;
        store
            .write(attempted(first, STANDARD, status, Timestamp::now()))
            .await
            .expect("it is written");
        let job = monitor.ended(&id).await;
        if delivered {
            assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &4.into()), "{job}");
            assert_eq!(sqs.count(STANDARD), 4);
        } else {
            assert_eq!((&job["state"], &job["done"]), (&"failed".into(), &1.into()), "{job}");
            assert!(job["note"].as_str().is_some_and(|note| note.contains("canary")), "{job}");
            assert_eq!((sqs.count(STANDARD), sqs.count(STANDARD_DLQ)), (1, 3));
        }
        monitor.stop().await;
    }
}

#[tokio::test]
async fn what_is_discarded_can_be_read_in_the_archive() {
    let (sqs, _database, monitor) = started().await;
    let huge = format!("<script>{}", "상".repeat(300_000));
    sqs.send(STANDARD_DLQ, &huge, &[("b", bytes(&[0, 255]))]).await;
    sqs.send(STANDARD_DLQ, &order().to_json(), &[("dead-letter-reason", text("forced"))]).await;
    monitor.letters(STANDARD_DLQ, 2).await;
    let body = json!({
        "queue": STANDARD_DLQ, "filter": { "text": "<SCRIPT>" }, "reason": "garbage",
        "expectedCount": 1,
    });
    let job = monitor.ended(&monitor.begin("discard", body).await).await;
    assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &1.into()), "{job}");
    assert_eq!((sqs.count(STANDARD_DLQ), sqs.count(STANDARD)), (1, 0));
    monitor.metric_becomes("dlq_discarded_messages_total", 1.0).await;
    let discarded = monitor.json("/api/dlq/messages?state=discarded").await;
    let id = discarded["items"][0]["messageId"].as_str().expect("an id");
    let whole = monitor.json(&format!("/api/dlq/messages/{STANDARD_DLQ}/{id}")).await;
    assert_eq!(
        (whole["body"].as_str(), whole["bodyBytes"].as_u64()),
        (Some(&*huge), Some(900_008))
    );
    assert_eq!(whole["attributes"]["b"]["base64"], "AP8=");
    monitor.stop().await;
}

#[tokio::test]
async fn a_job_that_is_slow_is_followed_and_ended_early() {
    let (sqs, _database, monitor) = started().await;
    for i in 0..30 {
        sqs.send(STANDARD_DLQ, &format!("{i}"), &[]).await;
    }
    monitor.letters(STANDARD_DLQ, 30).await;
    let body = json!({ "queue": STANDARD_DLQ, "filter": { "reason": "unknown" }, "rate": 1 });
    let id = monitor.begin("redrive", body).await;
    let path = format!("/api/dlq/jobs/{id}");
    eventually("it has begun", || async {
        let job = monitor.json(&path).await;
        job["done"].as_u64().is_some_and(|done| done > 0).then_some(())
    })
    .await;
    let answer =
        monitor.post(&format!("{path}/cancel"), json!({ "by": "me", "reason": "too slow" })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let job = monitor.ended(&id).await;
    assert_eq!(
        (&job["state"], &job["cancelledBy"]),
        (&"cancelled".into(), &"me (no token)".into())
    );
    let done = job["done"].as_u64().expect("a count") as usize;
    assert!(done < 30, "{job}");
    assert_eq!((sqs.count(STANDARD), sqs.count(STANDARD_DLQ)), (done, 30 - done));
    let again = monitor.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!((again.status, again.problem().as_str()), (409, "job-ended"));
    monitor.stop().await;
}

#[tokio::test]
async fn two_operators_who_want_the_same_messages_move_each_once() {
    let (sqs, database, first) = started().await;
    let second = Monitor::on(sqs.addr, &database, &[]).await;
    for i in 0..20 {
        sqs.send(STANDARD_DLQ, &format!("{i}"), &[]).await;
    }
    let letters = first.letters(STANDARD_DLQ, 20).await;
    let body = json!({ "queue": STANDARD_DLQ, "ids": ids(&letters) });
    let (one, other) =
        tokio::join!(first.begin("redrive", body.clone()), second.begin("redrive", body));
    let (one, other) = tokio::join!(first.ended(&one), second.ended(&other));
    let done = |job: &Value| job["done"].as_u64().expect("a count");
    assert_eq!(done(&one) + done(&other), 20, "{one} {other}");
    for job in [&one, &other] {
        let others = 20 - done(job);
        let told = format!("{others} were dealt with by another job");
        let note = job["note"].as_str().unwrap_or_default();
        assert_eq!(note.contains(&told), others > 0, "{job}");
    }
    let mut bodies: Vec<u32> =
        sqs.bodies(STANDARD).iter().map(|body| body.parse().expect("a number")).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, (0..20).collect::<Vec<_>>());
    assert_eq!(sqs.count(STANDARD_DLQ), 0);
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_redriven_message_that_dies_again_is_counted_as_such() {
    let (sqs, _database, monitor) = started().await;
    let dead = order();
    sqs.send(STANDARD_DLQ, &dead.to_json(), &[]).await;
    let letters = monitor.letters(STANDARD_DLQ, 1).await;
    let body = json!({ "queue": STANDARD_DLQ, "ids": ids(&letters) });
    monitor.ended(&monitor.begin("redrive", body).await).await;
    assert_eq!(sqs.take(STANDARD).await, [dead.to_json()]);
    sqs.send(STANDARD_DLQ, &dead.to_json(), &[]).await;
    let again = format!("dlq_redelivered_failed_again_total{{queue=\"{STANDARD_DLQ}\"}}");
    monitor.metric_becomes(&again, 1.0).await;
    monitor.letters(STANDARD_DLQ, 1).await;
    monitor.stop().await;
}

#[tokio::test]
async fn a_job_waits_for_sqs_and_for_a_store_that_fail_meanwhile() {
    use local_sqs::{FaultRule, Faults};
    let (sqs, _database, monitor) = started().await;
    for i in 0..25 {
        sqs.send(STANDARD_DLQ, &format!("{i}"), &[]).await;
    }
    let letters = monitor.letters(STANDARD_DLQ, 25).await;
    let rule = |operation: &str| FaultRule {
        operation: Some(operation.to_owned()),
        error_rate: 0.1,
        entry_error_rate: 0.2,
        drop_response_rate: 0.1,
        ..FaultRule::default()
    };
    let rules = ["SendMessageBatch", "DeleteMessageBatch"].map(rule).into();
    sqs.handle.set_faults(Faults { seed: 7, rules });
    let body = json!({ "queue": STANDARD_DLQ, "ids": ids(&letters) });
    let id = monitor.begin("redrive", body).await;
    let job = monitor.ended(&id).await;
    assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &25.into()), "{job}");
    sqs.handle.set_faults(Faults::default());
    assert_eq!(sqs.count(STANDARD_DLQ), 0);
    // A copy too many is harmless; none is missing.
    let bodies: std::collections::BTreeSet<String> = sqs.bodies(STANDARD).into_iter().collect();
    assert_eq!(bodies.len(), 25);
    monitor.stop().await;
}

#[tokio::test]
async fn a_job_survives_its_monitor() {
    let (sqs, database, monitor) = started().await;
    for i in 0..6 {
        sqs.send_in_group(FIFO_DLQ, "g", &i.to_string(), &[]).await;
    }
    monitor.letters(FIFO_DLQ, 6).await;
    let body = json!({ "queue": FIFO_DLQ, "all": true, "rate": 1 });
    let id = monitor.begin("redrive", body).await;
    eventually("it has begun", || async { (sqs.count(FIFO) > 0).then_some(()) }).await;
    monitor.stop().await;
    let monitor = Monitor::on(sqs.addr, &database, &[]).await;
    let job = monitor.ended(&id).await;
    assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &6.into()), "{job}");
    let expected: Vec<String> = (0..6).map(|i| i.to_string()).collect();
    assert_eq!((sqs.bodies(FIFO), sqs.count(FIFO_DLQ)), (expected, 0));
    monitor.stop().await;
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_anything_is_done() {
    let (sqs, _database, monitor) = started().await;
    sqs.send(STANDARD_DLQ, "x", &[]).await;
    let letters = monitor.letters(STANDARD_DLQ, 1).await;
    let id = ids(&letters)[0];
    for (what, body, status, problem) in [
        ("redrive", json!({ "queue": "other", "all": true }), 404, "unknown-queue"),
        ("redrive", json!({ "queue": STANDARD_DLQ }), 400, "invalid-request"),
        ("discard", json!({ "queue": STANDARD_DLQ, "all": true }), 400, "invalid-request"),
        (
            "redrive",
            json!({ "queue": FIFO_DLQ, "all": true, "method": "moveTask" }),
            400,
            "invalid-request",
        ),
        ("redrive", json!({ "queue": FIFO_DLQ, "all": true }), 409, "count-differs"),
        ("redrive", json!({ "queue": STANDARD_DLQ, "ids": [id, "unknown"] }), 409, "count-differs"),
        (
            "redrive",
            json!({ "queue": STANDARD_DLQ, "all": true, "expectedCount": 2 }),
            409,
            "count-differs",
        ),
        ("redrive", json!([1]), 400, "malformed-json"),
    ] {
        let answer = monitor.post(&format!("/api/dlq/{what}"), body.clone()).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (status, problem),
            "{body}: {answer:?}"
        );
    }
    assert_eq!(monitor.json("/api/dlq/jobs").await["items"], json!([]));
    assert_eq!(monitor.json("/api/dlq/audit").await["items"], json!([]));
    let nowhere = "00000000-0000-0000-0000-000000000001";
    let answer = monitor.post(&format!("/api/dlq/jobs/{nowhere}/cancel"), json!({})).await;
    assert_eq!(answer.problem(), "unknown-job");
    monitor.stop().await;
}
