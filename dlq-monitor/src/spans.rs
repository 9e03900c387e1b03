//! The spans of what a job does, named as the OpenTelemetry conventions have it.

use order_events::OrderEvent;
use service_kit::telemetry;
use sqs_consumer::{AttributeValue, BatchResult, Message};
use tracing::{Instrument, field, info_span};
use uuid::Uuid;

/// Sends copies of dead letters back to their source queue, in a span that is linked to the producer's of
/// each. They keep its context, so this is no producer's span to the convention.
pub(crate) async fn redrive<'a>(
    queue: &str,
    job: Uuid,
    messages: impl ExactSizeIterator<Item = &'a Message>,
    call: impl Future<Output = BatchResult>,
) -> BatchResult {
    let span = info_span!(
        "redrive",
        otel.name = format_args!("send {queue}"),
        otel.kind = "client",
        messaging.system = "aws_sqs",
        messaging.operation.name = "send",
        messaging.operation.type = "send",
        messaging.destination.name = queue,
        messaging.batch.message_count = messages.len(),
        otel.status_code = field::Empty,
        error.type = field::Empty,
        order_id = field::Empty,
        job = %job,
    );
    let alone = messages.len() == 1 && !span.is_disabled();
    for message in messages {
        if let Some(traceparent) = traceparent(message) {
            telemetry::link_to(&span, traceparent);
        }
        if alone && let Ok(order) = OrderEvent::from_json(&message.body) {
            span.record("order_id", field::display(order.order_id));
        }
    }
    let results = call.instrument(span.clone()).await;
    if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
        telemetry::fail(&span, error.kind());
    }
    results
}

/// The W3C `traceparent` that the message's producer has given it.
pub(crate) fn traceparent(message: &Message) -> Option<&str> {
    message.attributes.get("traceparent").and_then(AttributeValue::as_str)
}
