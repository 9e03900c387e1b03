//! Reading what is sent, within bounds.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use service_kit::{Problem, is_json};

use super::kinds;

/// Bytes of a request to act, at most: a thousand ids and what else is said.
const LARGEST: usize = 256 * 1024;
/// For the whole of it to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A body of at most so many bytes.
pub(crate) async fn read(body: Body, largest: usize) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(TIMEOUT, Limited::new(body, largest).collect()).await;
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(kinds::TOO_LARGE.problem().detail(format!("at most {largest} bytes are taken")))
        }
        Ok(Err(_)) => {
            Err(kinds::BODY_INCOMPLETE.problem().detail("the body ended before its announced end"))
        }
        Err(_) => Err(kinds::BODY_TIMEOUT
            .problem()
            .detail("the whole body must arrive within 10 seconds")),
    }
}

/// The JSON object that is sent.
pub(super) async fn object(request: Request) -> Result<Map<String, Value>, Problem> {
    let (head, body) = request.into_parts();
    if !is_json(&head.headers) {
        let detail = "send Content-Type: application/json";
        return Err(kinds::MEDIA_TYPE.problem().detail(detail));
    }
    let body = read(body, LARGEST).await?;
    match serde_json::from_slice(&body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(malformed("#", "must be an object")),
        Err(error) => Err(malformed("#", &error.to_string())),
    }
}

/// Whether a form is sent, as browsers do it.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The fields of a form that is sent, in their order.
pub(crate) async fn form(
    headers: &HeaderMap,
    body: Body,
) -> Result<Vec<(String, String)>, Problem> {
    if !is_form(headers) {
        let detail = "send Content-Type: application/x-www-form-urlencoded";
        return Err(kinds::MEDIA_TYPE.problem().detail(detail));
    }
    let body = read(body, LARGEST).await?;
    Ok(form_urlencoded::parse(&body).into_owned().collect())
}

pub(super) fn malformed(pointer: &str, detail: &str) -> Problem {
    let problem = kinds::MALFORMED.problem().detail("the body must be one JSON object in UTF-8");
    problem.field_error(pointer, detail)
}
