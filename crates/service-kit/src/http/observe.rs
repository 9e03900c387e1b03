//! A span and a measured time for each request.
//!
//! A layer of its own, and not a function as middleware: that would box each request's future twice more.

use crate::telemetry::{self, Passing};
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, Method, StatusCode},
    response::Response,
};
use pin_project_lite::pin_project;
use prometheus::{Histogram, HistogramVec};
use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::{Instrument, Span, field, instrument::Instrumented};

/// Made once: a name that is looked up as a text is read anew each time.
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

#[derive(Clone)]
pub(super) struct Observe {
    durations: HistogramVec,
}

impl Observe {
    /// Times by route, method and status.
    pub(super) fn new(durations: HistogramVec) -> Self {
        Self { durations }
    }
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        let durations = Arc::new(Durations { all: self.durations.clone(), usual: OnceLock::new() });
        Observed { inner, durations }
    }
}

/// A layer is put around each route and method by itself; most of its answers are of one kind.
#[derive(Clone)]
pub(super) struct Observed<S> {
    inner: S,
    durations: Arc<Durations>,
}

struct Durations {
    all: HistogramVec,
    /// Of the kind of the first answer that is a success: to look a histogram up by its labels takes
    /// longer than to count in it.
    usual: OnceLock<(Kind, Histogram)>,
}

#[derive(Clone)]
struct Kind {
    route: Option<MatchedPath>,
    method: &'static str,
    status: StatusCode,
}

impl Kind {
    fn labels(&self) -> [&str; 3] {
        [label(self.route.as_ref()), self.method, self.status.as_str()]
    }

    fn is(&self, other: &Self) -> bool {
        self.status == other.status && self.labels() == other.labels()
    }
}

impl Durations {
    fn observe(&self, kind: &Kind, seconds: f64) {
        let of = |kind: &Kind| self.all.with_label_values(&kind.labels());
        if kind.status.is_success() {
            self.usual.get_or_init(|| (kind.clone(), of(kind)));
        }
        match self.usual.get() {
            Some((usual, durations)) if usual.is(kind) => durations.observe(seconds),
            _ => of(kind).observe(seconds),
        }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for Observed<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let started = Instant::now();
        let method = method_label(request.method());
        let route = request.extensions().get::<MatchedPath>().cloned();
        let traceparent = request.headers().get(&TRACEPARENT).cloned();
        let traceparent = traceparent.as_ref().and_then(|value| value.to_str().ok());
        let span = span(traceparent, method, label(route.as_ref()));
        let durations = Arc::clone(&self.durations);
        let answer = telemetry::passing(self.inner.call(request), traceparent).instrument(span);
        Answering { answer, durations, started, method, route }
    }
}

pin_project! {
    pub(super) struct Answering<F> {
        #[pin]
        answer: Instrumented<Passing<F>>,
        durations: Arc<Durations>,
        started: Instant,
        method: &'static str,
        route: Option<MatchedPath>,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Answering<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let answer = ready!(this.answer.as_mut().poll(cx));
        if let Ok(response) = &answer {
            let status = response.status();
            let span = this.answer.span();
            span.record("http.response.status_code", status.as_u16());
            // What a client does wrong is no failure of the server's span, as the convention has it.
            if status.is_server_error() {
                telemetry::fail(span, status.as_str());
            }
            let kind = Kind { route: this.route.take(), method: this.method, status };
            this.durations.observe(&kind, this.started.elapsed().as_secs_f64());
        }
        Poll::Ready(answer)
    }
}

/// Continues the caller's trace.
fn span(traceparent: Option<&str>, method: &str, route: &str) -> Span {
    let span = tracing::info_span!(
        "request",
        otel.name = format_args!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
        otel.status_code = field::Empty,
        error.type = field::Empty,
        trace_id = field::Empty,
    );
    if let Some(parent) = traceparent {
        telemetry::continue_from(&span, parent);
    }
    if let Some(trace_id) = telemetry::trace_id(&span) {
        span.record("trace_id", trace_id);
    }
    span
}

fn label(route: Option<&MatchedPath>) -> &str {
    route.map_or("unmatched", MatchedPath::as_str)
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
