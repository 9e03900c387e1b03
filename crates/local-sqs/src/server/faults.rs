//! Faults on purpose: errors, latency and lost connections, by operation, from a seed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{ApiError, ErrorKind, Seeded};

/// The faults that a server shows. The first rule that names an operation holds for it.
///
/// As JSON, for `POST /_local/faults`:
/// `{"seed": 7, "rules": [{"operation": "DeleteMessageBatch", "error_rate": 0.5, "error": "Throttling"}]}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The same seed gives the same faults for the same sequence of requests.
    pub seed: u64,
    /// What happens to which operation.
    pub rules: Vec<FaultRule>,
}

/// What happens to one operation, or to all. Rates are fractions from 0 to 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultRule {
    /// The operation's name; every operation when absent.
    pub operation: Option<String>,
    /// How often the operation is refused, without effect.
    pub error_rate: f64,
    /// What it is refused with.
    pub error: FaultError,
    /// Milliseconds that pass before the operation is looked at.
    pub latency_ms: u64,
    /// How often the connection is closed before the operation has had an effect.
    pub drop_request_rate: f64,
    /// How often the connection is closed after the operation has had its effect.
    pub drop_response_rate: f64,
}

/// The errors that faults answer with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultError {
    /// Too many requests; SDKs retry with backoff.
    Throttling,
    /// HTTP 500.
    #[default]
    InternalFailure,
    /// HTTP 503.
    ServiceUnavailable,
}

impl FaultError {
    fn answer(self) -> ApiError {
        match self {
            Self::Throttling => ApiError::new(ErrorKind::RequestThrottled, "Rate exceeded"),
            Self::InternalFailure => ApiError::new(
                ErrorKind::InternalFailure,
                "We encountered an internal error. Please try again.",
            ),
            Self::ServiceUnavailable => ApiError::new(
                ErrorKind::ServiceUnavailable,
                "Service is not available, please retry.",
            ),
        }
    }
}

/// What is to happen to one request.
#[derive(Debug, Default)]
pub(super) struct Fate {
    pub(super) latency: Duration,
    pub(super) error: Option<ApiError>,
    pub(super) drop_request: bool,
    pub(super) drop_response: bool,
}

/// The faults in force and where their randomness stands.
#[derive(Debug)]
pub(super) struct FaultState(Mutex<(Faults, Seeded)>);

impl FaultState {
    pub(super) fn new(faults: Faults) -> Self {
        let random = Seeded::new(faults.seed);
        Self(Mutex::new((faults, random)))
    }

    pub(super) fn set(&self, faults: Faults) {
        let random = Seeded::new(faults.seed);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (faults, random);
    }

    pub(super) fn get(&self) -> Faults {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    pub(super) fn fate_of(&self, operation: &str) -> Fate {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (faults, random) = &mut *state;
        let holds = |rule: &&FaultRule| rule.operation.as_deref().is_none_or(|o| o == operation);
        let Some(rule) = faults.rules.iter().find(holds) else {
            return Fate::default();
        };
        let mut happens = |rate: f64| rate > 0.0 && random.next_fraction() < rate;
        Fate {
            latency: Duration::from_millis(rule.latency_ms),
            error: happens(rule.error_rate).then(|| rule.error.answer()),
            drop_request: happens(rule.drop_request_rate),
            drop_response: happens(rule.drop_response_rate),
        }
    }
}
