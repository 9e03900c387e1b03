//! The monitor's HTTP routes.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use crate::observe::Look;

type Looks = watch::Receiver<Arc<[Look]>>;

/// `/` and `/api/dlq/health`.
pub(crate) fn router(looks: Looks) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/api/dlq/health", get(health))
        .with_state(looks)
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: &'static str,
}

async fn health() -> Json<Health> {
    Json(Health {
        status: "UP",
        service: "dlq-monitor",
    })
}

#[derive(Serialize)]
struct Overview {
    service: &'static str,
    queues: Vec<QueueView>,
}

/// One queue; its numbers are absent until it has been read.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueView {
    queue: String,
    role: &'static str,
    observed_at: Option<Timestamp>,
    visible: Option<u64>,
    in_flight: Option<u64>,
    delayed: Option<u64>,
    /// Of a dead-letter queue: whether the last scan saw every message.
    #[serde(skip_serializing_if = "Option::is_none")]
    scan_complete: Option<bool>,
    /// Why the queue cannot be read now.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

async fn overview(State(looks): State<Looks>) -> Json<Overview> {
    let queues = looks.borrow().iter().cloned().map(view).collect();
    Json(Overview {
        service: "dlq-monitor",
        queues,
    })
}

fn view(look: Look) -> QueueView {
    let found = look.found.as_ref();
    QueueView {
        queue: look.queue,
        role: look.role.as_str(),
        observed_at: found.map(|found| found.at),
        visible: found.map(|found| found.counts.visible),
        in_flight: found.map(|found| found.counts.in_flight),
        delayed: found.map(|found| found.counts.delayed),
        scan_complete: found.and_then(|found| found.scan_complete),
        error: look.error,
    }
}
