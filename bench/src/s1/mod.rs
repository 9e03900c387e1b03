//! How fast local-sqs is, and whether it stays so: throughput by backlog and groups, the time in
//! which a long poll wakes, memory per message.

mod memory;
mod throughput;
mod wake;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

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
}

impl Scale {
    pub(crate) const FULL: Self = Self { backlog: 1_000_000, rounds: 7, messages: 40_000 };
    /// For checks that the measurement itself works.
    pub(crate) const QUICK: Self = Self { backlog: 100_000, rounds: 3, messages: 10_000 };
}

pub(crate) fn run(scale: Scale) -> anyhow::Result<()> {
    let binaries = build(&["local-sqs"])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut text = throughput::measure(&binaries, scale).await?;
        writeln!(text, "\n{}\n", wake::measure(&binaries).await?)?;
        writeln!(text, "{}", memory::measure(&binaries, scale).await?)?;
        let command = if scale.backlog == Scale::FULL.backlog {
            "cargo run --release -p bench -- s1"
        } else {
            "cargo run --release -p bench -- s1 --quick"
        };
        Section { title: "S1: local-sqs", command, text }.write()
    })
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
