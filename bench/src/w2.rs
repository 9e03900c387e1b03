//! W2: how near the FIFO consumer comes to the time that its messages need in any case.

use std::{fmt::Write as _, path::Path, time::Duration};

use anyhow::ensure;

use crate::{
    results::Section,
    role::{Client, Kind, Report, Spec, Until, Work},
    sqs::median,
    stage::{Groups, Stage, prepare},
};

/// At most so much of the handlers' time.
const RATIO: f64 = 1.10;
const CONCURRENCY: usize = 64;
/// What most cells are to take if nothing is lost.
const SECONDS: f64 = 3.0;
/// How much longer those of a hundred groups are to take.
const LONGER: f64 = 2.5;
/// Messages of each group, at least: one alone would have nothing behind it, and no lane to be kept.
const OF_A_GROUP: usize = 2;

#[derive(Clone, Copy, Debug)]
struct Cell {
    groups: Groups,
    mean_ms: f64,
    round_trip: Duration,
    messages: usize,
}

/// Of one round. Times in seconds.
struct Figures {
    makespan: f64,
    /// What the handlers alone need.
    bare: f64,
    /// The same with the calls that SQS makes them wait for.
    bound: f64,
    /// How many times as long as they were to handlers waited.
    late: f64,
    /// What the handlers need for all groups but the longest one, where that takes longer than all else.
    others: Option<f64>,
    /// Of the makespan, how much processor time the consumer had.
    busy: f64,
    /// Messages of the group that takes longest.
    longest: usize,
}

fn cells(quick: bool) -> Vec<Cell> {
    let many = if quick { 1_000 } else { 10_000 };
    let mut cells = Vec::new();
    for groups in [Groups::Equal(1), Groups::Equal(100), Groups::Equal(many), Groups::Zipf(1_000)] {
        for mean_ms in [5.0, 50.0] {
            for round_trip in [0, 1, 10] {
                let round_trip = Duration::from_millis(round_trip);
                let messages = messages(groups, mean_ms, quick);
                cells.push(Cell { groups, mean_ms, round_trip, messages });
            }
        }
    }
    cells
}

fn messages(groups: Groups, mean_ms: f64, quick: bool) -> usize {
    // The longest group of a thousand in Zipf's proportions has a tenth of the messages.
    let at_once = match groups {
        Groups::Equal(1) => 1.0,
        Groups::Zipf(_) => 10.0,
        _ => CONCURRENCY as f64,
    };
    // Nobody knows beforehand which of a hundred groups will take longest: what is left of it in the
    // end, alone, is the less of all the more messages there are.
    let seconds = if groups == Groups::Equal(100) { LONGER * SECONDS } else { SECONDS };
    let seconds = if quick { seconds / 10.0 } else { seconds };
    let least = if let Groups::Equal(groups) = groups { OF_A_GROUP * groups } else { 0 };
    ((seconds * 1e3 / mean_ms * at_once) as usize).max(least)
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
                "{:?} {} ms, round trip {:?}: {makespan:.3} s, {:.3} of the handlers' time, {:.3} with round trips, handlers {late:.3}",
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
    let (report, processor) = Client::start(&spec)?.measure()?;
    stage.emptied().await?;
    ensure!(report.effects == cell.messages, "each message has one effect: {report:?}");
    Ok(figures(&report, processor, cell.round_trip.as_secs_f64()))
}

/// The makespan and what no consumer can beat: the longest chain and the shared work, without and with
/// round trips.
///
/// A FIFO group gives out ten messages at a time, and the next ten only when they are deleted, so a
/// chain waits for a delete per ten. And all begins with a receive and ends with a delete.
fn figures(report: &Report, processor: Duration, round_trip: f64) -> Figures {
    let handlers = CONCURRENCY as f64;
    let (chain, shared) = (report.longest_chain, report.total_work / handlers);
    let deletes = report.longest_chain_messages.div_ceil(10) as f64;
    let others = (report.total_work - chain) / handlers;
    Figures {
        makespan: report.makespan,
        bare: shared.max(chain),
        bound: (chain + (1.0 + deletes) * round_trip).max(shared + 2.0 * round_trip),
        late: report.measured_work / report.total_work,
        others: (chain > shared && report.longest_chain_messages < report.effects)
            .then_some(others),
        busy: processor.as_secs_f64() / report.makespan,
        longest: report.longest_chain_messages,
    }
}

/// One line of the table: medians of a cell's rounds.
struct Row {
    cell: Cell,
    makespan: f64,
    /// Of the handlers' time.
    ratio: f64,
    /// Of the handlers' time with the round trips.
    with_trips: f64,
    late: f64,
    /// Of that, and with handlers that are as late as they were.
    left: f64,
    /// What the turns of other groups may add to the handlers' time.
    turns: Option<f64>,
    busy: f64,
    longest: f64,
}

impl Row {
    fn of(cell: Cell, figures: &[Figures]) -> anyhow::Result<Self> {
        let of = |figure: fn(&Figures) -> f64| median(figures.iter().map(figure).collect());
        let turns = figures.iter().map(|f| Some(1.0 + f.others? / f.bare)).collect::<Option<_>>();
        Ok(Self {
            cell,
            makespan: of(|f| f.makespan)?,
            ratio: of(|f| f.makespan / f.bare)?,
            with_trips: of(|f| f.makespan / f.bound)?,
            late: of(|f| f.late)?,
            left: of(|f| f.makespan / f.bound / f.late)?,
            turns: turns.map(median).transpose()?,
            busy: of(|f| f.busy)?,
            longest: of(|f| f.longest as f64)?,
        })
    }

    /// The turns of others, if they may add anything.
    fn turns(&self) -> String {
        self.turns.map(|turns| format!("{turns:.3}")).unwrap_or_default()
    }

    fn line(&self) -> String {
        let Self { cell, makespan, ratio, with_trips, late, left, busy, longest, .. } = self;
        format!(
            "| {} | {} ms | {} ms | {} | {longest:.0} | {makespan:.2} s | {ratio:.3} | {with_trips:.3} | {late:.3} | \
             {left:.3} | {} | {:.0} % |",
            name(cell.groups),
            cell.mean_ms,
            cell.round_trip.as_millis(),
            cell.messages,
            self.turns(),
            1e2 * busy,
        )
    }

    /// The bound that is missed, and what of it is whose.
    fn missed(&self) -> Option<String> {
        let Self { cell, ratio, with_trips, late, left, .. } = self;
        (*ratio > RATIO).then(|| {
            let turns = self.turns.map(|_| format!(", of which turns {} at most", self.turns()));
            format!(
                "{ratio:.3} of the handlers' time with {}, {} ms, round trip {} ms ({:.3} by round trips, {late:.3} by \
                 late handlers, {left:.3} left{})",
                of_groups(cell.groups),
                cell.mean_ms,
                cell.round_trip.as_millis(),
                ratio / with_trips,
                turns.unwrap_or_default(),
            )
        })
    }
}

fn name(groups: Groups) -> String {
    match groups {
        Groups::Zipf(groups) => format!("Zipf of {groups}"),
        Groups::Equal(groups) => groups.to_string(),
        Groups::None | Groups::FastAndSlow { .. } => String::new(),
    }
}

fn of_groups(groups: Groups) -> String {
    if groups == Groups::Equal(1) {
        "1 group".to_owned()
    } else {
        format!("{} groups", name(groups))
    }
}

fn table(
    cells: &[Cell],
    figures: &[Vec<Figures>],
    missed: &mut Vec<String>,
) -> anyhow::Result<String> {
    let mut text = String::from(
        "| groups | handler | round trip | messages | of the longest group | makespan | of the handlers' time | \
         of that with round trips | handlers late | left | turns, at most | core busy |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (cell, figures) in cells.iter().zip(figures) {
        let row = Row::of(*cell, figures)?;
        writeln!(text, "{}", row.line())?;
        missed.extend(row.missed());
    }
    let rounds = figures.first().map_or(0, Vec::len);
    writeln!(text, "\n{}", explanation(rounds))?;
    Ok(text)
}

fn explanation(rounds: usize) -> String {
    format!(
        "From the first receive to the last confirmed delete of a backlog; {CONCURRENCY} handlers at once, \
         which wait for a lognormal time; medians of {rounds} interleaved rounds. Each group has {OF_A_GROUP} messages \
         at least, but for the smaller ones of Zipf's. Cells of 100 groups last {LONGER} times as long as others: nobody \
         can know beforehand which of them takes longest.\n\n\
         The bound is the handlers' time: the greater of the longest group's, one message after another, and of all \
         messages' over {CONCURRENCY}. Wanted: at most {RATIO} of it in each cell, and a cell is missed if it is not. The \
         other columns tell what limits it; none of them moves the bound:\n\n\
         - With round trips: of the handlers' time and the round trips that nobody can avoid. SQS gives out a group's \
         next ten messages only when the last ten are deleted, so there is one for each ten messages of the longest \
         group, and that of the first receive.\n\
         - Handlers late: how many times as long as they were to handlers waited. They are timed by a thread beside the \
         consumer on its one core, which is late when the core is busy: this is the harness's part and the consumer's, \
         and being late by the same time is ten times as much of 5 ms as of 50 ms.\n\
         - Left: of the handlers' time with round trips, and as late as they were. It is what calls take on this \
         machine, the turns, and what the consumer loses.\n\
         - Turns: where the longest group decides, it gets its next ten messages only after the groups that wait for \
         theirs; the server deals out turns, no consumer. Until the others are through that holds it up; the column \
         is the ratio if it stood still as long as the handlers need for them.\n\
         - Core busy: the consumer's processor time, the timers' thread included."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest group takes 3 s, and each message as long as its own.
    fn report(longest_chain_messages: usize, effects: usize) -> Report {
        Report {
            makespan: 3.3,
            effects,
            longest_chain: 3.0,
            longest_chain_messages,
            total_work: 3.0 * effects as f64 / longest_chain_messages as f64,
            measured_work: 3.03 * effects as f64 / longest_chain_messages as f64,
            stranded: 0,
        }
    }

    const ALONE: Cell = Cell {
        groups: Groups::Equal(1),
        mean_ms: 50.0,
        round_trip: Duration::from_millis(10),
        messages: 60,
    };

    #[test]
    fn what_limits_a_cell_makes_its_ratio_and_moves_no_bound() {
        let figures = figures(&report(60, 60), Duration::from_secs(1), 0.01);
        assert!((figures.bare - 3.0).abs() < 1e-9 && (figures.bound - 3.07).abs() < 1e-9);
        let row = Row::of(ALONE, &[figures]).expect("there is a figure");
        let product = row.ratio / row.with_trips * row.late * row.left;
        assert!((product - row.ratio).abs() < 1e-9 && (row.ratio - 1.1).abs() < 1e-9);
        assert_eq!(row.turns, None, "there are no others");
    }

    #[test]
    fn a_cell_is_missed_by_the_handlers_time_whatever_limits_it() {
        let mut report = report(60, 60);
        report.makespan = 3.31;
        let figures = figures(&report, Duration::from_secs(1), 0.01);
        let row = Row::of(ALONE, &[figures]).expect("there is a figure");
        assert!(row.with_trips < RATIO);
        let missed = row.missed().expect("beyond the bound");
        assert!(missed.starts_with("1.103 of the handlers' time with 1 group, 50 ms"), "{missed}");
        assert!(missed.contains("1.023 by round trips, 1.010 by late handlers"), "{missed}");
    }

    #[test]
    fn turns_are_named_where_others_wait_for_them() {
        let figures = figures(&report(60, 600), Duration::from_secs(1), 0.0);
        let row = Row::of(ALONE, &[figures]).expect("there is a figure");
        // 27 s of others by 64 handlers, beside 3 s.
        assert_eq!(row.turns(), "1.141");
    }

    #[test]
    fn each_group_has_messages_that_wait_behind_others() {
        for cell in cells(false) {
            if let Groups::Equal(groups) = cell.groups {
                assert!(cell.messages >= OF_A_GROUP * groups, "{cell:?}");
            }
        }
        let many = cells(false).into_iter().filter(|cell| cell.groups == Groups::Equal(10_000));
        assert_eq!(many.count(), 6);
    }
}
