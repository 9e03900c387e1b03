//! Counts every request that goes to SQS, retries included: requests are what AWS bills.

use aws_sdk_sqs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{context::FinalizerInterceptorContextRef, dyn_dispatch_hint},
        orchestrator::Metadata,
    },
};
use prometheus::{IntCounterVec, Opts, Registry};

/// `sqs_api_requests_total{operation, error_type}`.
///
/// `error_type` is empty for a success, `timeout` or `connection` where no answer came, else the
/// HTTP status.
#[derive(Clone, Debug)]
pub struct CallMetrics {
    requests: IntCounterVec,
}

impl CallMetrics {
    /// Registers the counter.
    ///
    /// # Panics
    /// If the registry already has it: a registry belongs to one service.
    pub fn register(registry: &Registry) -> Self {
        let requests = IntCounterVec::new(
            Opts::new(
                "sqs_api_requests_total",
                "Requests sent to SQS, retries included. error_type is empty for a success.",
            ),
            &["operation", "error_type"],
        )
        .expect("the metric's definition is valid");
        registry.register(Box::new(requests.clone())).expect("a registry belongs to one service");
        Self { requests }
    }
}

#[dyn_dispatch_hint]
impl Intercept for CallMetrics {
    fn name(&self) -> &'static str {
        "CallMetrics"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = cfg.load::<Metadata>().map_or("unknown", Metadata::name);
        let failed = matches!(context.output_or_error(), Some(Err(_)) | None);
        let timed_out =
            matches!(context.output_or_error(), Some(Err(error)) if error.is_timeout_error());
        let status;
        let error_type = match context.response() {
            _ if timed_out => "timeout",
            _ if !failed => "",
            Some(response) => {
                status = response.status().as_u16().to_string();
                &status
            }
            None => "connection",
        };
        self.requests.with_label_values(&[operation, error_type]).inc();
        Ok(())
    }
}
