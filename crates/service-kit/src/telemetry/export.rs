//! The HTTP client of the OTLP exporter, made of what the AWS SDK brings along anyway.

use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::{sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// For one export, as the OTLP exporter specification has it by default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most of an answer that is read, bytes.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Sends on a tokio runtime what the exporter's own thread gives it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
}

impl Client {
    pub(super) fn new(url: &str, runtime: Handle) -> anyhow::Result<Self> {
        let builder = HttpsConnectorBuilder::new();
        let provider = Arc::new(ring::default_provider());
        // Reading the system's certificates takes a while and some memory; plain HTTP to a collector
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
        let connector = builder.https_or_http().enable_http1().build();
        let http = HyperClient::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build(connector);
        Ok(Self { http, runtime })
    }

    async fn send(self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.http.request(request.map(Full::new)).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sending = self.clone().send(request);
        // The exporter polls this on a thread of its own, where there is neither reactor nor timer.
        let timely = async { tokio::time::timeout(TIMEOUT, sending).await };
        self.runtime.spawn(timely).await??
    }
}
