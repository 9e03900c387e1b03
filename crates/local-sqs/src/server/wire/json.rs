//! AWS JSON 1.0.
//!
//! An error's `__type` names its shape, and because SQS once spoke only the Query protocol its older
//! code travels along in `x-amzn-query-error`
//! (<https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#aws-protocols-awsquerycompatible-trait>).

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::json;

use super::Incoming;
use crate::model::api::{Request, Response};
use crate::model::{ApiError, ErrorKind};

pub(super) const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

pub(super) fn read(incoming: &Incoming<'_>) -> Result<Request, ApiError> {
    let unknown = |text: String| ApiError::new(ErrorKind::UnknownOperation, text);
    let target = incoming.headers.get(TARGET).and_then(|target| target.to_str().ok());
    let target =
        target.ok_or_else(|| unknown("The request has no X-Amz-Target header.".to_owned()))?;
    target
        .strip_prefix("AmazonSQS.")
        .and_then(|operation| Request::from_json(operation, incoming.body))
        .ok_or_else(|| unknown(format!("There is no operation {target}.")))?
        .map_err(|error| ApiError::new(ErrorKind::Serialization, in_aws_words(&error)))
}

/// An operation without output has an empty body, as AWS's examples show.
pub(super) fn write(answer: &Result<Response, ApiError>) -> Vec<u8> {
    match answer {
        Ok(response) if response.is_empty() => Vec::new(),
        Ok(response) => serde_json::to_vec(response).unwrap_or_default(),
        Err(error) => json!({ "__type": error.kind.json_type(), "message": error.message })
            .to_string()
            .into_bytes(),
    }
}

pub(super) fn add_query_error(headers: &mut HeaderMap, kind: ErrorKind) {
    let fault = if kind.sender_fault() { "Sender" } else { "Receiver" };
    if let Ok(value) = HeaderValue::from_str(&format!("{};{fault}", kind.query_code())) {
        headers.insert(QUERY_ERROR, value);
    }
    if kind == ErrorKind::RequestEntityTooLarge {
        // More of the body may be under way, and is not going to be read.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// What AWS says of a value of the wrong type; of what is no JSON, serde's own words.
fn in_aws_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let Some((found, wanted)) =
        text.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    else {
        return text;
    };
    let wanted = match wanted.split(' ').next() {
        Some("a") if wanted.starts_with("a string") => "a String",
        Some("i64") => "an Integer",
        _ => "",
    };
    let found = match found.split([' ', ',']).next() {
        Some("sequence") => return "Start of list found where not expected".to_owned(),
        Some("map") => return "Start of structure or map found where not expected.".to_owned(),
        Some("integer" | "floating") => "NUMBER_VALUE",
        Some("boolean") if found.contains("true") => "TRUE_VALUE",
        Some("boolean") => "FALSE_VALUE",
        Some("string") => "STRING_VALUE",
        _ => return text,
    };
    if wanted.is_empty() { text } else { format!("{found} can not be converted to {wanted}") }
}
