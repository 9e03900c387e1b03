//! The monitor's HTTP routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::Timestamp;
use serde::Serialize;
use service_kit::{Problem, settings::Secret};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::observe::Look;

type Looks = watch::Receiver<Arc<[Look]>>;

/// `/`, which needs the token if there is one, and `/api/dlq/health`, which everybody may ask.
pub(crate) fn router(looks: Looks, token: Option<Secret>) -> Router {
    Router::new()
        .route("/", get(overview))
        .layer(from_fn_with_state(token, check_token))
        .route("/api/dlq/health", get(health))
        .with_state(looks)
}

async fn check_token(
    State(token): State<Option<Secret>>,
    request: Request,
    next: Next,
) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    // Digests are compared, so that the time taken says nothing about the token.
    let same = |token: &Secret| {
        given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(token.expose()))
    };
    if token.as_ref().is_none_or(same) {
        return next.run(request).await;
    }
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized")
        .detail("send the header Authorization: Bearer with the monitor's token".to_owned());
    ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: &'static str,
}

async fn health() -> Json<Health> {
    Json(Health { status: "UP", service: "dlq-monitor" })
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
    Json(Overview { service: "dlq-monitor", queues })
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
