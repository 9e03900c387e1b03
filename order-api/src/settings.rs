//! The API's settings.

use crate::body::LARGEST;
use service_kit::settings::{AwsAccess, QueueUrls, Reader, Setting, common, listeners};
use sqs_consumer::MAX_BATCH;
use std::{net::SocketAddr, time::Duration};

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
    /// Connections served at once.
    pub connections: usize,
    /// How much is published at once, and for how long.
    pub publish: PublishSettings,
    /// What stands before the path in `Location`; nothing: a relative reference.
    pub delivery_base_url: Option<String>,
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
    /// Orders in hand; further ones are turned away.
    pub buffer_orders: usize,
    /// Bytes of the orders in hand, those that are being read among them.
    pub buffer_bytes: usize,
}

impl Settings {
    /// Every setting of the binary.
    pub fn table() -> Vec<Setting> {
        let mut table = listeners("0.0.0.0:8080", "0.0.0.0:9080");
        table.extend([
            Setting::new("MAX_CONNECTIONS", "4096", "16 to 100000", "Connections served at once; beyond that the one that has waited longest for a request is closed for a new one"),
            Setting::new("PUBLISH_TIMEOUT", "5s", "100ms to 60s", "Time that SQS has to confirm an order before the client is told to try again"),
            Setting::new("PUBLISH_CONCURRENCY", "64", "1 to 1000", "Calls to SQS at once, for each queue"),
            Setting::new("PUBLISH_BATCH", "10", "1 to 10", "Orders that share a call to SQS at most"),
            Setting::new("PUBLISH_LINGER", "1ms", "0ms to 1s", "Time that an order waits for others to share its call while another call is under way"),
            Setting::new("PUBLISH_BUFFER_ORDERS", "4096", "1 to 100000", "Orders that are being sent or wait for that; further ones are answered with 503"),
            Setting::new("PUBLISH_BUFFER_BYTES", "16777216", "1048576 to 1073741824", "Bytes of the orders that are being read, wait or are being sent; further ones are answered with 503"),
            Setting::optional("DELIVERY_BASE_URL", "an http or https URL", "Base of the Location that an accepted order is given, where the delivery worker's API is reached; when not set, the Location is a path"),
        ]);
        table.extend(common());
        table
    }

    /// Reads the settings; problems are noted in the reader.
    pub fn read(reader: &mut Reader) -> Self {
        let common = reader.common();
        let seconds = Duration::from_secs;
        Self {
            listen: reader.socket_addr("LISTEN_ADDR"),
            admin: reader.socket_addr("ADMIN_ADDR"),
            aws: common.aws,
            queues: common.queues,
            connections: reader.number("MAX_CONNECTIONS", 16..=100_000),
            publish: PublishSettings {
                timeout: reader
                    .duration("PUBLISH_TIMEOUT", Duration::from_millis(100)..=seconds(60)),
                concurrency: reader.number("PUBLISH_CONCURRENCY", 1..=1000),
                batch: reader.number("PUBLISH_BATCH", 1..=MAX_BATCH),
                linger: reader.duration("PUBLISH_LINGER", Duration::ZERO..=seconds(1)),
                buffer_orders: reader.number("PUBLISH_BUFFER_ORDERS", 1..=100_000),
                buffer_bytes: reader.number("PUBLISH_BUFFER_BYTES", LARGEST..=1 << 30),
            },
            delivery_base_url: reader.url("DELIVERY_BASE_URL"),
        }
    }
}
