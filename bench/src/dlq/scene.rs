//! An SQS with dead letters, and a monitor of it.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use jiff::Timestamp;
use order_events::{Decimal, OrderEvent, OrderItem};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

use crate::{
    http::Client,
    process::{Process, free_address},
    server::Server,
    sqs::entry,
};

pub(super) const STANDARD: &str = "order-queue-standard";
pub(super) const STANDARD_DLQ: &str = "order-queue-standard-dlq";
pub(super) const FIFO: &str = "order-queue.fifo";
pub(super) const FIFO_DLQ: &str = "order-queue-dlq.fifo";

/// Messages of a FIFO group: no more than one receive shows.
pub(super) const OF_A_GROUP: usize = 5;
/// Who fill the queues at once.
const SENDERS: usize = 4;

/// The reason of a dead letter of the standard queue, by its number: most, a tenth, the last tenth.
pub(super) const REASONS: [(&str, usize); 3] =
    [("carrier_unavailable", 8), ("timeout", 1), ("crash", 1)];

pub(super) struct Scene {
    pub(super) server: Server,
    pub(super) monitor: Process,
    /// When the monitor was started.
    pub(super) started: Instant,
    pub(super) api: SocketAddr,
    /// Dead letters of the standard queue and of the FIFO queue.
    pub(super) standard: usize,
    pub(super) fifo: usize,
    _folder: TempDir,
}

impl Scene {
    /// Fills the queues, with a tenth of the standard queue's dead letters in the FIFO one, and starts
    /// the monitor, alone on the measured core.
    pub(super) async fn set_up(binaries: &Path, standard: usize) -> anyhow::Result<Self> {
        let server = Server::start(binaries)?;
        let fifo = standard / 10;
        fill(&server, standard, fifo).await?;
        // On the disk that also has the build: the machine's temporary folder may be memory.
        let folder = tempfile::tempdir_in(binaries)?;
        let (api, admin) = (free_address()?, free_address()?);
        let queue = |name: &str| url(&server, name);
        let env = BTreeMap::from([
            ("AWS_SQS_ENDPOINT", format!("http://{}", server.addr)),
            ("SQS_QUEUE_URL_STANDARD", queue(STANDARD)),
            ("SQS_QUEUE_URL_STANDARD_DLQ", queue(STANDARD_DLQ)),
            ("SQS_QUEUE_URL_FIFO", queue(FIFO)),
            ("SQS_QUEUE_URL_FIFO_DLQ", queue(FIFO_DLQ)),
            ("LISTEN_ADDR", api.to_string()),
            ("ADMIN_ADDR", admin.to_string()),
            ("DATABASE_URL", format!("sqlite://{}/deliveries.db", folder.path().display())),
            // As the images set it: with huge pages the memory is counted in steps of two megabytes.
            ("MIMALLOC_ALLOW_THP", "0".to_owned()),
            // A line for each dead letter is what is measured, not where it goes.
            ("LOG_FORMAT", "json".to_owned()),
        ]);
        let started = Instant::now();
        let monitor = Process::start_on_measured_core(&binaries.join("dlq-monitor"), &env)?;
        Ok(Self { server, monitor, started, api, standard, fifo, _folder: folder })
    }

    pub(super) fn total(&self) -> usize {
        self.standard + self.fifo
    }

    pub(super) fn url(&self, queue: &str) -> String {
        url(&self.server, queue)
    }

    /// What the monitor's API says.
    pub(super) async fn ask(&self, client: &mut Client, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&client.get(path).await?)?)
    }
}

fn url(server: &Server, name: &str) -> String {
    format!("http://{}/000000000000/{name}", server.addr)
}

async fn fill(server: &Server, standard: usize, fifo: usize) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for lane in 0..SENDERS {
        let mut connection = server.connect().await?;
        let [standard_url, fifo_url] = [STANDARD_DLQ, FIFO_DLQ].map(|name| url(server, name));
        tasks.spawn(async move {
            for numbers in (0..standard).collect::<Vec<_>>().chunks(10) {
                if numbers[0] / 10 % SENDERS == lane {
                    let entries = numbers.iter().map(|number| dead(*number, None));
                    connection.send(&standard_url, &entries.collect::<Vec<_>>()).await?;
                }
            }
            // Groups lie one behind the other, and none is shared between two senders.
            for numbers in (0..fifo).collect::<Vec<_>>().chunks(OF_A_GROUP) {
                let group = numbers[0] / OF_A_GROUP;
                if group % SENDERS == lane {
                    let entries = numbers.iter().map(|number| dead(*number, Some(group)));
                    connection.send(&fifo_url, &entries.collect::<Vec<_>>()).await?;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// A dead letter as a worker leaves it, with its number as its product.
fn dead(number: usize, group: Option<usize>) -> Value {
    let customer = format!("customer-{}", group.unwrap_or(number % 10_000));
    let item = OrderItem {
        product_id: number.to_string(),
        product_name: format!("상품 {number}"),
        quantity: 2,
        price: Decimal::from(10_000),
    };
    let order = OrderEvent::new(Uuid::now_v7(), customer.clone(), vec![item], Timestamp::now())
        .expect("a small total");
    let deduplication = group.map(|_| number.to_string());
    let ids = deduplication.as_deref().map(|id| (customer.as_str(), id));
    let mut entry = entry(number % 10, &order.to_json(), ids, 0);
    let text = |value: &str| json!({ "DataType": "String", "StringValue": value });
    entry["MessageAttributes"] = json!({
        "dead-letter-reason": text(reason(number)),
        "dead-letter-detail": text("the carrier answers 503 Service Unavailable"),
        "dead-letter-attempts": text("3"),
        "dead-letter-source-id": text(&Uuid::new_v4().to_string()),
    });
    entry
}

fn reason(number: usize) -> &'static str {
    let mut place = number % 10;
    for (reason, share) in REASONS {
        match place.checked_sub(share) {
            None => return reason,
            Some(rest) => place = rest,
        }
    }
    unreachable!("the shares are tenths of a whole")
}
