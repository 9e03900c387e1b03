//! What became of an order: asked of a delivery worker, so that a client needs one address only.

use crate::{
    body::{self, LARGEST, ReadError},
    endpoints::Api,
    held::Held,
    problem::Unanswered,
    room::{Reserved, Room},
};
use anyhow::Context;
use axum::{
    body::{Body, Bytes},
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderValue, Request, StatusCode, Uri, header, response::Parts},
    response::{IntoResponse, Response},
};
use service_kit::{HttpClient, HttpClientError, HttpClientLimits, Problem, telemetry};
use std::{fmt::Display, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// What an order's state may take. It is one read of the worker's store; whoever waits longer is
/// better served by an answer that says to ask again.
pub(crate) const LIMITS: HttpClientLimits = HttpClientLimits {
    connect: Duration::from_secs(1),
    whole: Duration::from_secs(3),
    idle: Duration::from_secs(20),
    largest_answer: LARGEST,
};
/// Questions under way at once: a worker that does not answer must not make them pile up here.
const AT_ONCE: usize = 256;

/// Times that a question is asked: a worker that stops takes its connections with it, and its Service leads
/// the next one to another worker.
const TRIES: u32 = 5;
/// Before it is asked a second time; it doubles from there. In sum it is what a Service takes to forget a
/// worker, and short enough that an outage is told soon.
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes of the worker's words about an order without a delivery, at most.
const LONGEST_DETAIL: usize = 4096;

/// The path of an order's state in the delivery worker's API; the id follows.
const WORKERS_PATH: &str = "/api/delivery/orders/";
/// The same in this API.
const OWN_PATH: &str = "/api/orders/";

/// Where the deliveries are, as far as the API was told.
#[derive(Debug)]
pub(crate) enum Deliveries {
    /// At a delivery worker that the API asks itself.
    Asked(Box<Worker>),
    /// Where clients reach a delivery worker themselves: this stands before the path.
    At(String),
    /// Nobody said. A gateway may still lead the worker's paths to it.
    Unknown,
}

/// A delivery worker's API.
#[derive(Debug)]
pub(crate) struct Worker {
    client: HttpClient,
    base: String,
    places: Semaphore,
}

impl Deliveries {
    /// `api_url` is where the API reaches the worker, `base_url` where clients do; the first one
    /// decides.
    pub(crate) fn new(api_url: Option<&str>, base_url: Option<&str>) -> anyhow::Result<Self> {
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        Ok(match (api_url, base_url) {
            (Some(url), _) => Self::Asked(Box::new(Worker {
                client: HttpClient::new(url, LIMITS)?,
                base: base(url),
                places: Semaphore::new(AT_ONCE),
            })),
            (None, Some(url)) => {
                HeaderValue::from_str(url).context("DELIVERY_BASE_URL cannot begin a Location")?;
                Self::At(base(url))
            }
            (None, None) => Self::Unknown,
        })
    }

    /// The `Location` of an accepted order.
    pub(crate) fn location(&self, order_id: Uuid) -> HeaderValue {
        let (base, path) = match self {
            Self::Asked(_) => ("", OWN_PATH),
            Self::At(base) => (base.as_str(), WORKERS_PATH),
            Self::Unknown => ("", WORKERS_PATH),
        };
        let mut id = Uuid::encode_buffer();
        let id = order_id.hyphenated().encode_lower(&mut id);
        let location = [base, path, id].concat();
        location.try_into().expect("bases, paths and ids are visible characters")
    }
}

/// `GET /api/orders/{orderId}`.
pub(crate) async fn order(
    State(api): State<Arc<Api>>,
    order_id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let order_id = order_id.ok().and_then(|Path(text)| order_id_of(&text));
    let order_id = order_id.ok_or(Unanswered::InvalidId)?;
    match &api.deliveries {
        Deliveries::Asked(worker) => {
            let json = worker.ask(order_id, &api.room).await?;
            let headers =
                [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            Ok((headers, json).into_response())
        }
        Deliveries::At(_) => {
            let location = [(header::LOCATION, api.deliveries.location(order_id))];
            Ok((StatusCode::TEMPORARY_REDIRECT, location).into_response())
        }
        Deliveries::Unknown => Err(Unanswered::NotConfigured.into()),
    }
}

/// Only the form of RFC 9562, which is the one that the API writes.
fn order_id_of(text: &str) -> Option<Uuid> {
    const LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;
    (text.len() == LENGTH).then(|| Uuid::parse_str(text).ok()).flatten()
}

impl Worker {
    /// The worker's words about the order, JSON. Nothing else of its answer, and nothing of the
    /// client's request but the trace, gets through.
    async fn ask(&self, order_id: Uuid, room: &Room) -> Result<Held<Box<[u8]>>, Unanswered> {
        let _place = self.places.try_acquire().map_err(|_| Unanswered::Busy)?;
        let uri: Uri = format!("{}{WORKERS_PATH}{order_id}", self.base)
            .parse()
            .map_err(|_| Unanswered::Invalid)?;
        let answer = tokio::time::timeout(LIMITS.whole, self.asked(uri, room)).await;
        let late = || Err(NoAnswer::unheard(HttpClientError::Timeout(LIMITS.whole)));
        let (head, body, reserved) =
            answer.unwrap_or_else(|_| late()).map_err(|none| none.told(order_id))?;
        if let Some(unanswered) = undelivered(order_id, head.status, &body) {
            return Err(unanswered);
        }
        let json = head.headers.get(header::CONTENT_TYPE);
        let json = json.is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
        match head.status {
            // Without what it has allocated beyond its bytes, which alone are in the room.
            StatusCode::OK if json => Ok(Held::new(body.into_boxed_slice(), Arc::new(reserved))),
            status if is_unable(status) => {
                tracing::warn!(%order_id, %status, "the delivery worker does not know now");
                Err(Unanswered::Unavailable)
            }
            status => {
                tracing::error!(%order_id, %status, "no delivery worker is at DELIVERY_API_URL");
                Err(Unanswered::Invalid)
            }
        }
    }

    /// The first answer of a worker that is able to, or what the last one said.
    async fn asked(&self, uri: Uri, room: &Room) -> Result<Answer, NoAnswer> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.answer(uri.clone(), room).await {
                Ok((head, ..)) if is_unable(head.status) => {}
                Err(NoAnswer::Unheard(_)) => {}
                answer => return answer,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.answer(uri, room).await
    }

    /// The worker's answer, whole, and the room that its content takes; the caller limits its time.
    async fn answer(&self, uri: Uri, room: &Room) -> Result<Answer, NoAnswer> {
        let answer = self.client.begin(question(uri)).await;
        let (head, body) = answer.map_err(NoAnswer::unheard)?.into_parts();
        match body::read(Body::new(body), room).await {
            // A copy: what is passed on must not keep more than its own bytes.
            Ok((body, reserved)) => Ok((head, body.to_vec(), reserved)),
            Err(ReadError::NoRoom) => Err(NoAnswer::NoRoom),
            Err(error) => Err(NoAnswer::unheard(error)),
        }
    }
}

/// What a worker said, whole, and the room that its content takes.
type Answer = (Parts, Vec<u8>, Reserved);

/// Why there is none.
enum NoAnswer {
    /// This process has no room for it, which says nothing of the worker.
    NoRoom,
    /// The worker was not reached or not understood.
    Unheard(String),
}

impl NoAnswer {
    fn unheard(error: impl Display) -> Self {
        Self::Unheard(error.to_string())
    }

    /// What the client is told, once the operator is.
    fn told(self, order_id: Uuid) -> Unanswered {
        match self {
            Self::NoRoom => Unanswered::Busy,
            Self::Unheard(error) => {
                tracing::warn!(%order_id, %error, "the delivery worker cannot be asked");
                Unanswered::Unavailable
            }
        }
    }
}

/// Whether another worker, or the same one later, may know.
fn is_unable(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn question(uri: Uri) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let agent = concat!("order-api/", env!("CARGO_PKG_VERSION"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
    let trace = telemetry::current_traceparent();
    if let Some(Ok(trace)) = trace.map(HeaderValue::try_from) {
        headers.insert("traceparent", trace);
    }
    request
}

/// What a delivery worker says of an order that has no delivery; any other server has no such path,
/// which is another mistake.
fn undelivered(order_id: Uuid, status: StatusCode, body: &[u8]) -> Option<Unanswered> {
    if status != StatusCode::NOT_FOUND && status != StatusCode::GONE {
        return None;
    }
    let problem: serde_json::Value = serde_json::from_slice(body).ok()?;
    match (status, problem["type"].as_str()?) {
        (StatusCode::NOT_FOUND, "/problems/unknown-order") => Some(Unanswered::Unknown(order_id)),
        (StatusCode::GONE, "/problems/unreadable-order") => {
            let detail = problem["detail"].as_str()?;
            let detail = &detail[..detail.floor_char_boundary(LONGEST_DETAIL)];
            Some(Unanswered::Unreadable(detail.to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_is_an_order_id() {
        let id = "47e715ef-7d35-5e8f-8d5c-ac406378c6c8";
        assert!(order_id_of(id).is_some() && order_id_of(&id.to_uppercase()).is_some());
        for other in [
            &id.replace('-', ""),
            &format!("{{{id}}}"),
            &format!("urn:uuid:{id}"),
            &id[1..],
            &format!("{id} "),
            &id.replace('4', "g"),
            "{47e715ef7d355e8f8d5cac406378c6c8}  ",
        ] {
            assert_eq!(order_id_of(other), None, "{other}");
        }
    }
}
