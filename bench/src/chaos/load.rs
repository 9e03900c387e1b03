//! The clients: every order is sent until it is accepted, under one idempotency key.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use hyper::Request;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

use crate::http::Client;

use super::{
    fleet::Addresses,
    orders::{Book, Draws, Order, customer_name},
};

/// Connections that send orders.
const CLIENTS: usize = 96;
/// Before an order that was turned away is sent again.
const RETRY: Duration = Duration::from_millis(100);
/// Before a client looks again whether it may go on.
const HELD_UP: Duration = Duration::from_millis(20);

/// What the load and those who watch it share.
pub(super) struct Load {
    seed: u64,
    draws: Mutex<Draws>,
    book: Mutex<Book>,
    /// One order of so many is sent once more, through another process, when it has been accepted.
    repeated: Option<u64>,
    /// Between the starts of two orders.
    interval: Duration,
    started: Instant,
    begun: AtomicU64,
    pub(super) accepted: AtomicU64,
    /// Requests that were not answered with 202.
    pub(super) turned_away: AtomicU64,
    /// Set while the queues are full enough.
    pub(super) hold: AtomicBool,
}

impl Load {
    /// A load that takes `shortest` or longer.
    pub(super) fn new(seed: u64, orders: usize, shortest: Duration) -> Self {
        Self {
            seed,
            draws: Mutex::new(Draws::new(seed, orders)),
            book: Mutex::default(),
            repeated: None,
            interval: shortest.div_f64(orders.max(1) as f64),
            started: Instant::now(),
            begun: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            hold: AtomicBool::new(false),
        }
    }

    /// One order of so many is sent once more.
    pub(super) fn repeating(self, one_of: u64) -> Self {
        Self { repeated: Some(one_of), ..self }
    }

    /// Sends all orders; returns when each has been accepted.
    pub(super) async fn run(self: &Arc<Self>, apis: &[SocketAddr]) -> anyhow::Result<()> {
        let mut clients = JoinSet::new();
        let others = apis.iter().cycle().skip(1);
        for (addr, other) in apis.iter().cycle().zip(others).take(CLIENTS) {
            clients.spawn(Arc::clone(self).client(Client::new(*addr), Client::new(*other)));
        }
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// The accepted orders, once the load is over.
    pub(super) fn into_book(self) -> Book {
        let mut book = self.book.into_inner().unwrap_or_else(PoisonError::into_inner);
        book.close();
        book
    }

    async fn client(self: Arc<Self>, mut client: Client, mut other: Client) -> anyhow::Result<()> {
        let draw = || lock(&self.draws).draw();
        let mut next = draw();
        while let Some(order) = next {
            while self.hold.load(Relaxed) {
                sleep(HELD_UP).await;
            }
            let number = self.begun.fetch_add(1, Relaxed);
            sleep_until(self.started + self.interval.mul_f64(number as f64)).await;
            let id = self.send(&mut client, order).await?;
            if self.repeated.is_some_and(|one_of| number.is_multiple_of(one_of)) {
                let again = self.send(&mut other, order).await?;
                ensure!(again == id, "{order:?} was answered with {id}, then with {again}");
            }
            lock(&self.book).accepted(id, order);
            self.accepted.fetch_add(1, Relaxed);
            let following = lock(&self.draws).following(order);
            next = following.or_else(draw);
        }
        Ok(())
    }

    async fn send(&self, client: &mut Client, order: Order) -> anyhow::Result<Uuid> {
        let (key, body) = (order.key(self.seed), order.body(self.seed));
        loop {
            let request = Request::post(order.path())
                .header("content-type", "application/json")
                .header("idempotency-key", &key);
            match client.send(request, body.clone()).await {
                Ok((status, answer)) if status == 202 => {
                    let event: Event = serde_json::from_slice(&answer)?;
                    ensure!(
                        event.is(order),
                        "{order:?} was answered with another's order: {answer:?}"
                    );
                    return Ok(event.order_id);
                }
                Ok((status, _)) if status.is_server_error() => {}
                Ok((status, answer)) => bail!("order-api answered {status}: {answer:?}"),
                // The API was killed, or its answer lost.
                Err(_) => {}
            }
            self.turned_away.fetch_add(1, Relaxed);
            sleep(RETRY).await;
        }
    }
}

/// What an answer or a message says of its order.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    pub(super) order_id: Uuid,
    customer_id: String,
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    product_id: String,
}

impl Event {
    /// Whether it is this order and no other.
    pub(super) fn is(&self, order: Order) -> bool {
        self.customer_id == customer_name(order.customer)
            && matches!(&self.items[..], [item] if item.product_id == order.product_id())
    }
}

/// A message that is no order, sent past the API. Its body names it.
pub(super) fn garbage_body(n: usize) -> String {
    format!("{{garbage-{n}")
}

/// Sends `count` messages that are no orders, spread over the load, to both queues in turn and among
/// the customers' orders.
pub(super) async fn send_garbage(
    load: Arc<Load>,
    addresses: Addresses,
    count: usize,
    orders: usize,
) -> anyhow::Result<()> {
    let mut client = Client::new(addresses.sqs);
    let customers = lock(&load.draws).customers();
    for n in 0..count {
        while load.accepted.load(Relaxed) < (orders * n / count) as u64 {
            sleep(HELD_UP).await;
        }
        let fifo = n % 2 == 1;
        // The busiest customers first, so that orders wait behind it.
        let group = customer_name((n / 2 % customers) as u32);
        let mut message = json!({
            "QueueUrl": addresses.queue(if fifo { super::fleet::FIFO } else { super::fleet::STANDARD }),
            "MessageBody": garbage_body(n),
            "MessageGroupId": group,
        });
        if fifo {
            message["MessageDeduplicationId"] = garbage_body(n).trim_start_matches('{').into();
        }
        let mut tries = 0;
        while let Err(error) = client.sqs("SendMessage", &message).await {
            tries += 1;
            if tries > 100 {
                return Err(error).context("a message cannot be sent");
            }
            sleep(RETRY).await;
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
