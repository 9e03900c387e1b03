//! The settings that every service has.

use super::{Reader, Secret, Setting};

/// Rows of every binary: AWS, the queues, logs and traces.
pub fn common() -> Vec<Setting> {
    const QUEUE: &str = "a queue URL, http or https, not ending in .fifo; empty: not used";
    const FIFO: &str = "a queue URL, http or https, ending in .fifo; empty: not used";
    vec![
        Setting::optional(
            "AWS_REGION",
            "a region's name",
            "Region of the queues; when not set, the queue URL's, else us-east-1",
        ),
        Setting::optional(
            "AWS_ACCESS_KEY_ID",
            "together with AWS_SECRET_ACCESS_KEY",
            "Static credentials; when not set, the AWS default chain (IRSA, EKS Pod Identity, profiles)",
        ),
        Setting::optional(
            "AWS_SECRET_ACCESS_KEY",
            "together with AWS_ACCESS_KEY_ID",
            "Static credentials",
        )
        .secret()
        .aliases(&["AWS_SECRET_KEY"]),
        Setting::optional(
            "AWS_SESSION_TOKEN",
            "a text, together with the other two",
            "The third part of temporary credentials",
        )
        .secret(),
        Setting::optional(
            "AWS_SQS_ENDPOINT",
            "an http or https URL",
            "Where SQS is; when not set, AWS itself. For local-sqs http://127.0.0.1:9324",
        ),
        Setting::optional("SQS_QUEUE_URL_STANDARD", QUEUE, "The standard order queue"),
        Setting::optional(
            "SQS_QUEUE_URL_STANDARD_DLQ",
            QUEUE,
            "The standard order queue's dead-letter queue",
        ),
        Setting::optional("SQS_QUEUE_URL_FIFO", FIFO, "The FIFO order queue"),
        Setting::optional(
            "SQS_QUEUE_URL_FIFO_DLQ",
            FIFO,
            "The FIFO order queue's dead-letter queue",
        ),
        Setting::new(
            "LOG_FORMAT",
            "auto",
            "auto, text, json",
            "Form of the log on standard error; auto is text on a terminal, else JSON",
        ),
        Setting::new(
            "RUST_LOG",
            "info",
            "tracing filter directives such as info,order_api=debug",
            "What is logged; the SDK's crates are at warn unless named",
        ),
        Setting::new(
            "OTEL_SDK_DISABLED",
            "false",
            "true, false",
            "Turns tracing off whatever else is set",
        ),
        Setting::optional(
            "OTEL_SERVICE_NAME",
            "a text",
            "Name of the service in traces; when not set, the binary's name",
        ),
        Setting::optional(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "an http or https URL",
            "Collector that takes traces at <URL>/v1/traces; tracing is off when neither endpoint is set",
        ),
        Setting::optional(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "an http or https URL",
            "The same as the full URL, used as it is",
        ),
        Setting::new(
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "http/protobuf",
            "http/protobuf",
            "How traces are sent; only this protocol is built in",
        ),
        Setting::new(
            "OTEL_TRACES_SAMPLER",
            "parentbased_always_on",
            "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio",
            "Which traces are kept",
        ),
        Setting::new(
            "OTEL_TRACES_SAMPLER_ARG",
            "1.0",
            "0.0 to 1.0",
            "Share of the traces that the traceidratio samplers keep",
        ),
    ]
}

/// `LISTEN_ADDR` and `ADMIN_ADDR` with a service's default addresses.
pub fn listeners(listen: &'static str, admin: &'static str) -> Vec<Setting> {
    const ALLOWED: &str = "ip:port; port 0 lets the system choose";
    vec![
        Setting::new("LISTEN_ADDR", listen, ALLOWED, "Address of the service's own HTTP listener"),
        Setting::new("ADMIN_ADDR", admin, ALLOWED, "Address of /metrics, /livez and /readyz"),
    ]
}

/// The values of the [`common`] rows.
#[derive(Clone, Debug)]
pub struct Common {
    /// How SQS is reached.
    pub aws: AwsAccess,
    /// The queues.
    pub queues: QueueUrls,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
}

/// How SQS is reached.
#[derive(Clone, Debug, Default)]
pub struct AwsAccess {
    /// The region; nothing: from a queue's URL.
    pub region: Option<String>,
    /// The server; nothing: AWS itself.
    pub endpoint: Option<String>,
    /// Key id, secret and session token; nothing: the AWS default chain.
    pub credentials: Option<(String, Secret, Option<Secret>)>,
}

impl AwsAccess {
    /// Region, endpoint and keys, as an SQS client takes them. The secrets are in the open then.
    pub fn parts(&self) -> (Option<String>, Option<String>, Option<Keys>) {
        let open = |secret: &Secret| secret.expose().to_owned();
        let keys = self.credentials.as_ref();
        let keys = keys.map(|(id, key, token)| (id.clone(), open(key), token.as_ref().map(open)));
        (self.region.clone(), self.endpoint.clone(), keys)
    }
}

/// An access key's id, its secret and, for temporary credentials, the session token.
pub type Keys = (String, String, Option<String>);

/// The URLs of the queues; a queue without URL is not used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueUrls {
    /// The standard order queue.
    pub standard: Option<String>,
    /// Its dead-letter queue.
    pub standard_dlq: Option<String>,
    /// The FIFO order queue.
    pub fifo: Option<String>,
    /// Its dead-letter queue.
    pub fifo_dlq: Option<String>,
}

/// Logs and traces.
#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    /// Form of the log.
    pub format: LogFormat,
    /// What is logged, as tracing filter directives.
    pub filter: String,
    /// Where traces go; nothing: tracing is off and costs nothing.
    pub otlp: Option<Otlp>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Where traces go.
#[derive(Clone, Debug)]
pub struct Otlp {
    /// The full URL that takes OTLP over HTTP in protobuf.
    pub traces_url: String,
    /// The service's name in traces, when it is not the binary's.
    pub service_name: Option<String>,
    /// Which traces are kept.
    pub sampler: Sampler,
}

/// Which traces are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampler {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// This share of them, 0 to 1.
    Ratio(f64),
    /// As the caller decided; all of those that begin here.
    ParentOrAlwaysOn,
    /// As the caller decided; none of those that begin here.
    ParentOrAlwaysOff,
    /// As the caller decided; this share of those that begin here, 0 to 1.
    ParentOrRatio(f64),
}

impl Reader {
    /// Reads the [`common`] rows.
    pub fn common(&mut self) -> Common {
        let aws = self.aws();
        let queues = QueueUrls {
            standard: self.queue_url("SQS_QUEUE_URL_STANDARD", false),
            standard_dlq: self.queue_url("SQS_QUEUE_URL_STANDARD_DLQ", false),
            fifo: self.queue_url("SQS_QUEUE_URL_FIFO", true),
            fifo_dlq: self.queue_url("SQS_QUEUE_URL_FIFO_DLQ", true),
        };
        Common { aws, queues, telemetry: self.telemetry() }
    }

    /// Reads the rows of logs and traces, a part of [`Reader::common`].
    pub fn telemetry(&mut self) -> TelemetrySettings {
        let formats =
            [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
        let format = self.one_of("LOG_FORMAT", &formats);
        let filter = self.text("RUST_LOG");
        if tracing_subscriber::EnvFilter::try_new(&filter).is_err() {
            self.problem(
                "RUST_LOG",
                &filter,
                "tracing filter directives such as info,order_api=debug",
            );
        }
        let otlp = self.otlp();
        TelemetrySettings { format, filter, otlp }
    }

    fn aws(&mut self) -> AwsAccess {
        let key = self.optional("AWS_ACCESS_KEY_ID");
        let secret = self.secret("AWS_SECRET_ACCESS_KEY");
        let token = self.secret("AWS_SESSION_TOKEN");
        match (&key, &secret) {
            (Some(key), None) => {
                self.problem("AWS_ACCESS_KEY_ID", key, "together with AWS_SECRET_ACCESS_KEY");
            }
            (None, Some(_)) => {
                self.problem("AWS_SECRET_ACCESS_KEY", "", "together with AWS_ACCESS_KEY_ID");
            }
            _ => {}
        }
        AwsAccess {
            region: self.optional("AWS_REGION"),
            endpoint: self.url("AWS_SQS_ENDPOINT"),
            credentials: key.zip(secret).map(|(key, secret)| (key, secret, token)),
        }
    }

    fn queue_url(&mut self, name: &'static str, fifo: bool) -> Option<String> {
        // An empty URL in the file is as good as none, so that one file can serve as a form.
        self.optional(name).filter(|url| !url.is_empty())?;
        let url = self.url(name)?;
        if url.strip_suffix(".fifo").is_some() != fifo {
            let allowed = if fifo {
                "a FIFO queue, whose name ends in .fifo"
            } else {
                "a standard queue, whose name does not end in .fifo"
            };
            self.problem(name, &url, allowed);
        }
        Some(url)
    }

    fn otlp(&mut self) -> Option<Otlp> {
        let disabled = self.flag("OTEL_SDK_DISABLED");
        let base = self.url("OTEL_EXPORTER_OTLP_ENDPOINT");
        let full = self.url("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        self.one_of("OTEL_EXPORTER_OTLP_PROTOCOL", &[("http/protobuf", ())]);
        let ratio = self.number("OTEL_TRACES_SAMPLER_ARG", 0.0..=1.0);
        let sampler = self.one_of(
            "OTEL_TRACES_SAMPLER",
            &[
                ("parentbased_always_on", Sampler::ParentOrAlwaysOn),
                ("parentbased_always_off", Sampler::ParentOrAlwaysOff),
                ("parentbased_traceidratio", Sampler::ParentOrRatio(ratio)),
                ("always_on", Sampler::AlwaysOn),
                ("always_off", Sampler::AlwaysOff),
                ("traceidratio", Sampler::Ratio(ratio)),
            ],
        );
        let service_name = self.optional("OTEL_SERVICE_NAME");
        let at_base = base.map(|base| format!("{}/v1/traces", base.trim_end_matches('/')));
        let traces_url = full.or(at_base).filter(|_| !disabled)?;
        Some(Otlp { traces_url, service_name, sampler })
    }
}
