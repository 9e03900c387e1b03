//! The order API under load, alone on a core; clients and SQS share the other.

pub(crate) mod a1;
pub(crate) mod a2;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::ensure;
use hyper::{Request, body::Bytes, http::request::Builder};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    http::Client,
    process::{Process, free_address, wait_until_ready},
    server::Server,
};

/// Customers, each as likely as the others.
const CUSTOMERS: usize = 1_000;

/// The API, and the SQS that it publishes to.
struct Api {
    process: Process,
    addr: SocketAddr,
}

impl Api {
    /// An API whose calls take so many orders at most.
    fn start(binaries: &Path, server: &Server, most_per_call: usize) -> anyhow::Result<Self> {
        let (addr, admin) = (free_address()?, free_address()?);
        let sqs = server.addr;
        let queue = |name: &str| format!("http://{sqs}/000000000000/{name}");
        let env = BTreeMap::from([
            ("AWS_SQS_ENDPOINT", format!("http://{sqs}")),
            ("SQS_QUEUE_URL_STANDARD", queue("order-queue-standard")),
            ("SQS_QUEUE_URL_FIFO", queue("order-queue.fifo")),
            ("LISTEN_ADDR", addr.to_string()),
            ("ADMIN_ADDR", admin.to_string()),
            ("PUBLISH_BATCH", most_per_call.to_string()),
        ]);
        let process = Process::start_on_measured_core(&binaries.join("order-api"), &env)?;
        wait_until_ready(admin, "/readyz")?;
        Ok(Self { process, addr })
    }
}

/// An order, about 256 bytes as the queue has it.
fn order(number: usize) -> String {
    let customer = number % CUSTOMERS;
    format!(
        r#"{{"customerId":"customer-{customer:04}","items":[{{"productId":"product-{number:08}","productName":"상품 {number:08}","quantity":2,"price":12.50}}]}}"#
    )
}

/// The request with an order.
pub(crate) fn request(queue_type: &str, number: usize) -> (Builder, Bytes) {
    let request = Request::post(format!("/api/orders?queueType={queue_type}"))
        .header("content-type", "application/json");
    (request, Bytes::from(order(number)))
}

/// So many clients, each of which sends its next order when the last one is accepted; how long each
/// took.
pub(crate) async fn closed_loop(
    addr: SocketAddr,
    clients: usize,
    orders: usize,
    request: impl Fn(usize) -> (Builder, Bytes) + Clone + Send + 'static,
) -> anyhow::Result<Vec<Duration>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (mut client, next, request) = (Client::new(addr), Arc::clone(&next), request.clone());
        tasks.spawn(async move {
            let mut took = Vec::with_capacity(orders / clients + 1);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= orders {
                    return anyhow::Ok(took);
                }
                let (request, body) = request(number);
                let began = Instant::now();
                let (status, body) = client.send(request, body).await?;
                ensure!(status.is_success(), "{status}: {body:?}");
                took.push(began.elapsed());
            }
        });
    }
    let mut all = Vec::with_capacity(orders);
    while let Some(took) = tasks.join_next().await {
        all.extend(took??);
    }
    all.sort_unstable();
    Ok(all)
}

/// Such a part of sorted times is not longer than this, in milliseconds.
fn quantile(sorted: &[Duration], part: f64) -> f64 {
    let index = (sorted.len() as f64 * part) as usize;
    sorted.get(index.min(sorted.len() - 1)).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}
