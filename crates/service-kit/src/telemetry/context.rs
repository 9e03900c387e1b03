//! Trace context across processes, as W3C Trace Context has it.

use super::passing::passed;
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The W3C `traceparent` for whom the present work asks: the current span's, or, when tracing is off,
/// the one that the work has come with, see [`super::passing()`]. Nothing when there is neither.
pub fn current_traceparent() -> Option<String> {
    match span_context(&Span::current()) {
        Some(context) => Some(written(&context)),
        None => passed(),
    }
}

/// The id of the trace that a span belongs to, 32 hexadecimal digits, for logs; nothing when tracing
/// is off.
pub fn trace_id(span: &Span) -> Option<String> {
    Some(span_context(span)?.trace_id().to_string())
}

/// The id of the trace that a W3C `traceparent` names, for logs; nothing when it is broken.
pub fn trace_id_of(traceparent: &str) -> Option<String> {
    Some(parse(traceparent)?.trace_id().to_string())
}

/// Marks a span as failed, for a reason of a closed list. To be recorded, `otel.status_code` and
/// `error.type` must be among the fields that it was made with.
pub fn fail(span: &Span, error_type: &str) {
    span.record("otel.status_code", "ERROR").record("error.type", error_type);
}

/// Makes a span the child of the remote one that a W3C `traceparent` names. To be called before the
/// span is entered. A broken `traceparent` is ignored, as the standard demands.
pub fn continue_from(span: &Span, traceparent: &str) {
    if let Some(remote) = parse(traceparent) {
        // The errors are that tracing is off or the span already began: neither is worth a word.
        let _ = span.set_parent(Context::new().with_remote_span_context(remote));
    }
}

/// Links a span to the remote one that a W3C `traceparent` names; a broken one is ignored.
pub fn link_to(span: &Span, traceparent: &str) {
    if let Some(remote) = parse(traceparent) {
        span.add_link(remote);
    }
}

/// What is passed on of a received `traceparent`: all of it, or, of a later version than 00, what this
/// one knows. Nothing of a broken one.
pub(super) fn forwarded(traceparent: &str) -> Option<String> {
    let traceparent = traceparent.trim();
    let context = parse(traceparent)?;
    let is_known = traceparent.starts_with("00-");
    Some(if is_known { traceparent.to_owned() } else { written(&context) })
}

fn written(context: &SpanContext) -> String {
    format!(
        "00-{}-{}-{:02x}",
        context.trace_id(),
        context.span_id(),
        context.trace_flags() & TraceFlags::SAMPLED
    )
}

fn span_context(span: &Span) -> Option<SpanContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context().span().span_context().clone();
    context.is_valid().then_some(context)
}

/// `version-traceid-parentid-flags` in lower-case hexadecimal; versions after 00 may append more.
fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.trim().split('-');
    let version = hex(parts.next()?, 2)?;
    let trace_id = TraceId::from_hex(hex(parts.next()?, 32)?).ok()?;
    let span_id = SpanId::from_hex(hex(parts.next()?, 16)?).ok()?;
    let flags = u8::from_str_radix(hex(parts.next()?, 2)?, 16).ok()?;
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    let context = SpanContext::new(trace_id, span_id, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

fn hex(text: &str, length: usize) -> Option<&str> {
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == length && text.bytes().all(lower_hex)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::passing;
    use futures_util::FutureExt;
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::Instrument;
    use tracing_subscriber::{Layer, layer::SubscriberExt};

    const REMOTE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn with_tracing(test: impl FnOnce()) {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("test"))
            .with_filter(tracing_subscriber::EnvFilter::new("info"));
        crate::telemetry::alone_with(tracing_subscriber::registry().with(layer), test);
    }

    #[test]
    fn a_span_continues_the_remote_trace_under_an_id_of_its_own() {
        with_tracing(|| {
            let span = tracing::info_span!("work");
            continue_from(&span, REMOTE);
            let own = span.in_scope(current_traceparent).expect("tracing is on");
            assert_eq!(own[..36], REMOTE[..36], "the trace is the remote one");
            assert_ne!(own[36..52], REMOTE[36..52], "the span is a new one");
            assert_eq!(&own[52..], "-01");
            assert_eq!(trace_id(&span).as_deref(), Some(&REMOTE[3..35]));
        });
    }

    #[test]
    fn a_span_without_a_remote_parent_begins_a_valid_trace() {
        with_tracing(|| {
            let span = tracing::info_span!("work");
            let own = span.in_scope(current_traceparent).expect("tracing is on");
            assert!(parse(&own).is_some(), "{own}");
        });
    }

    #[tokio::test]
    async fn without_tracing_what_was_received_is_passed_on() {
        let received = REMOTE.replace("-01", "-03");
        let told = |received: &str| {
            let span = tracing::info_span!("work");
            continue_from(&span, received);
            passing(async { current_traceparent() }, Some(received)).instrument(span)
        };
        assert_eq!(told(&received).await.as_deref(), Some(&*received), "its flags too");
        assert_eq!(told("broken").await, None);
        let later = format!("{}-more", received.replacen("00", "01", 1));
        assert_eq!(told(&later).await.as_deref(), Some(REMOTE), "what is known of its version");
    }

    #[test]
    fn with_tracing_a_span_of_its_own_is_told_instead_of_what_was_received() {
        with_tracing(|| {
            let span = tracing::info_span!("work");
            let work = passing(async { current_traceparent() }, Some(REMOTE)).instrument(span);
            let own = work.now_or_never().flatten().expect("tracing is on");
            assert_ne!(own[3..], REMOTE[3..]);
        });
    }

    #[test]
    fn without_tracing_nothing_is_injected_and_nothing_fails() {
        let span = tracing::info_span!("work");
        continue_from(&span, REMOTE);
        link_to(&span, REMOTE);
        assert_eq!(span.in_scope(current_traceparent), None);
        assert_eq!(trace_id(&span), None);
    }

    #[test]
    fn broken_trace_parents_are_ignored() {
        for broken in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-상품-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(broken), None, "{broken}");
            assert_eq!(trace_id_of(broken), None, "{broken}");
        }
        assert_eq!(trace_id_of(REMOTE).as_deref(), Some(&REMOTE[3..35]));
        assert!(parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
    }
}
