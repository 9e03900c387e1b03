use std::time::Duration;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use local_sqs::{FaultError, FaultRule, Faults, Latency, Server, ServerSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::server_support::{Running, STANDARD, json_request, within};

impl Running {
    /// Waits until the metrics say that a request hangs.
    async fn until_hanging(&self, line: &str) {
        within(async {
            while !self.get("/metrics").await.contains(line) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

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
    for bad in [r#"{"nonsense":1}"#, "[]", "", r#"{"rules":[{"error_rate":2}]}"#] {
        assert!(send("POST", bad).await.starts_with("HTTP/1.1 400"), "{bad}");
    }
}

#[tokio::test]
async fn some_entries_of_a_batch_can_fail_while_the_others_have_their_effect() {
    let server = Running::start().await;
    let rule = FaultRule { entry_error_rate: 0.5, ..rule("SendMessageBatch") };
    server.handle.set_faults(Faults { seed: 5, rules: vec![rule] });
    let entry = |n: usize| {
        let entry = SendMessageBatchRequestEntry::builder().id(n.to_string());
        entry.message_body(n.to_string()).build().unwrap()
    };
    let send = server.client.send_message_batch().queue_url(server.url(STANDARD));
    let answer = send.set_entries(Some((0..10).map(entry).collect())).send().await.unwrap();
    let (sent, failed) = (answer.successful().len(), answer.failed().len());
    assert!(sent > 0 && failed > 0 && sent + failed == 10, "{answer:?}");
    assert_eq!(server.handle.queue_counts(STANDARD).unwrap().visible, sent);
    let fault = &answer.failed()[0];
    assert_eq!((fault.code(), fault.sender_fault()), ("InternalError", false));
}

#[tokio::test]
async fn a_request_can_hang_before_or_after_its_effect_until_its_sender_leaves() {
    let server = Running::start().await;
    let body = format!(r#"{{"QueueUrl":"{}","MessageBody":"one"}}"#, server.url(STANDARD));
    let mut connections = Vec::new();
    for (rule, visible, hanging) in [
        (
            FaultRule { hang_request_rate: 1.0, ..rule("SendMessage") },
            0,
            r#"local_sqs_faults_total{fault="hang_request",operation="SendMessage"} 1"#,
        ),
        (
            FaultRule { hang_response_rate: 1.0, ..rule("SendMessage") },
            1,
            r#"local_sqs_faults_total{fault="hang_response",operation="SendMessage"} 1"#,
        ),
    ] {
        server.handle.set_faults(Faults { seed: 1, rules: vec![rule] });
        let mut stream = server.connect().await;
        stream.write_all(json_request("SendMessage", &body).as_bytes()).await.unwrap();
        server.until_hanging(hanging).await;
        assert_eq!(server.handle.queue_counts(STANDARD).unwrap().visible, visible);
        let mut byte = [0];
        let nothing = stream.try_read(&mut byte).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock, "neither answer nor end");
        connections.push(stream);
    }
    server.stop().await;
    for mut stream in connections {
        assert_eq!(
            within(stream.read(&mut [0])).await.unwrap(),
            0,
            "the end comes with the server's"
        );
    }
}

#[tokio::test]
async fn requests_can_be_held_up_by_a_distribution() {
    let server = Running::start().await;
    for latency in [
        Latency::Fixed { ms: 20.0 },
        Latency::Uniform { min_ms: 20.0, max_ms: 30.0 },
        Latency::Lognormal { median_ms: 30.0, sigma: 0.1 },
    ] {
        let rule = FaultRule { latency, ..FaultRule::default() };
        server.handle.set_faults(Faults { seed: 1, rules: vec![rule] });
        let started = Instant::now();
        server.client.list_queues().send().await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(15), "{latency:?}");
    }
}

#[tokio::test]
async fn the_clock_can_jump_by_a_fault_and_by_the_admin_route() {
    let server = Running::start().await;
    server.send(STANDARD, "one").await;
    server.receive_now(STANDARD).await;
    let jump = FaultRule { clock_jump_rate: 1.0, clock_jump_ms: 29_000, ..rule("ListQueues") };
    server.handle.set_faults(Faults { seed: 1, rules: vec![jump] });
    server.client.list_queues().send().await.unwrap();
    assert_eq!(server.handle.queue_counts(STANDARD).unwrap().in_flight, 1);
    let skip = |body: &str| {
        format!(
            "POST /_local/clock HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let answer = server.raw(skip(r#"{"skip_ms":1000}"#)).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert_eq!(server.handle.queue_counts(STANDARD).unwrap().visible, 1);
    assert!(server.raw(skip(r#"{"skip_ms":-1}"#)).await.starts_with("HTTP/1.1 400"));
    assert!(server.get("/_local/clock").await.contains("now_ms"));
    server.handle.skip(Duration::MAX);
    server.handle.skip(Duration::MAX);
    server.send(STANDARD, "two").await;
    assert_eq!(server.handle.queue_counts(STANDARD).unwrap().visible, 1, "the clock still works");
}

#[tokio::test]
async fn faults_that_make_no_sense_are_refused_with_what_is_wrong() {
    let bad = |rule: FaultRule| Faults { seed: 0, rules: vec![rule] };
    for (faults, problem) in [
        (bad(FaultRule { error_rate: 1.5, ..FaultRule::default() }), "error_rate is 1.5"),
        (bad(rule("Nonsense")), "no operation Nonsense"),
        (bad(FaultRule { clock_jump_ms: u64::MAX, ..FaultRule::default() }), "clock_jump_ms"),
        (
            bad(FaultRule { latency: Latency::Fixed { ms: -1.0 }, ..FaultRule::default() }),
            "milliseconds",
        ),
    ] {
        let text = faults.check().unwrap_err();
        assert!(text.starts_with("rule 1: ") && text.contains(problem), "{text}");
        let settings = ServerSettings { faults, ..ServerSettings::default() };
        let refused = Server::bind("127.0.0.1:0".parse().unwrap(), settings).await;
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    }
}
