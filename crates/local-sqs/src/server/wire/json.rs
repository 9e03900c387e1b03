//! AWS JSON 1.0.
//!
//! An error's `__type` names its shape, and because SQS once spoke only the Query protocol its older
//! code travels along in `x-amzn-query-error`
//! (<https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#aws-protocols-awsquerycompatible-trait>).

use axum::http::{HeaderMap, HeaderName, HeaderValue};
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
    if is_too_complex(incoming.body) {
        return Err(ApiError::new(
            ErrorKind::Serialization,
            "The request has more objects and values than any operation takes.",
        ));
    }
    target
        .strip_prefix("AmazonSQS.")
        .and_then(|operation| Request::from_json(operation, incoming.body))
        .ok_or_else(|| unknown(format!("There is no operation {target}.")))?
        .map_err(|error| ApiError::new(ErrorKind::Serialization, in_aws_words(&error)))
}

/// Commas outside of texts. A batch of ten messages with ten attributes each has some five hundred; lists
/// of names may be longer.
const MOST_COMMAS: usize = 20_000;
/// Objects and arrays. The same batch has some two hundred.
const MOST_PARTS: usize = 2_000;

/// Whether reading the body would take far more memory than its bytes: nothing is built of what no
/// operation takes.
fn is_too_complex(body: &[u8]) -> bool {
    let (mut commas, mut parts, mut in_text, mut escaped) = (0, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' if !in_text => commas += 1,
            b'{' | b'[' if !in_text => parts += 1,
            _ => {}
        }
    }
    commas > MOST_COMMAS || parts > MOST_PARTS
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
