//! The span of what is asked of a database, named as the OpenTelemetry conventions have it.

use tracing::{Instrument, field, info_span};

use crate::StoreError;

/// Waits for a database's answer in a client's span; the answer may be one for many callers at once.
/// `system` is [`crate::DatabaseUrl::system`], `operation` one of a closed list.
pub async fn traced<T>(
    system: &'static str,
    operation: &'static str,
    table: &'static str,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let span = info_span!(
        "database",
        otel.name = format_args!("{operation} {table}"),
        otel.kind = "client",
        db.system.name = system,
        db.operation.name = operation,
        db.collection.name = table,
        otel.status_code = field::Empty,
        error.type = field::Empty,
    );
    let answer = call.instrument(span.clone()).await;
    if let Err(error) = &answer {
        let kind = match error {
            StoreError::Unavailable(_) => "unavailable",
            StoreError::Refused(_) => "refused",
        };
        span.record("otel.status_code", "ERROR").record("error.type", kind);
    }
    answer
}
