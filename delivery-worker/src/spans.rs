//! The spans of an attempt, named as the OpenTelemetry conventions have it.

use service_kit::telemetry;
use sqs_consumer::{AttributeValue, Message};
use tracing::{Span, field, info_span};

/// The attempt, linked to the producer's span; what it asks of others are its children.
pub(crate) fn process(queue: &str, message: &Message, attempt: sqs_consumer::Attempt) -> Span {
    let span = info_span!(
        "process",
        otel.name = format_args!("process {queue}"),
        otel.kind = "consumer",
        messaging.system = "aws_sqs",
        messaging.operation.name = "process",
        messaging.destination.name = queue,
        messaging.message.id = message.message_id,
        attempt = attempt.number,
        order_id = field::Empty,
        trace_id = field::Empty,
    );
    if let Some(parent) = traceparent(message) {
        telemetry::link_to(&span, parent);
    }
    // For the log's lines, which carry what their span has.
    if let Some(trace_id) = telemetry::trace_id(&span) {
        span.record("trace_id", trace_id);
    }
    span
}

/// The trace that the message belongs to, as its producer wrote it.
pub(crate) fn traceparent(message: &Message) -> Option<&str> {
    message.attributes.get("traceparent").and_then(AttributeValue::as_str)
}

/// The wait for the deliveries store, whose answer may be one for many attempts at once.
pub(crate) fn database(operation: &'static str) -> Span {
    info_span!(
        "database",
        otel.name = format_args!("{operation} deliveries"),
        otel.kind = "client",
        db.operation.name = operation,
        db.collection.name = "deliveries",
    )
}

/// A request to the carrier; its answer's status is recorded when it is there.
pub(crate) fn carrier(host: Option<&str>) -> Span {
    info_span!(
        "carrier",
        otel.name = "POST",
        otel.kind = "client",
        http.request.method = "POST",
        server.address = host,
        http.response.status_code = field::Empty,
    )
}
