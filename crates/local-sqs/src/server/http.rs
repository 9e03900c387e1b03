//! What a request is answered with: an operation, or one of the server's own pages.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, StatusCode, header};
use axum::response::{IntoResponse as _, Response as HttpResponse};
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::core::Shared;
use super::faults::{self, Fate, Loss};
use super::wire::{Incoming, Wire};
use super::{local, status};
use crate::model::api::{MessageAttributeValue, Request, Response};
use crate::model::{ApiError, ErrorKind};

/// The largest request body read. A batch of 1 MiB can be several times as long in JSON, by escapes
/// and base64.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// How much of a longer body is read and thrown away.
const DISCARD_LIMIT: usize = 64 * 1024 * 1024;
/// For a request's body to come, once its head is there.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer, or the loss of one.
pub(super) type Answer = Result<HttpResponse, Loss>;

/// Answers a request. The paths that are the server's own cannot be those of a queue, which have an
/// account before the name.
pub(super) async fn answer(shared: &Arc<Shared>, request: HttpRequest<Body>) -> Answer {
    let get = request.method() == Method::GET || request.method() == Method::HEAD;
    let query = request.uri().query().unwrap_or_default();
    let is_operation = query.split('&').any(|parameter| parameter.starts_with("Action="));
    Ok(match request.uri().path() {
        "/" if get && !is_operation => status::page(shared, request.headers()),
        "/health" if get => "ok\n".into_response(),
        "/metrics" if get => {
            let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (headers, shared.metrics.scrape(shared)).into_response()
        }
        path if path.starts_with("/_local/") => {
            let (parts, body) = request.into_parts();
            match read_body(body).await {
                Ok(body) => local::answer(shared, &parts.method, parts.uri.path(), &body),
                Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
            }
        }
        _ => return operation(shared, request).await,
    })
}

/// Any operation, on any path, in either protocol.
async fn operation(shared: &Arc<Shared>, request: HttpRequest<Body>) -> Answer {
    let (parts, body) = request.into_parts();
    let wire = Wire::of(&parts.method, &parts.headers);
    let request = read_body(body).await.and_then(|body| {
        wire.read(&Incoming {
            method: &parts.method,
            uri: &parts.uri,
            headers: &parts.headers,
            body: &body,
        })
    });
    let started = Instant::now();
    let action = request.as_ref().map_or("unknown", Request::operation);
    let answer = match request {
        Ok(request) => fated(shared, &parts.headers, request).await?,
        Err(error) => Err(error),
    };
    let error = answer.as_ref().map_or_else(|error| error.kind.query_code(), |_| "");
    shared.metrics.answered(action, error, started.elapsed());
    if let Err(error) = &answer {
        tracing::debug!(operation = action, %error, "refused");
    }
    Ok(wire.write(action, &answer, &uuid::Uuid::new_v4().to_string()))
}

/// Performs an operation as far as the faults in force let it through.
async fn fated(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    request: Request,
) -> Result<Result<Response, ApiError>, Loss> {
    let operation = request.operation();
    let fate = shared.faults.fate_of(operation);
    shared.metrics.faulted(operation, &fate);
    if !fate.latency.is_zero() {
        tokio::time::sleep(fate.latency).await;
    }
    if !fate.clock_jump.is_zero() {
        shared.skip(fate.clock_jump);
    }
    if let Some(loss) = fate.request {
        return Err(loss);
    }
    let answer = match &fate.error {
        Some(error) => Err(error.clone()),
        None => perform(shared, headers, request, &fate).await,
    };
    match fate.response {
        Some(loss) => Err(loss),
        None => Ok(answer.map(|response| response.with_endpoint(&endpoint(headers)))),
    }
}

async fn perform(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    request: Request,
    fate: &Fate,
) -> Result<Response, ApiError> {
    match request {
        Request::ReceiveMessage(request) => {
            shared.receive(request).await.map(Response::ReceiveMessage)
        }
        mut request => {
            add_trace_header(&mut request, headers);
            let mut fails = |position: usize| {
                fate.entries.get(position).copied().unwrap_or_default().then(faults::entry_error)
            };
            shared.with_model(|model, now| model.apply_with(now, request, &mut fails))
        }
    }
}

/// AWS makes the X-Ray header of a send a system attribute of its messages, unless they have their own.
fn add_trace_header(request: &mut Request, headers: &HeaderMap) {
    let header = headers.get("x-amzn-trace-id").and_then(|value| value.to_str().ok());
    let Some(header) = header.filter(|header| !header.is_empty()) else {
        return;
    };
    let attributes = match request {
        Request::SendMessage(request) => vec![&mut request.message_system_attributes],
        Request::SendMessageBatch(request) => {
            request.entries.iter_mut().map(|entry| &mut entry.message_system_attributes).collect()
        }
        _ => return,
    };
    for attributes in attributes {
        attributes.entry("AWSTraceHeader".to_owned()).or_insert_with(|| MessageAttributeValue {
            data_type: "String".to_owned(),
            string_value: Some(header.to_owned()),
            ..MessageAttributeValue::default()
        });
    }
}

/// Reads a body. One that is too long is read to its end all the same, up to a point, because a client
/// that is still sending does not see an answer.
async fn read_body(body: Body) -> Result<Vec<u8>, ApiError> {
    let broken = |text: &str| ApiError::new(ErrorKind::Serialization, text);
    let deadline = Instant::now() + BODY_TIMEOUT;
    let mut stream = body.into_data_stream();
    let (mut bytes, mut discarded) = (Vec::new(), 0);
    loop {
        let chunk = tokio::time::timeout_at(deadline, stream.next())
            .await
            .map_err(|_| broken("The request's body did not come in time."))?;
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|error| broken(&format!("The request broke off: {error}")))?;
        if discarded == 0 && bytes.len() + chunk.len() <= BODY_LIMIT {
            bytes.extend_from_slice(&chunk);
            continue;
        }
        discarded += chunk.len();
        if discarded > DISCARD_LIMIT {
            break;
        }
    }
    if discarded == 0 {
        return Ok(bytes);
    }
    Err(ApiError::new(
        ErrorKind::RequestEntityTooLarge,
        format!("The request is longer than {BODY_LIMIT} bytes."),
    ))
}

/// Queue URLs carry the host that the client used, so that they work from wherever it is.
fn endpoint(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host: &HeaderValue| host.to_str().ok());
    format!("http://{}", host.unwrap_or("localhost"))
}
