//! A service's own HTTP listener: how its routes are finished and served.

use crate::{Problem, Shutdown, telemetry};
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode, Uri},
    middleware::{self, Next},
    response::Response,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus::{HistogramOpts, HistogramVec, Registry};
use std::{io, pin::pin, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};
use tracing::{Instrument, field};

/// The OpenTelemetry convention's buckets for HTTP, seconds.
const BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// How long the server waits for its clients.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// For a request's header to be complete, counted from the connection's start or the answer
    /// before: it also closes idle connections. Longer than the idle time of usual load balancers
    /// (60 s), which would otherwise send into a connection that is just being closed.
    pub header_read: Duration,
    /// For open requests to end once the shutdown is requested; what is open then is cut.
    pub drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self { header_read: Duration::from_secs(75), drain: Duration::from_secs(10) }
    }
}

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

/// Serves HTTP/1.1 until the shutdown is requested, then lets open requests end within the limit.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: Shutdown,
    limits: ServeLimits,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.requested() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), shutdown.clone(), limits));
                }
                Err(error) => accept_failed(&error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, ended).await.is_err() {
        tracing::warn!(open = connections.len(), "connections are cut that did not end in time");
        connections.shutdown().await;
    }
    Ok(())
}

async fn connection(stream: TcpStream, router: Router, shutdown: Shutdown, limits: ServeLimits) {
    // Answers are small and complete: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header_read);
    let mut served =
        pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = shutdown.requested() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Out of file descriptors, most likely: trying again at once would spin.
async fn accept_failed(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "accepting a connection failed");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
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
    Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found")
        .detail(format!("there is nothing at {}", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
        .detail(format!("{} does not take {method}; see the Allow header", uri.path()))
}
