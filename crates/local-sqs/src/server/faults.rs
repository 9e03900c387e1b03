//! Faults on purpose: errors, latency, lost and hanging connections, partly failed batches and jumps of
//! the clock, by operation, from a seed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::api::Request;
use crate::model::{ApiError, ErrorKind, Seeded};

/// The faults that a server shows. The first rule that is for an operation holds for it, whether it
/// names the operation or is for all.
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
    /// What passes before the operation is looked at.
    pub latency: Latency,
    /// How often an entry of a batch fails by itself, without effect, with `InternalError`.
    pub entry_error_rate: f64,
    /// How often the connection is closed before the operation has had an effect.
    pub drop_request_rate: f64,
    /// How often the connection is closed after the operation has had its effect.
    pub drop_response_rate: f64,
    /// How often the request is never answered and has no effect; the connection stays open.
    pub hang_request_rate: f64,
    /// How often the operation has its effect and is never answered; the connection stays open.
    pub hang_response_rate: f64,
    /// How often the server's clock jumps forward before the operation.
    pub clock_jump_rate: f64,
    /// How far it jumps, in milliseconds.
    pub clock_jump_ms: u64,
}

/// How far the clock may jump at once: fourteen days and one, after which nothing of a queue's content
/// is left.
pub(super) const MOST_SKIPPED: Duration = Duration::from_hours(15 * 24);

/// How long a request is held up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Latency {
    /// Not at all.
    #[default]
    None,
    /// Always the same.
    Fixed {
        /// Milliseconds.
        ms: f64,
    },
    /// Anything in a range alike.
    Uniform {
        /// The least, in milliseconds.
        min_ms: f64,
        /// The most, in milliseconds.
        max_ms: f64,
    },
    /// Mostly short, at times long: the logarithm is normally distributed.
    Lognormal {
        /// Half of the requests take longer, in milliseconds.
        median_ms: f64,
        /// The logarithm's standard deviation; at 1.0 one request in a hundred takes ten medians.
        sigma: f64,
    },
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

impl Faults {
    /// Says what is wrong with faults that make no sense: unknown operations, rates that are no
    /// fractions, negative times.
    pub fn check(&self) -> Result<(), String> {
        for (number, rule) in (1..).zip(&self.rules) {
            rule.check().map_err(|problem| format!("rule {number}: {problem}"))?;
        }
        Ok(())
    }
}

impl FaultRule {
    fn check(&self) -> Result<(), String> {
        if let Some(operation) = &self.operation
            && !Request::OPERATIONS.contains(&operation.as_str())
        {
            let known = Request::OPERATIONS.join(", ");
            return Err(format!("there is no operation {operation}; there are {known}"));
        }
        for (name, rate) in [
            ("error_rate", self.error_rate),
            ("entry_error_rate", self.entry_error_rate),
            ("drop_request_rate", self.drop_request_rate),
            ("drop_response_rate", self.drop_response_rate),
            ("hang_request_rate", self.hang_request_rate),
            ("hang_response_rate", self.hang_response_rate),
            ("clock_jump_rate", self.clock_jump_rate),
        ] {
            if !(0.0..=1.0).contains(&rate) {
                return Err(format!("{name} is {rate}, which is not from 0 to 1"));
            }
        }
        if Duration::from_millis(self.clock_jump_ms) > MOST_SKIPPED {
            return Err(format!("clock_jump_ms is at most {}", MOST_SKIPPED.as_millis()));
        }
        let sane = |ms: f64| (0.0..=3_600_000.0).contains(&ms);
        let good = match self.latency {
            Latency::None => true,
            Latency::Fixed { ms } => sane(ms),
            Latency::Uniform { min_ms, max_ms } => sane(min_ms) && sane(max_ms) && min_ms <= max_ms,
            Latency::Lognormal { median_ms, sigma } => {
                sane(median_ms) && (0.0..=10.0).contains(&sigma)
            }
        };
        if good {
            return Ok(());
        }
        Err("latency needs milliseconds from 0 to 3600000, min_ms <= max_ms, sigma from 0 to 10"
            .into())
    }
}

impl Latency {
    fn draw(self, random: &mut Seeded) -> Duration {
        let millis = match self {
            Self::None => return Duration::ZERO,
            Self::Fixed { ms } => ms,
            Self::Uniform { min_ms, max_ms } => min_ms + random.next_fraction() * (max_ms - min_ms),
            Self::Lognormal { median_ms, sigma } => {
                // Box-Muller, of a fraction that is never zero.
                let radius = (-2.0 * (1.0 - random.next_fraction()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * random.next_fraction()).cos();
                median_ms * (sigma * normal).exp()
            }
        };
        Duration::try_from_secs_f64(millis / 1e3).unwrap_or_default().min(Duration::from_hours(1))
    }
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

/// What happens to a request that fate does not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The connection is closed.
    Dropped,
    /// There is no answer, ever.
    Hanging,
}

/// What is to happen to one request.
#[derive(Debug, Default)]
pub(super) struct Fate {
    pub(super) latency: Duration,
    pub(super) clock_jump: Duration,
    pub(super) request: Option<Loss>,
    pub(super) error: Option<ApiError>,
    pub(super) response: Option<Loss>,
    /// For each entry of a batch that may come, whether it fails.
    pub(super) entries: Vec<bool>,
}

impl Fate {
    /// The names of the faults, as a metric counts them.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        [
            ("latency", !self.latency.is_zero()),
            ("clock_jump", !self.clock_jump.is_zero()),
            ("drop_request", self.request == Some(Loss::Dropped)),
            ("hang_request", self.request == Some(Loss::Hanging)),
            ("error", self.error.is_some()),
            ("drop_response", self.response == Some(Loss::Dropped)),
            ("hang_response", self.response == Some(Loss::Hanging)),
        ]
        .into_iter()
        .filter_map(|(name, happens)| happens.then_some(name))
    }
}

/// The error of a batch's entry that fails by a fault.
pub(super) fn entry_error() -> ApiError {
    ApiError::new(ErrorKind::InternalError, "Internal Error occurred.")
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
        let latency = rule.latency.draw(random);
        let mut happens = |rate: f64| rate > 0.0 && random.next_fraction() < rate;
        let mut loss = |drop: f64, hang: f64| {
            let (dropped, hanging) = (happens(drop), happens(hang));
            hanging.then_some(Loss::Hanging).or(dropped.then_some(Loss::Dropped))
        };
        let request = loss(rule.drop_request_rate, rule.hang_request_rate);
        let response = loss(rule.drop_response_rate, rule.hang_response_rate);
        let jumps = happens(rule.clock_jump_rate);
        Fate {
            latency,
            clock_jump: Duration::from_millis(if jumps { rule.clock_jump_ms } else { 0 }),
            request,
            error: happens(rule.error_rate).then(|| rule.error.answer()),
            response,
            entries: if rule.entry_error_rate > 0.0 {
                (0..10).map(|_| happens(rule.entry_error_rate)).collect()
            } else {
                Vec::new()
            },
        }
    }
}
