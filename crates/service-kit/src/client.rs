//! An HTTP client within bounds, made of what the AWS SDK brings along anyway.

use axum::body::Bytes;
use axum::http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::{error::Error, sync::Arc, time::Duration};

/// What a client bears from its servers.
#[derive(Clone, Copy, Debug)]
pub struct HttpClientLimits {
    /// For a connection to be made.
    pub connect: Duration,
    /// From the request to the answer's last byte.
    pub whole: Duration,
    /// For which a connection is kept for the next request. Shorter than the idle time of usual
    /// servers, which close silently.
    pub idle: Duration,
    /// The largest answer, bytes.
    pub largest_answer: usize,
}

impl Default for HttpClientLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            whole: Duration::from_secs(10),
            idle: Duration::from_secs(20),
            largest_answer: 1024 * 1024,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// Not within the time for the whole.
    #[error("no whole answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// More than the largest answer that is taken.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// No connection, or one that broke.
    #[error("{0}")]
    Broken(String),
}

/// Sends requests over HTTP/1.1, with or without TLS, on connections that are kept. Redirects are
/// not followed, and no proxy is used. Clones share the connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    limits: HttpClientLimits,
}

impl HttpClient {
    /// A client for servers like this URL's. An error when the URL is https and this machine trusts
    /// no certificate authority.
    pub fn new(url: &str, limits: HttpClientLimits) -> anyhow::Result<Self> {
        let builder = HttpsConnectorBuilder::new();
        let provider = Arc::new(ring::default_provider());
        // Reading the system's certificates takes a while and some memory; plain HTTP to a server
        // beside the service, the usual case, does without.
        let builder = if url.starts_with("https:") {
            builder.with_provider_and_native_roots(provider)?
        } else {
            let tls = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth();
            builder.with_tls_config(tls)
        };
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(limits.connect));
        let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits.idle)
            .build(connector);
        Ok(Self { http, limits })
    }

    /// Sends the request and reads the whole answer.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpClientError> {
        let HttpClientLimits { whole, .. } = self.limits;
        let answer = tokio::time::timeout(whole, self.exchange(request)).await;
        answer.unwrap_or(Err(HttpClientError::Timeout(whole)))
    }

    /// Sends the request. To read the answer's content, of which there is no more than the largest
    /// answer, is left to the caller, and so is the time for the whole.
    pub async fn begin(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<Limited<Incoming>>, HttpClientError> {
        let sent = self.http.request(request.map(Full::new)).await;
        let answer = sent.map_err(|error| broken(&error))?;
        Ok(answer.map(|body| Limited::new(body, self.limits.largest_answer)))
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpClientError> {
        let (head, body) = self.begin(request).await?.into_parts();
        match body.collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(HttpClientError::TooLarge(self.limits.largest_answer))
            }
            Err(error) => Err(broken(&*error)),
        }
    }
}

/// With its causes, since the outermost error only says that something is wrong.
fn broken(error: &dyn Error) -> HttpClientError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    HttpClientError::Broken(text)
}
