//! Runs the simulation over as many seeds as asked, on all cores.
//!
//! ```text
//! cargo run --release -p sqs-consumer --example simulate -- --seeds 100000
//! cargo run --release -p sqs-consumer --example simulate -- --seed 4711 --queue fifo
//! cargo run --release -p sqs-consumer --example simulate -- --broken
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints what it finds")]

#[path = "../tests/it/simulation/mod.rs"]
mod simulation;

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use simulation::{Plan, caught, examine, row, story};
use sqs_consumer::scheduler::Broken;
use tokio::time::Instant;

const USAGE: &str = "usage: simulate [--seeds N] [--from N] [--seed N] [--queue fifo|standard] \
                     [--broken] [--stories N]";
/// A broken rule is given up after so many.
const SEEDS_TO_NOTICE: u64 = 20_000;

struct Options {
    from: u64,
    seeds: u64,
    /// Kinds of queue: whether FIFO.
    queues: Vec<bool>,
    broken: bool,
    /// Violations told in full.
    stories: usize,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    // A panic of the scheduler is a violation like others and is told as one.
    std::panic::set_hook(Box::new(|_| ()));
    let fine = if options.broken { broken() } else { seeds(&options) };
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options() -> Option<Options> {
    let mut options =
        Options { from: 0, seeds: 1_000, queues: vec![true, false], broken: false, stories: 3 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--broken" => options.broken = true,
            "--queue" => {
                options.queues = match arguments.next()?.as_str() {
                    "fifo" => vec![true],
                    "standard" => vec![false],
                    _ => return None,
                };
            }
            name => {
                let number = arguments.next()?.parse().ok()?;
                match name {
                    "--seeds" => options.seeds = number,
                    "--from" => options.from = number,
                    "--seed" => (options.from, options.seeds) = (number, 1),
                    "--stories" => options.stories = number as usize,
                    _ => return None,
                }
            }
        }
    }
    Some(options)
}

/// What all cores have found together.
#[derive(Default)]
struct Found {
    messages: u64,
    steps: u64,
    /// The same for the same seeds.
    digest: u64,
    violations: Vec<(u64, bool)>,
}

/// Runs seeds; whether none of them violates a rule.
fn seeds(options: &Options) -> bool {
    let began = Instant::now();
    let next = AtomicU64::new(options.from);
    let end = options.from + options.seeds;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let found = thread::scope(|scope| {
        let search = || {
            let mut found = Found::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return found;
                }
                for &fifo in &options.queues {
                    let outcome = examine(&Plan::draw(seed, fifo, None));
                    found.messages += outcome.messages as u64;
                    found.steps += outcome.steps;
                    found.digest ^= outcome.digest;
                    if outcome.violated() {
                        found.violations.push((seed, fifo));
                    }
                }
            }
        };
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(search)).collect();
        let parts = threads.into_iter().map(|thread| thread.join().expect("a search ends"));
        parts.fold(Found::default(), |mut all, part| {
            all.messages += part.messages;
            all.steps += part.steps;
            all.digest ^= part.digest;
            all.violations.extend(part.violations);
            all
        })
    });
    let took = began.elapsed();
    tell(options, &found);
    let runs = options.seeds * options.queues.len() as u64;
    println!(
        "{} seeds ({runs} runs), {} violations, {} messages, {} steps (digest {:016x}) in {:.1} s: \
         {:.0} runs per second",
        options.seeds,
        found.violations.len(),
        found.messages,
        found.steps,
        found.digest,
        took.as_secs_f64(),
        runs as f64 / took.as_secs_f64()
    );
    found.violations.is_empty()
}

fn tell(options: &Options, found: &Found) {
    let mut violations = found.violations.clone();
    violations.sort_unstable();
    let mut by_check = BTreeMap::<_, Vec<(u64, bool)>>::new();
    for &(seed, fifo) in &violations {
        if let Some(check) = examine(&Plan::draw(seed, fifo, None)).check() {
            by_check.entry((check, fifo)).or_default().push((seed, fifo));
        }
    }
    for ((check, fifo), seeds) in &by_check {
        let queue = if *fifo { "fifo" } else { "standard" };
        let first: Vec<u64> = seeds.iter().map(|(seed, _)| *seed).take(8).collect();
        println!("{check:?} ({queue}): {} runs, seeds {first:?}", seeds.len());
    }
    // One of each kind first.
    let firsts = by_check.values().filter_map(|seeds| seeds.first());
    for &(seed, fifo) in firsts.take(options.stories) {
        println!("\n{}", story(&Plan::draw(seed, fifo, None)).unwrap_or_default());
    }
}

/// Runs every broken scheduler; whether all are noticed by what they are about.
fn broken() -> bool {
    let mut all = true;
    for rule in Broken::ALL {
        let caught = caught(rule, SEEDS_TO_NOTICE);
        println!("{}", row(rule, caught.as_ref()));
        all &= caught.is_some_and(|caught| caught.is_about(rule));
    }
    all
}
