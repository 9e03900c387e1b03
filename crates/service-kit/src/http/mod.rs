//! A service's own HTTP listener: how its routes are finished and served.

mod connections;
mod content;
mod exchange;
mod gives_way;
mod head;
mod observe;
mod serve;
mod wire;

pub use content::is_json;
pub use gives_way::GivesWay;
pub use serve::{Peer, ServeLimits, serve};

use crate::{Problem, ProblemKind};
use axum::{
    Router,
    http::{Method, StatusCode, Uri},
};
use observe::Observe;
use prometheus::{HistogramOpts, HistogramVec, Registry};
use std::borrow::Cow;

/// The OpenTelemetry convention's buckets for HTTP, seconds.
const BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Of a word of the request, the characters that an answer repeats.
const REPEATED: usize = 200;

/// What is answered to a request whose head could be read in two ways.
pub const BAD_REQUEST: ProblemKind =
    ProblemKind::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request");
/// What is answered where there is no route.
pub const NOT_FOUND: ProblemKind =
    ProblemKind::new(StatusCode::NOT_FOUND, "not-found", "Not found");
/// What is answered where a route does not take the method; `Allow` lists those that it takes.
pub const METHOD_NOT_ALLOWED: ProblemKind =
    ProblemKind::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed");

/// Finishes a service's routes: 404 and 405 as [`Problem`]s, a span per request that continues the
/// caller's trace, and the metric
/// `http_server_request_duration_seconds{http_route,http_request_method,http_response_status_code}`.
///
/// # Panics
/// When the registry already has a metric of that name.
pub fn routes(routes: Router, registry: &Registry) -> Router {
    let durations = HistogramVec::new(
        HistogramOpts::new(
            "http_server_request_duration_seconds",
            "Time from a request's header to its answer's.",
        )
        .buckets(BUCKETS.to_vec()),
        &["http_route", "http_request_method", "http_response_status_code"],
    )
    .expect("the metric's name and labels are valid");
    registry.register(Box::new(durations.clone())).expect("the HTTP metric is registered once");
    routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(Observe::new(durations))
}

async fn not_found(uri: Uri) -> Problem {
    Problem::of(NOT_FOUND).detail(format!("there is nothing at {}", beginning(uri.path())))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let (path, method) = (beginning(uri.path()), beginning(method.as_str()));
    Problem::of(METHOD_NOT_ALLOWED)
        .detail(format!("{path} does not take {method}; see the Allow header"))
}

/// A word of the request, shortened: a client that does not read its answer is not to decide how much
/// is held for it.
fn beginning(word: &str) -> Cow<'_, str> {
    match word.char_indices().nth(REPEATED) {
        Some((end, _)) => format!("{}…", &word[..end]).into(),
        None => word.into(),
    }
}
