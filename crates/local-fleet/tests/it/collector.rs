//! A stand-in for an OpenTelemetry collector: takes OTLP, and tells what it was told.

use axum::{Router, body::Bytes};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use tokio::sync::mpsc;

pub(crate) struct Collector {
    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) url: String,
    exports: mpsc::UnboundedReceiver<Bytes>,
}

/// A span, and whose it is.
pub(crate) struct Exported {
    pub(crate) service: String,
    pub(crate) span: Span,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let (export, exports) = mpsc::unbounded_channel();
        let url = serve(Router::new().fallback(async move |body: Bytes| {
            export.send(body).expect("the test waits");
        }))
        .await;
        Self { url, exports }
    }

    /// Every span that has come since this was asked last, in the order in which they began.
    pub(crate) fn spans(&mut self) -> Vec<Exported> {
        let mut spans = Vec::new();
        while let Ok(body) = self.exports.try_recv() {
            let told = ExportTraceServiceRequest::decode(body).expect("it is OTLP");
            for of in told.resource_spans {
                let resource = of.resource.expect("spans are of a resource");
                let service = text(&resource.attributes, "service.name").expect("with a name");
                let by_convention = of.scope_spans.iter().all(|scope| !scope.schema_url.is_empty());
                assert!(by_convention, "{service} says by which version of the conventions");
                let all = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.extend(all.map(|span| Exported { service: service.clone(), span }));
            }
        }
        spans.sort_by_key(|exported| exported.span.start_time_unix_nano);
        spans
    }
}

impl Exported {
    pub(crate) fn is(&self, service: &str, name: &str, kind: SpanKind) -> bool {
        self.service == service && self.span.name == name && self.span.kind() == kind
    }

    /// Trace and span, as a `traceparent` has them.
    pub(crate) fn ids(&self) -> String {
        format!("{}-{}", hex(&self.span.trace_id), hex(&self.span.span_id))
    }

    /// The same of the span that this is a part of; its id is empty where there is none.
    pub(crate) fn parent(&self) -> String {
        format!("{}-{}", hex(&self.span.trace_id), hex(&self.span.parent_span_id))
    }

    /// The same of those that it is linked to.
    pub(crate) fn links(&self) -> Vec<String> {
        let ids = |link: &opentelemetry_proto::tonic::trace::v1::span::Link| {
            format!("{}-{}", hex(&link.trace_id), hex(&link.span_id))
        };
        self.span.links.iter().map(ids).collect()
    }

    /// Why it has failed, if it has.
    pub(crate) fn failure(&self) -> Option<String> {
        let has_failed =
            self.span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
        let why = self.attribute("error.type");
        assert_eq!(
            has_failed,
            why.is_some(),
            "{}: {:?}, {why:?}",
            self.span.name,
            self.span.status
        );
        why
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        text(&self.span.attributes, name)
    }
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Serves on a port of the system's choice, whose URL is returned.
pub(crate) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}
