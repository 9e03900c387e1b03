//! Logs and traces of a process.
//!
//! Logs go to standard error, so that standard output stays free for what a command prints. Text on
//! a terminal, JSON otherwise, filtered by `RUST_LOG`.
//!
//! Traces go to an OTLP collector when one is set (`OTEL_EXPORTER_OTLP_ENDPOINT`); otherwise that
//! whole part is absent: no span is made, and a received trace context is passed on as it is. `RUST_LOG` does not filter traces. The
//! SDK reads the rest of the standard variables itself: `OTEL_EXPORTER_OTLP_HEADERS`,
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_*`.

mod context;
mod export;
mod passing;

pub use context::{continue_from, current_traceparent, fail, link_to, trace_id, trace_id_of};
pub use passing::{Passing, passing};

use crate::settings::{LogFormat, Otlp, Sampler as Sampling, TelemetrySettings};
use anyhow::Context as _;
use export::Client;
use opentelemetry::{InstrumentationScope, KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use std::{
    io::{self, IsTerminal},
    panic::PanicHookInfo,
    time::Duration,
};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// Crates whose chatter below warn is of use only to whoever asks for it by name; prefixes.
const QUIET: &str = "aws_=warn,hyper=warn,opentelemetry=warn,rustls=warn,sqlx=warn,h2=warn";

/// What a trace consists of: our own spans and what happened in them.
const TRACED: &str = "info,aws_=off,hyper=off,opentelemetry=off,rustls=off,sqlx=off,h2=off";

/// The version of the OpenTelemetry conventions by which spans and their attributes are named.
const CONVENTIONS: &str = "https://opentelemetry.io/schemas/1.37.0";

/// How long the last spans may take to reach the collector.
const FLUSH: Duration = Duration::from_secs(5);

/// The installed telemetry of the process.
pub(crate) struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Installs logs and, when an endpoint is set, traces, for the whole process. The export's
    /// calls run on `runtime`, which must live until [`Telemetry::flush`] has returned.
    pub(crate) fn install(
        name: &'static str,
        version: &'static str,
        settings: &TelemetrySettings,
        runtime: &Handle,
    ) -> anyhow::Result<Self> {
        let provider = match &settings.otlp {
            Some(otlp) => Some(
                provider(name, version, otlp, runtime)
                    .context("cannot export traces to the OTLP endpoint")?,
            ),
            None => None,
        };
        let scope = InstrumentationScope::builder(name).with_version(version);
        let scope = scope.with_schema_url(CONVENTIONS).build();
        let tracer = provider.as_ref().map(|provider| provider.tracer_with_scope(scope));
        subscriber(tracer, settings).init();
        std::panic::set_hook(Box::new(log_panic));
        Ok(Self { provider })
    }

    /// Sends the spans that are still in memory. To be called last.
    pub(crate) fn flush(self) {
        let Some(provider) = self.provider else {
            return;
        };
        if let Err(error) = provider.shutdown_with_timeout(FLUSH) {
            tracing::warn!(%error, "the last spans did not reach the collector");
        }
    }
}

/// Without a tracer there are no spans. A layer that is none would have them all made, for nobody.
fn subscriber(
    tracer: Option<SdkTracer>,
    settings: &TelemetrySettings,
) -> Box<dyn Subscriber + Send + Sync> {
    if let Some(tracer) = tracer {
        let traces =
            tracing_opentelemetry::layer().with_tracer(tracer).with_filter(EnvFilter::new(TRACED));
        Box::new(tracing_subscriber::registry().with(traces).with(logs(settings, true)))
    } else {
        Box::new(tracing_subscriber::registry().with(logs(settings, false)))
    }
}

fn logs<S>(settings: &TelemetrySettings, traced: bool) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    // A span's fields repeat those of its events. They are worth their room only where traces are on,
    // since then they carry the trace's id. One filter: of two, one upon the other, the outer one alone
    // has spans made.
    let filter = EnvFilter::new(format!("{QUIET},{}", settings.filter))
        .and(filter_fn(move |metadata| traced || metadata.is_event()));
    let terminal = io::stderr().is_terminal();
    let json = match settings.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let logs = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(terminal);
    let logs = if json {
        logs.json().flatten_event(true).with_span_list(false).boxed()
    } else {
        logs.boxed()
    };
    logs.with_filter(filter)
}

/// A panic is a log event like any other failure, in the same form.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "panic: {}", panic.payload_as_str().unwrap_or("(not a text)"));
}

fn provider(
    name: &'static str,
    version: &'static str,
    otlp: &Otlp,
    runtime: &Handle,
) -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new(&otlp.traces_url, runtime.clone())?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&otlp.traces_url)
        .build()?;
    let resource = Resource::builder()
        .with_service_name(otlp.service_name.clone().unwrap_or_else(|| name.to_owned()))
        .with_attribute(KeyValue::new("service.version", version))
        .build();
    let sampler = match otlp.sampler {
        Sampling::AlwaysOn => Sampler::AlwaysOn,
        Sampling::AlwaysOff => Sampler::AlwaysOff,
        Sampling::Ratio(share) => Sampler::TraceIdRatioBased(share),
        Sampling::ParentOrAlwaysOn => Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
        Sampling::ParentOrAlwaysOff => Sampler::ParentBased(Box::new(Sampler::AlwaysOff)),
        Sampling::ParentOrRatio(share) => {
            Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share)))
        }
    };
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(sampler)
        .with_batch_exporter(exporter)
        .build())
}

/// Runs a test with this subscriber, alone: while a process has two of them, spans are made that
/// neither would have had made by itself.
#[cfg(test)]
fn alone_with<T>(subscriber: impl Subscriber + Send + Sync, test: impl FnOnce() -> T) -> T {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    tracing::subscriber::with_default(subscriber, test)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Bytes, http::Uri, routing::post};
    use opentelemetry::trace::{Span, Tracer};
    use tokio::sync::mpsc;

    #[test]
    fn spans_are_made_only_where_they_are_exported() {
        let settings =
            TelemetrySettings { filter: "trace".to_owned(), format: LogFormat::Json, otlp: None };
        let is_made = |tracer| {
            alone_with(subscriber(tracer, &settings), || !tracing::info_span!("work").is_disabled())
        };
        assert!(!is_made(None));
        assert!(is_made(Some(SdkTracerProvider::builder().build().tracer("test"))));
    }

    #[test]
    fn the_last_spans_reach_the_collector_when_the_process_ends() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (seen, mut exports) = mpsc::unbounded_channel();
        let collector = Router::new().fallback(post(async move |uri: Uri, body: Bytes| {
            seen.send((uri.path().to_owned(), body)).expect("the test waits");
        }));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a listener");
        let addr = listener.local_addr().expect("an address");
        runtime.spawn(async { axum::serve(listener, collector).await });
        let otlp = Otlp {
            traces_url: format!("http://{addr}/v1/traces"),
            service_name: None,
            sampler: Sampling::ParentOrAlwaysOn,
        };

        let provider = provider("test-service", "1.2.3", &otlp, runtime.handle()).expect("valid");
        provider.tracer("test").start("the last span").end();
        Telemetry { provider: Some(provider) }.flush();

        let (path, body) = exports.try_recv().expect("flushed before flush returns");
        assert_eq!(path, "/v1/traces");
        let body = String::from_utf8_lossy(&body);
        for text in ["the last span", "test-service", "1.2.3"] {
            assert!(body.contains(text), "{text} is missing");
        }
    }
}
