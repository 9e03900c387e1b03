//! How fast local-sqs is, and whether it stays so: throughput by backlog and groups, the time in
//! which a long poll wakes, memory per message.

mod memory;
mod throughput;
mod wake;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::ensure;

use crate::{
    process::{Process, build, free_address, wait_until_ready},
    results::Section,
    sqs::Connection,
};

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// Messages of the largest backlog; the smaller one is a tenth of it.
    pub(crate) backlog: usize,
    /// Interleaved rounds.
    pub(crate) rounds: usize,
    /// Messages per scenario and round.
    pub(crate) messages: usize,
    /// Whether the figures are kept and held to their bounds.
    pub(crate) is_full: bool,
}

impl Scale {
    pub(crate) const FULL: Self =
        Self { backlog: 1_000_000, rounds: 9, messages: 30_000, is_full: true };
    /// For checks that the measurement itself works: nothing is kept, and nothing is held to a bound.
    pub(crate) const QUICK: Self =
        Self { backlog: 100_000, rounds: 3, messages: 10_000, is_full: false };
}

pub(crate) fn run(scale: Scale) -> anyhow::Result<()> {
    let binaries = build(&["local-sqs"])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut missed = Vec::new();
    let text = runtime.block_on(async {
        let throughput = throughput::measure(&binaries, scale, &mut missed).await?;
        let wake = wake::measure(&binaries, &mut missed).await?;
        let memory = memory::measure(&binaries, scale, &mut missed).await?;
        anyhow::Ok(format!("{throughput}\n{wake}\n\n{memory}\n"))
    })?;
    if !scale.is_full {
        println!("{text}");
        return Ok(());
    }
    Section { title: "S1: local-sqs", command: "cargo run --release -p bench -- s1", text }
        .write()?;
    ensure!(missed.is_empty(), "a bound is missed: {}", missed.join("; "));
    Ok(())
}

/// A server of its own, and where it is.
struct Server {
    process: Process,
    addr: SocketAddr,
}

impl Server {
    fn start(binaries: &Path) -> anyhow::Result<Self> {
        let addr = free_address()?;
        let env = BTreeMap::from([("LOCAL_SQS_ADDR", addr.to_string())]);
        let binary: PathBuf = binaries.join("local-sqs");
        let process = Process::start(&binary, &env)?;
        wait_until_ready(addr, "/health")?;
        Ok(Self { process, addr })
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.addr).await
    }
}
