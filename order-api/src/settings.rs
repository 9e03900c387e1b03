//! The API's settings.

use crate::{body::LARGEST, cross_origin::Origins, room::UNDISTURBED};
use order_store::DatabaseUrl;
use service_kit::{
    ServeLimits,
    settings::{AwsAccess, QueueUrls, Reader, Setting, common, listeners},
};
use sqs_consumer::{LONGEST_CALL, MAX_BATCH};
use std::{net::SocketAddr, time::Duration};

const DATABASE_URL: &str = "DATABASE_URL";
const DATABASES: &str = DatabaseUrl::ALLOWED;

/// What the API is built from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address of metrics and health.
    pub admin: SocketAddr,
    /// How SQS is reached.
    pub aws: AwsAccess,
    /// The queues; orders go to `standard` and `fifo`.
    pub queues: QueueUrls,
    /// What the API bears from its clients: connections and the shutdown's delay are set, how long open
    /// requests have to end follows from what they wait for, the rest are the defaults.
    pub limits: ServeLimits,
    /// How much is published at once, and for how long.
    pub publish: PublishSettings,
    /// Where idempotency keys are kept, and for how long.
    pub keys: KeySettings,
    /// Where the API itself reaches the delivery worker's API, to answer for orders.
    pub delivery_api_url: Option<String>,
    /// Where clients reach it, when the API does not; nothing: `Location` is a relative reference.
    pub delivery_base_url: Option<String>,
    /// Whether larger answers are compressed for clients that take gzip.
    pub compression: bool,
    /// Whose pages may use the API from a browser; nothing: none but the API's own.
    pub cors_allowed_origins: Option<Origins>,
}

/// How much is published at once, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct PublishSettings {
    /// From an order's admission to SQS's confirmation, retries included.
    pub timeout: Duration,
    /// Calls to SQS under way at once, for each queue.
    pub concurrency: usize,
    /// Orders in a call at most.
    pub batch: usize,
    /// For which an order waits for others, while a call is under way.
    pub linger: Duration,
    /// Orders in hand; further ones are turned away. Fewer than connections: otherwise none is.
    pub buffer_orders: usize,
    /// Bytes of the orders in hand, those that are being read or answered among them, and of the
    /// answers about orders.
    pub buffer_bytes: usize,
    /// For which a client may be waited for, to send more or to take more, before what it has of
    /// these bytes goes to others that need them. Always the default.
    pub undisturbed: Duration,
}

/// Where idempotency keys are kept, and for how long.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// The store that all replicas share; nothing: each replica remembers its own latest keys.
    pub database: Option<DatabaseUrl>,
    /// How long the store keeps a key.
    pub retention: Duration,
}

impl Settings {
    /// Every setting of the binary.
    pub fn table() -> Vec<Setting> {
        let mut table = listeners("0.0.0.0:8080", "0.0.0.0:9080");
        table.extend([
            Setting::new("MAX_CONNECTIONS", "4096", "16 to 100000", "Connections served at once; beyond that the one that has waited longest for its client, for a request or the rest of one, is closed for a new one; fewer, with a warning, where fewer files may be open"),
            Setting::new("SHUTDOWN_DELAY", "0s", "0s to 60s", "Time after SIGTERM for which the API, no longer ready, still takes requests, each answer being its connection's last: for load balancers that go on sending for some seconds, where no preStop hook waits for them. Kubernetes' terminationGracePeriodSeconds must cover it and the drain after it"),
            Setting::new("PUBLISH_TIMEOUT", "5s", "100ms to 10s", "Time that SQS has to confirm an order before the client is told to try again"),
            Setting::new("PUBLISH_CONCURRENCY", "64", "1 to 1000", "Calls to SQS at once, for each queue"),
            Setting::new("PUBLISH_BATCH", "10", "1 to 10", "Orders that share a call to SQS at most"),
            Setting::new("PUBLISH_LINGER", "800us", "0ms to 1s", "Time between the beginnings of calls that are not full, while one is under way: an order waits for others that long, and a timer's 1ms more, at most"),
            Setting::new("PUBLISH_BUFFER_ORDERS", "2048", "1 to 100000", "Orders that are being sent or wait for that, or for the store of idempotency keys; further ones are answered with 503, and no key is used up for them. A connection carries one order at a time: with no fewer than MAX_CONNECTIONS, of which the service warns, further orders would wait for a connection instead"),
            Setting::new("PUBLISH_BUFFER_BYTES", "16777216", "1048576 to 1073741824", "Bytes of the orders that are being read, wait, are being sent, or are in answers of more than 1024 bytes that their clients have not taken yet, answers about orders among them; further ones are answered with 503. A client that has kept a part of them waiting for a second makes room for others"),
            Setting::optional(DATABASE_URL, DATABASES, "Where idempotency keys are kept, for all replicas and restarts: the deliveries' database or another; beside SQLite's file in one of their own, `deliveries-keys.db` for `deliveries.db`. When not set, each replica knows the latest keys that it has seen itself").secret(),
            Setting::new("IDEMPOTENCY_RETENTION", "24h", "1m to 3650d", "How long an idempotency key is kept there"),
            Setting::optional("DELIVERY_API_URL", "an http or https URL without a query", "Where the API itself reaches the delivery worker's API; it then answers GET /api/orders/{orderId}, to which Location points, so that clients need one address"),
            Setting::optional("DELIVERY_BASE_URL", "an http or https URL without a query, not together with DELIVERY_API_URL", "Where clients reach the delivery worker's API, if the API itself does not: Location begins with it, and GET /api/orders/{orderId} redirects there. When neither is set, Location is a path of the delivery worker's API, for a gateway in front of both"),
            Setting::new("HTTP_COMPRESSION", "off", "off, gzip", "Whether answers of more than 1400 bytes are compressed for clients that take it; a gateway may do that better"),
            Setting::optional("CORS_ALLOWED_ORIGINS", "*, or a comma-separated list of origins such as https://shop.example: scheme, host and port, without path", "Whose web pages may use the API from a browser, without credentials; when not set, none"),
        ]);
        table.extend(common());
        table
    }

    /// Reads the settings; problems are noted in the reader.
    pub fn read(reader: &mut Reader) -> Self {
        let common = reader.common();
        let seconds = Duration::from_secs;
        let delivery_api_url = delivery_url(reader, "DELIVERY_API_URL");
        let delivery_base_url = delivery_url(reader, "DELIVERY_BASE_URL");
        if let (Some(_), Some(base)) = (&delivery_api_url, &delivery_base_url) {
            reader.problem("DELIVERY_BASE_URL", base, "not together with DELIVERY_API_URL");
        }
        Self {
            listen: reader.socket_addr("LISTEN_ADDR"),
            admin: reader.socket_addr("ADMIN_ADDR"),
            aws: common.aws,
            queues: common.queues,
            limits: ServeLimits {
                connections: reader.number("MAX_CONNECTIONS", 16..=100_000),
                delay: reader.duration("SHUTDOWN_DELAY", Duration::ZERO..=seconds(60)),
                ..ServeLimits::default()
            },
            publish: PublishSettings {
                // A call is given up then, whatever an order would still wait for.
                timeout: reader
                    .duration("PUBLISH_TIMEOUT", Duration::from_millis(100)..=LONGEST_CALL),
                concurrency: reader.number("PUBLISH_CONCURRENCY", 1..=1000),
                batch: reader.number("PUBLISH_BATCH", 1..=MAX_BATCH),
                linger: reader.duration("PUBLISH_LINGER", Duration::ZERO..=seconds(1)),
                buffer_orders: reader.number("PUBLISH_BUFFER_ORDERS", 1..=100_000),
                buffer_bytes: reader.number("PUBLISH_BUFFER_BYTES", LARGEST..=1 << 30),
                undisturbed: UNDISTURBED,
            },
            keys: KeySettings {
                database: database(reader),
                retention: reader.duration(
                    "IDEMPOTENCY_RETENTION",
                    Duration::from_mins(1)..=Duration::from_hours(24 * 3650),
                ),
            },
            delivery_api_url,
            delivery_base_url,
            compression: reader.one_of("HTTP_COMPRESSION", &[("off", false), ("gzip", true)]),
            cors_allowed_origins: origins(reader),
        }
    }

    /// Whether there can be an order that finds the buffer full. Each of those in it has a connection to
    /// itself; when all connections have one, the next order waits outside, where no deadline counts.
    pub(crate) fn sheds_load(&self) -> bool {
        self.publish.buffer_orders < self.limits.connections
    }
}

fn database(reader: &mut Reader) -> Option<DatabaseUrl> {
    let text = reader.optional(DATABASE_URL)?;
    let database = text.parse().ok();
    if database.is_none() {
        reader.problem(DATABASE_URL, &text, DATABASES);
    }
    database
}

/// A path is appended to it.
fn delivery_url(reader: &mut Reader, name: &'static str) -> Option<String> {
    let url = reader.url(name)?;
    if url.contains(['?', '#']) {
        reader.problem(name, &url, "an http or https URL without a query");
    }
    Some(url)
}

fn origins(reader: &mut Reader) -> Option<Origins> {
    const NAME: &str = "CORS_ALLOWED_ORIGINS";
    let text = reader.optional(NAME)?;
    let origins = Origins::parse(&text);
    if origins.is_none() {
        reader.problem(
            NAME,
            &text,
            "*, or a comma-separated list of origins such as https://shop.example: scheme, host and \
             port, in lower case, without path",
        );
    }
    origins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_the_buffer_is_full_before_the_connections_are_all_in_use() {
        let mut reader = Reader::load(Settings::table(), None, Vec::new());
        let settings = Settings::read(&mut reader);
        let settings = reader.finish(settings).expect("the defaults are valid");
        assert!(settings.sheds_load());
        // So many connections are left to tell that there is no room, and to ask for health.
        assert!(settings.limits.connections >= 2 * settings.publish.buffer_orders);
    }

    #[test]
    fn sqs_has_no_longer_to_confirm_an_order_than_a_call_may_take() {
        let timeout = |text: &str| {
            let env = [("PUBLISH_TIMEOUT".to_owned(), text.to_owned())];
            let mut reader = Reader::load(Settings::table(), None, env);
            let settings = Settings::read(&mut reader);
            reader.finish(settings).map(|settings| settings.publish.timeout)
        };
        assert_eq!(timeout("10s").expect("it is allowed"), LONGEST_CALL);
        let problems = timeout("10001ms").expect_err("it would not be kept").to_string();
        assert!(problems.contains("100ms to 10s"), "{problems}");
    }
}
