//! D1: how long a consumer under load takes to stop, and what it leaves behind.

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::ensure;
use sqs_consumer::Settings;
use tokio::time::sleep;

use crate::{
    results::Section,
    role::{Client, Kind, Spec, Until, Work},
    stage::{Groups, Stage, prepare},
};

/// At most so long beyond the handlers' time.
const BEYOND: Duration = Duration::from_secs(1);
const CONCURRENCY: usize = 64;
/// Messages in a queue, at least.
const BACKLOG: usize = 2_000;
/// Messages of each group where all have equally many, at least: one alone would have nothing
/// behind it that must go back after it.
const OF_A_GROUP: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Cell {
    groups: Groups,
    handler: Duration,
    round_trip: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Figures {
    /// From SIGTERM to the end of the process, less the handler's time.
    beyond: Duration,
    /// Still in flight after the end.
    stranded: usize,
    /// Neither done nor visible, or both.
    lost: usize,
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for groups in [Groups::None, Groups::Equal(1), Groups::Zipf(1_000), Groups::Equal(10_000)] {
        for handler in [5, 500, 2_000].map(Duration::from_millis) {
            for round_trip in [0, 10].map(Duration::from_millis) {
                cells.push(Cell { groups, handler, round_trip });
            }
        }
    }
    cells
}

pub(crate) async fn run(quick: bool) -> anyhow::Result<()> {
    let binaries = prepare()?;
    let rounds = if quick { 1 } else { 7 };
    let cells = cells();
    let mut figures: Vec<Vec<Figures>> = cells.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        for (cell, figures) in cells.iter().zip(&mut figures) {
            // At another moment of the handlers' time in each round.
            let moment = 1.0 + f64::from(round) / f64::from(rounds);
            let measured = measure(&binaries, *cell, Duration::from_secs_f64(moment)).await?;
            println!("{cell:?}: {measured:?}");
            figures.push(measured);
        }
    }
    let mut missed = Vec::new();
    let text = table(&cells, &figures, &mut missed)?;
    let command = "cargo run --release -p bench -- d1";
    Section { title: "D1: SIGTERM under load", command, text }.conclude(quick, &missed)
}

async fn measure(binaries: &Path, cell: Cell, moment: Duration) -> anyhow::Result<Figures> {
    let mut stage = Stage::set_up(binaries, cell.groups != Groups::None).await?;
    // Enough for the handlers to be busy to the end and beyond.
    let handled = 4.0 * CONCURRENCY as f64 / cell.handler.as_secs_f64();
    let lanes = if let Groups::Equal(groups) = cell.groups { OF_A_GROUP * groups } else { 0 };
    stage.fill((handled as usize).max(BACKLOG).max(lanes), cell.groups).await?;
    stage.connection.hold_up(cell.round_trip).await?;
    let spec = Spec {
        kind: Kind::Worker,
        queue: stage.queue.clone(),
        until: Until::Terminated,
        concurrency: CONCURRENCY,
        work: Work::Fixed { ms: cell.handler.as_secs_f64() * 1e3 },
    };
    let mut client = Client::start(&spec)?;
    client.go()?;
    sleep(moment).await;
    let took = client.process.terminate()?;
    let report = client.report()?;
    let left = stage.counts().await?;
    ensure!(left.visible > 0, "the load was to outlast the consumer: {cell:?}");
    Ok(Figures {
        beyond: took.saturating_sub(cell.handler),
        stranded: left.in_flight.max(report.stranded as usize),
        lost: stage.sent().abs_diff(report.effects + left.visible + left.in_flight),
    })
}

fn table(
    cells: &[Cell],
    figures: &[Vec<Figures>],
    missed: &mut Vec<String>,
) -> anyhow::Result<String> {
    let mut text = String::from(
        "| queue | handler | round trip | beyond the handler's time: median | worst | stranded | neither done nor visible |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (cell, figures) in cells.iter().zip(figures) {
        let mut beyond: Vec<Duration> = figures.iter().map(|figures| figures.beyond).collect();
        beyond.sort_unstable();
        let (median, worst) = (beyond[beyond.len() / 2], beyond[beyond.len() - 1]);
        let stranded: usize = figures.iter().map(|figures| figures.stranded).sum();
        let lost: usize = figures.iter().map(|figures| figures.lost).sum();
        let queue = match cell.groups {
            Groups::None => "standard".to_owned(),
            Groups::Equal(groups) => format!("FIFO, groups: {groups}"),
            Groups::Zipf(groups) => format!("FIFO, groups: {groups}, Zipf"),
            Groups::FastAndSlow { .. } => "FIFO".to_owned(),
        };
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (handler, round_trip) = (cell.handler, cell.round_trip.as_millis());
        writeln!(
            text,
            "| {queue} | {handler:?} | {round_trip} ms | {:.0} ms | {:.0} ms | {stranded} | {lost} |",
            ms(median),
            ms(worst)
        )?;
        if worst > BEYOND || stranded + lost > 0 {
            missed.push(format!(
                "{queue}, handlers of {handler:?}, round trip {round_trip} ms: {:.0} ms beyond the handler's time at \
                 worst, {stranded} stranded, {lost} neither done nor visible",
                ms(worst)
            ));
        }
    }
    let rounds = figures.first().map_or(0, Vec::len);
    let poll = Settings::default().timing.shortest_wait;
    writeln!(
        text,
        "\nFrom SIGTERM to the end of the process, with a backlog and {CONCURRENCY} handlers at once, at \
         {rounds} different moments; after it the server is asked what is still in flight, and each message \
         must be done or visible. The backlog is of {BACKLOG} messages at least, and of twice what the handlers \
         can do by the last of the moments; a group has {OF_A_GROUP} of them at least, but for the smaller ones \
         of Zipf's. Each receive, delete and visibility change is held up by the round trip. Wanted: at most \
         {BEYOND:?} beyond the handler's time in the worst case, whatever the round trip, and none stranded.\n\n\
         What is beyond is the receive that is outstanding: it is waited for, since what it brings would stay in flight \
         if nobody took it. Where messages are there it takes a round trip. Where all are of one FIFO group, and that is \
         in flight, the server has nothing to give until the receive's wait is over, at least {poll:?}, the shortest that SQS \
         knows but for none at all; with none, a queue that gives nothing would be asked again and again, at a call \
         each (W4). So one group takes up to {poll:?} and two round trips, of that receive and of what goes back \
         after it: with a round trip it can miss the bound by these, which is not moved for them. Handlers run meanwhile: \
         where they take longer than the receive, what is left is their delete at the end."
    )?;
    Ok(text)
}
