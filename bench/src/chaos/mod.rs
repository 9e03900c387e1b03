//! The whole fleet under attack: real processes, killed, stopped and paused at random while orders go
//! through them and the server answers every twentieth call with an error; then an audit.

#![expect(clippy::disallowed_types, reason = "other processes, in real time")]

mod attempt;
mod audit;
mod findings;
mod fleet;
pub(crate) mod kill;
mod load;
mod monkey;
mod orders;
mod queues;
mod report;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::time::{MissedTickBehavior, interval};

use self::{
    audit::Evidence,
    findings::{Findings, STRANDED, UNCLEAN_EXIT},
    fleet::{Fleet, Tally},
    load::Load,
    monkey::Monkey,
};
use crate::process::build;

/// Orders of a full run, whose report is kept.
const FULL: usize = 1_000_000;
/// A load of few orders is spread over this, so that something happens to it.
const SHORTEST: Duration = Duration::from_mins(1);
/// The load waits while more messages than these are in the queues.
const BACKLOG: u64 = 20_000;
const TICK: Duration = Duration::from_millis(100);
/// Ticks between looks at the queues, lines of progress, and changes of the faults.
const LOOK: u64 = 10;
const LINE: u64 = 50;
const FAULTS: u64 = 100;
/// Without progress for so long, the run has failed. Several visibility timeouts.
const STUCK: Duration = Duration::from_secs(90);

/// What is asked for on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    orders: usize,
    seed: u64,
    keep: bool,
}

impl Options {
    /// Nothing when the words are no options.
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let mut options = Self { orders: FULL, seed: 1, keep: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--orders" => options.orders = words.next()?.parse().ok().filter(|n| *n > 0)?,
                "--seed" => options.seed = words.next()?.parse().ok()?,
                "--keep" => options.keep = true,
                _ => return None,
            }
        }
        Some(options)
    }
}

pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let binaries = build()?;
    let scratch = std::env::temp_dir().join(format!("fleet-chaos-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(attack(options, &binaries, &scratch));
    let is_clean = outcome.as_ref().is_ok_and(Findings::is_clean);
    if options.keep || !is_clean {
        println!("the processes' logs and the store are in {}", scratch.display());
    } else {
        std::fs::remove_dir_all(&scratch)?;
    }
    outcome?;
    ensure!(is_clean, "the audit has found violations");
    Ok(())
}

async fn attack(options: Options, binaries: &Path, scratch: &Path) -> anyhow::Result<Findings> {
    let Options { orders, seed, .. } = options;
    let fleet = Fleet::start(binaries, scratch, seed)?;
    let addresses = fleet.addresses.clone();
    let load = Arc::new(Load::new(seed, orders, SHORTEST));
    let garbage = (orders / 5_000).max(10);
    let mut loading = {
        let (load, addresses) = (Arc::clone(&load), addresses.clone());
        tokio::spawn(async move {
            let apis = addresses.apis.clone();
            let garbage = load::send_garbage(Arc::clone(&load), addresses, garbage, orders);
            tokio::try_join!(load.run(&apis), garbage).map(drop)
        })
    };
    let mut run = Run {
        fleet,
        load,
        began: Instant::now(),
        ticks: 0,
        progress: (0, 0),
        progressed: Instant::now(),
    };

    let mut monkey = Monkey::new(seed);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            loaded = &mut loading => {
                loaded??;
                break;
            }
            _ = tick.tick() => {
                run.look(seed).await?;
                monkey.act(&mut run.fleet).await?;
            }
        }
    }
    let loaded = run.began.elapsed();
    while run.waiting().await? > 0 {
        tick.tick().await;
        run.look(seed).await?;
        monkey.leave(&mut run.fleet)?;
    }
    let finished = run.began.elapsed();
    while !run.fleet.workers.is_empty() {
        monkey::stop_all(&mut run.fleet)?;
        tick.tick().await;
        run.fleet.look()?;
    }

    let Run { mut fleet, load, .. } = run;
    let left = queues::counts(&addresses).await?.waiting();
    if left > 0 {
        fleet.tally.stranded += left;
        fleet.tally.faults.push(format!("{left} messages in the queues after the last drain"));
    }
    let (calls, refused) = queues::calls(&addresses).await?;
    queues::end_faults(&addresses).await?;
    let letters = queues::dead_letters(&addresses).await?;
    let turned_away = load.turned_away.load(Relaxed);
    let load = Arc::into_inner(load).context("the load is over")?;
    let book = load.into_book();
    let mut findings = Findings::new();
    let evidence =
        Evidence { seed, book: &book, garbage, letters: &letters, pauses: &fleet.pauses };
    audit::audit(&addresses.database(), evidence, &mut findings).await?;
    for _ in 0..fleet.tally.stranded {
        findings.add(STRANDED, || "see the workers' exits".to_owned());
    }
    for fault in &fleet.tally.faults {
        findings.add(UNCLEAN_EXIT, || fault.clone());
    }
    let figures = report::Figures {
        seed,
        orders: book.len(),
        loaded,
        finished,
        calls,
        refused,
        turned_away,
        tally: &fleet.tally,
        cpu: fleet.cpu_times(),
    };
    report::write(&figures, &findings, orders == FULL)?;
    enough_happened(&fleet.tally, orders == FULL)?;
    ensure!(25 * refused >= calls, "only {refused} of {calls} calls were refused, of one in 20");
    Ok(findings)
}

/// An audit after which nothing was attacked proves nothing.
fn enough_happened(tally: &Tally, is_full: bool) -> anyhow::Result<()> {
    let least = if is_full { 5 } else { 1 };
    let happened = [
        ("kills", tally.kills),
        ("stops", tally.stops),
        ("pauses", tally.pauses),
        ("changes of the number of workers", tally.scalings),
    ];
    for (what, count) in happened {
        ensure!(count >= least, "only {count} {what} have happened, of at least {least}");
    }
    if is_full {
        ensure!(tally.whole_fleet_stops > 0, "the whole fleet was never stopped under load");
        ensure!(tally.api_kills > 0, "order-api was never killed");
    }
    Ok(())
}

/// What is looked at while it runs.
struct Run {
    fleet: Fleet,
    load: Arc<Load>,
    began: Instant,
    ticks: u64,
    /// Accepted orders and messages in the queues, when they last changed.
    progress: (u64, u64),
    progressed: Instant,
}

impl Run {
    async fn waiting(&self) -> anyhow::Result<u64> {
        Ok(queues::counts(&self.fleet.addresses).await?.waiting())
    }

    /// Keeps the backlog bounded, the faults changing and whoever watches informed.
    async fn look(&mut self, seed: u64) -> anyhow::Result<()> {
        let ticks = self.ticks;
        self.ticks += 1;
        if ticks.is_multiple_of(FAULTS) {
            let round = (ticks / FAULTS) as usize;
            queues::set_faults(&self.fleet.addresses, seed, round).await?;
        }
        if !ticks.is_multiple_of(LOOK) {
            return Ok(());
        }
        let counts = queues::counts(&self.fleet.addresses).await?;
        let (accepted, waiting) = (self.load.accepted.load(Relaxed), counts.waiting());
        self.load.hold.store(waiting > BACKLOG, Relaxed);
        if self.progress != (accepted, waiting) {
            self.progress = (accepted, waiting);
            self.progressed = Instant::now();
        }
        ensure!(self.progressed.elapsed() < STUCK, "no progress in {STUCK:?}: {counts:?}");
        if ticks.is_multiple_of(LINE) {
            let seconds = self.began.elapsed().as_secs_f64();
            let tally = &self.fleet.tally;
            println!(
                "{seconds:5.0} s: {accepted} accepted, {waiting} in the queues ({} in flight), {} dead letters, {:.0} orders/s; {} workers; {} kills, {} stops, {} pauses",
                counts.in_flight(),
                counts.dead_letters(),
                accepted.saturating_sub(waiting) as f64 / seconds,
                self.fleet.running(),
                tally.kills,
                tally.stops,
                tally.pauses,
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_or_refused_as_a_whole() {
        let full = Options { orders: FULL, seed: 1, keep: false };
        assert_eq!(Options::parse(&[]), Some(full));
        let some = Options { orders: 20, seed: 7, keep: true };
        assert_eq!(Options::parse(&["--keep", "--orders", "20", "--seed", "7"]), Some(some));
        for wrong in [&["--orders"][..], &["--orders", "0"], &["--seed", "x"], &["--fast"]] {
            assert_eq!(Options::parse(wrong), None, "{wrong:?}");
        }
    }
}
