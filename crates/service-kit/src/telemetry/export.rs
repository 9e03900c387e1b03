//! The HTTP client of the OTLP exporter.

use crate::{HttpClient as BoundedClient, HttpClientLimits};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

/// Sends on a tokio runtime what the exporter's own thread gives it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: BoundedClient,
    runtime: Handle,
}

impl Client {
    /// Its limits are those that the OTLP exporter specification has by default: 10 s for an export.
    pub(super) fn new(url: &str, runtime: Handle) -> anyhow::Result<Self> {
        Ok(Self { http: BoundedClient::new(url, HttpClientLimits::default())?, runtime })
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        // The exporter polls this on a thread of its own, where there is neither reactor nor timer.
        Ok(self.runtime.spawn(async move { http.send(request).await }).await??)
    }
}
