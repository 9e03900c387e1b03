//! What the README promises, by real HTTP.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    client::{Answer, Curl, metric, order},
    rig::Running,
};

/// The README's three steps against these addresses.
pub(crate) async fn keep_the_promise(curl: &Curl, api: &str, worker: &str, monitor_admin: &str) {
    let send = async |queue: &str, product: &str, price: u64| {
        let url = format!("{api}/api/orders?queueType={queue}");
        let answer = curl.post(&url, order("customer-001", product, 1, price)).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let event = answer.json();
        assert_eq!(event["totalAmount"], price);
        event["orderId"].as_str().unwrap().to_owned()
    };
    let mut standard = Vec::new();
    let mut fifo = Vec::new();
    for i in 1..=10 {
        standard.push(send("standard", &format!("상품{i}"), i * 10_000).await);
    }
    for i in 1..=10 {
        fifo.push(send("fifo", &format!("FIFO-상품{i}"), i * 10_000).await);
    }
    let failing = send("standard", "실패테스트", 10_000).await;

    let delivery = |id: &str| format!("{worker}/api/delivery/orders/{id}");
    let delivered =
        |answer: &Answer| answer.status == 200 && answer.json()["status"] == "DELIVERED";
    for id in &standard {
        curl.until(&delivery(id), "DELIVERED", delivered).await;
    }
    let mut ended_before = Timestamp::UNIX_EPOCH;
    for id in &fifo {
        let answer = curl.until(&delivery(id), "DELIVERED", delivered).await.json();
        let attempts = answer["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 1);
        let time =
            |name: &str| -> Timestamp { attempts[0][name].as_str().unwrap().parse().unwrap() };
        assert!(ended_before <= time("startedAt"), "{id} started before its predecessor ended");
        ended_before = time("finishedAt");
    }
    let three_failed = |answer: &Answer| {
        answer.status == 200
            && answer.json()["status"] == "FAILED"
            && failed_attempts(&answer.json()) == [1, 2, 3]
    };
    curl.until(&delivery(&failing), "three failed attempts", three_failed).await;
    curl.until(&format!("{monitor_admin}/metrics"), "one dead letter", |answer| {
        let labels = [r#"role="dlq""#, r#"queue="order-queue-standard-dlq""#];
        metric(&answer.text, "sqs_queue_messages{", &labels) == Some(1.0)
            && metric(&answer.text, "dlq_messages_arrived_total", &[labels[1]]) == Some(1.0)
    })
    .await;
}

fn failed_attempts(delivery: &Value) -> Vec<u64> {
    delivery["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|attempt| attempt["outcome"] == "failed")
        .map(|attempt| attempt["attempt"].as_u64().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readme_promise_standard_orders_are_delivered_fifo_orders_in_order_and_a_failing_one_dies_after_three_attempts()
 {
    let fleet = Running::start(&[]).await;
    let at = fleet.at;
    keep_the_promise(
        &Curl::new(),
        &format!("http://{}", at.order_api),
        &format!("http://{}", at.delivery_worker),
        &format!("http://{}", at.dlq_monitor_admin),
    )
    .await;
    fleet.stop().await;
}
