//! Which names belong to the fleet.

/// Every setting's name and alias, of all binaries. A test of the workspace holds it equal to the
/// services' tables.
pub const FLEET_NAMES: &[&str] = &[
    // all
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SQS_ENDPOINT",
    "SQS_QUEUE_URL_STANDARD",
    "SQS_QUEUE_URL_STANDARD_DLQ",
    "SQS_QUEUE_URL_FIFO",
    "SQS_QUEUE_URL_FIFO_DLQ",
    "LISTEN_ADDR",
    "ADMIN_ADDR",
    "LOG_FORMAT",
    "RUST_LOG",
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    // order-api
    "MAX_CONNECTIONS",
    "SHUTDOWN_DELAY",
    "PUBLISH_TIMEOUT",
    "PUBLISH_CONCURRENCY",
    "PUBLISH_BATCH",
    "PUBLISH_LINGER",
    "PUBLISH_BUFFER_ORDERS",
    "PUBLISH_BUFFER_BYTES",
    "IDEMPOTENCY_RETENTION",
    "DELIVERY_API_URL",
    "DELIVERY_BASE_URL",
    "HTTP_COMPRESSION",
    "CORS_ALLOWED_ORIGINS",
    // delivery-worker; the first one of the others too
    "DATABASE_URL",
    "ATTEMPTS_RETENTION",
    "WORKER_CONCURRENCY",
    "WORKER_GROUP_CONCURRENCY",
    "HANDLER_TIMEOUT",
    "DRAIN_TIMEOUT",
    "MAX_ATTEMPTS",
    "RETRY_BACKOFF",
    "RETRY_BACKOFF_MAX",
    "CARRIER",
    "CARRIER_URL",
    "CARRIER_TIMEOUT",
    "CARRIER_SIMULATED_TIME",
    "FAIL_TEST_PRODUCTS",
    // dlq-monitor
    "MONITOR_INTERVAL",
    "MONITOR_TOKEN",
    "MONITOR_RETENTION",
    "MONITOR_TRACE_URL",
    "MONITOR_URL",
    // local-sqs
    "LOCAL_SQS_ADDR",
    "LOCAL_SQS_ACCOUNT",
    "LOCAL_SQS_DELETED_NAME_INTERVAL",
    "LOCAL_SQS_FAULTS",
    "LOCAL_SQS_QUEUES",
    "LOCAL_SQS_REGION",
    // fleet-check
    "FLEET_CHECK_API_URL",
    "FLEET_CHECK_MONITOR_URL",
    "FLEET_CHECK_FAILING_ORDERS",
    "FLEET_CHECK_TIMEOUT",
    // local-fleet
    "LOCAL_FLEET_DATA_DIR",
    "LOCAL_FLEET_OBSERVE",
    "LOCAL_FLEET_API_ADDR",
    "LOCAL_FLEET_API_ADMIN_ADDR",
    "LOCAL_FLEET_WORKER_ADDR",
    "LOCAL_FLEET_WORKER_ADMIN_ADDR",
    "LOCAL_FLEET_MONITOR_ADDR",
    "LOCAL_FLEET_MONITOR_ADMIN_ADDR",
];

/// An environment variable with one of these beginnings is meant for the fleet, so an unknown one
/// is a mistake. `AWS_`, `OTEL_`, `LISTEN_` and the like have other owners too.
pub const FLEET_PREFIXES: &[&str] = &[
    "SQS_QUEUE_URL_",
    "PUBLISH_",
    "WORKER_",
    "CARRIER_",
    "RETRY_BACKOFF",
    "FAIL_TEST_",
    "MONITOR_",
    "LOCAL_SQS_",
    "LOCAL_FLEET_",
    "FLEET_CHECK_",
];

/// Whether an unknown environment variable is meant for the fleet and hence wrong.
pub(super) fn is_foreign_mistake(name: &str) -> bool {
    FLEET_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !is_service_link(name)
}

/// Kubernetes sets these for every service of the namespace (Kubernetes: "Service environment
/// variables"); `monitor` as a service's name gives `MONITOR_PORT` and so on.
fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT")
        || name.contains("_PORT_")
}

/// The known name that a mistaken one most likely stands for.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= 3)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's edit distance, in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
