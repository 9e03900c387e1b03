//! W3: whether a slow group slows the others.

use std::{fmt::Write as _, path::Path};

use crate::{
    results::Section,
    role::{Client, Kind, Spec, Until, Work},
    sqs::median,
    stage::{Groups, Stage, prepare},
};

/// At least so much of the fast groups' throughput without the slow one.
const RATIO: f64 = 0.95;
const CONCURRENCY: usize = 64;
const FAST: usize = 100;
const WORK: Work = Work::OneSlowGroup { slow_ms: 1000.0, fast_ms: 5.0 };
/// One message in so many is of the slow group, which then has far more to do than there is time for.
const EVERY: usize = 101;

pub(crate) async fn run(quick: bool) -> anyhow::Result<()> {
    let binaries = prepare()?;
    let (messages, rounds) = if quick { (4_000, 3) } else { (40_000, 7) };
    let (mut with, mut without, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let slow_first = round % 2 == 0;
        let mut rates = [0.0; 2];
        for slow in [slow_first, !slow_first] {
            rates[usize::from(slow)] = measure(&binaries, messages, slow).await?;
        }
        let ratio = rates[1] / rates[0];
        println!(
            "round {}: {:.0}/s without, {:.0}/s with, {ratio:.3}",
            round + 1,
            rates[0],
            rates[1]
        );
        without.push(rates[0]);
        with.push(rates[1]);
        ratios.push(ratio);
    }
    let ratio = median(ratios)?;
    let mut text = String::from("| FIFO queue | fast messages/s | ratio |\n|---|---|---|\n");
    writeln!(text, "| {FAST} fast groups | {:.0} | 1 |", median(without)?)?;
    writeln!(text, "| the same and a slow group | {:.0} | {ratio:.3} |", median(with)?)?;
    writeln!(
        text,
        "\n{messages} messages, handlers of 5 ms, of 1 s in the slow group, {CONCURRENCY} at once; each \
         {EVERY}th message is of the slow group. Until the last fast message has had its effect. Medians of \
         {rounds} interleaved rounds; the ratio is that of each round. Wanted: at least {RATIO}."
    )?;
    let missed =
        (ratio < RATIO).then(|| format!("{ratio:.3} of the throughput without the slow group"));
    let command = "cargo run --release -p bench -- w3";
    Section { title: "W3: one slow group among fast ones", command, text }
        .conclude(quick, missed.as_slice())
}

/// Fast messages per second.
async fn measure(binaries: &Path, messages: usize, slow: bool) -> anyhow::Result<f64> {
    let mut stage = Stage::set_up(binaries, true).await?;
    let fast_ones = messages - messages.div_ceil(EVERY);
    if slow {
        stage.fill(messages, Groups::FastAndSlow { fast: FAST, every: EVERY }).await?;
    } else {
        stage.fill(fast_ones, Groups::Equal(FAST)).await?;
    }
    let spec = Spec {
        kind: Kind::Worker,
        queue: stage.queue.clone(),
        until: Until::FastOnes(fast_ones),
        concurrency: CONCURRENCY,
        work: WORK,
    };
    let (report, _) = Client::start(&spec)?.measure()?;
    Ok(fast_ones as f64 / report.makespan)
}
