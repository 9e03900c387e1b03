//! The worker's settings.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use service_kit::{
    ServeLimits,
    settings::{Common, Reader, Setting, common, listeners},
};
use sqs_consumer::scheduler::LONGEST_BACKOFF;

use crate::{carrier::SimulatedTime, store::DatabaseUrl};

/// Everything a worker is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// AWS, queues, telemetry.
    pub common: Common,
    /// Address of the HTTP listener.
    pub listen: SocketAddr,
    /// What the HTTP listener bears. Always the default.
    pub limits: ServeLimits,
    /// Address of the admin listener.
    pub admin: SocketAddr,
    /// Where deliveries are kept.
    pub database: DatabaseUrl,
    /// How long attempts are kept; none: for ever.
    pub attempts_retention: Option<Duration>,
    /// How each queue is consumed.
    pub consumer: ConsumerSettings,
    /// Who delivers.
    pub carrier: CarrierSettings,
    /// How long the carrier may take for one order.
    pub carrier_timeout: Duration,
    /// Whether orders with a test product fail.
    pub fail_test_products: bool,
}

/// How each queue is consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// Handlers at once per queue.
    pub concurrency: usize,
    /// Handlers at once for one customer of the standard queue; none: no limit of its own. On the FIFO
    /// queue there is one.
    pub group_concurrency: Option<usize>,
    /// Time for one attempt, the store's included.
    pub handler_timeout: Duration,
    /// Time for running attempts to end once the worker is told to stop.
    pub drain_timeout: Duration,
    /// Attempts before an order is given up.
    pub max_attempts: u32,
    /// Backoff after the first failed attempt; doubles.
    pub retry_backoff: Duration,
    /// Longest backoff.
    pub retry_backoff_max: Duration,
}

/// Who delivers.
#[derive(Clone, Debug, PartialEq)]
pub enum CarrierSettings {
    /// Nobody: an order is delivered after this time.
    Simulated(SimulatedTime),
    /// A delivery system at this URL.
    Http(String),
}

const DATABASES: &str = DatabaseUrl::ALLOWED;
const SIMULATED_TIMES: &str = "a duration up to 1h such as 50ms, or lognormal(50ms, 0.5, seed=7): median, sigma of 0 to 3, optional seed";
/// SQS hides a message for 12 hours at most.
const LONGEST: Duration = Duration::from_hours(12);
/// A message is handled within the 12 hours, with time to settle it.
const LONGEST_HANDLER: Duration = Duration::from_hours(11);
/// The carrier's part of that.
const LONGEST_CARRIER: Duration = Duration::from_hours(8);
const GROUP_CONCURRENCY: &str = "WORKER_GROUP_CONCURRENCY";
const LONGEST_RETENTION: Duration = Duration::from_hours(24 * 3650);
const SHORTEST: Duration = Duration::from_millis(1);
/// Each may hold an answer of some 0.65 MB that its client does not read. Those who ask are people,
/// monitors and order APIs, of which each asks 256 questions at once at most, short ones, of all
/// workers together; who comes when all places are taken waits for one, or takes that of a
/// connection that is idle.
const CONNECTIONS: usize = 256;

impl Settings {
    /// The rows of the settings table.
    pub fn table() -> Vec<Setting> {
        let mut table = common();
        table.extend(listeners("0.0.0.0:8081", "0.0.0.0:9081"));
        table.extend([
            Setting::new(
                "DATABASE_URL",
                "sqlite://deliveries.db",
                DATABASES,
                "Where deliveries and attempts are kept: SQLite for one machine, PostgreSQL for several",
            )
            .secret(),
            Setting::new(
                "ATTEMPTS_RETENTION",
                "30d",
                "0s to 3650d; 0s: for ever",
                "How long attempts are kept; longer than the queues keep messages, so that a dead letter finds its own. Deliveries stay",
            ),
            Setting::new(
                "WORKER_CONCURRENCY",
                "64",
                "1 to 10000",
                "Orders that are delivered at once, per queue",
            ),
            Setting::optional(
                GROUP_CONCURRENCY,
                "1 to 10000, not more than WORKER_CONCURRENCY",
                "Of these, orders of one customer on the standard queue; when not set, as many. On the FIFO queue one at a time",
            ),
            Setting::new(
                "HANDLER_TIMEOUT",
                "20s",
                "1ms to 11h, at least four thirds of CARRIER_TIMEOUT",
                "Time for one attempt at an order, carrier and store together",
            ),
            Setting::new(
                "DRAIN_TIMEOUT",
                "25s",
                "0s to 12h",
                "Time for running attempts to end once the worker is told to stop",
            ),
            Setting::new(
                "MAX_ATTEMPTS",
                "3",
                "1 to 1000",
                "Attempts before an order goes to the dead-letter queue; a receive that ended with its worker counts as one. On the standard queue SQS itself moves it after maxReceiveCount, if that is not more",
            ),
            Setting::new(
                "RETRY_BACKOFF",
                "1s",
                "1ms to 1h",
                "Wait after a first failed attempt; doubles with each further one, with jitter",
            ),
            Setting::new(
                "RETRY_BACKOFF_MAX",
                "60s",
                "1ms to 1h, not shorter than RETRY_BACKOFF",
                "Longest wait between attempts",
            ),
            Setting::optional(
                "CARRIER",
                "simulated, not together with CARRIER_URL; http",
                "Who delivers: nobody, or the delivery system at CARRIER_URL; when not set, http if CARRIER_URL is set, else simulated",
            ),
            Setting::optional(
                "CARRIER_URL",
                "an http or https URL; needed when CARRIER is http",
                "Where orders are POSTed as JSON",
            ),
            Setting::new(
                "CARRIER_TIMEOUT",
                "10s",
                "1ms to 8h, at most three quarters of HANDLER_TIMEOUT",
                "Time for the carrier to take one order; the rest of HANDLER_TIMEOUT is the store's",
            ),
            Setting::new(
                "CARRIER_SIMULATED_TIME",
                "0ms",
                "a duration up to 1h such as 50ms, or lognormal(50ms, 0.5, seed=7): median, sigma of 0 to 3, optional seed; shorter than CARRIER_TIMEOUT",
                "Time that the simulated carrier takes for one order",
            ),
            Setting::new(
                "FAIL_TEST_PRODUCTS",
                "true",
                "true, false",
                "Whether an order with a product whose name contains 실패테스트 always fails",
            ),
        ]);
        table
    }

    /// Reads the settings, noting every problem.
    pub fn read(reader: &mut Reader) -> Self {
        let database =
            parsed(reader, "DATABASE_URL", DATABASES, || DatabaseUrl::Sqlite("unset".into()));
        let attempts_retention =
            reader.duration("ATTEMPTS_RETENTION", Duration::ZERO..=LONGEST_RETENTION);
        let attempts_retention = Some(attempts_retention).filter(|keep| !keep.is_zero());
        let mut consumer = ConsumerSettings {
            concurrency: reader.number("WORKER_CONCURRENCY", 1..=10_000),
            group_concurrency: reader
                .is_set(GROUP_CONCURRENCY)
                .then(|| reader.number(GROUP_CONCURRENCY, 1..=10_000)),
            handler_timeout: reader.duration("HANDLER_TIMEOUT", SHORTEST..=LONGEST_HANDLER),
            drain_timeout: reader.duration("DRAIN_TIMEOUT", Duration::ZERO..=LONGEST),
            max_attempts: reader.number("MAX_ATTEMPTS", 1..=1_000),
            retry_backoff: reader.duration("RETRY_BACKOFF", SHORTEST..=LONGEST_BACKOFF),
            retry_backoff_max: reader.duration("RETRY_BACKOFF_MAX", SHORTEST..=LONGEST_BACKOFF),
        };
        let mut carrier_timeout = reader.duration("CARRIER_TIMEOUT", SHORTEST..=LONGEST_CARRIER);
        // A default gives way to what is set; only two settings can contradict each other.
        if !reader.is_set("CARRIER_TIMEOUT") {
            carrier_timeout = carrier_timeout.min(longest_carrier(consumer.handler_timeout));
        } else if !reader.is_set("HANDLER_TIMEOUT") {
            consumer.handler_timeout =
                consumer.handler_timeout.max(carrier_timeout.mul_f64(1.5)).min(LONGEST_HANDLER);
        }
        if !reader.is_set("RETRY_BACKOFF_MAX") {
            consumer.retry_backoff_max = consumer.retry_backoff_max.max(consumer.retry_backoff);
        } else if !reader.is_set("RETRY_BACKOFF") {
            consumer.retry_backoff = consumer.retry_backoff.min(consumer.retry_backoff_max);
        }
        let settings = Self {
            common: reader.common(),
            listen: reader.socket_addr("LISTEN_ADDR"),
            limits: ServeLimits { connections: CONNECTIONS, ..ServeLimits::default() },
            admin: reader.socket_addr("ADMIN_ADDR"),
            database,
            attempts_retention,
            consumer,
            carrier: carrier(reader),
            carrier_timeout,
            fail_test_products: reader.flag("FAIL_TEST_PRODUCTS"),
        };
        if carrier_timeout > longest_carrier(consumer.handler_timeout) {
            let allowed = format!(
                "at most three quarters of HANDLER_TIMEOUT ({})",
                humantime::format_duration(consumer.handler_timeout)
            );
            note(reader, "CARRIER_TIMEOUT", &allowed);
        }
        // Every attempt would run out of time, or half of them, and look like an outage.
        if let CarrierSettings::Simulated(time) = settings.carrier
            && time.median() >= carrier_timeout
        {
            let allowed = format!(
                "shorter than CARRIER_TIMEOUT ({})",
                humantime::format_duration(carrier_timeout)
            );
            note(reader, "CARRIER_SIMULATED_TIME", &allowed);
        }
        if consumer.group_concurrency.is_some_and(|limit| limit > consumer.concurrency) {
            let allowed = format!("not more than WORKER_CONCURRENCY ({})", consumer.concurrency);
            note(reader, GROUP_CONCURRENCY, &allowed);
        }
        if consumer.retry_backoff > consumer.retry_backoff_max {
            let allowed = format!(
                "not shorter than RETRY_BACKOFF ({})",
                humantime::format_duration(consumer.retry_backoff)
            );
            note(reader, "RETRY_BACKOFF_MAX", &allowed);
        }
        settings
    }
}

/// The rest of an attempt's time is the store's.
fn longest_carrier(handler_timeout: Duration) -> Duration {
    handler_timeout.mul_f64(0.75)
}

fn carrier(reader: &mut Reader) -> CarrierSettings {
    let is_http = reader
        .is_set("CARRIER")
        .then(|| reader.one_of("CARRIER", &[("simulated", false), ("http", true)]));
    let url = reader.url("CARRIER_URL");
    let constant = || SimulatedTime::Constant(Duration::ZERO);
    let time = parsed(reader, "CARRIER_SIMULATED_TIME", SIMULATED_TIMES, constant);
    match (is_http, url) {
        (None | Some(true), Some(url)) => CarrierSettings::Http(url),
        (Some(false), Some(_)) => {
            // Orders would be recorded as delivered and handed to nobody. A word that is no
            // carrier's is a problem already.
            let word = reader.text("CARRIER");
            if word.trim().eq_ignore_ascii_case("simulated") {
                reader.problem("CARRIER", &word, "http, or not set, together with CARRIER_URL");
            }
            CarrierSettings::Simulated(time)
        }
        (None | Some(false), None) => CarrierSettings::Simulated(time),
        (Some(true), None) => {
            // A URL that is set but wrong is a problem already.
            if reader.optional("CARRIER_URL").is_none() {
                reader.problem("CARRIER", "http", "http together with CARRIER_URL");
            }
            CarrierSettings::Http(String::new())
        }
    }
}

/// A setting with a default and a syntax of its own.
fn parsed<T: FromStr>(
    reader: &mut Reader,
    name: &'static str,
    allowed: &str,
    stand_in: impl FnOnce() -> T,
) -> T {
    let text = reader.text(name);
    text.parse().unwrap_or_else(|_| {
        reader.problem(name, &text, allowed);
        stand_in()
    })
}

fn note(reader: &mut Reader, name: &'static str, allowed: &str) {
    let value = reader.text(name);
    reader.problem(name, &value, allowed);
}
