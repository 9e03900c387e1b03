//! HTTP, as a client of the fleet.

use anyhow::{Context, ensure};
use axum::{
    body::Bytes,
    http::{Request, StatusCode, header},
};
use serde_json::Value;
use service_kit::{HttpClient, HttpClientLimits};

/// An answer: its status and its text.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

impl Answer {
    /// The answer's JSON, if it has the status that is wanted.
    pub(crate) fn json(&self, wanted: StatusCode) -> anyhow::Result<Value> {
        ensure!(self.status == wanted, "{} with {}", self.status, self.shown());
        serde_json::from_str(&self.text).with_context(|| format!("not JSON: {}", self.shown()))
    }

    /// The beginning of the text, on one line.
    fn shown(&self) -> String {
        const LONGEST: usize = 300;
        self.text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

/// One address of the fleet.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    client: HttpClient,
    base: String,
}

impl Address {
    pub(crate) fn new(base: &str) -> anyhow::Result<Self> {
        let client = HttpClient::new(base, HttpClientLimits::default())?;
        Ok(Self { client, base: base.to_owned() })
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        let request = Request::get(format!("{}{path}", self.base)).body(Bytes::new())?;
        self.send(request).await
    }

    pub(crate) async fn post(&self, path: &str, json: &Value) -> anyhow::Result<Answer> {
        let request = Request::post(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(json.to_string()))?;
        self.send(request).await
    }

    async fn send(&self, request: Request<Bytes>) -> anyhow::Result<Answer> {
        let asked = format!("{} {}", request.method(), request.uri());
        let answer = self.client.send(request).await.context(asked)?;
        let (head, body) = answer.into_parts();
        let text = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status: head.status, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_status_than_the_wanted_one_is_told_with_the_answer() {
        let text = "{\"detail\":\n\"SQS is not there\"}".to_owned();
        let answer = Answer { status: StatusCode::SERVICE_UNAVAILABLE, text };
        let error = answer.json(StatusCode::ACCEPTED).expect_err("refused").to_string();
        assert!(error.contains("503") && error.contains("SQS is not there"), "{error}");
        assert!(!error.contains('\n'), "{error}");
        let answered = answer.json(StatusCode::SERVICE_UNAVAILABLE).expect("it is JSON");
        assert_eq!(answered["detail"], "SQS is not there");
    }
}
