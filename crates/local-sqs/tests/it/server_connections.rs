use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::server_support::{Running, STANDARD, json_request, within};

#[tokio::test]
async fn bytes_that_are_no_http_get_an_aws_shaped_error() {
    let server = Running::start().await;
    for garbage in [
        b"\0\xff\xfe garbage\r\n\r\n".as_slice(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
    ] {
        let answer = server.raw(garbage).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{garbage:?}: {answer}");
        assert!(answer.contains("x-amzn-requestid: "), "{garbage:?}: {answer}");
        assert!(answer.contains(r#""__type":"com.amazon.coral.service#"#), "{garbage:?}: {answer}");
    }
}

#[tokio::test]
async fn a_head_longer_than_any_is_refused_and_not_waited_for() {
    let server = Running::start().await;
    let head = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(600_000));
    let (mut reading, mut writing) = server.connect().await.into_split();
    // The server answers and closes before all of it is sent.
    let sending = tokio::spawn(async move { writing.write_all(head.as_bytes()).await });
    let mut status = [0; 12];
    within(reading.read_exact(&mut status)).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 431");
    drop(reading);
    let _ = within(sending).await;
}

#[tokio::test]
async fn a_request_of_more_parts_than_any_operation_takes_is_not_built() {
    let server = Running::start().await;
    let url = server.url(STANDARD);
    let entries = format!(r#"{{"QueueUrl":"{url}","Entries":[{}{{}}]}}"#, "{},".repeat(1_000_000));
    let names = format!(
        r#"{{"QueueUrl":"{url}","MessageAttributeNames":[{}"a"]}}"#,
        r#""a","#.repeat(1_000_000)
    );
    for (operation, body) in [("SendMessageBatch", entries), ("ReceiveMessage", names)] {
        let answer = server.raw(json_request(operation, &body)).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{operation}: {answer}");
        assert!(answer.contains("SerializationException"), "{operation}: {answer}");
    }
    // What only looks like parts, in a text, is as good as any text.
    let body = format!(r#"{{"QueueUrl":"{url}","MessageBody":"{}"}}"#, r#"[{\","#.repeat(100_000));
    let answer = server.raw(json_request("SendMessage", &body)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn one_client_s_garbage_does_not_disturb_another_s_long_poll() {
    let server = Running::start().await;
    let body = format!(r#"{{"QueueUrl":"{}","WaitTimeSeconds":20}}"#, server.url(STANDARD));
    let mut poll = server.connect().await;
    poll.write_all(json_request("ReceiveMessage", &body).as_bytes()).await.unwrap();
    server.until_waiting(1).await;
    let deep = "[".repeat(100_000);
    let nested = format!(r#"{{"Entries":{}"#, r#"[{"a":"#.repeat(50_000));
    for garbage in ["", "\0", "{", "null", "{\"QueueUrl\":", deep.as_str(), nested.as_str()] {
        let answer = server.raw(json_request("SendMessageBatch", garbage)).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    server.raw("\0\0\0\r\n\r\n").await;
    server.send(STANDARD, "one").await;
    let mut answer = String::new();
    within(poll.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains(r#""Body":"one""#), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AmazonSQS.ListQueues\r\ncontent-length: 10\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_go_on_gets_an_answer_within_seconds() {
    let server = Running::start().await;
    for part in ["POS", "POST / HTTP/1.1\r\nhost:"] {
        let mut stream = server.connect().await;
        stream.write_all(part.as_bytes()).await.unwrap();
        let started = Instant::now();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{part}: {answer}");
        assert!(answer.contains("SerializationException"), "{part}: {answer}");
        assert!(started.elapsed() < Duration::from_secs(20), "by the paused clock");
    }
}

#[tokio::test]
async fn what_is_not_finished_or_another_http_gets_an_answer() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTT").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let http2 = server.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(http2.starts_with("HTTP/1.1 400"), "{http2}");
    assert_eq!(http2.matches("HTTP/1.1").count(), 1, "{http2}");
}

#[tokio::test]
async fn answers_of_the_server_s_own_are_left_as_they_are() {
    let server = Running::start().await;
    let request = "DELETE /_local/clock HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = server.raw(request).await;
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET, POST"), "{answer}");
    assert!(!answer.contains("valid HTTP"), "{answer}");
}

#[tokio::test]
async fn a_connection_dropped_with_a_next_request_begun_consumes_nothing() {
    let server = Running::start().await;
    let body = format!(r#"{{"QueueUrl":"{}","WaitTimeSeconds":20}}"#, server.url(STANDARD));
    let poll = json_request("ReceiveMessage", &body);
    for next in ["P", poll.as_str()] {
        let mut connection = server.connect().await;
        connection.write_all(format!("{poll}{next}").as_bytes()).await.unwrap();
        server.until_waiting(1).await;
        drop(connection);
        server.until_waiting(0).await;
    }
    server.send(STANDARD, "one").await;
    assert_eq!(server.handle.queue_counts(STANDARD).unwrap().visible, 1);
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another_in_either_protocol() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    let json = json_request("ListQueues", "{}").replace("connection: close\r\n", "");
    let query = "GET /?Action=ListQueues HTTP/1.1\r\nhost: x\r\n\r\n".to_owned();
    let last = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned();
    stream.write_all([json, query, last].concat().as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3, "{answer}");
    assert!(answer.contains("\"QueueUrls\"") && answer.contains("<ListQueuesResponse"), "{answer}");
}

#[tokio::test]
async fn an_operation_without_output_has_an_empty_body() {
    let server = Running::start().await;
    let body = format!(r#"{{"QueueUrl":"{}"}}"#, server.url(STANDARD));
    let answer = server.raw(json_request("PurgeQueue", &body)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-length: 0\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}
