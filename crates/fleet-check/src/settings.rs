//! What the checks are told.

use std::time::Duration;

use service_kit::settings::{Common, Reader, Setting, common};

const API_URL: &str = "FLEET_CHECK_API_URL";
const MONITOR_URL: &str = "FLEET_CHECK_MONITOR_URL";
const FAILING_ORDERS: &str = "FLEET_CHECK_FAILING_ORDERS";
const TIMEOUT: &str = "FLEET_CHECK_TIMEOUT";

/// Where the fleet is, and what it is expected to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// AWS, queues, telemetry. A queue without URL is not checked.
    pub common: Common,
    /// The order API, without a path.
    pub api_url: String,
    /// The monitor's admin listener, without a path.
    pub monitor_url: String,
    /// The standard queue and its dead-letter queue; none: orders with a test product do not fail.
    pub failing_orders: Option<DeadLetterRoute>,
    /// For each step that is waited for.
    pub timeout: Duration,
}

/// The two ends of a redrive, as URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterRoute {
    /// The standard order queue.
    pub source: String,
    /// Its dead-letter queue.
    pub dead_letters: String,
}

impl Settings {
    /// The rows of the settings table.
    pub fn table() -> Vec<Setting> {
        let mut table = vec![
            Setting::new(
                API_URL,
                "http://127.0.0.1:8080",
                "an http or https URL without a path",
                "Where the order API is",
            ),
            Setting::new(
                MONITOR_URL,
                "http://127.0.0.1:9082",
                "an http or https URL without a path",
                "Where the DLQ monitor's admin listener is",
            ),
            Setting::new(
                FAILING_ORDERS,
                "true",
                "true, false; true needs SQS_QUEUE_URL_STANDARD and SQS_QUEUE_URL_STANDARD_DLQ",
                "Whether the fleet fails orders with a test product, as FAIL_TEST_PRODUCTS says; dead letters and redrive are checked by such an order, or not at all",
            ),
            Setting::new(TIMEOUT, "2m", "1s to 1h", "Time for each thing that is waited for"),
        ];
        table.extend(common());
        table
    }

    /// Reads the settings, noting every problem.
    pub fn read(reader: &mut Reader) -> Self {
        let common = reader.common();
        let route = common.queues.standard.clone().zip(common.queues.standard_dlq.clone());
        let route = route.map(|(source, dead_letters)| DeadLetterRoute { source, dead_letters });
        let fails = reader.flag(FAILING_ORDERS);
        if fails && route.is_none() {
            let allowed =
                "false, or true with SQS_QUEUE_URL_STANDARD and SQS_QUEUE_URL_STANDARD_DLQ";
            reader.problem(FAILING_ORDERS, "true", allowed);
        }
        Self {
            common,
            api_url: base(reader, API_URL),
            monitor_url: base(reader, MONITOR_URL),
            failing_orders: route.filter(|_| fails),
            timeout: reader.duration(TIMEOUT, Duration::from_secs(1)..=Duration::from_hours(1)),
        }
    }
}

/// Paths are appended to it.
fn base(reader: &mut Reader, name: &'static str) -> String {
    reader.url(name).unwrap_or_default().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(env: &[(&str, &str)]) -> Result<Settings, String> {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut reader = Reader::load(Settings::table(), None, env);
        let settings = Settings::read(&mut reader);
        reader.finish(settings).map_err(|problems| problems.to_string())
    }

    #[test]
    fn failing_orders_need_both_ends_of_a_redrive() {
        let source = ("SQS_QUEUE_URL_STANDARD", "http://sqs/1/orders");
        let dlq = ("SQS_QUEUE_URL_STANDARD_DLQ", "http://sqs/1/dead");
        let problems = read(&[source]).expect_err("the dead-letter queue is missing");
        assert!(problems.contains("SQS_QUEUE_URL_STANDARD_DLQ"), "{problems}");
        let settings = read(&[source, dlq]).expect("both are there");
        let route = settings.failing_orders.expect("they are checked");
        assert_eq!(route.dead_letters, dlq.1);
        let without = read(&[(FAILING_ORDERS, "false"), source, dlq]).expect("allowed");
        assert_eq!(without.failing_orders, None);
    }

    #[test]
    fn a_slash_at_the_end_of_an_address_is_not_doubled() {
        let env = [(FAILING_ORDERS, "false"), (API_URL, "http://api:8080/")];
        assert_eq!(read(&env).expect("allowed").api_url, "http://api:8080");
    }

    #[test]
    fn an_address_that_is_none_is_named_with_what_is_allowed() {
        let problems = read(&[(FAILING_ORDERS, "false"), (MONITOR_URL, "monitor:9082")]);
        let problems = problems.expect_err("refused");
        assert!(problems.contains(MONITOR_URL) && problems.contains("http"), "{problems}");
    }
}
