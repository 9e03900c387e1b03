//! The order API under load, alone on a core; clients and SQS share the other.

pub(crate) mod a1;
pub(crate) mod a2;
mod generator;

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

pub(crate) use self::generator::Generator;
use self::generator::Requests;
use crate::{
    process::{Process, free_address},
    server::Server,
};

/// An order of one of ten thousand customers, each as likely as the others; the generator numbers it.
/// It is about 256 bytes as the queue has it. With fewer, a customer's next order would often come
/// while the last one is being sent, and on a FIFO queue wait for that.
const ORDER: &str = r#"{"customerId":"customer-~~~~","items":[{"productId":"product-########","productName":"상품 ########","quantity":2,"price":12.50}]}"#;

/// How `a1` and `a2` are asked for.
pub(crate) struct Options<'a> {
    quick: bool,
    /// A setting of the API, to see what it costs.
    with: Option<(&'a str, &'a str)>,
}

impl<'a> Options<'a> {
    pub(crate) fn parse(words: &[&'a str]) -> Option<Self> {
        match words {
            [] => Some(Self { quick: false, with: None }),
            ["--quick"] => Some(Self { quick: true, with: None }),
            ["--with", setting] => {
                Some(Self { quick: false, with: Some(setting.split_once('=')?) })
            }
            _ => None,
        }
    }

    /// Whether only to print what is measured.
    fn is_trial(&self) -> bool {
        self.quick || self.with.is_some()
    }
}

/// The API, and the SQS that it publishes to.
struct Api {
    process: Process,
    addr: SocketAddr,
}

impl Api {
    /// An API whose calls take so many orders at most.
    fn start(
        binaries: &Path,
        server: &Server,
        most_per_call: usize,
        options: &Options<'_>,
    ) -> anyhow::Result<Self> {
        let (addr, admin) = (free_address()?, free_address()?);
        let sqs = server.addr;
        let queue = |name: &str| format!("http://{sqs}/000000000000/{name}");
        let mut env = BTreeMap::from([
            ("AWS_SQS_ENDPOINT", format!("http://{sqs}")),
            ("SQS_QUEUE_URL_STANDARD", queue("order-queue-standard")),
            ("SQS_QUEUE_URL_FIFO", queue("order-queue.fifo")),
            ("LISTEN_ADDR", addr.to_string()),
            ("ADMIN_ADDR", admin.to_string()),
            ("PUBLISH_BATCH", most_per_call.to_string()),
        ]);
        env.extend(options.with.map(|(name, value)| (name, value.to_owned())));
        let mut process = Process::start_on_measured_core(&binaries.join("order-api"), &env)?;
        process.wait_until_ready(admin, "/readyz")?;
        Ok(Self { process, addr })
    }
}

/// Orders, for these queues in turn.
pub(crate) fn orders(queue_types: &[&str]) -> Requests {
    Requests::new(queue_types.iter().map(|queue_type| {
        let target = format!("/api/orders?queueType={queue_type}");
        (format!("{target} HTTP/1.1\r\ncontent-type: application/json"), ORDER.to_owned())
    }))
}

/// Such a part of sorted times is not longer than this, in milliseconds.
fn quantile(sorted: &[Duration], part: f64) -> f64 {
    let index = (sorted.len() as f64 * part) as usize;
    sorted.get(index.min(sorted.len() - 1)).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}
