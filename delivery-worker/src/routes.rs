//! The worker's HTTP API: what became of orders.

mod list;
mod problems;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State, rejection::PathRejection},
    routing::get,
};
use futures_util::future::join_all;
use jiff::Timestamp;
use order_events::DeliveryStatus;
use serde::Serialize;
use service_kit::Problem;
use uuid::Uuid;

use crate::{
    backlog::{Backlog, Watched},
    counting::Counting,
    figures::Rates,
    store::{Attempt, Attempts, Counts, Delivery, Store, StoreError},
};

/// Attempts that are told of an order, at most: an order that fails for weeks has thousands, and the order
/// API takes 1 MiB. The longest errors, every character escaped, are 6 KiB each.
const ATTEMPTS_TOLD: u32 = 100;

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Shown {
    store: Store,
    /// Names this worker.
    worker: String,
    /// The carrier's kind.
    carrier: &'static str,
    rates: Arc<Rates>,
    queues: Arc<[Watched]>,
    counting: Arc<Counting>,
}

impl Shown {
    /// The store, who this worker is, its carrier's kind, how much it delivers, the queues it
    /// consumes, and how many deliveries there are.
    pub(crate) fn new(
        store: Store,
        worker: String,
        carrier: &'static str,
        rates: Arc<Rates>,
        queues: Vec<Watched>,
        counting: Arc<Counting>,
    ) -> Self {
        Self { store, worker, carrier, rates, queues: queues.into(), counting }
    }

    async fn find(&self, order_id: Uuid) -> Result<Option<Delivery>, Problem> {
        self.store.find(order_id).await.map_err(|error| store_failed(&error))
    }

    async fn attempts(&self, order_id: Uuid) -> Result<Attempts, Problem> {
        let attempts = self.store.attempts(order_id, ATTEMPTS_TOLD).await;
        attempts.map_err(|error| store_failed(&error))
    }
}

/// The routes below `/api/delivery`, and what their problems' types lead to.
pub(crate) fn router(shown: Shown) -> Router {
    Router::new()
        .route("/api/delivery/health", get(health))
        .route("/api/delivery/status", get(status))
        .route("/api/delivery/orders", get(list::orders))
        .route("/api/delivery/orders/{order_id}", get(order))
        .route("/problems", get(problems::index))
        .route("/problems/{slug}", get(problems::page))
        .with_state(shown)
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: &'static str,
}

async fn health() -> Json<Health> {
    Json(Health { status: "UP", service: "delivery-worker" })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    service: &'static str,
    worker: String,
    carrier: &'static str,
    queues: Vec<String>,
    /// What SQS says of each queue; null: it does not.
    backlog: BTreeMap<String, Option<Backlog>>,
    /// Of this worker, over the last minute.
    deliveries_per_second: f64,
    failures_per_second: f64,
    /// Of all workers that share the store; null: it does not answer, or has not yet.
    deliveries: Option<DeliveryCounts>,
    /// When the deliveries were counted.
    counted_at: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryCounts {
    pending: u64,
    in_transit: u64,
    delivered: u64,
    failed: u64,
}

impl From<Counts> for DeliveryCounts {
    fn from(counts: Counts) -> Self {
        Self {
            pending: counts.pending,
            in_transit: counts.in_transit,
            delivered: counts.delivered,
            failed: counts.failed,
        }
    }
}

async fn status(State(shown): State<Shown>) -> Json<Status> {
    let backlog =
        shown.queues.iter().map(|queue| async { (queue.name().to_owned(), queue.backlog().await) });
    let (counted, backlog) = tokio::join!(shown.counting.counts(), join_all(backlog));
    Json(Status {
        service: "delivery-worker",
        worker: shown.worker.clone(),
        carrier: shown.carrier,
        queues: shown.queues.iter().map(|queue| queue.name().to_owned()).collect(),
        backlog: backlog.into_iter().collect(),
        deliveries_per_second: shown.rates.delivered.per_second(),
        failures_per_second: shown.rates.failed.per_second(),
        deliveries: counted.map(|(counts, _)| counts.into()),
        counted_at: counted.map(|(_, at)| at),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryView {
    delivery_id: Uuid,
    order_id: Uuid,
    customer_id: String,
    address: String,
    status: DeliveryStatus,
    /// When the status was last set.
    timestamp: Timestamp,
    /// When the first attempt at the order began.
    created_at: Timestamp,
    queue: String,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            delivery_id: delivery.delivery_id,
            order_id: delivery.order_id,
            customer_id: delivery.customer_id,
            address: delivery.address,
            status: delivery.status,
            timestamp: delivery.updated_at,
            created_at: delivery.created_at,
            queue: delivery.queue,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryWithAttempts {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// How many attempts are kept, told or not.
    attempt_count: u64,
    /// The newest, in their order.
    attempts: Vec<AttemptView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptView {
    attempt: u32,
    message_id: String,
    queue: String,
    outcome: &'static str,
    reason: Option<&'static str>,
    error: Option<String>,
    worker: String,
    started_at: Timestamp,
    finished_at: Timestamp,
}

async fn order(
    State(shown): State<Shown>,
    order_id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<DeliveryWithAttempts>, Problem> {
    let Path(order_id) = order_id.map_err(|_| {
        Problem::of(problems::INVALID_ORDER_ID).detail("the order id in the path is not a UUID")
    })?;
    let mut found = shown.find(order_id).await?;
    // Afterwards: each attempt that the delivery speaks of is among them.
    let mut attempts = shown.attempts(order_id).await?;
    if found.is_none() && attempts.total > 0 {
        // They are committed together: perhaps since it was looked for.
        found = shown.find(order_id).await?;
        if found.is_some() {
            attempts = shown.attempts(order_id).await?;
        }
    }
    let delivery = found.ok_or_else(|| undelivered(order_id, attempts.newest.last()))?;
    Ok(Json(DeliveryWithAttempts {
        delivery: delivery.into(),
        attempt_count: attempts.total,
        attempts: attempts.newest.into_iter().map(attempt_view).collect(),
    }))
}

/// Without a delivery there is no attempt, but for one at a message that has the order's id and is
/// otherwise no order.
fn undelivered(order_id: Uuid, last: Option<&Attempt>) -> Problem {
    let Some(Attempt { reason, error, .. }) = last else {
        return Problem::of(problems::UNKNOWN_ORDER).detail(format!(
            "no attempt at order {order_id} is recorded; it may still be waiting in its queue"
        ));
    };
    let reason = reason.map_or("failed", crate::Reason::as_str);
    let error = error.as_deref().unwrap_or("without a reason");
    Problem::of(problems::UNREADABLE_ORDER).detail(format!(
        "the message of order {order_id} is no order ({reason}: {error}); it goes to the \
         dead-letter queue"
    ))
}

fn attempt_view(attempt: Attempt) -> AttemptView {
    AttemptView {
        attempt: attempt.number,
        message_id: attempt.message_id,
        queue: attempt.queue,
        outcome: attempt.outcome.as_str(),
        reason: attempt.reason.map(crate::Reason::as_str),
        error: attempt.error,
        worker: attempt.worker,
        started_at: attempt.started_at,
        finished_at: attempt.finished_at,
    }
}

fn store_failed(error: &StoreError) -> Problem {
    tracing::warn!(%error, "a question is not answered");
    Problem::of(problems::STORE_UNAVAILABLE).retry_after(Duration::from_secs(5))
}
