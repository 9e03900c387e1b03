//! W2: how near the FIFO consumer comes to the time that its messages need in any case.

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::ensure;

use crate::{
    results::Section,
    role::{Client, Kind, Report, Spec, Until, Work},
    sqs::median,
    stage::{Groups, Stage, prepare},
};

/// At most so much of the lower bound.
const RATIO: f64 = 1.10;
const CONCURRENCY: usize = 64;
/// What most cells are to take if nothing is lost.
const SECONDS: f64 = 3.0;

#[derive(Clone, Copy, Debug)]
struct Cell {
    groups: Groups,
    mean_ms: f64,
    round_trip: Duration,
    messages: usize,
}

/// Makespans of one round, in seconds.
struct Figures {
    makespan: f64,
    /// What the handlers alone need.
    bare: f64,
    /// The same with the calls that SQS makes them wait for.
    bound: f64,
    /// How much longer handlers waited than they were to.
    late: f64,
    /// Messages of the group that takes longest.
    longest: usize,
}

fn cells(quick: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    let kinds: [fn(f64) -> Groups; 4] =
        [|_| Groups::Equal(1), |_| Groups::Equal(100), many, |_| Groups::Zipf(1_000)];
    for kind in kinds {
        for mean_ms in [5.0, 50.0] {
            let groups = kind(mean_ms);
            for round_trip in [0, 1, 10] {
                // The longest group of a thousand in Zipf's proportions has a tenth of the messages.
                let at_once = match groups {
                    Groups::Equal(1) => 1.0,
                    Groups::Zipf(_) => 10.0,
                    _ => CONCURRENCY as f64,
                };
                // Nobody knows beforehand which of a hundred groups will take longest: what is left of
                // it in the end, alone, is the less of all the more messages there are.
                let seconds = if groups == Groups::Equal(100) { 3.0 * SECONDS } else { SECONDS };
                let seconds = if quick { seconds / 10.0 } else { seconds };
                let messages = (seconds * 1e3 / mean_ms * at_once) as usize;
                let round_trip = Duration::from_millis(round_trip);
                cells.push(Cell { groups, mean_ms, round_trip, messages });
            }
        }
    }
    cells
}

/// Far more groups than handlers, of which each has three messages or four: one alone would have
/// nothing behind it, and no lane to be kept.
fn many(mean_ms: f64) -> Groups {
    Groups::Equal(if mean_ms > 5.0 { 1_000 } else { 10_000 })
}

pub(crate) async fn run(quick: bool) -> anyhow::Result<()> {
    let binaries = prepare()?;
    let rounds = if quick { 1 } else { 5 };
    let cells = cells(quick);
    let mut figures: Vec<Vec<Figures>> = cells.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        for (cell, figures) in cells.iter().zip(&mut figures) {
            let measured = measure(&binaries, *cell).await?;
            let Figures { makespan, bare, bound, late, .. } = measured;
            println!(
                "{:?} {} ms, round trip {:?}: {makespan:.3} s, {:.3} of bare, {:.3} of the bound, handlers {late:.3}",
                cell.groups,
                cell.mean_ms,
                cell.round_trip,
                makespan / bare,
                makespan / bound,
            );
            figures.push(measured);
        }
    }
    let mut missed = Vec::new();
    let text = table(&cells, &figures, &mut missed)?;
    let command = "cargo run --release -p bench -- w2";
    Section { title: "W2: FIFO makespan against its lower bound", command, text }
        .conclude(quick, &missed)
}

async fn measure(binaries: &Path, cell: Cell) -> anyhow::Result<Figures> {
    let mut stage = Stage::set_up(binaries, true).await?;
    stage.fill(cell.messages, cell.groups).await?;
    stage.connection.hold_up(cell.round_trip).await?;
    let spec = Spec {
        kind: Kind::Worker,
        queue: stage.queue.clone(),
        until: Until::Deleted(cell.messages),
        concurrency: CONCURRENCY,
        work: Work::Lognormal { mean_ms: cell.mean_ms },
    };
    let (report, _) = Client::start(&spec)?.measure()?;
    stage.emptied().await?;
    ensure!(report.effects == cell.messages, "each message has one effect: {report:?}");
    let (bare, bound) = bounds(&report, cell.round_trip.as_secs_f64());
    let late = report.measured_work / report.total_work;
    let longest = report.longest_chain_messages;
    Ok(Figures { makespan: report.makespan, bare, bound, late, longest })
}

/// What no consumer can beat: the longest chain and the shared work, without and with round trips.
///
/// A FIFO group gives out ten messages at a time, and the next ten only when they are deleted, so a
/// chain waits for a delete per ten. And all begins with a receive and ends with a delete.
fn bounds(report: &Report, round_trip: f64) -> (f64, f64) {
    let shared = report.total_work / CONCURRENCY as f64;
    let deletes = report.longest_chain_messages.div_ceil(10) as f64;
    let chain = report.longest_chain + (1.0 + deletes) * round_trip;
    (shared.max(report.longest_chain), chain.max(shared + 2.0 * round_trip))
}

fn table(
    cells: &[Cell],
    figures: &[Vec<Figures>],
    missed: &mut Vec<String>,
) -> anyhow::Result<String> {
    let mut text = String::from(
        "| groups | handler | round trip | messages | of the longest group | makespan | of the handlers' time | of the lower bound |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let (mut lateness, mut unavoidable) = (Vec::new(), Vec::new());
    for (cell, figures) in cells.iter().zip(figures) {
        let of = |figure: fn(&Figures) -> f64| median(figures.iter().map(figure).collect());
        let (bare, ratio) = (of(|f| f.makespan / f.bare)?, of(|f| f.makespan / f.bound)?);
        lateness.push(of(|f| f.late)?);
        let groups = match cell.groups {
            Groups::Zipf(groups) => format!("Zipf of {groups}"),
            Groups::Equal(groups) => groups.to_string(),
            Groups::None | Groups::FastAndSlow { .. } => String::new(),
        };
        let (handler, round_trip) = (cell.mean_ms, cell.round_trip.as_millis());
        writeln!(
            text,
            "| {groups} | {handler} ms | {round_trip} ms | {} | {:.0} | {:.2} s | {bare:.3} | {ratio:.3} |",
            cell.messages,
            of(|f| f.longest as f64)?,
            of(|f| f.makespan)?,
        )?;
        let which = format!("{groups} groups, {handler} ms, round trip {round_trip} ms");
        if ratio > RATIO {
            missed.push(format!("{ratio:.3} of the lower bound with {which}"));
        } else if bare > RATIO {
            unavoidable.push(format!("{bare:.3} with {which}"));
        }
    }
    let rounds = figures.first().map_or(0, Vec::len);
    writeln!(
        text,
        "\nFrom the first receive to the last confirmed delete of a backlog; {CONCURRENCY} handlers at once, \
         which wait for a lognormal time; medians of {rounds} interleaved rounds. The handlers' time is the \
         greater of the longest group's, one message after another, and of all messages' over {CONCURRENCY}. \
         The lower bound adds the round trips that nobody can avoid: SQS gives out a group's next ten messages \
         only when the last ten are deleted. Handlers waited {:.3} times as long as they were to (median of \
         all cells). Wanted: at most {RATIO} of the lower bound in each cell. The bound leaves out that the \
         server gives groups their turns: as long as others have messages in the queue, the longest group gets \
         its next ones only after them, which shows where it is long and handlers are quick (Zipf, 5 ms). \
         Cells of 100 groups last three times as long as the others: nobody can know beforehand which of them \
         takes longest. Of the 10,000 groups, and of the 1,000 with handlers of 50 ms, each has three messages \
         or four.",
        median(lateness)?,
    )?;
    if !unavoidable.is_empty() {
        let cells = unavoidable.join("; ");
        writeln!(text, "\nBeyond {RATIO} of the handlers' time by round trips alone: {cells}.")?;
    }
    Ok(text)
}
