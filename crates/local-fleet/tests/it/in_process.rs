//! The fleet in one process: bad input, garbage in the queue, taken ports, wrong settings.

use local_fleet::Fleet;
use serde_json::json;

use crate::{
    client::{Curl, order},
    rig::{Running, settings},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_gets_a_clear_problem_or_a_working_order_and_never_a_500() {
    let fleet = Running::start(&[]).await;
    let curl = Curl::new();
    let url = format!("http://{}/api/orders", fleet.at.order_api);
    let item = |quantity: serde_json::Value, price: serde_json::Value| {
        json!({"customerId": "c", "items": [
            {"productId": "p", "productName": "n", "quantity": quantity, "price": price}]})
        .to_string()
    };
    for (body, status) in [
        ("{".to_owned(), 400),
        ("[]".to_owned(), 400),
        ("null".to_owned(), 400),
        (json!({"customerId": "c", "items": []}).to_string(), 400),
        (json!({"customerId": 7, "items": "no"}).to_string(), 400),
        (item(json!(0), json!(1)), 400),
        (item(json!(1.5), json!(1)), 400),
        (item(json!("1"), json!(1)), 400),
        (item(json!(1), json!(-1)), 400),
        (item(json!(1), json!("free")), 400),
        (item(json!(1), json!(1e300)), 400),
        (item(json!(1), json!(1)).replace("\"price\":1", "\"price\":1e999999999"), 400),
        (format!("{{\"customerId\":\"{}\"}}", "x".repeat(2 << 20)), 413),
        (item(json!(1), json!(0.1)), 202),
        (order("고객-서울 1", "상품", 2, 3), 202),
        (order("a customer with spaces", "<script>alert(1)</script>", 1, 1), 202),
        (order("\u{1F600}", "실패테스트", 1, 1), 202),
    ] {
        let shown: String = body.chars().take(80).collect();
        let answer = curl.post(&url, body).await;
        assert_eq!(answer.status, status, "{shown}: {}", answer.text);
        if status != 202 {
            assert_eq!(answer.content_type, "application/problem+json", "{shown}");
            assert_eq!(answer.json()["status"], status, "{shown}");
        }
    }
    let unknown = curl.post(&format!("{url}?queueType=express"), order("c", "p", 1, 1)).await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.text.contains("queueType"), "{}", unknown.text);
    for queue in ["FIFO", "Standard"] {
        let answer = curl.post(&format!("{url}?queueType={queue}"), order("한국", "p", 1, 1)).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
    }
    fleet.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_setting_to_change() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = tempfile::tempdir().unwrap();
    for setting in ["LOCAL_SQS_ADDR", "LOCAL_FLEET_API_ADDR", "LOCAL_FLEET_MONITOR_ADMIN_ADDR"] {
        let settings = settings(data.path().to_str().unwrap(), &[(setting, &address)]).unwrap();
        let built = Box::pin(Fleet::build(settings)).await;
        let error = built.err().expect("the port is taken").to_string();
        assert!(error.contains(&address) && error.contains("in use"), "{error}");
        assert!(error.contains(setting), "{error}");
    }
}

#[test]
fn wrong_settings_of_the_fleet_and_of_its_services_are_named_together() {
    let wrong = [
        ("LOCAL_FLEET_API_ADDR", "everywhere"),
        ("WORKER_CONCURRENCY", "0"),
        ("MONITOR_INTERVAL", "soon"),
        ("CARRIER", "pigeon"),
    ];
    let text = settings("unused", &wrong).expect_err("they are wrong").to_string();
    for (name, value) in wrong {
        assert!(text.contains(name) && text.contains(value), "{name}: {text}");
    }
}
