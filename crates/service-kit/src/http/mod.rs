//! A service's own HTTP listener: how its routes are finished and served.

mod connections;
mod exchange;
mod head;
mod serve;
mod wire;

pub use serve::{ServeLimits, serve};

use crate::{Problem, ProblemKind, telemetry};
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode, Uri},
    middleware::{self, Next},
    response::Response,
};
use prometheus::{HistogramOpts, HistogramVec, Registry};
use tokio::time::Instant;
use tracing::{Instrument, field};

/// The OpenTelemetry convention's buckets for HTTP, seconds.
const BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

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
        .layer(middleware::from_fn_with_state(durations, observe))
}

async fn observe(State(durations): State<HistogramVec>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        otel.name = format_args!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
        trace_id = field::Empty,
    );
    if let Some(parent) = request.headers().get("traceparent").and_then(|value| value.to_str().ok())
    {
        telemetry::continue_from(&span, parent);
    }
    if let Some(trace_id) = telemetry::trace_id(&span) {
        span.record("trace_id", trace_id);
    }
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    durations
        .with_label_values(&[route, method, status.as_str()])
        .observe(started.elapsed().as_secs_f64());
    response
}

/// The methods of RFC 9110 and 5789; anything else is one label, as the convention has it.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        _ => "_OTHER",
    }
}

async fn not_found(uri: Uri) -> Problem {
    Problem::of(NOT_FOUND).detail(format!("there is nothing at {}", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::of(METHOD_NOT_ALLOWED)
        .detail(format!("{} does not take {method}; see the Allow header", uri.path()))
}
