//! AWS JSON 1.0 over HTTP: translates requests to the model's types and answers back.
//!
//! The protocol: every operation is a POST whose `X-Amz-Target` header names it; the path does not
//! matter. An error's `__type` names its shape, and because SQS once spoke the Query protocol its older
//! code travels along in `x-amzn-query-error`
//! (<https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#aws-protocols-awsquerycompatible-trait>).

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response as HttpResponse};
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use serde_json::json;

use super::core::Shared;
use super::faults::Faults;
use super::status;
use crate::model::api::{Request, Response};
use crate::model::{ApiError, ErrorKind};

/// The largest request body read. A batch of 1 MiB can be several times as long in JSON, by escapes
/// and base64.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
/// How much of a longer body is read and thrown away.
const DISCARD_LIMIT: usize = 64 * 1024 * 1024;
const JSON_1_0: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(status::page).fallback(operation))
        .route("/health", get(|| async { "ok\n" }).fallback(operation))
        .route("/_local/faults", post(set_faults).get(get_faults).delete(end_faults))
        .fallback(operation)
        .with_state(shared)
}

/// Any operation, on any path.
async fn operation(State(shared): State<Arc<Shared>>, request: HttpRequest) -> HttpResponse {
    let answer = match read(request).await {
        Ok((endpoint, request)) => {
            let fate = shared.faults.fate_of(request.operation());
            if !fate.latency.is_zero() {
                tokio::time::sleep(fate.latency).await;
            }
            if fate.drop_request {
                return dropped_connection();
            }
            let result = match fate.error {
                Some(error) => Err(error),
                None => perform(&shared, request).await,
            };
            if fate.drop_response {
                return dropped_connection();
            }
            result.map(|response| response.with_endpoint(&endpoint))
        }
        Err(error) => Err(error),
    };
    let (status, body, error) = match &answer {
        Ok(response) => (StatusCode::OK, serde_json::to_vec(response), None),
        Err(error) => {
            let body = json!({ "__type": error.kind.json_type(), "message": error.message });
            let status = StatusCode::from_u16(error.kind.status());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, serde_json::to_vec(&body), Some(error.kind))
        }
    };
    let mut http = (status, body.unwrap_or_default()).into_response();
    let headers = http.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON_1_0);
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(kind) = error {
        let fault = if kind.sender_fault() { "Sender" } else { "Receiver" };
        let value = format!("{};{fault}", kind.query_code());
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(QUERY_ERROR, value);
        }
        if kind == ErrorKind::RequestEntityTooLarge {
            // More of the body may be under way, and is not going to be read.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    http
}

async fn perform(shared: &Arc<Shared>, request: Request) -> Result<Response, ApiError> {
    match request {
        Request::ReceiveMessage(request) => {
            shared.receive(request).await.map(Response::ReceiveMessage)
        }
        request => shared.with_model(|model, now| model.apply(now, request)),
    }
}

/// Reads a request, with the endpoint that its sender used.
async fn read(request: HttpRequest) -> Result<(String, Request), ApiError> {
    let unknown = |text: &str| ApiError::new(ErrorKind::UnknownOperation, text);
    let (parts, body) = request.into_parts();
    let target = parts.headers.get(TARGET).and_then(|target| target.to_str().ok());
    if parts.method != Method::POST {
        return Err(unknown("SQS operations are sent by POST, with an X-Amz-Target header."));
    }
    let target =
        target.ok_or_else(|| unknown("The request has no X-Amz-Target header."))?.to_owned();
    let body = read_body(body).await?;
    let request = target
        .strip_prefix("AmazonSQS.")
        .and_then(|operation| Request::from_json(operation, &body))
        .ok_or_else(|| unknown(&format!("There is no operation {target}.")))?
        .map_err(|error| ApiError::new(ErrorKind::Serialization, error.to_string()))?;
    Ok((endpoint(&parts.headers), request))
}

/// Reads a body. One that is too long is read to its end all the same, up to a point, because a client
/// that is still sending does not see an answer.
async fn read_body(body: Body) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    let (mut bytes, mut discarded) = (Vec::new(), 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| {
            ApiError::new(ErrorKind::Serialization, format!("The request broke off: {error}"))
        })?;
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
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    format!("http://{}", host.unwrap_or("localhost"))
}

/// An answer that breaks off, which makes the HTTP server close the connection.
fn dropped_connection() -> HttpResponse {
    let broken = futures_util::stream::once(async {
        Err::<Bytes, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    });
    let mut response = HttpResponse::new(Body::from_stream(broken));
    // A length that is not delivered, so that no client takes the answer for a whole one.
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("1"));
    response
}

async fn set_faults(State(shared): State<Arc<Shared>>, body: Bytes) -> HttpResponse {
    match serde_json::from_slice::<Faults>(&body) {
        Ok(faults) => {
            shared.faults.set(faults);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

async fn get_faults(State(shared): State<Arc<Shared>>) -> HttpResponse {
    axum::Json(shared.faults.get()).into_response()
}

async fn end_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.faults.set(Faults::default());
    StatusCode::NO_CONTENT
}
