//! A2: the API at saturation, against itself with a call per order.

use std::fmt::Write as _;

use super::{Api, Generator, Options, orders, quantile};
use crate::{
    process::{build, leave_the_measured_core},
    results::Section,
    server::Server,
    sqs::median,
};

/// At least so many times the orders per processor second.
const RATIO: f64 = 3.0;
/// At most so many calls per order.
const CALLS: f64 = 0.15;
/// The slowest hundredth takes at most so many times the median.
const SPREAD: f64 = 5.0;
/// MiB of the API's memory at most.
const MEMORY: f64 = 60.0;
/// At once.
const CLIENTS: [usize; 2] = [128, 256];
const BATCHES: [(&str, usize); 2] = [("a SendMessage per order", 1), ("order-api", 10)];

#[derive(Default)]
struct Figures {
    per_cpu_second: Vec<f64>,
    per_second: Vec<f64>,
    calls: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    memory: Vec<f64>,
}

/// What is sent in a round.
struct Orders<'a> {
    queue_type: &'a str,
    clients: usize,
    count: usize,
}

pub(crate) async fn run(options: Options<'_>) -> anyhow::Result<()> {
    let binaries = build()?;
    leave_the_measured_core()?;
    let (count, rounds) = if options.quick { (20_000, 1) } else { (60_000, 5) };
    let mut text = String::from(
        "| queue | clients | API | orders per CPU-second | of a call per order | orders/s | calls per order | p50 | p99 | memory |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    let mut missed = Vec::new();
    let cells =
        ["standard", "fifo"].into_iter().flat_map(|queue| CLIENTS.map(|load| (queue, load)));
    for (queue_type, clients) in cells {
        let mut figures = [Figures::default(), Figures::default()];
        for round in 0..rounds {
            for turn in 0..BATCHES.len() {
                // Each round in another order.
                let which = (turn + round) % BATCHES.len();
                let (name, batch) = BATCHES[which];
                let server = Server::start(&binaries)?;
                let api = Api::start(&binaries, &server, batch, &options)?;
                let orders = Orders { queue_type, clients, count };
                measure(&server, &api, &orders, &mut figures[which]).await?;
                let rate = figures[which].per_cpu_second.last().unwrap_or(&f64::NAN);
                println!(
                    "{queue_type}, {clients} clients, round {} of {rounds}: {name}: {rate:.0} orders per CPU-second",
                    round + 1
                );
            }
        }
        let [single, batched] = &figures;
        let ratios = single.per_cpu_second.iter().zip(&batched.per_cpu_second);
        let ratio = median(ratios.map(|(single, batched)| batched / single).collect())?;
        for (figures, (name, batch)) in figures.iter().zip(BATCHES) {
            let of = if batch == 1 { 1.0 } else { ratio };
            let all = [
                &figures.per_cpu_second,
                &figures.per_second,
                &figures.calls,
                &figures.p50,
                &figures.p99,
                &figures.memory,
            ];
            let medians = all.map(|figures| median(figures.clone()));
            let [per_cpu_second, per_second, calls, p50, p99, memory] = medians;
            let (calls, p50, p99, memory) = (calls?, p50?, p99?, memory?);
            writeln!(
                text,
                "| {queue_type} | {clients} | {name} | {:.0} | {of:.2} | {:.0} | {calls:.3} | {p50:.1} ms | {p99:.1} ms | {memory:.1} MiB |",
                per_cpu_second?, per_second?,
            )?;
            let mut wanted = |holds: bool, what: String| {
                if !holds && batch > 1 {
                    missed.push(format!("{what} on the {queue_type} queue with {clients} clients"));
                }
            };
            wanted(of >= RATIO, format!("{of:.2} times the orders per CPU-second"));
            wanted(calls <= CALLS, format!("{calls:.3} calls per order"));
            wanted(p99 <= SPREAD * p50, format!("p99 {:.1} times the median", p99 / p50));
            wanted(memory <= MEMORY, format!("{memory:.1} MiB"));
        }
    }
    writeln!(
        text,
        "\n{count} orders of 10,000 customers, drawn at random, by clients, each of which sends its next order when the last \
         one is accepted; the API alone on a core, clients and SQS on the other. A call per order is the \
         same API with `PUBLISH_BATCH=1`. Memory is VmRSS after the load. Medians of {rounds} interleaved \
         rounds; the ratio is that of each round. Wanted: {RATIO} times, at most {CALLS} calls, p99 at most {SPREAD} \
         times the median, {MEMORY} MiB.",
    )?;
    let command = "cargo run --release -p bench -- a2";
    Section { title: "A2: the order API at saturation", command, text }
        .conclude(options.is_trial(), &missed)
}

async fn measure(
    server: &Server,
    api: &Api,
    &Orders { queue_type, clients, count }: &Orders<'_>,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let mut connection = server.connect().await?;
    let mut orders = orders(&[queue_type]);
    let mut clients = Generator::open(api.addr, clients)?;
    // Connections and buffers.
    clients.closed_loop(&mut orders, count / 10)?;
    let calls_before = sends(&mut connection).await?;
    let cpu_before = api.process.exact_cpu_time()?;
    let began = tokio::time::Instant::now();
    let took = clients.closed_loop(&mut orders, count)?;
    let elapsed = began.elapsed();
    let cpu = api.process.exact_cpu_time()?.saturating_sub(cpu_before);
    let calls = sends(&mut connection).await? - calls_before;
    figures.per_cpu_second.push(count as f64 / cpu.as_secs_f64());
    figures.per_second.push(count as f64 / elapsed.as_secs_f64());
    figures.calls.push(calls as f64 / count as f64);
    figures.p50.push(quantile(&took, 0.5));
    figures.p99.push(quantile(&took, 0.99));
    figures.memory.push(api.process.resident_kib()? as f64 / 1024.0);
    Ok(())
}

async fn sends(connection: &mut crate::sqs::Connection) -> anyhow::Result<u64> {
    let requests = connection.requests().await?;
    Ok(requests.iter().filter(|(name, _)| name.starts_with("SendMessage")).map(|(_, n)| n).sum())
}
