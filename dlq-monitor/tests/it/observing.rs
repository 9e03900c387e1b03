//! What the monitor notices, and what it leaves as it was.

use std::{net::SocketAddr, time::Duration};

use jiff::Timestamp;
use order_events::DeliveryStatus;
use order_store::{Checkpoint, JobKind, JobMethod, JobState, NewJob, Store};

use crate::{
    http::get,
    support::{
        Database, FIFO, FIFO_DLQ, Logs, Monitor, STANDARD, STANDARD_DLQ, Sqs, attempted, bytes,
        eventually, order, text,
    },
};

fn arrived(queue: &str, reason: &str) -> String {
    format!(r#"dlq_messages_arrived_total{{queue="{queue}",reason="{reason}"}}"#)
}

fn complete(queue: &str) -> String {
    format!(r#"dlq_scan_complete{{queue="{queue}"}}"#)
}

#[tokio::test]
async fn every_queue_is_counted_by_state() {
    let sqs = Sqs::anywhere().await;
    for _ in 0..3 {
        sqs.send(STANDARD, "{}", &[]).await;
    }
    sqs.send(FIFO, "{}", &[]).await;
    sqs.send(STANDARD_DLQ, "{}", &[]).await;
    let monitor = Monitor::start(sqs.addr).await;
    for (queue, role, count) in [
        (STANDARD, "source", 3.0),
        (FIFO, "source", 1.0),
        (STANDARD_DLQ, "dlq", 1.0),
        (FIFO_DLQ, "dlq", 0.0),
    ] {
        let series =
            format!(r#"sqs_queue_messages{{queue="{queue}",role="{role}",state="visible"}}"#);
        monitor.metric_becomes(&series, count).await;
        let retention = format!(r#"sqs_queue_retention_seconds{{queue="{queue}",role="{role}"}}"#);
        assert!(monitor.metric(&retention).await.is_some_and(|seconds| seconds >= 60.0));
    }
    eventually("a round succeeds", || async {
        monitor.metric("dlq_monitor_last_success_timestamp_seconds").await.filter(|at| *at > 1.6e9)
    })
    .await;
    assert!(monitor.readiness.is_ready());
    let overview = monitor.json("/api/dlq/queues").await;
    assert_eq!(overview["queues"][0]["queue"], STANDARD);
    assert_eq!(overview["queues"][0]["visible"], 3);
    assert_eq!(overview["queues"][1]["role"], "dlq");
    let (status, health) = get(monitor.api, "/api/dlq/health").await;
    assert_eq!((status, health.as_str()), (200, r#"{"status":"UP","service":"dlq-monitor"}"#));
    monitor.stop().await;
}

#[tokio::test]
async fn a_dead_letter_is_logged_and_counted_once_and_stays_where_it_is() {
    let logs = Logs::capture();
    let sqs = Sqs::anywhere().await;
    let monitor = Monitor::start(sqs.addr).await;
    monitor.metric_becomes(&arrived(STANDARD_DLQ, "forced"), 0.0).await;
    let dead = order();
    let why = [
        ("dead-letter-reason", text("forced")),
        ("dead-letter-detail", text("a test product")),
        ("traceparent", text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
    ];
    sqs.send(STANDARD_DLQ, &dead.to_json(), &why).await;
    monitor.metric_becomes(&arrived(STANDARD_DLQ, "forced"), 1.0).await;
    monitor.scans(3).await;
    monitor.metric_becomes(&complete(STANDARD_DLQ), 1.0).await;
    assert_eq!(monitor.metric(&arrived(STANDARD_DLQ, "forced")).await, Some(1.0));
    let told = logs.dead_letters();
    assert_eq!(told.len(), 1, "{told:?}");
    let fields = &told[0];
    assert_eq!(fields["queue"], STANDARD_DLQ);
    assert_eq!(fields["order_id"], dead.order_id.to_string());
    assert_eq!(fields["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(fields["customer_id"], "고객 1");
    assert_eq!(fields["items"], "실패테스트 x 2 at 10000");
    assert_eq!(fields["order_timestamp"], dead.timestamp.to_string());
    assert_eq!(
        (&fields["reason"], &fields["detail"]),
        (&"forced".into(), &"a test product".into())
    );

    let sent = format!(r#"sqs_queue_oldest_message_timestamp_seconds{{queue="{STANDARD_DLQ}"}}"#);
    let expiry = format!(r#"sqs_queue_next_expiry_timestamp_seconds{{queue="{STANDARD_DLQ}"}}"#);
    let (sent_at, expires_at) = (monitor.metric(&sent).await, monitor.metric(&expiry).await);
    let kept = expires_at.unwrap() - sent_at.unwrap();
    assert!((kept - 14.0 * 86_400.0).abs() < 1.0, "{kept}");

    // Whoever wants it can have it, and then the monitor forgets it.
    let taken =
        eventually("it can be received", || async { sqs.take(STANDARD_DLQ).await.pop() }).await;
    assert_eq!(taken, dead.to_json());
    eventually("its age is gone", || async { monitor.metric(&sent).await.is_none().then_some(()) })
        .await;
    assert_eq!(monitor.metric(&expiry).await, None);
    monitor.stop().await;
}

#[tokio::test]
async fn what_sqs_itself_moved_has_no_reason_but_its_attempts() {
    let logs = Logs::capture();
    let sqs = Sqs::anywhere().await;
    let dead = order();
    sqs.send(STANDARD, &dead.to_json(), &[]).await;
    for _ in 0..4 {
        let url = crate::support::queue_url(sqs.addr, STANDARD);
        let call = sqs.connection.receiving().receive_message().queue_url(url);
        call.visibility_timeout(0).wait_time_seconds(0).send().await.unwrap();
    }
    let monitor = Monitor::start(sqs.addr).await;
    monitor.metric_becomes(&arrived(STANDARD_DLQ, "unknown"), 1.0).await;
    let told = logs.dead_letters();
    assert_eq!((&told[0]["reason"], &told[0]["attempts"]), (&"unknown".into(), &"3".into()));
    monitor.stop().await;
}

#[tokio::test]
async fn anything_at_all_in_a_dead_letter_queue_is_logged_safely() {
    let logs = Logs::capture();
    let sqs = Sqs::anywhere().await;
    let huge = format!("<script>\u{85}\u{202e}{}", "상".repeat(200_000));
    let odd = [
        ("dead-letter-reason", bytes(&[0, 255])),
        ("dead-letter-detail", bytes(&[27])),
        ("traceparent", text("nonsense")),
    ];
    sqs.send(STANDARD_DLQ, &huge, &odd).await;
    sqs.send(STANDARD_DLQ, "[[[[", &[("dead-letter-reason", text("{reason=\"x\"}"))]).await;
    sqs.send(STANDARD_DLQ, &order().to_json(), &[("dead-letter-reason", text("unparseable"))])
        .await;
    let monitor = Monitor::start(sqs.addr).await;
    monitor.metric_becomes(&arrived(STANDARD_DLQ, "unknown"), 2.0).await;
    monitor.metric_becomes(&arrived(STANDARD_DLQ, "unparseable"), 1.0).await;
    let told = logs.dead_letters();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|fields| fields["trace_id"].is_null()), "no trace is named: {told:?}");
    let body =
        told.iter().find_map(|fields| fields["body"].as_str().filter(|body| body.starts_with('<')));
    let body = body.expect("the huge one");
    assert!(body.starts_with("<script>\\u{85}\\u{202e}상") && body.len() < 1200, "{body}");
    monitor.metric_becomes(&complete(STANDARD_DLQ), 1.0).await;
    assert!(monitor.readiness.is_ready());
    monitor.stop().await;
}

#[tokio::test]
async fn a_fifo_queue_keeps_its_order_and_what_a_group_hides_is_reported() {
    let sqs = Sqs::anywhere().await;
    for i in 0..15 {
        sqs.send(FIFO_DLQ, &format!("{i}"), &[]).await;
    }
    let monitor = Monitor::start(sqs.addr).await;
    monitor.metric_becomes(&arrived(FIFO_DLQ, "unknown"), 10.0).await;
    monitor.scans(2).await;
    assert_eq!(monitor.metric(&complete(FIFO_DLQ)).await, Some(0.0));
    assert_eq!(monitor.metric(&arrived(FIFO_DLQ, "unknown")).await, Some(10.0));
    // An operator gets the messages in their order although they are peeked at all the time.
    let mut taken = Vec::new();
    while taken.len() < 15 {
        let more = eventually("more", || async {
            Some(sqs.take(FIFO_DLQ).await).filter(|m| !m.is_empty())
        });
        taken.extend(more.await);
    }
    let expected: Vec<_> = (0..15).map(|i| i.to_string()).collect();
    assert_eq!(taken, expected);
    monitor.metric_becomes(&complete(FIFO_DLQ), 1.0).await;
    monitor.stop().await;
}

/// A job of the standard queue that a process has in hand which does nothing.
async fn a_job_elsewhere(store: &Store) -> Checkpoint {
    let now = Timestamp::now();
    let job = NewJob {
        id: uuid::Uuid::now_v7(),
        kind: JobKind::Redrive,
        method: JobMethod::Messages,
        queue: STANDARD_DLQ.to_owned(),
        request: "{}".to_owned(),
        through: i64::MAX,
        requested_by: "me".to_owned(),
        why: "mended".to_owned(),
        selected: 1,
        at: now,
    };
    store.create_job(&job).await.expect("it is kept");
    let lease = Duration::from_hours(1);
    let claimed = store.claim_job(STANDARD_DLQ, "another monitor", now, lease).await;
    let job = claimed.expect("the store answers").expect("nobody has it");
    Checkpoint {
        job: job.id,
        queue: job.queue,
        holder: job.holder,
        step: job.step,
        state: JobState::Completed,
        method: job.method,
        progress: job.progress,
        canary_passed: false,
        task: None,
        note: None,
        marks: Vec::new(),
        deleted: Vec::new(),
        all_moved: false,
        now,
        lease: Duration::ZERO,
    }
}

#[tokio::test]
async fn nothing_is_hidden_from_the_job_of_another_monitor() {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    let store = database.open().await;
    let end = a_job_elsewhere(&store).await;
    sqs.send(STANDARD_DLQ, "a", &[]).await;
    let monitor = Monitor::on(sqs.addr, &database, &[]).await;
    // Rounds in which the other queue is looked at.
    for number in 1..=3 {
        sqs.send(FIFO_DLQ, "b", &[]).await;
        monitor.letters(FIFO_DLQ, number).await;
        let counts = sqs.handle.queue_counts(STANDARD_DLQ).expect("the queue exists");
        assert_eq!((counts.visible, counts.in_flight), (1, 0));
    }
    monitor.letters(STANDARD_DLQ, 0).await;
    store.write_checkpoint(&end).await.expect("an answer").expect("the job is ended");
    monitor.letters(STANDARD_DLQ, 1).await;
    monitor.stop().await;
}

#[tokio::test]
async fn a_monitor_that_is_stopped_leaves_nothing_in_flight() {
    let sqs = Sqs::anywhere().await;
    for i in 0..25 {
        sqs.send(STANDARD_DLQ, &format!("{i}"), &[]).await;
    }
    let monitor = Monitor::start(sqs.addr).await;
    eventually("a scan is under way", || async {
        sqs.handle.queue_counts(STANDARD_DLQ).filter(|counts| counts.in_flight > 0)
    })
    .await;
    monitor.stop().await;
    let counts = sqs.handle.queue_counts(STANDARD_DLQ).unwrap();
    assert_eq!((counts.visible, counts.in_flight), (25, 0));
}

#[tokio::test]
async fn a_monitor_starts_without_sqs_and_becomes_ready_when_it_appears() {
    let reserved = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = reserved.local_addr().unwrap();
    drop(reserved);
    let monitor = Monitor::start(addr).await;
    eventually("the failure is told", || async {
        let overview = monitor.json("/api/dlq/queues").await;
        overview["queues"][0]["error"].is_string().then_some(())
    })
    .await;
    assert_eq!(get(monitor.admin, "/livez").await.0, 200);
    assert_eq!(get(monitor.admin, "/readyz").await.0, 503);
    let _sqs = Sqs::start(addr).await;
    eventually("it is ready", || async { monitor.readiness.is_ready().then_some(()) }).await;
    assert_eq!(get(monitor.admin, "/readyz").await.0, 200);
    monitor.stop().await;
}

#[tokio::test]
async fn a_monitor_without_queues_is_alive_but_not_ready() {
    let endpoint = SocketAddr::from(([127, 0, 0, 1], 9));
    let monitor =
        Monitor::with(vec![("AWS_SQS_ENDPOINT".to_owned(), format!("http://{endpoint}"))]).await;
    let (status, why) = get(monitor.admin, "/readyz").await;
    assert_eq!(status, 503);
    assert!(why.contains("SQS_QUEUE_URL_"), "{why}");
    monitor.stop().await;
}

#[tokio::test]
async fn a_dead_letter_is_counted_and_logged_once_across_restarts_and_by_one_of_two_monitors() {
    let logs = Logs::capture();
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    for _ in 0..3 {
        sqs.send(STANDARD_DLQ, &order().to_json(), &[]).await;
    }
    let first = Monitor::on(sqs.addr, &database, &[]).await;
    first.letters(STANDARD_DLQ, 3).await;
    first.stop().await;
    let (second, third) =
        (Monitor::on(sqs.addr, &database, &[]).await, Monitor::on(sqs.addr, &database, &[]).await);
    sqs.send(STANDARD_DLQ, &order().to_json(), &[]).await;
    second.letters(STANDARD_DLQ, 4).await;
    second.scans(3).await;
    third.scans(3).await;
    let series = arrived(STANDARD_DLQ, "unknown");
    let counted = [second.metric(&series).await, third.metric(&series).await];
    let counted: Vec<u64> = counted.into_iter().flatten().map(|count| count as u64).collect();
    assert_eq!(counted.iter().sum::<u64>(), 1, "{counted:?}");
    assert_eq!(logs.dead_letters().len(), 4);
    second.stop().await;
    third.stop().await;
}

#[tokio::test]
async fn the_reason_and_the_attempts_come_from_the_deliveries_store() {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    let (store, dead) = (database.open().await, order());
    let attempt = attempted(&dead, STANDARD, DeliveryStatus::Failed, Timestamp::now());
    store.write(attempt).await.expect("it is written");
    // Its own words are of an earlier death.
    let stale = [
        ("dead-letter-reason", text("forced")),
        ("traceparent", text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
    ];
    sqs.send(STANDARD_DLQ, &dead.to_json(), &stale).await;
    let trace = [("MONITOR_TRACE_URL", "http://jaeger.example/trace/{traceId}")];
    let monitor = Monitor::on(sqs.addr, &database, &trace).await;
    let letter = monitor.letters(STANDARD_DLQ, 1).await.remove(0);
    assert_eq!(letter["reason"], "carrier_unavailable");
    assert_eq!(
        (&letter["detail"], &letter["attempts"]),
        (&"the carrier is closed".into(), &3.into())
    );
    let id = letter["messageId"].as_str().expect("an id");
    let whole = monitor.json(&format!("/api/dlq/messages/{STANDARD_DLQ}/{id}")).await;
    assert_eq!(whole["body"], dead.to_json());
    assert_eq!(whole["deliveryStatus"], "FAILED");
    assert_eq!(whole["deliveryAttempts"][0]["error"], "the carrier is closed");
    assert_eq!(whole["attributes"]["dead-letter-reason"]["value"], "forced");
    let url = "http://jaeger.example/trace/4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!(whole["traceUrl"], url);
    monitor.stop().await;
}

#[tokio::test]
async fn what_died_while_no_monitor_ran_is_an_increase_from_the_first_scrape_to_the_second() {
    let logs = Logs::capture();
    let sqs = Sqs::anywhere().await;
    let why = [("dead-letter-reason", text("forced"))];
    for _ in 0..2 {
        sqs.send(STANDARD_DLQ, &order().to_json(), &why).await;
    }
    let monitor = Monitor::start(sqs.addr).await;
    eventually("both are told of", || async { (logs.dead_letters().len() == 2).then_some(()) })
        .await;
    let series = arrived(STANDARD_DLQ, "forced");
    assert_eq!(monitor.metric(&series).await, Some(2.0), "who only looks is no scrape");
    let scrapes = [monitor.scraped(&series).await, monitor.scraped(&series).await];
    assert_eq!(scrapes, [Some(0.0), Some(2.0)]);
    monitor.stop().await;
}

#[tokio::test]
async fn the_monitors_own_metrics_are_there_before_anything_has_happened() {
    let sqs = Sqs::anywhere().await;
    let monitor = Monitor::start(sqs.addr).await;
    for series in [
        "dlq_redriven_messages_total{outcome=\"redriven\"}",
        "dlq_redriven_messages_total{outcome=\"refused\"}",
        "dlq_redriven_messages_total{outcome=\"failed\"}",
        "dlq_discarded_messages_total",
        "dlq_redelivered_failed_again_total{queue=\"order-queue-standard-dlq\"}",
        "dlq_redelivered_failed_again_total{queue=\"order-queue-dlq.fifo\"}",
    ] {
        assert_eq!(monitor.metric(series).await, Some(0.0), "{series}");
    }
    monitor.stop().await;
}
