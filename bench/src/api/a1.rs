//! A1: what the API adds to a bare SendMessage, at half of the load that it can take.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use hyper::{Request, body::Bytes, http::request::Builder};
use serde_json::json;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Api, closed_loop, order, quantile, request};
use crate::{
    http::Client,
    process::{build, leave_the_measured_core},
    results::Section,
    role::fraction,
    server::Server,
    sqs::median,
};

/// Milliseconds that may be added to the median and to the slowest hundredth.
const ADDED: [f64; 2] = [1.0, 3.0];
/// More are never busy unless the measuring process itself is held up; then orders wait for one, either way.
const CONNECTIONS: usize = 512;

/// What is sent, and to whom.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Bare,
    Api,
}

impl Way {
    fn addr(self, server: &Server, api: &Api) -> SocketAddr {
        if self == Self::Api { api.addr } else { server.addr }
    }

    fn request(self, sqs: SocketAddr, queue_type: &str, number: usize) -> (Builder, Bytes) {
        match self {
            Self::Api => request(queue_type, number),
            Self::Bare => bare(sqs, queue_type, number),
        }
    }
}

pub(crate) async fn run(quick: bool) -> anyhow::Result<()> {
    let binaries = build()?;
    leave_the_measured_core()?;
    let (orders, rounds) = if quick { (3_000, 1) } else { (30_000, 5) };
    let mut text = String::from(
        "| queue | round trip | orders/s | bare p50 | API p50 | added | bare p99 | API p99 | added |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let mut missed = Vec::new();
    for queue_type in ["standard", "fifo"] {
        for round_trip in [0, 10] {
            let server = Server::start(&binaries)?;
            let api = Api::start(&binaries, &server, 10)?;
            server.connect().await?.hold_up_sends(Duration::from_millis(round_trip)).await?;
            // What so many clients can send either way.
            let mut most = f64::INFINITY;
            for way in [Way::Api, Way::Bare] {
                let (addr, sqs) = (way.addr(&server, &api), server.addr);
                let orders_of = move |number| way.request(sqs, queue_type, number);
                closed_loop(addr, 128, orders / 4, orders_of).await?;
                let began = Instant::now();
                closed_loop(addr, 128, orders, orders_of).await?;
                most = most.min(orders as f64 / began.elapsed().as_secs_f64());
            }
            let rate = most / 2.0;
            let mut quantiles: [[Vec<f64>; 2]; 2] = Default::default();
            for round in 0..rounds {
                for turn in 0..2 {
                    let way = if (turn + round) % 2 == 0 { Way::Bare } else { Way::Api };
                    let took = at_rate(&server, &api, way, queue_type, orders, rate).await?;
                    let of = &mut quantiles[usize::from(way == Way::Api)];
                    of[0].push(quantile(&took, 0.5));
                    of[1].push(quantile(&took, 0.99));
                }
            }
            let [bare, through] = quantiles;
            write!(text, "| {queue_type} | {round_trip} ms | {rate:.0} |")?;
            for (which, ((bare, through), most)) in bare.iter().zip(&through).zip(ADDED).enumerate()
            {
                let added = through.iter().zip(bare).map(|(through, bare)| through - bare);
                let added = median(added.collect())?;
                let (bare, through) = (median(bare.clone())?, median(through.clone())?);
                write!(text, " {bare:.2} ms | {through:.2} ms | {added:.2} ms |")?;
                println!("{queue_type}, {round_trip} ms: {added:.2} ms added to {bare:.2} ms");
                if added > most {
                    let what = ["p50", "p99"][which];
                    missed.push(format!(
                        "{added:.2} ms added to {what} on the {queue_type} queue, round trip {round_trip} ms"
                    ));
                }
            }
            writeln!(text)?;
        }
    }
    writeln!(
        text,
        "\nOrders of 1,000 customers at half the rate that 128 clients reach either way, with exponential \
         times between them, over {CONNECTIONS} connections; a time counts from when an order was due. Bare: the same \
         orders, each sent by a SendMessage from the measuring process. The API is alone on a core, the rest on \
         the other. Medians of {rounds} interleaved rounds of {orders} orders; what is added is that of each round. \
         Wanted: at most {} ms and {} ms.",
        ADDED[0], ADDED[1]
    )?;
    let command = "cargo run --release -p bench -- a1";
    Section { title: "A1: what the order API adds at half load", command, text }
        .conclude(quick, &missed)
}

/// Sends orders at a rate; how long each took since it was due.
async fn at_rate(
    server: &Server,
    api: &Api,
    way: Way,
    queue_type: &'static str,
    orders: usize,
    rate: f64,
) -> anyhow::Result<Vec<Duration>> {
    let addr = way.addr(server, api);
    let (free, mut clients) = mpsc::unbounded_channel();
    for _ in 0..CONNECTIONS {
        free.send(Client::new(addr))?;
    }
    let mut tasks = JoinSet::new();
    let mut due = Instant::now() + Duration::from_millis(50);
    let sqs = server.addr;
    for number in 0..orders {
        due += Duration::from_secs_f64(-(1.0 - fraction(number as u64, 4)).ln() / rate);
        sleep_until(due).await;
        let mut client = clients.recv().await.context("clients come back")?;
        let (request, body) = way.request(sqs, queue_type, number);
        let free = free.clone();
        tasks.spawn(async move {
            let (status, body) = client.send(request, body).await?;
            ensure!(status.is_success(), "{status}: {body:?}");
            let took = due.elapsed();
            free.send(client)?;
            anyhow::Ok(took)
        });
    }
    let mut all = Vec::with_capacity(orders);
    while let Some(took) = tasks.join_next().await {
        all.push(took??);
    }
    all.sort_unstable();
    Ok(all)
}

fn bare(sqs: SocketAddr, queue_type: &str, number: usize) -> (Builder, Bytes) {
    let queue = if queue_type == "fifo" { "order-queue.fifo" } else { "order-queue-standard" };
    let mut message = json!({
        "QueueUrl": format!("http://{sqs}/000000000000/{queue}"),
        "MessageBody": order(number),
        "MessageGroupId": format!("customer-{:04}", number % super::CUSTOMERS),
    });
    if queue_type == "fifo" {
        message["MessageDeduplicationId"] = json!(uuid::Uuid::new_v4());
    }
    let request = Request::post("/")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "AmazonSQS.SendMessage");
    (request, Bytes::from(message.to_string()))
}
