//! What a handler has to do with a message: to wait for as long as is drawn for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long messages take. Times in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    Nothing,
    Fixed {
        ms: f64,
    },
    /// Lognormal with this mean, drawn from the message's number: the same for whoever handles it.
    Lognormal {
        mean_ms: f64,
    },
    /// The group named `slow` takes longer than the others.
    OneSlowGroup {
        slow_ms: f64,
        fast_ms: f64,
    },
}

/// The standard deviation of the logarithm: one message in twenty takes more than twice the mean.
const SIGMA: f64 = 0.5;
/// The group that takes longer.
pub(crate) const SLOW: &str = "slow";

impl Work {
    pub(crate) fn of(self, number: u64, group: &str) -> Duration {
        let ms = match self {
            Self::Nothing => 0.0,
            Self::Fixed { ms } => ms,
            Self::Lognormal { mean_ms } => {
                let radius = (-2.0 * (1.0 - fraction(number, 1)).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * fraction(number, 2)).cos();
                mean_ms * (SIGMA * normal - SIGMA * SIGMA / 2.0).exp()
            }
            Self::OneSlowGroup { slow_ms, .. } if group == SLOW => slow_ms,
            Self::OneSlowGroup { fast_ms, .. } => fast_ms,
        };
        Duration::from_secs_f64(ms / 1e3)
    }
}

/// A fraction from 0 to 1 that two numbers stand for (SplitMix64's finaliser).
pub(crate) fn fraction(number: u64, stream: u64) -> f64 {
    let mut z = number
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(stream.wrapping_mul(0xD1B5_4A32_D192_ED03));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
