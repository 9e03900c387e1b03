//! W1: what the consumer costs beside the SDK's own calls.

use std::fmt::Write as _;

use crate::{
    results::Section,
    role::{Client, Kind, Spec, Until, Work},
    sqs::median,
    stage::{Groups, Stage, prepare},
};

/// At least so much of the raw loop's messages per processor second.
const RATIO: f64 = 0.9;
const CONTENDERS: [(&str, Kind); 2] =
    [("raw receive and delete loop", Kind::Raw { loops: 16 }), ("sqs-consumer", Kind::Worker)];

pub(crate) async fn run(quick: bool) -> anyhow::Result<()> {
    let binaries = prepare()?;
    let (messages, rounds) = if quick { (20_000, 3) } else { (40_000, 21) };
    let mut stage = Stage::set_up(&binaries, false).await?;
    let mut figures = [const { Vec::new() }; CONTENDERS.len()];
    for round in 0..rounds {
        for turn in 0..CONTENDERS.len() {
            // Each round in another order.
            let contender = (turn + round) % CONTENDERS.len();
            let (name, kind) = CONTENDERS[contender];
            stage.fill(messages, Groups::None).await?;
            let spec = Spec {
                kind,
                queue: stage.queue.clone(),
                until: Until::Deleted(messages),
                concurrency: 64,
                work: Work::Nothing,
            };
            let (_, cpu) = Client::start(&spec)?.measure()?;
            stage.emptied().await?;
            let rate = messages as f64 / cpu.as_secs_f64();
            println!("round {}: {name}: {rate:.0} messages per CPU-second", round + 1);
            figures[contender].push(rate);
        }
    }
    let ratios = figures[1].iter().zip(&figures[0]).map(|(worker, raw)| worker / raw).collect();
    let ratio = median(ratios)?;
    let mut text = String::from(
        "| consumer | messages per CPU-second | CPU per message | of the ceiling |\n|---|---|---|---|\n",
    );
    for ((name, _), rates) in CONTENDERS.iter().zip(&figures) {
        let rate = median(rates.clone())?;
        let of = if *name == "sqs-consumer" { ratio } else { 1.0 };
        writeln!(text, "| {name} | {rate:.0} | {:.1} µs | {of:.2} |", 1e6 / rate)?;
    }
    writeln!(
        text,
        "\nA standard queue with a backlog of {messages} messages of 256 bytes, a handler that does nothing, \
         the consumer alone on a core, the server on the other. The raw loop is 16 concurrent loops of \
         receive(10) and DeleteMessageBatch(10) with the consumer's own clients. Medians of {rounds} \
         interleaved rounds; the ratio is that of each round. Wanted: {RATIO}."
    )?;
    let missed = (ratio < RATIO).then(|| format!("{ratio:.2} of the ceiling"));
    let command = "cargo run --release -p bench -- w1";
    Section { title: "W1: the worker against the SDK alone", command, text }
        .conclude(quick, missed.as_slice())
}
