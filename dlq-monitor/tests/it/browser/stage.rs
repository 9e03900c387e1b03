//! A monitor with dead letters, and a browser before it.

use order_events::{DeliveryStatus, OrderEvent};
use serde_json::Value;

use super::page::Page;
use crate::{
    http::call,
    support::{
        Database, FIFO_DLQ, Monitor, STANDARD, STANDARD_DLQ, Sqs, attempted, environment,
        eventually, order_of, text,
    },
};

pub(super) const TOKEN: &str = "a long secret of the fleet";

/// Redrives the messages of a list that were chosen.
pub(super) const CHOSEN: &str = "form.act-bar button[type=submit]:not([formaction])";

pub(super) struct Stage {
    pub(super) sqs: Sqs,
    pub(super) database: Database,
    pub(super) monitor: Monitor,
    pub(super) page: Page,
}

impl Stage {
    /// A monitor with these settings, and queues without messages.
    pub(super) async fn with(settings: &[(&str, &str)]) -> Self {
        Self::of(Sqs::anywhere().await, settings).await
    }

    /// One of this SQS.
    pub(super) async fn of(sqs: Sqs, settings: &[(&str, &str)]) -> Self {
        let database = Database::create();
        let monitor = Monitor::on(sqs.addr, &database, settings).await;
        Self::before(sqs, database, monitor).await
    }

    /// One whose store is elsewhere.
    pub(super) async fn with_store(url: &str) -> Self {
        let (sqs, database) = (Sqs::anywhere().await, Database::create());
        let mut env = environment(sqs.addr);
        env.push(("DATABASE_URL".to_owned(), url.to_owned()));
        let monitor = Monitor::with(env).await;
        Self::before(sqs, database, monitor).await
    }

    async fn before(sqs: Sqs, database: Database, monitor: Monitor) -> Self {
        let here = std::net::SocketAddr::from(([127, 0, 0, 1], monitor.api.port()));
        Self { sqs, database, monitor, page: Page::open(here).await }
    }

    /// One that asks for nothing, on loopback.
    pub(super) async fn open() -> Self {
        Self::with(&[]).await
    }

    /// Orders that died in the standard queue for this reason, and are known.
    pub(super) async fn dead(&self, count: usize, reason: &str) -> Vec<OrderEvent> {
        let before = self.known(STANDARD_DLQ).await;
        let mut orders = Vec::new();
        for number in 1..=count {
            let order = order_of(&format!("고객 {number}"));
            let attributes = [
                ("dead-letter-reason", text(reason)),
                ("dead-letter-detail", text("the carrier answers 503 Service Unavailable")),
                ("dead-letter-attempts", text("3")),
                ("traceparent", text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
            ];
            self.sqs.send(STANDARD_DLQ, &order.to_json(), &attributes).await;
            orders.push(order);
        }
        self.until_known(STANDARD_DLQ, before + count).await;
        orders
    }

    /// Orders of a customer that died in the FIFO queue, in their order, and are known.
    pub(super) async fn dead_in_group(&self, customer: &str, count: usize) -> Vec<OrderEvent> {
        let before = self.known(FIFO_DLQ).await;
        let mut orders = Vec::new();
        for _ in 0..count {
            let order = order_of(customer);
            let attributes = [("dead-letter-reason", text("timeout"))];
            self.sqs.send_in_group(FIFO_DLQ, customer, &order.to_json(), &attributes).await;
            orders.push(order);
        }
        self.until_known(FIFO_DLQ, before + count).await;
        orders
    }

    /// What a worker has recorded of an order on this queue.
    pub(super) async fn recorded(&self, order: &OrderEvent, queue: &str, status: DeliveryStatus) {
        let store = self.database.open().await;
        let record = attempted(order, queue, status, jiff::Timestamp::now());
        store.write(record).await.expect("it is written");
        store.close().await;
    }

    /// How many dead letters of a queue are known.
    async fn known(&self, queue: &str) -> usize {
        let queues = self.json("/api/dlq/queues").await;
        let queues = queues["queues"].as_array().expect("a list").iter();
        let mut known =
            queues.filter(|it| it["queue"] == queue).map(|it| &it["deadLetters"]["known"]);
        known.next().and_then(Value::as_u64).expect("a number") as usize
    }

    pub(super) async fn until_known(&self, queue: &str, count: usize) {
        eventually("the dead letters are known", || async {
            (self.known(queue).await == count).then_some(())
        })
        .await;
    }

    /// Messages in the standard queue and in its dead-letter queue.
    pub(super) fn standard(&self) -> (usize, usize) {
        (self.sqs.count(STANDARD), self.sqs.count(STANDARD_DLQ))
    }

    /// How many jobs there are.
    pub(super) async fn jobs(&self) -> usize {
        self.json("/api/dlq/jobs").await["items"].as_array().expect("a list").len()
    }

    /// What the API says, to somebody with the token.
    pub(super) async fn json(&self, path: &str) -> Value {
        let token = format!("Bearer {TOKEN}");
        let headers = [("authorization", token.as_str())];
        let answer = call(self.monitor.api, &format!("GET {path}"), &headers, b"").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Sends the form of `redrive` or `discard` that is shown, and types the count on the page which asks
    /// for it. Then the job's page is shown.
    pub(super) async fn send_and_confirm(&self, act: &str, count: &str) {
        let page = &self.page;
        let (form, button) = (format!("#{act}-form"), format!("#{act}-form button[type=submit]"));
        page.follow(&button).await;
        page.fill(&format!("{form} [name=count]"), count).await;
        page.follow(&button).await;
        let place = page.place().await;
        assert!(place.starts_with("/jobs/"), "{place}: {}", page.text("main").await);
    }

    /// Waits until the job's page says that it has come to this state, by itself: nothing is loaded
    /// again.
    pub(super) async fn until_job(&self, state: &str) {
        let page = &self.page;
        page.evaluate("void (window.isTheSamePage = true)").await;
        page.until(&format!(
            "document.querySelector('#job-state')?.dataset.state === '{state}' && window.isTheSamePage"
        ))
        .await;
    }

    /// Ends; the browser must have had nothing to complain of.
    pub(super) async fn end(self) {
        assert_eq!(self.page.complaints(), Vec::<Value>::new());
        drop(self.page);
        self.monitor.stop().await;
    }
}
