use crate::harness::{Answer, Api, FakeSqs, ORDER, call, post};
use order_api::limits;
use serde_json::{Value, json};

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn valid() -> Value {
    serde_json::from_str(ORDER).expect("JSON")
}

/// The valid order with one part of it, by pointer, replaced.
fn with(pointer: &str, value: Value) -> String {
    let mut order = valid();
    *order.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    order.to_string()
}

/// The valid order with the text of its price replaced, which JSON values could not hold exactly.
fn priced(price: &str) -> String {
    ORDER.replace("12.50", price)
}

fn pointers(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let errors = json["errors"].as_array().unwrap_or_else(|| panic!("no errors: {answer:?}"));
    errors.iter().map(|error| error["pointer"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn every_invalid_field_is_named_where_it_is() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    let item = valid()["items"][0].clone();
    let long = |length: usize| json!("고".repeat(length));
    for (body, pointer) in [
        ("[]".to_owned(), "#"),
        ("null".to_owned(), "#"),
        ("\"order\"".to_owned(), "#"),
        (r#"{"customerId":"a","customerId":"b","items":[]}"#.to_owned(), "#"),
        (with("/customerId", json!(null)), "#/customerId"),
        (with("/customerId", json!("")), "#/customerId"),
        (with("/customerId", json!("  ")), "#/customerId"),
        (with("/customerId", json!(7)), "#/customerId"),
        (with("/customerId", json!(["a"])), "#/customerId"),
        (with("/customerId", long(limits::ID_LENGTH + 1)), "#/customerId"),
        (ORDER.replace("customer-001", "\\ud800"), "#/customerId"),
        (with("/customerId", json!("customer\0")), "#/customerId"),
        (with("/items", json!(null)), "#/items"),
        (with("/items", json!([])), "#/items"),
        (with("/items", json!({})), "#/items"),
        (with("/items", json!("p1")), "#/items"),
        (with("/items", json!(vec![item; limits::ITEMS + 1])), "#/items"),
        (with("/items/0", json!(null)), "#/items/0"),
        (with("/items/0", json!(["p1", "n", 1, 1])), "#/items/0"),
        (with("/items/0/productId", json!("")), "#/items/0/productId"),
        (with("/items/0/productId", json!(1)), "#/items/0/productId"),
        (with("/items/0/productName", json!(null)), "#/items/0/productName"),
        (with("/items/0/productName", long(limits::NAME_LENGTH + 1)), "#/items/0/productName"),
        (with("/items/0/quantity", json!(null)), "#/items/0/quantity"),
        (with("/items/0/quantity", json!(0)), "#/items/0/quantity"),
        (with("/items/0/quantity", json!(-1)), "#/items/0/quantity"),
        (with("/items/0/quantity", json!(1.5)), "#/items/0/quantity"),
        (with("/items/0/quantity", json!("1")), "#/items/0/quantity"),
        (with("/items/0/quantity", json!(limits::QUANTITY + 1)), "#/items/0/quantity"),
        (with("/items/0/quantity", json!(u64::MAX)), "#/items/0/quantity"),
        (priced("null"), "#/items/0/price"),
        (priced("\"12.50\""), "#/items/0/price"),
        (priced("true"), "#/items/0/price"),
        (priced("-0.01"), "#/items/0/price"),
        (priced("1000000000000.01"), "#/items/0/price"),
        (priced("1e300"), "#/items/0/price"),
        (priced("1e99999999999999999999"), "#/items/0/price"),
        (priced("0.00001"), "#/items/0/price"),
        (priced("1234567890123456789012345678901234567890"), "#/items/0/price"),
        (priced("0.1234567890123456789012345678901234567890"), "#/items/0/price"),
    ] {
        let answer = post(api.addr, "", &body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-order"), "{body}");
        assert_eq!(pointers(&answer), [pointer], "{body}");
    }
    assert_eq!(sqs.sent(), 0);
    api.stop().await;
}

#[tokio::test]
async fn all_invalid_parts_of_a_request_are_listed_in_one_answer() {
    let api = Api::start(FakeSqs::start().await.addr, &[]).await;
    let body = r#"{"items":[{"productId":"p","productName":"n","quantity":0,"price":-1},{},7]}"#;
    let headers = [JSON, ("Idempotency-Key", "")];
    let answer =
        call(api.addr, "POST /api/orders?queueType=priority", &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        pointers(&answer),
        [
            "?queueType",
            "Idempotency-Key",
            "#/customerId",
            "#/items/0/quantity",
            "#/items/0/price",
            "#/items/1/productId",
            "#/items/1/productName",
            "#/items/1/quantity",
            "#/items/1/price",
            "#/items/2",
        ]
    );
    assert_eq!(answer.json()["detail"], "10 fields are invalid");
    api.stop().await;
}

#[tokio::test]
async fn of_very_many_invalid_parts_the_first_are_listed_and_the_others_counted() {
    let api = Api::start(FakeSqs::start().await.addr, &[]).await;
    let body = format!(r#"{{"items":[{}]}}"#, vec!["{}"; limits::ITEMS].join(","));
    for (query, beside, first) in [("", 0, "#/customerId"), ("?queueType=lifo", 1, "?queueType")] {
        let answer = post(api.addr, query, &body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "invalid-order"));
        let all = beside + 1 + 4 * limits::ITEMS;
        assert_eq!(answer.json()["detail"], format!("{all} fields are invalid"));
        let pointers = pointers(&answer);
        assert_eq!((pointers.len(), &*pointers[0]), (limits::ERRORS + 1, first));
        let more = format!("invalid parts that are not listed: {}", all - limits::ERRORS);
        let last = &answer.json()["errors"][limits::ERRORS];
        assert_eq!(*last, json!({ "pointer": "#", "detail": more }));
        assert!(answer.body.len() < 16 * 1024, "{} bytes", answer.body.len());
    }
    api.stop().await;
}

#[tokio::test]
async fn what_is_not_json_in_utf_8_is_malformed() {
    let api = Api::start(FakeSqs::start().await.addr, &[]).await;
    let deep = "[".repeat(200_000);
    for body in ["", " ", "{", "{'customerId':1}", "\u{feff}{}", "{}{}", &ORDER[..60], &deep] {
        let answer = post(api.addr, "?queueType=nonsense", body).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (400, "malformed-json"),
            "{body:.80}"
        );
        assert_eq!(pointers(&answer), ["?queueType", "#"]);
    }
    let mut invalid = ORDER.as_bytes().to_vec();
    invalid[15] = 0xff;
    let answer = call(api.addr, "POST /api/orders", &[JSON], &invalid).await;
    assert_eq!(answer.problem(), "malformed-json");
    api.stop().await;
}

#[tokio::test]
async fn nesting_without_end_in_an_unknown_field_is_no_danger() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    let nested = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let body = ORDER.replacen('{', &format!(r#"{{"note":{nested},"#), 1);
    assert_eq!(post(api.addr, "", &body).await.status, 202);
    api.stop().await;
}

#[tokio::test]
async fn the_queue_type_is_taken_in_any_case_and_nothing_else_is() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    for (query, queue) in [
        ("", "order-queue-standard"),
        ("?other=1", "order-queue-standard"),
        ("?queueType=Standard", "order-queue-standard"),
        ("?queueType=FIFO", "order-queue.fifo"),
        ("?queueType=f%69fo", "order-queue.fifo"),
    ] {
        assert_eq!(post(api.addr, query, ORDER).await.status, 202, "{query}");
        let sends = sqs.sends.lock().expect("no panic");
        let url = sends.last().expect("sent")["QueueUrl"].as_str().expect("a URL");
        assert!(url.ends_with(queue), "{query}: {url}");
    }
    for query in
        ["?queueType=", "?queueType=lifo", "?queueType=fifo&queueType=fifo", "?queueType=%ff"]
    {
        assert_eq!(pointers(&post(api.addr, query, ORDER).await), ["?queueType"], "{query}");
    }
    api.stop().await;
}

#[tokio::test]
async fn only_json_is_supported() {
    let api = Api::start(FakeSqs::start().await.addr, &[]).await;
    for types in [&[][..], &["text/plain"], &["application/x-www-form-urlencoded"], &["json"]] {
        let headers: Vec<_> = types.iter().map(|value| ("Content-Type", *value)).collect();
        let answer = call(api.addr, "POST /api/orders", &headers, ORDER.as_bytes()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (415, "unsupported-media-type"));
    }
    for json in ["application/json; charset=utf-8", "Application/JSON", "application/order+json"] {
        let headers = [("Content-Type", json)];
        let answer = call(api.addr, "POST /api/orders", &headers, ORDER.as_bytes()).await;
        assert_eq!(answer.status, 202, "{json}");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_refused_and_one_of_that_size_is_read() {
    let api = Api::start(FakeSqs::start().await.addr, &[]).await;
    let mebibyte = 1024 * 1024;
    let padded = |length: usize| format!("{ORDER}{}", " ".repeat(length - ORDER.len()));
    assert_eq!(post(api.addr, "", &padded(mebibyte)).await.status, 202);
    for length in [mebibyte + 1, 2 * mebibyte] {
        let answer = post(api.addr, "", &padded(length)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (413, "order-too-large"));
    }
    let headers = [JSON, ("Expect", "100-continue")];
    let announced = padded(2 * mebibyte);
    let answer = call(api.addr, "POST /api/orders", &headers, announced.as_bytes()).await;
    assert_eq!(answer.status, 413);
    api.stop().await;
}

#[tokio::test]
async fn an_event_that_outgrows_a_message_is_refused_before_sqs_does_it() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    let name = "x".repeat(limits::NAME_LENGTH);
    let item = format!(r#"{{"productId":"p","productName":"{name}","quantity":1,"price":1e9}}"#);
    let length = |items: usize| 60 + items * (item.len() + 1);
    let mut count = limits::ITEMS;
    while length(count) > 1024 * 1024 {
        count -= 1;
    }
    // Just below the limit as the client writes it, above it with the prices written out.
    let body = format!(r#"{{"customerId":"c","items":[{}]}}"#, vec![item; count].join(","));
    assert!(body.len() <= 1024 * 1024);
    let answer = post(api.addr, "", &body).await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "order-too-large"));
    assert_eq!(sqs.sent(), 0);
    api.stop().await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let api = Api::start(FakeSqs::start().await.addr, &[]).await;
    let missing = call(api.addr, "GET /api/order", &[], b"").await;
    assert_eq!((missing.status, missing.problem().as_str()), (404, "not-found"));
    let wrong = call(api.addr, "GET /api/orders", &[], b"").await;
    assert_eq!((wrong.status, wrong.problem().as_str()), (405, "method-not-allowed"));
    assert_eq!(wrong.header("allow"), Some("POST"));
    let health = call(api.addr, "GET /api/orders/health", &[], b"").await;
    assert_eq!(health.json(), json!({ "status": "UP", "service": "order-api" }));
    api.stop().await;
}

#[tokio::test]
async fn refusals_are_counted_by_their_kind() {
    let api = Api::start(FakeSqs::start().await.addr, &[]).await;
    post(api.addr, "", "{}").await;
    post(api.addr, "", "{").await;
    post(api.addr, "", ORDER).await;
    let metrics = api.metrics().await;
    for line in [
        "orders_rejected_total{reason=\"invalid-order\"} 1",
        "orders_rejected_total{reason=\"malformed-json\"} 1",
        "orders_rejected_total{reason=\"overloaded\"} 0",
        "orders_accepted_total{queue_type=\"standard\"} 1",
        "orders_accepted_total{queue_type=\"fifo\"} 0",
        "messaging_client_sent_messages_total{error_type=\"\",messaging_destination_name=\"order-queue-standard\"} 1",
        "http_server_request_duration_seconds_count{http_request_method=\"POST\",http_response_status_code=\"400\",http_route=\"/api/orders\"} 2",
        "build_info{service=\"order-api\"",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    api.stop().await;
}
