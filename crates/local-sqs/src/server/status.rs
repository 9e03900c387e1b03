//! The status page: what is in the queues, and that it will not last.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::fmt::Write as _;
use std::sync::Arc;

use super::core::Shared;
use crate::model::QueueCounts;

const WARNING: &str = "local-sqs keeps everything in memory. It is not durable: queues and messages are gone \
     when this process ends. Use it for development and tests, never for production.";

/// `GET /`: plain text, or JSON for those who ask for it.
pub(super) async fn page(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let queues: Vec<(Arc<str>, QueueCounts)> = shared.with_model(|model, now| {
        model.advance(now);
        let names: Vec<_> = model.queue_names().cloned().collect();
        names
            .into_iter()
            .map(|name| (Arc::clone(&name), model.counts(&name).unwrap_or_default()))
            .collect()
    });
    let waiting = shared.waiting_receives();
    let accept =
        headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("application/json") {
        let queues: serde_json::Map<_, _> = queues
            .iter()
            .map(|(name, counts)| {
                let counts = json!({
                    "visible": counts.visible,
                    "in_flight": counts.in_flight,
                    "delayed": counts.delayed,
                });
                (name.to_string(), counts)
            })
            .collect();
        let page = json!({
            "durable": false, "warning": WARNING, "waiting_receives": waiting, "queues": queues,
        });
        return Json(page).into_response();
    }
    let mut text = format!(
        "{WARNING}\n\n{:<40} {:>10} {:>10} {:>10}\n",
        "queue", "visible", "in flight", "delayed"
    );
    for (name, counts) in queues {
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{name:<40} {:>10} {:>10} {:>10}",
            counts.visible, counts.in_flight, counts.delayed
        );
    }
    let _ = writeln!(text, "\nreceives waiting: {waiting}");
    text.into_response()
}
