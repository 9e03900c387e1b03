//! What the monitor goes on to see while one of its queues cannot be read, or takes long to be looked at.

use local_sqs::{FaultRule, Faults, Latency};

use crate::support::{
    FIFO_DLQ, Logs, Monitor, STANDARD, STANDARD_DLQ, Sqs, environment, eventually, queue_url,
};

#[tokio::test]
async fn a_queue_that_cannot_be_read_hides_nothing_of_the_others() {
    let logs = Logs::capture();
    let sqs = Sqs::anywhere().await;
    let mut env = environment(sqs.addr);
    for (name, url) in &mut env {
        if name == "SQS_QUEUE_URL_STANDARD" {
            *url = queue_url(sqs.addr, "nowhere");
        }
    }
    let monitor = Monitor::with(env).await;
    eventually("it is told", || async {
        (!logs.telling("the queue cannot be watched").is_empty()).then_some(())
    })
    .await;
    for dead in [STANDARD_DLQ, FIFO_DLQ] {
        sqs.send(dead, "x", &[]).await;
        let arrived = format!("dlq_messages_arrived_total{{queue=\"{dead}\",reason=\"unknown\"}}");
        monitor.metric_becomes(&arrived, 1.0).await;
    }
    assert!(!monitor.readiness.is_ready(), "not every queue is watched");
    let last_success = monitor.metric("dlq_monitor_last_success_timestamp_seconds").await;
    assert_eq!(last_success, Some(0.0));
    for told in logs.telling("the queue cannot be watched") {
        assert_eq!(told["queue"], "nowhere");
    }
    monitor.stop().await;
}

#[tokio::test]
async fn queues_are_read_on_while_one_of_them_is_looked_at() {
    let sqs = Sqs::anywhere().await;
    for body in 0..100 {
        sqs.send(STANDARD_DLQ, &body.to_string(), &[]).await;
    }
    // At ten messages a time it takes as long as a scan of so many may.
    let rule = FaultRule {
        operation: Some("ReceiveMessage".to_owned()),
        latency: Latency::Fixed { ms: 3_000.0 },
        ..FaultRule::default()
    };
    sqs.handle.set_faults(Faults { seed: 1, rules: vec![rule] });
    let monitor = Monitor::start(sqs.addr).await;
    let waiting =
        format!("sqs_queue_messages{{queue=\"{STANDARD}\",role=\"source\",state=\"visible\"}}");
    monitor.metric_becomes(&waiting, 0.0).await;
    for _ in 0..3 {
        sqs.send(STANDARD, "{}", &[]).await;
    }
    monitor.metric_becomes(&waiting, 3.0).await;
    let overview = monitor.json("/api/dlq/queues").await;
    let queue = &overview["queues"][1];
    assert_eq!(queue["queue"], STANDARD_DLQ);
    assert!(queue["deadLetters"]["scan"].is_null(), "it is still looked at: {overview}");
    // The other queue's is over.
    let overview = eventually("what came of the other scan is told", || async {
        let overview = monitor.json("/api/dlq/queues").await;
        overview["queues"][3]["deadLetters"]["scan"].is_object().then_some(overview)
    })
    .await;
    assert_eq!(overview["queues"][3]["queue"], FIFO_DLQ);
    eventually("every queue is read without an error", || async {
        monitor.metric("dlq_monitor_last_success_timestamp_seconds").await.filter(|at| *at > 0.0)
    })
    .await;
    let overview = monitor.json("/api/dlq/queues").await;
    assert!(overview["queues"][1]["deadLetters"]["scan"].is_null(), "not yet: {overview}");
    sqs.handle.set_faults(Faults::default());
    monitor.stop().await;
}
