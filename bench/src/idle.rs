//! Memory and time to ready of each service: idle, and at its peak while orders go through the fleet.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "measures other processes, in real time and without a runtime"
)]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use crate::{
    api::{Generator, orders},
    process::{Process, build, free_address},
    results::Section,
    server::Server,
};

/// Starts of each service, and in a quick measurement.
const ROUNDS: [usize; 2] = [5, 1];
/// Long enough for the first polls and observations to be over.
const SETTLE: Duration = Duration::from_secs(3);

const SERVICES: [&str; 3] = ["order-api", "delivery-worker", "dlq-monitor"];
/// MiB at load at most.
const MOST: f64 = 60.0;
const ORDERS: usize = 60_000;
const CLIENTS: usize = 128;

/// A quick measurement is only printed; the memory is held to its bound all the same.
pub(crate) async fn run(quick: bool) -> anyhow::Result<()> {
    let rounds = ROUNDS[usize::from(quick)];
    let binaries = build()?;
    let scratch = std::env::temp_dir().join(format!("fleet-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let measured = match measure(&binaries, &scratch, rounds) {
        Ok(idle) => at_load(&binaries, &scratch).await.map(|peaks| (idle, peaks)),
        Err(error) => Err(error),
    };
    std::fs::remove_dir_all(&scratch)?;
    let (idle, peaks) = measured?;
    let mut text = String::from(
        "| service | resident memory, idle | at load, at most | start to ready |\n|---|---|---|---|\n",
    );
    let mut missed = Vec::new();
    for ((name, kib, ready), peak) in idle.into_iter().zip(peaks) {
        let [mib, peak] = [kib, peak].map(|kib| kib as f64 / 1024.0);
        let ms = ready.as_secs_f64() * 1e3;
        writeln!(text, "| {name} | {mib:.1} MiB | {peak:.1} MiB | {ms:.0} ms |")?;
        if peak > MOST {
            missed.push(format!("{name} at load: {peak:.1} MiB"));
        }
    }
    writeln!(
        text,
        "\nIdle: medians of {rounds} starts, VmRSS {SETTLE:?} after ready. At load: VmHWM, the highest that it ever was, \
         of one process of each while {CLIENTS} clients send {ORDERS} orders, half of them to each queue, as fast as they \
         are accepted, and until all are delivered; the store is SQLite. Wanted: {MOST} MiB."
    )?;
    let command = "cargo run --release -p bench -- idle";
    Section { title: "R1: the services' memory and start", command, text }
        .conclude(quick, &missed)?;
    ensure!(missed.is_empty(), "a bound is missed: {}", missed.join("; "));
    Ok(())
}

/// The most memory of each service, in KiB, while orders go through all of them.
async fn at_load(binaries: &Path, scratch: &Path) -> anyhow::Result<Vec<u64>> {
    let sqs = Server::start(binaries)?;
    let database = scratch.join("load.db");
    let mut services = Vec::new();
    let mut api = None;
    for name in SERVICES {
        let admin = free_address()?;
        let env = environment(sqs.addr, admin, &database)?;
        api = api.or(env["LISTEN_ADDR"].parse().ok());
        let mut service = Process::start(&binaries.join(name), &env)?;
        service.wait_until_ready(admin, "/readyz")?;
        services.push(service);
    }
    let api = api.context("the first of them is the API")?;
    let mut orders = orders(&["standard", "fifo"]);
    Generator::open(api, CLIENTS)?.closed_loop(&mut orders, ORDERS)?;
    let mut connection = sqs.connect().await?;
    for queue in ["order-queue-standard", "order-queue.fifo"] {
        connection.emptied(queue).await?;
    }
    services.iter().map(Process::peak_kib).collect()
}

fn measure(
    binaries: &Path,
    scratch: &Path,
    rounds: usize,
) -> anyhow::Result<Vec<(&'static str, u64, Duration)>> {
    let sqs = free_address()?;
    let server = BTreeMap::from([("LOCAL_SQS_ADDR", sqs.to_string())]);
    let mut server = Process::start(&binaries.join("local-sqs"), &server)?;
    server.wait_until_ready(sqs, "/health")?;
    let mut medians = Vec::new();
    for name in SERVICES {
        let (mut memory, mut times) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let admin = free_address()?;
            let database = scratch.join(format!("{name}-{round}.db"));
            let env = environment(sqs, admin, &database)?;
            let started = Instant::now();
            let mut service = Process::start(&binaries.join(name), &env)?;
            service.wait_until_ready(admin, "/readyz")?;
            times.push(started.elapsed());
            std::thread::sleep(SETTLE);
            memory.push(service.resident_kib()?);
        }
        memory.sort_unstable();
        times.sort_unstable();
        medians.push((name, memory[rounds / 2], times[rounds / 2]));
    }
    Ok(medians)
}

fn environment(
    sqs: SocketAddr,
    admin: SocketAddr,
    database: &Path,
) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let queue = |name: &str| format!("http://{sqs}/000000000000/{name}");
    Ok(BTreeMap::from([
        ("AWS_SQS_ENDPOINT", format!("http://{sqs}")),
        ("SQS_QUEUE_URL_STANDARD", queue("order-queue-standard")),
        ("SQS_QUEUE_URL_STANDARD_DLQ", queue("order-queue-standard-dlq")),
        ("SQS_QUEUE_URL_FIFO", queue("order-queue.fifo")),
        ("SQS_QUEUE_URL_FIFO_DLQ", queue("order-queue-dlq.fifo")),
        // As the images set it: with huge pages the memory is counted in steps of two megabytes.
        ("MIMALLOC_ALLOW_THP", "0".to_owned()),
        ("LISTEN_ADDR", free_address()?.to_string()),
        ("ADMIN_ADDR", admin.to_string()),
        ("DATABASE_URL", format!("sqlite://{}", database.display())),
    ]))
}
