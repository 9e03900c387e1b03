//! The admin listener: metrics, liveness, readiness.

use crate::{
    BindError, Readiness, Scrapes, ServeLimits, Shutdown, bind, first_scrape::FirstScrape, serve,
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus::{IntGaugeVec, Opts, Registry, TextEncoder};
use serde_json::json;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::Instant};

/// Probes and scrapes are few; the files are the service's own connections'.
const CONNECTIONS: usize = 100;

/// Serves `/metrics` (Prometheus text), `/livez` and `/readyz` on a listener of its own.
///
/// Prometheus's first scrape shows every counter and histogram at zero, so that what was counted before
/// it is an increase too; who only looks is shown what is.
///
/// `/livez` answers 200 for as long as the process serves at all: it depends on nothing outside.
/// `/readyz` answers 200, or 503 with the latches that are not ready and why.
#[derive(Debug)]
pub struct AdminServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    first: FirstScrape,
    scrapes: Scrapes,
}

#[derive(Clone)]
struct Shown {
    registry: Registry,
    first: Arc<FirstScrape>,
    scrapes: Scrapes,
    readiness: Readiness,
}

impl AdminServer {
    /// Binds the address of the setting `ADMIN_ADDR`.
    #[expect(clippy::unused_async, reason = "binding needs the runtime that an async caller has")]
    pub async fn bind(addr: SocketAddr) -> Result<Self, BindError> {
        let setting = "ADMIN_ADDR";
        let listener = bind(setting, addr)?;
        let local_addr =
            listener.local_addr().map_err(|source| BindError { setting, addr, source })?;
        let first = FirstScrape::to_come();
        Ok(Self { listener, local_addr, first, scrapes: Scrapes::default() })
    }

    /// The address that is bound, with the port that the system chose for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The scrapes of `/metrics`.
    pub fn scrapes(&self) -> Scrapes {
        self.scrapes.clone()
    }

    /// Serves until the shutdown is requested. A service requests this one last, so that the drain
    /// of its own listener can be watched.
    pub async fn serve(
        self,
        registry: Registry,
        readiness: Readiness,
        shutdown: Shutdown,
    ) -> io::Result<()> {
        let Self { listener, first, scrapes, .. } = self;
        let first = Arc::new(first);
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(readyz))
            .with_state(Shown { registry, first, scrapes, readiness });
        let drain = Duration::from_secs(1);
        let limits = ServeLimits { connections: CONNECTIONS, drain, ..ServeLimits::default() };
        serve(listener, router, shutdown, limits).await
    }
}

/// Registers `build_info{service,version}`, always 1: it joins a version to every other metric.
///
/// # Panics
/// When the registry already has another metric of that name.
pub fn build_info(registry: &Registry, service: &'static str, version: &'static str) {
    let info = IntGaugeVec::new(
        Opts::new("build_info", "What is running: 1, with the service and its version as labels."),
        &["service", "version"],
    )
    .expect("the metric's name and labels are valid");
    info.with_label_values(&[service, version]).set(1);
    registry.register(Box::new(info)).expect("build_info is registered once");
}

async fn metrics(State(shown): State<Shown>, headers: HeaderMap) -> Response {
    let begun = Instant::now();
    let (families, scrape) = shown.first.shown(&headers, shown.registry.gather());
    match TextEncoder::new().encode_to_string(&families) {
        Ok(text) => {
            if let Some(scrape) = scrape {
                // A listener that stops now still sends it.
                shown.scrapes.answered(begun, scrape);
            }
            ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn readyz(State(shown): State<Shown>) -> Response {
    let unready: Vec<_> = shown
        .readiness
        .report()
        .into_iter()
        .filter_map(|(name, reason)| Some(json!({ "name": name, "reason": reason? })))
        .collect();
    let status = if unready.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "ready": unready.is_empty(), "unready": unready }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
