//! The two protocols that SQS clients speak, over the same typed requests.
//!
//! - AWS JSON 1.0, the current one: every operation is a POST whose `X-Amz-Target` header names it.
//! - AWS Query, the older one: `Action` and flat parameters in a form or a query string, XML back.
//!
//! Nothing here knows what an operation does; nothing in the model knows how it was asked.

#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod json;
mod query;
mod xml;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response as HttpResponse};

use crate::model::api::{Request, Response};
use crate::model::{ApiError, ErrorKind};

/// The header that tells every answer apart.
pub(super) const REQUEST_ID: &str = "x-amzn-requestid";

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// AWS JSON 1.0.
    Json,
    /// AWS Query with XML answers.
    Query,
    /// AWS Query with JSON answers, by `Accept: application/json`.
    QueryJson,
}

/// A request as it came over the wire, still to be read.
pub(super) struct Incoming<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl Wire {
    /// How the sender of a request speaks.
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let is_json = |name: header::HeaderName| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.is_some_and(|value| value.starts_with("application/x-amz-json"))
        };
        if *method == Method::POST
            && (headers.contains_key(json::TARGET) || is_json(header::CONTENT_TYPE))
        {
            return Self::Json;
        }
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        if accept.is_some_and(|accept| accept.contains("application/json")) {
            Self::QueryJson
        } else {
            Self::Query
        }
    }

    /// Reads a request.
    pub(super) fn read(self, incoming: &Incoming<'_>) -> Result<Request, ApiError> {
        match self {
            Self::Json => json::read(incoming),
            Self::Query | Self::QueryJson => query::read(incoming),
        }
    }

    /// Writes an answer. `action` is the operation that was asked for, when that is known.
    pub(super) fn write(
        self,
        action: &str,
        answer: &Result<Response, ApiError>,
        request_id: &str,
    ) -> HttpResponse {
        let nothing_asked =
            matches!(answer, Err(error) if error.kind == ErrorKind::UnknownOperation);
        let (content_type, body) = match self {
            Self::Json => ("application/x-amz-json-1.0", json::write(answer)),
            Self::QueryJson if !nothing_asked => {
                ("application/json", query::write_json(action, answer, request_id))
            }
            Self::Query | Self::QueryJson => ("text/xml", xml::write(action, answer, request_id)),
        };
        let status = answer.as_ref().map_or_else(|error| self.status(error.kind), |_| 200);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut http = (status, body).into_response();
        let headers = http.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID, id);
        }
        if let Err(error) = answer {
            if self == Self::Json {
                json::add_query_error(headers, error.kind);
            }
            if error.kind == ErrorKind::RequestEntityTooLarge {
                // More of the body may be under way, and is not going to be read.
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
        }
        http
    }

    fn status(self, kind: ErrorKind) -> u16 {
        match (self, kind) {
            // The Query protocol knows no target: a request without Action is one for nothing.
            (Self::Query | Self::QueryJson, ErrorKind::UnknownOperation) => 404,
            _ => kind.status(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::fuzzing::answer;
    use crate::model::api::Request;

    /// Pieces that requests are made of, so that random ones come deeper than the first brace.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let known = proptest::sample::select(vec![
            r#"{"QueueUrl":"/000000000000/order-queue.fifo","#,
            r#""Entries":[{"Id":"a","#,
            r#""MessageBody":"x","MessageGroupId":"g","#,
            r#""MessageAttributes":{"a":{"DataType":"Number","StringValue":"1e"}}"#,
            r#""ReceiptHandle":"AAAA","VisibilityTimeout":9999999999"#,
            r#""AttributeNames":["All"],"Attributes":{"RedrivePolicy":"{}"}"#,
            "}]}",
            "}",
            "null",
            "&QueueUrl=order-queue.fifo",
            "&Attribute.1.Name=Policy&Attribute.1.Value=%7B",
            "&SendMessageBatchRequestEntry.1.MessageBody=%00",
            "&MessageAttribute.9.Value.StringListValue.1=",
            "&Tag.Key=a&Tag.18446744073709551616.Key=b",
            "&AttributeName.1=All&MaxResults=-1",
            "...=&=&%zz",
        ]);
        prop_oneof![
            3 => known.prop_map(|text| text.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..8),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_get_an_answer_and_never_a_panic(
            first in any::<[u8; 2]>(),
            pieces in proptest::collection::vec(piece(), 0..6),
        ) {
            let status = answer(&[first.to_vec(), pieces.concat()].concat());
            prop_assert!([200, 400, 403, 404].contains(&status), "{}", status);
        }
    }

    #[test]
    fn an_empty_body_gets_an_answer_from_every_operation_in_either_protocol() {
        for first in 0..=(2 * Request::OPERATIONS.len() as u8) {
            assert_ne!(answer(&[first, 1]), 500);
        }
    }
}
