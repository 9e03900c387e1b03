//! A carrier that only takes its time.

use std::{
    f64::consts::TAU,
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use order_events::OrderEvent;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{Carrier, Failure};

/// No simulated delivery takes longer, however wide the distribution.
const LONGEST: Duration = Duration::from_hours(1);

/// How long a simulated delivery takes: the value of `CARRIER_SIMULATED_TIME`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SimulatedTime {
    /// Always the same, for example `0ms` or `50ms`.
    Constant(Duration),
    /// `lognormal(50ms, 0.5)` or `lognormal(50ms, 0.5, seed=7)`: half of the deliveries take less
    /// than the median, few take much longer, as real ones do. The same seed gives the same times.
    Lognormal {
        /// The median.
        median: Duration,
        /// Standard deviation of the time's natural logarithm, 0 to 3.
        sigma: f64,
        /// Where the random sequence begins; 0 when none is given.
        seed: u64,
    },
}

/// The text names no simulated time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a duration up to 1h such as 50ms, or lognormal(50ms, 0.5, seed=7) with a sigma of 0 to 3"
)]
pub struct InvalidSimulatedTime;

impl SimulatedTime {
    /// What half of the deliveries take at most.
    #[must_use]
    pub fn median(&self) -> Duration {
        match self {
            Self::Constant(time) => *time,
            Self::Lognormal { median, .. } => *median,
        }
    }
}

impl FromStr for SimulatedTime {
    type Err = InvalidSimulatedTime;

    fn from_str(text: &str) -> Result<Self, InvalidSimulatedTime> {
        let text = text.trim();
        let Some(arguments) = text.strip_prefix("lognormal") else {
            return duration(text).map(Self::Constant);
        };
        let arguments = arguments
            .trim()
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
            .ok_or(InvalidSimulatedTime)?;
        let mut arguments = arguments.split(',').map(str::trim);
        let median = duration(arguments.next().unwrap_or_default())?;
        let sigma: f64 = parse(arguments.next().unwrap_or_default())?;
        let seed = match arguments.next() {
            None => 0,
            Some(seed) => parse(seed.strip_prefix("seed=").ok_or(InvalidSimulatedTime)?)?,
        };
        if arguments.next().is_some() || !(0.0..=3.0).contains(&sigma) {
            return Err(InvalidSimulatedTime);
        }
        Ok(Self::Lognormal { median, sigma, seed })
    }
}

fn duration(text: &str) -> Result<Duration, InvalidSimulatedTime> {
    humantime::parse_duration(text).ok().filter(|time| *time <= LONGEST).ok_or(InvalidSimulatedTime)
}

fn parse<T: FromStr>(text: &str) -> Result<T, InvalidSimulatedTime> {
    text.parse().map_err(|_| InvalidSimulatedTime)
}

/// Takes every order after a while.
#[derive(Debug)]
pub struct Simulated {
    time: SimulatedTime,
    random: Mutex<StdRng>,
}

impl Simulated {
    /// A carrier that takes this long for each order.
    pub fn new(time: SimulatedTime) -> Self {
        let seed = match time {
            SimulatedTime::Constant(_) => 0,
            SimulatedTime::Lognormal { seed, .. } => seed,
        };
        Self { time, random: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    fn draw(&self) -> Duration {
        match self.time {
            SimulatedTime::Constant(time) => time,
            SimulatedTime::Lognormal { median, sigma, .. } => {
                let (a, b): (f64, f64) = {
                    let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
                    (random.random(), random.random())
                };
                // Box and Muller's normal deviate; 1 - a is never zero.
                let normal = (-2.0 * (1.0 - a).ln()).sqrt() * (TAU * b).cos();
                let seconds = median.as_secs_f64() * (sigma * normal).exp();
                Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64()))
            }
        }
    }
}

impl Carrier for Simulated {
    fn deliver<'a>(&'a self, _order: &'a OrderEvent) -> BoxFuture<'a, Result<(), Failure>> {
        async {
            let time = self.draw();
            if !time.is_zero() {
                tokio::time::sleep(time).await;
            }
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_of_a_simulated_time_is_checked() {
        let ms = Duration::from_millis;
        let lognormal = |median, sigma, seed| SimulatedTime::Lognormal { median, sigma, seed };
        for (text, expected) in [
            ("0ms", Some(SimulatedTime::Constant(ms(0)))),
            ("50ms", Some(SimulatedTime::Constant(ms(50)))),
            ("lognormal(50ms, 0.5, seed=7)", Some(lognormal(ms(50), 0.5, 7))),
            ("lognormal(50ms,0.5)", Some(lognormal(ms(50), 0.5, 0))),
            ("lognormal(50ms)", None),
            ("lognormal(50ms, -1)", None),
            ("lognormal(50ms, NaN)", None),
            ("lognormal(50ms, 0.5, 7)", None),
            ("lognormal(50ms, 0.5, seed=7, 8)", None),
            ("lognormal 50ms", None),
            ("2h", None),
            ("50", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[test]
    fn lognormal_times_have_their_median_and_repeat_with_their_seed() {
        let draw = |seed| {
            let median = Duration::from_millis(50);
            let carrier = Simulated::new(SimulatedTime::Lognormal { median, sigma: 0.5, seed });
            (0..4001).map(|_| carrier.draw()).collect::<Vec<_>>()
        };
        let mut times = draw(7);
        assert_eq!(times, draw(7));
        assert_ne!(times, draw(8));
        times.sort();
        let median = times[2000].as_secs_f64();
        assert!((0.047..0.053).contains(&median), "{median}");
        // 84 % of a lognormal distribution lie below median * e^sigma.
        let above = times[(4001.0 * 0.841) as usize].as_secs_f64() / median;
        assert!((1.5..1.8).contains(&above), "{above}");
    }
}
