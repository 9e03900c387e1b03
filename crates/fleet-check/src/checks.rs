//! The checks, one after another.

use std::io;

use anyhow::{Context, ensure};
use axum::http::StatusCode;
use serde_json::{Value, json};
use service_kit::Shutdown;
use uuid::Uuid;

use crate::{
    Settings, dead_letters::DeadLetters, http::Address, report::Report, scrape, wait::Patience,
};

const API: &str = "the order API answers";
const STANDARD: &str = "an order on the standard queue is delivered";
const FIFO: &str = "orders of one customer on the FIFO queue are delivered";
const DEAD: &str = "an order that always fails is dead-lettered and counted";
const BACK: &str = "its dead letter, redriven, is attempted again";
const CLEAN: &str = "its dead letter is taken out";

/// A product with this in its name fails every attempt, unless FAIL_TEST_PRODUCTS is false.
const FAILING_PRODUCT: &str = "실패테스트";
/// Orders that follow each other in one FIFO group.
const FIFO_ORDERS: usize = 3;
/// The monitor's count of dead letters.
const ARRIVED: &str = "dlq_messages_arrived_total";

/// Runs every check that the settings allow, tells each on standard output, and is an error unless
/// all of them passed.
pub async fn run(settings: Settings, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut report = Report::new(io::stdout());
    let fleet = Fleet::open(&settings, shutdown)?;
    if report.check(API, fleet.answers()).await.is_none() {
        report.not_run(&[STANDARD, FIFO, DEAD, BACK, CLEAN], "the order API does not answer");
        return report.verdict();
    }
    let queues = &settings.common.queues;
    if queues.standard.is_some() {
        report.check(STANDARD, fleet.delivers("standard", 1)).await;
    } else {
        report.left_out(&[STANDARD], "SQS_QUEUE_URL_STANDARD is not set");
    }
    if queues.fifo.is_some() {
        report.check(FIFO, fleet.delivers("fifo", FIFO_ORDERS)).await;
    } else {
        report.left_out(&[FIFO], "SQS_QUEUE_URL_FIFO is not set");
    }
    let Some(route) = settings.failing_orders else {
        report.left_out(&[DEAD, BACK, CLEAN], "no order of this fleet fails on purpose");
        return report.verdict();
    };
    let dead_letters = Box::pin(DeadLetters::open(&settings.common.aws, route)).await;
    if let Some(order_id) = report.check(DEAD, fleet.dead_letters_one(&dead_letters)).await {
        report.check(BACK, fleet.redrives(&dead_letters, &order_id)).await;
        report.check(CLEAN, fleet.takes_out(&dead_letters, &order_id)).await;
    } else {
        report.not_run(&[BACK, CLEAN], "no order was dead-lettered");
    }
    report.verdict()
}

/// The fleet from the outside.
struct Fleet {
    api: Address,
    monitor: Address,
    patience: Patience,
    /// Of this run alone, so that its orders have a FIFO group of their own.
    customer: String,
}

impl Fleet {
    fn open(settings: &Settings, shutdown: Shutdown) -> anyhow::Result<Self> {
        Ok(Self {
            api: Address::new(&settings.api_url)?,
            monitor: Address::new(&settings.monitor_url)?,
            patience: Patience { timeout: settings.timeout, shutdown },
            customer: format!("fleet-check-{}", Uuid::new_v4()),
        })
    }

    async fn answers(&self) -> anyhow::Result<String> {
        let look = async || {
            let health = self.api.get("/api/orders/health").await?.json(StatusCode::OK)?;
            ensure!(health["status"] == "UP", "its health is {health}");
            Ok("it is up".to_owned())
        };
        self.patience.until("answer of the order API", look).await
    }

    /// Places so many orders, one after another, and waits for all of them.
    async fn delivers(&self, queue: &str, orders: usize) -> anyhow::Result<String> {
        let mut placed = Vec::new();
        for _ in 0..orders {
            placed.push(self.place(queue, "fleet-check").await?);
        }
        for order_id in &placed {
            self.reaches(order_id, "DELIVERED").await?;
        }
        Ok(format!("order {}", placed.join(", ")))
    }

    /// Places an order that fails, and waits until the monitor has seen its dead letter.
    async fn dead_letters_one(&self, dead_letters: &DeadLetters) -> anyhow::Result<String> {
        let queue = dead_letters.queue();
        let count = async || self.arrived(queue).await;
        let before = self.patience.until("count of dead letters", count).await?;
        let order_id = self.place("standard", FAILING_PRODUCT).await?;
        self.reaches(&order_id, "FAILED").await?;
        let more = async || {
            let now = self.arrived(queue).await?;
            ensure!(now > before, "{ARRIVED} of {queue} is {now}, as before order {order_id}");
            Ok(())
        };
        self.patience.until("dead letter at the monitor", more).await?;
        Ok(order_id)
    }

    async fn redrives(&self, dead_letters: &DeadLetters, order_id: &str) -> anyhow::Result<String> {
        let letter = self.letter(dead_letters, order_id).await?;
        let before = attempts(&self.delivery(order_id).await?)?;
        dead_letters.redrive(letter).await?;
        let look = async || {
            let now = attempts(&self.delivery(order_id).await?)?;
            ensure!(now > before, "still {now} attempts");
            Ok(format!("attempt {now} after {before}"))
        };
        self.patience.until("further attempt at the order", look).await
    }

    async fn takes_out(
        &self,
        dead_letters: &DeadLetters,
        order_id: &str,
    ) -> anyhow::Result<String> {
        let letter = self.letter(dead_letters, order_id).await?;
        dead_letters.take_out(letter).await?;
        Ok(format!("{} is as it was", dead_letters.queue()))
    }

    /// How many dead letters of the queue the monitor has counted.
    async fn arrived(&self, queue: &str) -> anyhow::Result<f64> {
        let page = self.monitor.get("/metrics").await?;
        let arrived = scrape::sum(&page.text, ARRIVED, "queue", queue);
        arrived.with_context(|| format!("no {ARRIVED} of {queue} at the monitor"))
    }

    async fn letter(
        &self,
        dead_letters: &DeadLetters,
        order_id: &str,
    ) -> anyhow::Result<aws_sdk_sqs::types::Message> {
        self.patience
            .until("dead letter of the order", async || dead_letters.find(order_id).await)
            .await
    }

    async fn place(&self, queue: &str, product: &str) -> anyhow::Result<String> {
        let order = json!({
            "customerId": self.customer,
            "items": [{"productId": "fleet-check", "productName": product, "quantity": 1, "price": 1}],
        });
        let answer = self.api.post(&format!("/api/orders?queueType={queue}"), &order).await?;
        let accepted = answer.json(StatusCode::ACCEPTED).context("placing an order")?;
        let order_id = accepted["orderId"].as_str().context("the answer has no orderId")?;
        Ok(order_id.to_owned())
    }

    async fn reaches(&self, order_id: &str, status: &str) -> anyhow::Result<()> {
        let wanted = format!("order {order_id} with status {status}");
        let look = async || {
            let delivery = self.delivery(order_id).await?;
            ensure!(delivery["status"] == status, "{}", story(&delivery));
            Ok(())
        };
        self.patience.until(&wanted, look).await
    }

    async fn delivery(&self, order_id: &str) -> anyhow::Result<Value> {
        self.api.get(&format!("/api/orders/{order_id}")).await?.json(StatusCode::OK)
    }
}

/// How many attempts there have been.
fn attempts(delivery: &Value) -> anyhow::Result<u64> {
    delivery["attemptCount"].as_u64().context("the delivery has no attemptCount")
}

/// Status, attempts and the last error of a delivery, for people.
fn story(delivery: &Value) -> String {
    let last = delivery["attempts"].as_array().and_then(|attempts| attempts.last());
    let error = last.and_then(|attempt| attempt["error"].as_str()).unwrap_or("no error");
    format!(
        "status {} after {} attempts, {error}",
        delivery["status"].as_str().unwrap_or("unknown"),
        delivery["attemptCount"],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_that_does_not_get_on_is_told_with_its_last_error() {
        let delivery = json!({
            "status": "PENDING",
            "attemptCount": 2,
            "attempts": [{"error": "the carrier is away"}, {"error": "timed out"}],
        });
        assert_eq!(story(&delivery), "status PENDING after 2 attempts, timed out");
        assert_eq!(attempts(&delivery).expect("it has a count"), 2);
        let none = json!({"status": "PENDING", "attemptCount": 0, "attempts": []});
        assert_eq!(story(&none), "status PENDING after 0 attempts, no error");
        assert!(attempts(&json!({})).is_err());
    }
}
