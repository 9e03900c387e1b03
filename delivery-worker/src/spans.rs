//! The spans of an attempt, named as the OpenTelemetry conventions have it.

use order_store::{Store, StoreError, traced};
use reqwest::Url;
use service_kit::telemetry;
use sqs_consumer::{AttributeValue, DeadLetter, Message, Verdict};
use tracing::{Span, field, info_span};
use uuid::Uuid;

/// The attempt, linked to the producer's span; what it asks of others are its children.
pub(crate) fn process(queue: &str, message: &Message, attempt: sqs_consumer::Attempt) -> Span {
    let span = info_span!(
        "process",
        otel.name = format_args!("process {queue}"),
        otel.kind = "consumer",
        messaging.system = "aws_sqs",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = queue,
        messaging.message.id = message.message_id,
        attempt = attempt.number,
        otel.status_code = field::Empty,
        error.type = field::Empty,
        order_id = field::Empty,
        trace_id = field::Empty,
    );
    of_the_order(&span, message);
    span
}

/// What is done about an attempt that was interrupted: its own span has ended.
pub(crate) fn interrupted(
    queue: &str,
    message: &Message,
    letter: &DeadLetter,
    order_id: Option<Uuid>,
) -> Span {
    let span = info_span!(
        "interrupted",
        otel.name = format_args!("interrupted {queue}"),
        messaging.system = "aws_sqs",
        messaging.destination.name = queue,
        messaging.message.id = message.message_id,
        otel.status_code = field::Empty,
        error.type = field::Empty,
        order_id = order_id.map(field::display),
        trace_id = field::Empty,
    );
    of_the_order(&span, message);
    telemetry::fail(&span, letter.reason);
    span
}

/// The sending of a copy to the dead-letter queue. The message keeps the producer's context, so this is
/// no producer's span to the convention.
pub(crate) fn dead_letter(
    dead_letters: &str,
    message: &Message,
    letter: &DeadLetter,
    order_id: Option<Uuid>,
) -> Span {
    let span = info_span!(
        "dead_letter",
        otel.name = format_args!("send {dead_letters}"),
        otel.kind = "client",
        messaging.system = "aws_sqs",
        messaging.operation.name = "send",
        messaging.operation.type = "send",
        messaging.destination.name = dead_letters,
        otel.status_code = field::Empty,
        error.type = field::Empty,
        source_message_id = message.message_id,
        reason = letter.reason,
        order_id = order_id.map(field::display),
        trace_id = field::Empty,
    );
    of_the_order(&span, message);
    span
}

/// Links the receive that has brought the message to the producer's span.
pub(crate) fn received(receive: &Span, message: &Message) {
    if let Some(producer) = traceparent(message) {
        telemetry::link_to(receive, producer);
    }
}

/// Links a span to the producer's, and gives the log's lines, which carry what their span has, its trace.
fn of_the_order(span: &Span, message: &Message) {
    if let Some(parent) = traceparent(message) {
        telemetry::link_to(span, parent);
    }
    if let Some(trace_id) = telemetry::trace_id(span) {
        span.record("trace_id", trace_id);
    }
}

/// The trace that the message belongs to, as its producer wrote it.
pub(crate) fn traceparent(message: &Message) -> Option<&str> {
    message.attributes.get("traceparent").and_then(AttributeValue::as_str)
}

/// An attempt under way. One that comes to no verdict panics, runs out of time, or loses its message:
/// its span says so.
pub(crate) struct UnderWay {
    span: Span,
    ended: bool,
}

impl UnderWay {
    pub(crate) fn new(span: Span) -> Self {
        Self { span, ended: false }
    }

    pub(crate) fn ended(mut self, verdict: &Verdict) {
        self.ended = true;
        match verdict {
            Verdict::Retry { letter, .. } | Verdict::DeadLetter(letter) => {
                telemetry::fail(&self.span, letter.reason);
            }
            Verdict::Unavailable(_) => telemetry::fail(&self.span, "unavailable"),
            // The attempt has not begun.
            Verdict::NotYet(_) | Verdict::Done | Verdict::AlreadyDone => {}
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.ended {
            let panics = std::thread::panicking();
            telemetry::fail(&self.span, if panics { "crash" } else { "interrupted" });
        }
    }
}

/// Waits for the deliveries store, whose answer may be one for many attempts at once.
pub(crate) async fn database<T>(
    store: &Store,
    operation: &'static str,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    traced(store.system(), operation, "deliveries", call).await
}

/// A request to the carrier; its answer's status is recorded when it is there.
pub(crate) fn carrier(url: &Url, shown: &str) -> Span {
    info_span!(
        "carrier",
        otel.name = "POST",
        otel.kind = "client",
        http.request.method = "POST",
        url.full = shown,
        server.address = url.host_str(),
        server.port = url.port_or_known_default(),
        http.response.status_code = field::Empty,
        otel.status_code = field::Empty,
        error.type = field::Empty,
    )
}

/// The carrier's URL as a span may show it: who may ask is a secret.
pub(crate) fn redacted(url: &Url) -> String {
    const REDACTED: &str = "REDACTED";
    let mut shown = url.clone();
    // The errors are that such a URL has no user, and so nothing to hide.
    if !shown.username().is_empty() {
        _ = shown.set_username(REDACTED);
    }
    if shown.password().is_some() {
        _ = shown.set_password(Some(REDACTED));
    }
    if shown.query().is_some() {
        shown.set_query(Some(REDACTED));
    }
    shown.set_fragment(None);
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_shows_the_carriers_url_without_what_is_secret_of_it() {
        for (url, shown) in [
            ("http://carrier:8000/orders", "http://carrier:8000/orders"),
            ("https://fleet:s3cret@carrier/v1", "https://REDACTED:REDACTED@carrier/v1"),
            ("https://token@carrier/", "https://REDACTED@carrier/"),
            ("https://carrier/v1?key=s3cret#part", "https://carrier/v1?REDACTED"),
        ] {
            assert_eq!(redacted(&url.parse().expect("it is a URL")), shown);
        }
    }
}
