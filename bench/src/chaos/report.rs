//! The audit as a table.

use std::{fmt::Write as _, time::Duration};

use super::{findings::Findings, fleet::Tally};
use crate::results::Section;

/// What was done, and how fast.
pub(super) struct Figures<'a> {
    pub(super) seed: u64,
    pub(super) orders: usize,
    /// From the start until all orders were accepted.
    pub(super) loaded: Duration,
    /// From the start until the queues were empty.
    pub(super) finished: Duration,
    pub(super) calls: u64,
    pub(super) refused: u64,
    pub(super) turned_away: u64,
    pub(super) tally: &'a Tally,
    /// Processor time of the server and of the order API's processes that run at the end.
    pub(super) cpu: (Duration, Duration),
}

/// Prints the report; a full run's goes into bench/RESULTS.md too.
pub(super) fn write(figures: &Figures, findings: &Findings, is_full: bool) -> anyhow::Result<()> {
    let text = text(figures, findings);
    for example in &findings.examples {
        println!("{example}");
    }
    if !is_full {
        println!("\n{text}");
        return Ok(());
    }
    Section { title: "Chaos", command: "cargo run --release -p bench -- chaos", text }.write()
}

fn text(figures: &Figures, findings: &Findings) -> String {
    let tally = figures.tally;
    let mut text = String::from("| audit | count |\n|---|---|\n");
    let mut row = |name: &str, value: &dyn std::fmt::Display| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "| {name} | {value} |");
    };
    for (name, count) in findings.violations() {
        row(name, &format_args!("**{count}**"));
    }
    row("orders accepted", &figures.orders);
    for (name, count) in &findings.notes {
        row(name, count);
    }
    row("workers started", &tally.started);
    row("workers killed (SIGKILL)", &tally.kills);
    row("workers stopped (SIGTERM) under load, in scale-in and at the end", &tally.stops);
    row("of these all at once, with nothing in flight afterwards", &tally.whole_fleet_stops);
    let longest = format!("{:.1} s", tally.longest_drain.as_secs_f64());
    row("longest time from SIGTERM to exit", &longest);
    row("workers paused beyond the visibility timeout (SIGSTOP, SIGCONT)", &tally.pauses);
    row("changes of the number of workers, 2 to 5", &tally.scalings);
    row("order-api processes killed and started again", &tally.api_kills);
    row("SQS calls", &figures.calls);
    row("SQS calls answered with an injected error", &figures.refused);
    row("order requests that had to be sent again", &figures.turned_away);
    let rate = figures.orders as f64 / figures.finished.as_secs_f64();
    row("orders per second, from the first sent to the last settled", &format!("{rate:.0}"));
    let (sqs, api) = figures.cpu;
    let _ = writeln!(
        text,
        "\nSeed {}. All accepted after {:.0} s, all settled after {:.0} s. Processor time: local-sqs {:.0} s, order-api {:.0} s. Of all calls some answers are lost, but not of receives: each would cost ten messages one of their receives, which nobody could tell from one wasted by a worker.",
        figures.seed,
        figures.loaded.as_secs_f64(),
        figures.finished.as_secs_f64(),
        sqs.as_secs_f64(),
        api.as_secs_f64(),
    );
    text
}
