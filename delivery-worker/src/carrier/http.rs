//! A delivery system behind HTTP.

use std::{error::Error, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use order_events::OrderEvent;
use reqwest::{Client, Response, StatusCode, Url, header, redirect};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use service_kit::telemetry;
use tokio::time::timeout;
use tracing::{Instrument, Span};

use super::{Carrier, Failure, retry_after};
use crate::spans;

/// For the status of an answer to come, unless [`HttpCarrier::within`] says otherwise.
const LIMIT: Duration = Duration::from_secs(10);
/// Time to connect; with the answer's status it is limited by `CARRIER_TIMEOUT`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Shorter than the usual idle limits of servers and load balancers, which close silently.
const POOL_IDLE: Duration = Duration::from_secs(25);
/// Bytes of a refusal that are kept.
const KEPT_ANSWER: usize = 1024;
/// Bytes of an answer that are read so that its connection can be used again.
const DRAINED_ANSWER: usize = 64 * 1024;
/// For the rest of an answer to arrive once its status has decided, at most. Nobody waits for it but for
/// the words of a refusal.
const REST: Duration = Duration::from_secs(1);

/// For the rest of an answer whose status may take so long. The attempt is to have time for both: what
/// has been refused must not pass for an outage since its words did not come.
pub(crate) fn rest(limit: Duration) -> Duration {
    REST.min(limit / 10)
}

/// POSTs each order as JSON to one URL.
///
/// | answer | meaning |
/// |---|---|
/// | 2xx | delivered |
/// | 408, 425, 429, 5xx, none | try again, not before `Retry-After` |
/// | anything else, redirects too | refused for good |
///
/// `Idempotency-Key` is the order id: an order that is handed over twice must be delivered once.
///
/// Connections are kept and used again. When the carrier has closed one meanwhile, the order goes over
/// a new one as long as nothing of it was written; after that the attempt has failed, since the carrier
/// may have the order, and the next attempt repeats it under the same key.
#[derive(Clone, Debug)]
pub struct HttpCarrier {
    client: Client,
    url: Url,
    /// The URL without what is secret of it.
    shown: String,
    limit: Duration,
}

/// The carrier's client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpCarrierError {
    /// The URL is not one.
    #[error("CARRIER_URL is not a URL")]
    Url,
    /// An https URL, but no certificate authority is trusted by this machine.
    #[error(
        "no trusted certificate authorities were found: install ca-certificates or set SSL_CERT_FILE"
    )]
    NoRoots,
    /// TLS or the client could not be set up.
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
}

impl HttpCarrier {
    /// A client for this URL. Reads the machine's certificate authorities when it is https.
    pub fn new(url: &str) -> Result<Self, HttpCarrierError> {
        let is_https = parse(url)?.scheme() == "https";
        Self::trusting(url, if is_https { machine_roots()? } else { RootCertStore::empty() })
    }

    /// A client for this URL that trusts these certificate authorities and no others.
    pub fn trusting(url: &str, roots: RootCertStore) -> Result<Self, HttpCarrierError> {
        let url = parse(url)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| HttpCarrierError::Client(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            // A redirected POST loses its body or its method: the operator is to set the right URL.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE)
            .user_agent(concat!("delivery-worker/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| HttpCarrierError::Client(chain(&error)))?;
        let shown = spans::redacted(&url);
        Ok(Self { client, url, shown, limit: LIMIT })
    }

    /// The same with so much time for the status of an answer. A tenth of that, at most a second, is
    /// left for the words that follow it.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    async fn post(&self, order: &OrderEvent) -> Result<(), Failure> {
        let mut request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", order.order_id.to_string())
            .body(order.to_json());
        if let Some(traceparent) = telemetry::current_traceparent() {
            request = request.header("traceparent", traceparent);
        }
        let answer = timeout(self.limit, request.send()).await;
        let span = Span::current();
        let answer = answer.map_err(|_| {
            telemetry::fail(&span, "timeout");
            Failure::TimedOut(self.limit)
        })?;
        let answer = answer.map_err(|error| {
            telemetry::fail(&span, "connection");
            Failure::Unavailable { detail: chain(&error), retry_after: None }
        })?;
        let status = answer.status();
        span.record("http.response.status_code", status.as_u16());
        if status.is_success() {
            release(answer);
            return Ok(());
        }
        telemetry::fail(&span, status.as_str());
        let retry_after = answer
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after::parse(value, Timestamp::now()));
        let answer = beginning(answer, rest(self.limit)).await;
        if is_temporary(status) {
            let detail = format!("status {}: {answer}", status.as_u16());
            Err(Failure::Unavailable { detail, retry_after })
        } else {
            Err(Failure::Rejected { status: status.as_u16(), answer })
        }
    }
}

impl Carrier for HttpCarrier {
    fn deliver<'a>(&'a self, order: &'a OrderEvent) -> BoxFuture<'a, Result<(), Failure>> {
        self.post(order).instrument(spans::carrier(&self.url, &self.shown)).boxed()
    }
}

fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS]
            .contains(&status)
}

/// Reads what is left of an answer, so that its connection can be used again. The order is delivered,
/// however long that takes and whatever comes: it goes on by itself if it is not there yet.
fn release(answer: Response) {
    let mut rest = Box::pin(async move {
        let mut body = Vec::new();
        read(answer, &mut body).await;
    });
    if rest.as_mut().now_or_never().is_none() {
        tokio::spawn(timeout(REST, rest));
    }
}

/// The first KiB of a refusal's words, as far as they come in time.
async fn beginning(answer: Response, rest: Duration) -> String {
    let mut body = Vec::new();
    // The status has decided already.
    let _ = timeout(rest, read(answer, &mut body)).await;
    body.truncate(KEPT_ANSWER);
    let mut text = String::from_utf8_lossy(&body).into_owned();
    // What is no UTF-8 becomes longer as text.
    text.truncate(text.floor_char_boundary(KEPT_ANSWER));
    text
}

/// Reads the body until it ends, breaks off or is long enough.
async fn read(mut answer: Response, body: &mut Vec<u8>) {
    while body.len() < DRAINED_ANSWER
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
}

fn parse(url: &str) -> Result<Url, HttpCarrierError> {
    url.parse().map_err(|_| HttpCarrierError::Url)
}

fn machine_roots() -> Result<RootCertStore, HttpCarrierError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() { Err(HttpCarrierError::NoRoots) } else { Ok(roots) }
}

/// An error with its causes on one line, without the URL, which may hold a password.
fn chain(error: &reqwest::Error) -> String {
    let kind = if error.is_connect() { "cannot connect" } else { "the request failed" };
    let mut text = kind.to_owned();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
