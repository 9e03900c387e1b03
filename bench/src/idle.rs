//! Idle memory and time to ready of each service.

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

use crate::{
    process::{Process, build, free_address, wait_until_ready},
    results::Section,
};

const ROUNDS: usize = 5;
/// Long enough for the first polls and observations to be over.
const SETTLE: Duration = Duration::from_secs(3);

pub(crate) fn run() -> anyhow::Result<()> {
    let binaries = build()?;
    let scratch = std::env::temp_dir().join(format!("fleet-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let measured = measure(&binaries, &scratch);
    std::fs::remove_dir_all(&scratch)?;
    let mut text =
        String::from("| service | resident memory, idle | start to ready |\n|---|---|---|\n");
    for (name, kib, ready) in measured? {
        let mib = kib as f64 / 1024.0;
        let ms = ready.as_secs_f64() * 1e3;
        writeln!(text, "| {name} | {mib:.1} MiB | {ms:.0} ms |")?;
    }
    writeln!(text, "\nMedians of {ROUNDS} starts; memory is VmRSS {SETTLE:?} after ready.")?;
    Section { title: "R1: idle services", command: "cargo run --release -p bench -- idle", text }
        .write()
}

fn measure(binaries: &Path, scratch: &Path) -> anyhow::Result<Vec<(&'static str, u64, Duration)>> {
    let sqs = free_address()?;
    let server = BTreeMap::from([("LOCAL_SQS_ADDR", sqs.to_string())]);
    let _server = Process::start(&binaries.join("local-sqs"), &server)?;
    wait_until_ready(sqs, "/health")?;
    let mut medians = Vec::new();
    for name in ["order-api", "delivery-worker", "dlq-monitor"] {
        let (mut memory, mut times) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let admin = free_address()?;
            let database = scratch.join(format!("{name}-{round}.db"));
            let env = environment(sqs, admin, &database)?;
            let started = Instant::now();
            let service = Process::start(&binaries.join(name), &env)?;
            wait_until_ready(admin, "/readyz")?;
            times.push(started.elapsed());
            std::thread::sleep(SETTLE);
            memory.push(service.resident_kib()?);
        }
        memory.sort_unstable();
        times.sort_unstable();
        medians.push((name, memory[ROUNDS / 2], times[ROUNDS / 2]));
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
        ("LISTEN_ADDR", free_address()?.to_string()),
        ("ADMIN_ADDR", admin.to_string()),
        ("DATABASE_URL", format!("sqlite://{}", database.display())),
    ]))
}
