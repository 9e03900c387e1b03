//! W4: how many calls a message costs, and how many an empty queue.

mod idle;

use std::{fmt::Write as _, path::Path, time::Duration};

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
/// Of what the handlers can do.
const LOAD: f64 = 0.9;
const GROUPS: usize = 1_000;

#[derive(Clone, Copy)]
struct Cell {
    fifo: bool,
    handler_ms: f64,
    concurrency: usize,
    round_trip: Duration,
    /// Messages arrive while they are consumed; otherwise they are all there.
    steady: bool,
}

impl Cell {
    fn capacity(self) -> f64 {
        self.concurrency as f64 / self.handler_ms * 1e3
    }

    fn groups(self) -> Groups {
        if self.fifo { Groups::Equal(GROUPS) } else { Groups::None }
    }
}

struct Figures {
    calls: f64,
    /// How long messages were in the queue before they were received, in seconds.
    waited: f64,
    /// Messages per second.
    rate: f64,
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for fifo in [false, true] {
        for steady in [true, false] {
            for (handler_ms, concurrency) in [(1.0, 8), (5.0, 32), (20.0, 64)] {
                for round_trip in [0, 10] {
                    let round_trip = Duration::from_millis(round_trip);
                    cells.push(Cell { fifo, handler_ms, concurrency, round_trip, steady });
                }
            }
        }
    }
    cells
}

pub(crate) async fn run(quick: bool) -> anyhow::Result<()> {
    let binaries = prepare()?;
    let (rounds, seconds) = if quick { (1, 0.5) } else { (5, 3.0) };
    let cells = cells();
    let mut figures: Vec<Vec<Figures>> = cells.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        for (cell, figures) in cells.iter().zip(&mut figures) {
            let measured = measure(&binaries, *cell, seconds).await?;
            println!(
                "fifo {} steady {} {} ms round trip {:?}: {:.3} calls, {:.0}/s, in the queue {:.1} ms",
                cell.fifo,
                cell.steady,
                cell.handler_ms,
                cell.round_trip,
                measured.calls,
                measured.rate,
                measured.waited * 1e3
            );
            figures.push(measured);
        }
    }
    let mut missed = Vec::new();
    let text = table(&cells, &figures, &mut missed)?;
    let command = "cargo run --release -p bench -- w4";
    Section { title: "W4: calls per message", command, text }.conclude(quick, &missed)
}

async fn measure(binaries: &Path, cell: Cell, seconds: f64) -> anyhow::Result<Figures> {
    let mut stage = Stage::set_up(binaries, cell.fifo).await?;
    stage.connection.hold_up(cell.round_trip).await?;
    let mut spec = Spec {
        kind: Kind::Worker,
        queue: stage.queue.clone(),
        until: Until::Terminated,
        concurrency: cell.concurrency,
        work: Work::Fixed { ms: cell.handler_ms },
    };
    if cell.steady {
        let mut client = Client::start(&spec)?;
        client.go()?;
        let load = Load::arrivals(&mut stage, cell.groups(), cell.capacity() * LOAD).await?;
        // The pace is steady once a third of what is measured has come through.
        stage.settled((cell.capacity() * LOAD * seconds / 3.0) as usize).await?;
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
    Ok(Figures { calls: calls as f64 / messages, waited: 0.0, rate: messages / report.makespan })
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
    let rate = messages / (after.at - before.at).as_secs_f64();
    Ok(Figures {
        calls: (after.calls - before.calls) as f64 / messages,
        // Little's law.
        waited: visible as f64 / f64::from(samples) / rate,
        rate,
    })
}

fn table(
    cells: &[Cell],
    figures: &[Vec<Figures>],
    missed: &mut Vec<String>,
) -> anyhow::Result<String> {
    let mut text = String::from(
        "| queue | load | handlers | round trip | messages/s | in the queue | calls per message |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (cell, figures) in cells.iter().zip(figures) {
        let of = |figure: fn(&Figures) -> f64| median(figures.iter().map(figure).collect());
        let (calls, rate) = (of(|f| f.calls)?, of(|f| f.rate)?);
        let waited =
            if cell.steady { format!("{:.1} ms", of(|f| f.waited)? * 1e3) } else { String::new() };
        let queue = if cell.fifo { "FIFO" } else { "standard" };
        let load = if cell.steady { "arrivals" } else { "backlog" };
        let row = format!(
            "| {queue} | {load} | {} of {} ms | {} ms |",
            cell.concurrency,
            cell.handler_ms,
            cell.round_trip.as_millis()
        );
        writeln!(text, "{row} {rate:.0} | {waited} | {calls:.3} |")?;
        if calls > CALLS {
            missed.push(format!("{calls:.3} calls: {row}"));
        }
    }
    let rounds = figures.first().map_or(0, Vec::len);
    writeln!(
        text,
        "\nReceives, deletes and visibility changes, over messages deleted. Arrivals come one by one, at \
         random times, at {LOAD} of what the handlers can do; a backlog is consumed as fast as they can. FIFO \
         with {GROUPS} groups. Medians of {rounds} interleaved rounds. Wanted: at most {CALLS}.\n\n{}",
        idle::calls_per_hour()
    )?;
    Ok(text)
}
