//! The worker's HTTP API: what became of orders.

use axum::{
    Json, Router,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    routing::get,
};
use jiff::Timestamp;
use order_events::DeliveryStatus;
use serde::Serialize;
use service_kit::Problem;
use std::time::Duration;
use uuid::Uuid;

use crate::store::{Attempt, Delivery, Store, StoreError};

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Shown {
    /// The deliveries.
    pub(crate) store: Store,
    /// Names this worker.
    pub(crate) worker: String,
    /// The carrier's kind.
    pub(crate) carrier: &'static str,
    /// Names of the queues that are consumed.
    pub(crate) queues: Vec<String>,
}

/// The routes below `/api/delivery`.
pub(crate) fn router(shown: Shown) -> Router {
    Router::new()
        .route("/api/delivery/health", get(health))
        .route("/api/delivery/status", get(status))
        .route("/api/delivery/orders/{order_id}", get(order))
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
struct Status {
    service: &'static str,
    worker: String,
    carrier: &'static str,
    queues: Vec<String>,
    deliveries: DeliveryCounts,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryCounts {
    pending: u64,
    in_transit: u64,
    delivered: u64,
    failed: u64,
}

async fn status(State(shown): State<Shown>) -> Result<Json<Status>, Problem> {
    let counts = shown.store.counts().await.map_err(|error| store_failed(&error))?;
    Ok(Json(Status {
        service: "delivery-worker",
        worker: shown.worker,
        carrier: shown.carrier,
        queues: shown.queues,
        deliveries: DeliveryCounts {
            pending: counts.pending,
            in_transit: counts.in_transit,
            delivered: counts.delivered,
            failed: counts.failed,
        },
    }))
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
    queue: String,
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
) -> Result<Json<DeliveryView>, Problem> {
    let Path(order_id) = order_id.map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "invalid-order-id", "Invalid order id")
            .detail("the order id in the path is not a UUID")
    })?;
    let found = shown.store.find(order_id).await.map_err(|error| store_failed(&error))?;
    let delivery = found.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "unknown-order", "Unknown order").detail(format!(
            "no attempt at order {order_id} is recorded; it may still be waiting in its queue"
        ))
    })?;
    let attempts = shown.store.attempts(order_id).await.map_err(|error| store_failed(&error))?;
    Ok(Json(view(delivery, attempts)))
}

fn view(delivery: Delivery, attempts: Vec<Attempt>) -> DeliveryView {
    DeliveryView {
        delivery_id: delivery.delivery_id,
        order_id: delivery.order_id,
        customer_id: delivery.customer_id,
        address: delivery.address,
        status: delivery.status,
        timestamp: delivery.updated_at,
        queue: delivery.queue,
        attempts: attempts.into_iter().map(attempt_view).collect(),
    }
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
    tracing::warn!(%error, "a question cannot be answered");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "The store is unavailable")
        .retry_after(Duration::from_secs(5))
}
