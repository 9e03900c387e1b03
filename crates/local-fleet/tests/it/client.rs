//! HTTP as curl would do it.

use std::{sync::Arc, time::Duration};

use reqwest::Client;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde_json::{Value, json};

/// An answer: status and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

#[derive(Clone)]
pub(crate) struct Curl(Client);

impl Curl {
    pub(crate) fn new() -> Self {
        // Only plain HTTP is spoken here, but the client wants to know its TLS.
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        Self(Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap())
    }

    /// None while nobody answers.
    pub(crate) async fn try_get(&self, url: &str) -> Option<Answer> {
        answer(self.0.get(url).send().await.ok()?).await
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.try_get(url).await.unwrap_or_else(|| panic!("no answer from {url}"))
    }

    /// None when the connection breaks before there is an answer.
    pub(crate) async fn try_post(&self, url: &str, body: impl Into<String>) -> Option<Answer> {
        let request = self.0.post(url).header("content-type", "application/json");
        answer(request.body(body.into()).send().await.ok()?).await
    }

    pub(crate) async fn post(&self, url: &str, body: impl Into<String>) -> Answer {
        self.try_post(url, body).await.unwrap_or_else(|| panic!("no answer from {url}"))
    }

    /// The same under a key of its own, as a part of the trace that the W3C `traceparent` names.
    pub(crate) async fn post_traced(&self, url: &str, body: String, traceparent: &str) -> Answer {
        let request = self.0.post(url).header("content-type", "application/json");
        let request = request.header("idempotency-key", traceparent);
        let sent = request.header("traceparent", traceparent).body(body).send().await;
        answer(sent.unwrap()).await.unwrap()
    }

    /// Waits until `GET url` answers what is wanted.
    pub(crate) async fn until(
        &self,
        url: &str,
        what: &str,
        wanted: impl Fn(&Answer) -> bool,
    ) -> Answer {
        let mut last = String::new();
        for _ in 0..90 * 50 {
            if let Some(answer) = self.try_get(url).await {
                if wanted(&answer) {
                    return answer;
                }
                last = answer.text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{url} does not come to {what}; last: {last}");
    }
}

async fn answer(response: reqwest::Response) -> Option<Answer> {
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type");
    let content_type = content_type.map_or("", |value| value.to_str().unwrap()).to_owned();
    Some(Answer { status, content_type, text: response.text().await.ok()? })
}

/// An order of one item.
pub(crate) fn order(customer: &str, product: &str, quantity: u32, price: u64) -> String {
    json!({
        "customerId": customer,
        "items": [{
            "productId": "p1",
            "productName": product,
            "quantity": quantity,
            "price": price,
        }],
    })
    .to_string()
}

/// The value of a metric's one series whose labels contain all of these.
pub(crate) fn metric(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    text.lines()
        .filter(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .reduce(|a, b| a + b)
}

impl Curl {
    pub(crate) async fn post_to_sqs(&self, endpoint: &str, operation: &str, body: &str) -> Answer {
        let request = self
            .0
            .post(endpoint)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{operation}"))
            .body(body.to_owned());
        answer(request.send().await.unwrap()).await.unwrap()
    }
}
