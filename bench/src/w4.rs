//! W4: how many calls a message costs, and how many an empty queue.

mod idle;
mod lingers;

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::ensure;
use tokio::time::sleep;

use crate::{
    load::Load,
    results::Section,
    role::{Client, Kind, Spec, Until, Work},
    sqs::median,
    stage::{Groups, Stage, prepare},
};

/// At most so many calls a message; a receive and a delete of ten make 0.2.
const CALLS: f64 = 0.25;
/// Of the rate that is reached with a backlog; where there was none, of what the handlers can do.
const LOAD: f64 = 0.9;
/// Of what arrives, at least so much is consumed meanwhile; else the queue grows, and it is not the
/// calls of a load that can be followed.
const FOLLOWED: f64 = 0.97;
const GROUPS: usize = 1_000;
/// A trial lasts for so many times the handlers' time at least, in relation to that of quick ones: they
/// settle so few a second.
const HANDLERS_TIMES: f64 = 15.0;
const SECONDS: f64 = 3.0;

#[derive(Clone, Copy)]
struct Cell {
    fifo: bool,
    handler_ms: f64,
    concurrency: usize,
    round_trip: Duration,
    load: Kept,
}

/// What is in the queue.
#[derive(Clone, Copy, PartialEq)]
enum Kept {
    /// All messages, from the start.
    Backlog,
    /// Those that arrive while others are consumed, as fast as the backlog of the cell before has
    /// told that they can be followed.
    AsReached,
    /// The same, as fast as the handlers can be expected to follow.
    AsExpected,
}

impl Cell {
    fn capacity(self) -> f64 {
        self.concurrency as f64 / self.handler_ms * 1e3
    }

    fn groups(self) -> Groups {
        if self.fifo { Groups::Equal(GROUPS) } else { Groups::None }
    }

    fn is_steady(self) -> bool {
        self.load != Kept::Backlog
    }

    fn handler(self) -> Duration {
        Duration::from_secs_f64(self.handler_ms / 1e3)
    }

    /// How much longer than others a trial of it is.
    fn longer(self) -> f64 {
        (HANDLERS_TIMES * self.handler().as_secs_f64() / SECONDS).max(1.0)
    }
}

struct Figures {
    calls: f64,
    /// How long messages were in the queue before they were received, in seconds.
    waited: f64,
    /// Messages per second, consumed and arriving.
    rate: f64,
    arrivals: f64,
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for fifo in [false, true] {
        let mut add = |handler_ms, concurrency, round_trip, load| {
            let round_trip = Duration::from_millis(round_trip);
            cells.push(Cell { fifo, handler_ms, concurrency, round_trip, load });
        };
        for (handler_ms, concurrency) in [(1.0, 8), (5.0, 32), (20.0, 64)] {
            for round_trip in [0, 10] {
                add(handler_ms, concurrency, round_trip, Kept::Backlog);
                add(handler_ms, concurrency, round_trip, Kept::AsReached);
            }
        }
        for (handler_ms, round_trip) in
            [(50.0, 0), (50.0, 10), (200.0, 0), (200.0, 10), (500.0, 10), (2_000.0, 10)]
        {
            add(handler_ms, 64, round_trip, Kept::AsExpected);
        }
    }
    cells
}

pub(crate) async fn run(quick: bool) -> anyhow::Result<()> {
    let binaries = prepare()?;
    let (rounds, seconds) = if quick { (1, 0.5) } else { (5, SECONDS) };
    let cells = cells();
    let mut figures: Vec<Vec<Figures>> = cells.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        let mut reached = f64::INFINITY;
        for (cell, figures) in cells.iter().zip(&mut figures) {
            let measured = measure(&binaries, *cell, seconds * cell.longer(), reached).await?;
            reached = measured.rate;
            figures.push(measured);
        }
    }
    if !quick {
        ensure_followed(&cells, &figures)?;
    }
    let mut missed = Vec::new();
    let text = table(&cells, &figures, seconds, &mut missed)?;
    let command = "cargo run --release -p bench -- w4";
    Section { title: "W4: calls per message", command, text }.conclude(quick, &missed)
}

/// One trial; `reached` is the rate of the one before.
async fn measure(
    binaries: &Path,
    cell: Cell,
    seconds: f64,
    reached: f64,
) -> anyhow::Result<Figures> {
    let figures = trial(binaries, cell, seconds, reached).await?;
    println!(
        "fifo {} steady {} {} ms round trip {:?}: {:.3} calls, {:.0}/s of {:.0}/s, in the queue {:.1} ms",
        cell.fifo,
        cell.is_steady(),
        cell.handler_ms,
        cell.round_trip,
        figures.calls,
        figures.rate,
        figures.arrivals,
        figures.waited * 1e3
    );
    Ok(figures)
}

async fn trial(binaries: &Path, cell: Cell, seconds: f64, reached: f64) -> anyhow::Result<Figures> {
    let mut stage = Stage::set_up(binaries, cell.fifo).await?;
    stage.connection.hold_up(cell.round_trip).await?;
    let mut spec = Spec {
        kind: Kind::Worker,
        queue: stage.queue.clone(),
        until: Until::Terminated,
        concurrency: cell.concurrency,
        work: Work::Fixed { ms: cell.handler_ms },
    };
    if cell.is_steady() {
        let mut client = Client::start(&spec)?;
        client.go()?;
        let reached = if cell.load == Kept::AsReached { reached } else { f64::INFINITY };
        let per_second = LOAD * cell.capacity().min(reached);
        let load = Load::arrivals(&mut stage, cell.groups(), per_second).await?;
        // The pace is steady once a third of what is measured has come through.
        stage.settled((per_second * seconds / 3.0) as usize).await?;
        let figures = window(&mut stage, seconds).await;
        load.end().await?;
        return figures;
    }
    let messages = (cell.capacity() * seconds) as usize;
    stage.fill(messages, cell.groups()).await?;
    spec.until = Until::Deleted(messages);
    let (report, _) = Client::start(&spec)?.measure()?;
    let calls: u64 = stage.consumer_calls().await?.values().sum();
    let messages = messages as f64;
    let (calls, rate) = (calls as f64 / messages, messages / report.makespan);
    Ok(Figures { calls, waited: 0.0, rate, arrivals: 0.0 })
}

/// What happens while messages arrive.
async fn window(stage: &mut Stage, seconds: f64) -> anyhow::Result<Figures> {
    let before = stage.progress().await?;
    let (mut visible, mut samples) = (0, 0);
    let step = Duration::from_millis(10);
    let end = tokio::time::Instant::now() + Duration::from_secs_f64(seconds);
    while tokio::time::Instant::now() < end {
        sleep(step).await;
        visible += stage.counts().await?.visible;
        samples += 1;
    }
    let after = stage.progress().await?;
    let messages = (after.settled - before.settled) as f64;
    let took = (after.at - before.at).as_secs_f64();
    let rate = messages / took;
    Ok(Figures {
        calls: (after.calls - before.calls) as f64 / messages,
        // Little's law.
        waited: visible as f64 / f64::from(samples) / rate,
        rate,
        arrivals: (after.sent - before.sent) as f64 / took,
    })
}

/// Figures of an overload would be taken for those of the load that the table names.
fn ensure_followed(cells: &[Cell], figures: &[Vec<Figures>]) -> anyhow::Result<()> {
    for (cell, figures) in cells.iter().zip(figures) {
        if cell.is_steady() {
            let followed = median(figures.iter().map(|f| f.rate / f.arrivals).collect())?;
            ensure!(
                followed >= FOLLOWED,
                "overloaded, {followed:.3} of what arrives is consumed: fifo {}, {} ms, round trip {:?}",
                cell.fifo,
                cell.handler_ms,
                cell.round_trip
            );
        }
    }
    Ok(())
}

fn table(
    cells: &[Cell],
    figures: &[Vec<Figures>],
    seconds: f64,
    missed: &mut Vec<String>,
) -> anyhow::Result<String> {
    let mut text = String::from(
        "| queue | load | handlers | round trip | arrivals/s | messages/s | in the queue | calls per message | \
         by the lingers, about |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (cell, figures) in cells.iter().zip(figures) {
        let of = |figure: fn(&Figures) -> f64| median(figures.iter().map(figure).collect());
        let (calls, rate) = (of(|f| f.calls)?, of(|f| f.rate)?);
        let queue = if cell.fifo { "FIFO" } else { "standard" };
        let load = if cell.is_steady() { "arrivals" } else { "backlog" };
        let row = format!(
            "| {queue} | {load} | {} of {} ms | {} ms |",
            cell.concurrency,
            cell.handler_ms,
            cell.round_trip.as_millis()
        );
        let (mut arrivals, mut waited, mut lingers) = Default::default();
        if cell.is_steady() {
            let per_second = of(|f| f.arrivals)?;
            arrivals = format!("{per_second:.0}");
            waited = format!("{:.1} ms", of(|f| f.waited)? * 1e3);
            lingers = lingers::calls(per_second, cell.fifo, cell.handler(), cell.round_trip);
        }
        writeln!(text, "{row} {arrivals} | {rate:.0} | {waited} | {calls:.3} | {lingers} |")?;
        if calls > CALLS {
            let because =
                if lingers.is_empty() { lingers } else { format!(" (by the lingers {lingers})") };
            missed.push(format!(
                "{calls:.3} calls with {queue}, {load}, {} of {} ms, round trip {} ms{because}",
                cell.concurrency,
                cell.handler_ms,
                cell.round_trip.as_millis()
            ));
        }
    }
    let rounds = figures.first().map_or(0, Vec::len);
    writeln!(
        text,
        "\nReceives, deletes and visibility changes, over messages deleted. A backlog is consumed as fast as \
         the handlers can. Arrivals come one by one, at random times, at {LOAD} of the rate at which \
         the same handlers have consumed a backlog right before, and where there is no such row at {LOAD} of what \
         the handlers can do; of what arrives at least {FOLLOWED} is consumed meanwhile, or there is no table. FIFO with \
         {GROUPS} groups. Medians of {rounds} interleaved rounds of {seconds} s, and of {HANDLERS_TIMES} times the \
         handler's time where that is longer. Wanted: at most {CALLS}.\n\n{}\n\n{}",
        lingers::explanation(),
        idle::calls_per_hour()
    )?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_that_misses_the_bound_is_named_with_what_the_lingers_make_of_it() {
        let cells = cells();
        let figures = |cell: &Cell| {
            let per_second = LOAD * cell.capacity();
            vec![Figures { calls: 0.3, waited: 0.002, rate: per_second, arrivals: per_second }]
        };
        let figures: Vec<_> = cells.iter().map(figures).collect();
        let mut missed = Vec::new();
        table(&cells, &figures, SECONDS, &mut missed).expect("there are figures");
        assert_eq!(missed.len(), cells.len(), "{missed:?}");
        let slow = missed.iter().find(|row| row.contains("FIFO, arrivals, 64 of 500 ms"));
        let slow = slow.expect("handlers of 500 ms are held to the bound");
        assert!(slow.ends_with("round trip 10 ms (by the lingers 0.20: 0.10 + 0.10)"), "{slow}");
    }
}
