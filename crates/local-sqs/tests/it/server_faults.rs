use local_sqs::{FaultError, FaultRule, Faults};

use crate::server_support::{Running, STANDARD, within};

fn rule(operation: &str) -> FaultRule {
    FaultRule { operation: Some(operation.to_owned()), ..FaultRule::default() }
}

#[tokio::test]
async fn an_operation_can_be_made_to_fail_without_effect() {
    let server = Running::start().await;
    let rule = FaultRule { error_rate: 1.0, error: FaultError::Throttling, ..rule("SendMessage") };
    server.handle.set_faults(Faults { seed: 1, rules: vec![rule] });
    let send = || server.client.send_message().queue_url(server.url(STANDARD)).message_body("one");
    let refused = send().send().await.unwrap_err().into_service_error();
    assert_eq!(refused.meta().code(), Some("RequestThrottled"));
    assert_eq!(server.handle.queue_counts(STANDARD).unwrap().visible, 0);
    server.handle.set_faults(Faults::default());
    send().send().await.unwrap();
}

#[tokio::test]
async fn the_same_seed_gives_the_same_faults() {
    let server = Running::start().await;
    let mut runs = Vec::new();
    for _ in 0..2 {
        let rule = FaultRule { error_rate: 0.5, ..rule("GetQueueUrl") };
        server.handle.set_faults(Faults { seed: 42, rules: vec![rule] });
        let mut run = Vec::new();
        for _ in 0..20 {
            run.push(server.client.get_queue_url().queue_name(STANDARD).send().await.is_ok());
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0].contains(&true) && runs[0].contains(&false));
}

#[tokio::test]
async fn a_connection_can_be_dropped_before_or_after_the_effect() {
    let server = Running::start().await;
    let send = || server.client.send_message().queue_url(server.url(STANDARD)).message_body("one");
    let before = FaultRule { drop_request_rate: 1.0, ..rule("SendMessage") };
    server.handle.set_faults(Faults { seed: 1, rules: vec![before] });
    within(send().send()).await.unwrap_err();
    assert_eq!(server.handle.queue_counts(STANDARD).unwrap().visible, 0);
    let after = FaultRule { drop_response_rate: 1.0, ..rule("SendMessage") };
    server.handle.set_faults(Faults { seed: 1, rules: vec![after] });
    within(send().send()).await.unwrap_err();
    assert_eq!(server.handle.queue_counts(STANDARD).unwrap().visible, 1);
}

#[tokio::test]
async fn faults_are_set_and_ended_by_the_admin_route() {
    let server = Running::start().await;
    let send = |method: &str, body: &str| {
        let request = format!(
            "{method} /_local/faults HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let server = &server;
        async move { server.raw(&request).await }
    };
    let faults = r#"{"seed":7,"rules":[{"operation":"ListQueues","error_rate":1,"error":"ServiceUnavailable"}]}"#;
    assert!(send("POST", faults).await.starts_with("HTTP/1.1 204"));
    assert!(send("GET", "").await.contains("ServiceUnavailable"));
    server.client.list_queues().send().await.unwrap_err();
    assert!(send("DELETE", "").await.starts_with("HTTP/1.1 204"));
    server.client.list_queues().send().await.unwrap();
    assert!(send("POST", r#"{"nonsense":1}"#).await.starts_with("HTTP/1.1 400"));
}
