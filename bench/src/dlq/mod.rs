//! The monitor with many dead letters: how soon it shows and knows them, what pages take meanwhile, its
//! memory, and how fast it brings them back. In the end every message must be somewhere.

mod audit;
mod jobs;
mod report;
mod scene;
mod watch;

use std::path::Path;

use anyhow::ensure;

use self::{
    jobs::Job,
    scene::{FIFO, FIFO_DLQ, STANDARD, STANDARD_DLQ, Scene},
    watch::Watched,
};
use crate::{results::Section, stage::prepare};

/// Dead letters of the large scene's standard queue; the small one has a tenth.
const FULL: usize = 100_000;
const QUICK: usize = 5_000;
/// The most memory, in MiB, as of the order API under load: of each message in sight a handle is held.
const MEMORY: f64 = 60.0;

/// What was measured with one number of dead letters.
struct Measured {
    letters: usize,
    watched: Watched,
    jobs: Vec<Job>,
    /// The most memory, in KiB: until all was seen, and until all was brought back.
    peaks: [u64; 2],
    /// Copies too many of messages that were brought back.
    copies: usize,
}

pub(crate) async fn run(quick: bool) -> anyhow::Result<()> {
    let binaries = prepare()?;
    let most = if quick { QUICK } else { FULL };
    let mut measured = Vec::new();
    for letters in [most / 10, most] {
        measured.push(measure(&binaries, letters).await?);
    }
    let mut missed = Vec::new();
    for of in &measured {
        let most = of.peaks[1] as f64 / 1024.0;
        if most > MEMORY {
            missed.push(format!("{most:.1} MiB with {} dead letters", of.letters));
        }
    }
    let text = report::text(&measured, MEMORY)?;
    let command = "cargo run --release -p bench -- dlq";
    Section { title: "DLQ: the monitor with many dead letters", command, text }
        .conclude(quick, &missed)
}

async fn measure(binaries: &Path, letters: usize) -> anyhow::Result<Measured> {
    println!("{letters} dead letters");
    let mut scene = Scene::set_up(binaries, letters).await?;
    let watched = watch::watch(&mut scene).await?;
    let seen = scene.monitor.peak_kib()?;
    let jobs = jobs::bring_back(&mut scene).await?;
    let all = scene.monitor.peak_kib()?;
    scene.monitor.terminate()?;
    let copies = audit::audit(&scene).await?;
    ensure!(jobs.iter().map(|job| job.done).sum::<u64>() == scene.total() as u64, "{jobs:?}");
    Ok(Measured { letters, watched, jobs, peaks: [seen, all], copies })
}
