//! Asking the API.

use std::fmt;

use axum::{
    body::Bytes,
    http::{Method, Request, StatusCode, header},
};
use serde_json::Value;
use service_kit::{HttpClient, HttpClientLimits};

use crate::settings::ClientSettings;

/// Bytes of an answer, at most: a message of 1 MiB, every character of it escaped.
const LARGEST_ANSWER: usize = 16 << 20;

/// Asks a monitor.
pub(super) struct Client {
    http: HttpClient,
    settings: ClientSettings,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The monitor refuses: its problem.
    Problem(Value),
    /// There is no monitor, or what answers is none.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(why) => f.write_str(why),
            Self::Problem(problem) => {
                let text = |name: &str| problem[name].as_str().unwrap_or_default();
                write!(f, "{}: {}", text("title"), text("detail"))?;
                for error in problem["errors"].as_array().into_iter().flatten() {
                    let text = |name: &str| error[name].as_str().unwrap_or_default();
                    write!(f, "\n  {} {}", text("pointer"), text("detail"))?;
                }
                Ok(())
            }
        }
    }
}

impl Client {
    pub(super) fn new(settings: ClientSettings) -> Result<Self, Failure> {
        let limits =
            HttpClientLimits { largest_answer: LARGEST_ANSWER, ..HttpClientLimits::default() };
        let http = HttpClient::new(&settings.url, limits);
        let http = http.map_err(|error| Failure::Broken(format!("{error:#}")))?;
        Ok(Self { http, settings })
    }

    /// The JSON that a GET is answered with.
    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for (name, value) in query {
            pairs.append_pair(name, value);
        }
        let query = pairs.finish();
        let separator = if query.is_empty() { "" } else { "?" };
        self.send(Method::GET, &format!("{path}{separator}{query}"), Bytes::new()).await
    }

    /// The JSON that a POST of JSON is answered with.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, body.to_string().into()).await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Value, Failure> {
        let url = format!("{}{path}", self.settings.url.trim_end_matches('/'));
        let mut request = Request::builder()
            .method(method)
            .uri(&url)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.settings.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        let request = request.body(body).map_err(|error| Failure::Broken(error.to_string()))?;
        let answer = self.http.send(request).await.map_err(|error| {
            let at = &self.settings.url;
            Failure::Broken(format!("no monitor answers at {at} (MONITOR_URL or --url): {error}"))
        })?;
        let status = answer.status();
        let json = serde_json::from_slice::<Value>(answer.body()).map_err(|_| {
            Failure::Broken(format!("what answers at {url} with {status} is no monitor"))
        })?;
        let well = matches!(status, StatusCode::OK | StatusCode::ACCEPTED);
        if well { Ok(json) } else { Err(Failure::Problem(json)) }
    }
}
