//! How fast local-sqs is, and whether it stays so: throughput by backlog and groups, the time in
//! which a long poll wakes, memory per message.

mod memory;
mod throughput;
mod wake;

use crate::{process::build, results::Section};

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
    let binaries = build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut missed = Vec::new();
    let text = runtime.block_on(async {
        let throughput = throughput::measure(&binaries, scale, &mut missed).await?;
        let wake = wake::measure(&binaries, &mut missed).await?;
        let memory = memory::measure(&binaries, scale, &mut missed).await?;
        anyhow::Ok(format!("{throughput}\n{wake}\n\n{memory}\n"))
    })?;
    let command = "cargo run --release -p bench -- s1";
    Section { title: "S1: local-sqs", command, text }.conclude(!scale.is_full, &missed)
}
