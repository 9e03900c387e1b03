//! Dead letters that the monitor brings back to the workers.

use serde_json::json;

use crate::{
    client::{Answer, Curl, order},
    processes::Separate,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_failing_order_is_delivered_when_the_rule_is_off_and_it_is_redriven() {
    let fleet = Separate::start(30).await;
    let api = fleet.service("order-api", &[]);
    let mut strict = fleet.service("delivery-worker", &[("RETRY_BACKOFF", "50ms")]);
    let monitor = fleet.service("dlq-monitor", &[("MONITOR_INTERVAL", "200ms")]);
    let curl = Curl::new();
    let api = format!("http://{}/api/orders", api.logged("listen").await);
    let monitor = format!("http://{}/api/dlq", monitor.logged("listen").await);
    let queues = [("standard", "order-queue-standard-dlq"), ("fifo", "order-queue-dlq.fifo")];
    let mut ids = Vec::new();
    for (queue, _) in queues {
        let url = format!("{api}?queueType={queue}");
        let answer = curl.post(&url, order("customer-001", "실패테스트", 1, 10_000)).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        ids.push(answer.json()["orderId"].as_str().expect("an id").to_owned());
    }
    for ((_, dead), id) in queues.iter().zip(&ids) {
        let url = format!("{monitor}/messages?queue={dead}");
        let known = |answer: &Answer| answer.json()["items"][0]["orderId"] == **id;
        let letter = curl.until(&url, "the dead order", known).await.json();
        let letter = &letter["items"][0];
        assert_eq!((&letter["reason"], &letter["attempts"]), (&json!("forced"), &json!(3)));
    }
    strict.signal("-TERM");
    assert_eq!(strict.ended().await.code(), Some(0));
    let lenient = fleet.service("delivery-worker", &[("FAIL_TEST_PRODUCTS", "false")]);
    let worker = format!("http://{}", lenient.logged("listen").await);
    for ((_, dead), id) in queues.iter().zip(&ids) {
        let wanted = json!({ "queue": dead, "all": true, "reason": "the failing rule is off" });
        let answer = curl.post(&format!("{monitor}/redrive"), wanted.to_string()).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let job = answer.json()["id"].as_str().expect("an id").to_owned();
        let url = format!("{monitor}/jobs/{job}");
        let completed = |answer: &Answer| answer.json()["state"] == "completed";
        assert_eq!(curl.until(&url, "its end", completed).await.json()["done"], 1);
        let url = format!("{worker}/api/delivery/orders/{id}");
        let delivered = |answer: &Answer| answer.json()["status"] == "DELIVERED";
        curl.until(&url, "DELIVERED", delivered).await;
    }
}
