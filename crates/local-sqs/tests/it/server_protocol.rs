use crate::server_support::{Running, STANDARD, json_request};

#[tokio::test]
async fn answers_are_aws_json_with_a_request_id() {
    let server = Running::start().await;
    let answer = server.raw(&json_request("ListQueues", "{}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-type: application/x-amz-json-1.0\r\n"));
    assert!(answer.contains("x-amzn-requestid: "));
}

#[tokio::test]
async fn queue_urls_carry_the_host_of_the_request() {
    let server = Running::start().await;
    let body = format!(r#"{{"QueueName":"{STANDARD}"}}"#);
    let answer = server.raw(&json_request("GetQueueUrl", &body)).await;
    let url = format!(r#"{{"QueueUrl":"http://sqs.example:81/000000000000/{STANDARD}"}}"#);
    assert!(answer.ends_with(&url), "{answer}");
}

#[tokio::test]
async fn errors_carry_the_shape_and_the_older_query_code() {
    let server = Running::start().await;
    let body = r#"{"QueueUrl":"http://x/000000000000/nowhere"}"#;
    let answer = server.raw(&json_request("ReceiveMessage", body)).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let header = "x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\n";
    assert!(answer.contains(header), "{answer}");
    assert!(answer.contains(r#""__type":"com.amazonaws.sqs#QueueDoesNotExist""#), "{answer}");
}

#[tokio::test]
async fn null_fields_count_as_absent() {
    let server = Running::start().await;
    let body = format!(
        r#"{{"QueueUrl":"{}","MessageBody":"one","MessageAttributes":null,"DelaySeconds":null}}"#,
        server.url(STANDARD)
    );
    let answer = server.raw(&json_request("SendMessage", &body)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn bad_requests_get_an_aws_shaped_error() {
    let server = Running::start().await;
    for (operation, body, error) in [
        ("ListQueues", "not json", "SerializationException"),
        ("ListQueues", "[1]", "SerializationException"),
        ("SendMessage", r#"{"QueueUrl":5}"#, "SerializationException"),
        (
            "SendMessage",
            r#"{"MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"?"}}}"#,
            "SerializationException",
        ),
        ("SendMessage", "{}", "MissingRequiredParameterException"),
        ("SendMessage", "", "MissingRequiredParameterException"),
        ("Nonsense", "{}", "UnknownOperationException"),
    ] {
        let answer = server.raw(&json_request(operation, body)).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{operation} {body}: {answer}");
        assert!(answer.contains(error), "{operation} {body}: {answer}");
    }
    for (method, headers) in [
        ("POST", "content-type: application/x-amz-json-1.0\r\n"),
        ("POST", ""),
        ("PUT", ""),
        ("DELETE", "x-amz-target: AmazonSQS.ListQueues\r\n"),
    ] {
        let request = format!(
            "{method} / HTTP/1.1\r\nhost: x\r\n{headers}content-length: 2\r\nconnection: close\r\n\r\n{{}}"
        );
        let answer = server.raw(&request).await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{method} {headers}: {answer}");
        assert!(answer.contains("UnknownOperationException"), "{method} {headers}: {answer}");
    }
}

#[tokio::test]
async fn a_body_beyond_eight_mebibytes_is_refused() {
    let server = Running::start().await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AmazonSQS.SendMessage\r\ncontent-length: 9000000\r\nconnection: close\r\n\r\n";
    let answer = server.raw(&format!("{head}{}", "x".repeat(9_000_000))).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("RequestEntityTooLargeException"), "{answer}");
}

#[tokio::test]
async fn a_batch_of_one_mebibyte_that_is_all_escapes_is_accepted() {
    let server = Running::start().await;
    // Each é is two bytes in the message and six in the request.
    let body = "\\u00e9".repeat(524_288);
    let request = format!(
        r#"{{"QueueUrl":"{}","Entries":[{{"Id":"a","MessageBody":"{body}"}}]}}"#,
        server.url(STANDARD)
    );
    let answer = server.raw(&json_request("SendMessageBatch", &request)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""Successful":[{"#), "{answer}");
}

#[tokio::test]
async fn the_status_page_tells_counts_and_that_nothing_is_durable() {
    let server = Running::start().await;
    server.send(STANDARD, "one").await;
    let get = |accept: &str| {
        format!("GET / HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nconnection: close\r\n\r\n")
    };
    let text = server.raw(&get("*/*")).await;
    assert!(text.contains("not durable"), "{text}");
    let line = text.lines().find(|line| line.starts_with("order-queue-standard ")).unwrap();
    assert_eq!(line.split_whitespace().skip(1).collect::<Vec<_>>(), ["1", "0", "0"]);
    let json = server.raw(&get("application/json")).await;
    assert!(json.contains(r#""durable":false"#), "{json}");
    let health = server.raw("GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
}
