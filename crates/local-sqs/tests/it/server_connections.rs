use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
    let mut stream = server.connect().await;
    // The server may answer and close before all of it is sent.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
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
async fn a_head_that_does_not_come_is_not_waited_for() {
    let server = Running::start().await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost:").await.unwrap();
    let mut answer = Vec::new();
    // Whether it answers first does not matter: the connection ends.
    let _ = stream.read_to_end(&mut answer).await;
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
