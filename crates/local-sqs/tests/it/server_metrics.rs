use local_sqs::{FaultRule, Faults, Latency};

use crate::server_support::{Running, STANDARD};

#[tokio::test]
async fn metrics_tell_requests_errors_faults_and_what_is_in_the_queues() {
    let server = Running::start().await;
    server.send(STANDARD, "one").await;
    server.client.get_queue_url().queue_name("nowhere").send().await.unwrap_err();
    let slow = FaultRule { latency: Latency::Fixed { ms: 1.0 }, ..FaultRule::default() };
    server.handle.set_faults(Faults { seed: 1, rules: vec![slow] });
    server.client.list_queues().send().await.unwrap();
    let text = server.get("/metrics").await;
    assert!(text.contains("content-type: text/plain; version=0.0.4"), "{text}");
    for line in [
        r#"local_sqs_requests_total{error_type="",operation="SendMessage"} 1"#,
        r#"local_sqs_requests_total{error_type="AWS.SimpleQueueService.NonExistentQueue",operation="GetQueueUrl"} 1"#,
        r#"local_sqs_request_duration_seconds_count{operation="ListQueues"} 1"#,
        r#"local_sqs_faults_total{fault="latency",operation="ListQueues"} 1"#,
        r#"local_sqs_queue_messages{queue="order-queue-standard",state="visible"} 1"#,
        r#"local_sqs_queue_messages{queue="order-queue.fifo",state="in_flight"} 0"#,
        "local_sqs_waiting_receives 0",
    ] {
        assert!(text.lines().any(|has| has == line), "{line} in {text}");
    }
}

#[tokio::test]
async fn a_queue_that_is_deleted_is_gone_from_the_metrics() {
    let server = Running::start().await;
    assert!(server.get("/metrics").await.contains(STANDARD));
    server.client.delete_queue().queue_url(server.url(STANDARD)).send().await.unwrap();
    assert!(!server.get("/metrics").await.contains("queue=\"order-queue-standard\""));
}

#[tokio::test]
async fn a_browser_gets_a_page_with_the_counts() {
    let server = Running::start().await;
    server.send(STANDARD, "one").await;
    let page = server
        .raw("GET / HTTP/1.1\r\nhost: x\r\naccept: text/html,*/*\r\nconnection: close\r\n\r\n")
        .await;
    assert!(page.contains("content-type: text/html"), "{page}");
    assert!(page.contains("not durable"), "{page}");
    assert!(page.contains("order-queue-standard</th><td>1</td><td>0</td><td>0</td>"), "{page}");
}
