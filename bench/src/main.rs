//! Measures the fleet: `cargo run --release -p bench -- <what>`.
//!
//! Each measurement prints its table and writes it to `bench/RESULTS.md`, with the machine, the
//! version and the command beside it. Absolute figures move from machine to machine.

#![expect(clippy::print_stdout, reason = "a command-line tool prints its results")]

mod api;
mod chaos;
mod d1;
mod dlq;
mod g1;
mod http;
mod idle;
mod load;
mod process;
mod results;
mod role;
mod s1;
mod server;
mod sqs;
mod stage;
mod store;
mod w1;
mod w2;
mod w3;
mod w4;

use std::process::ExitCode;

/// As in the measured services.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: cargo run --release -p bench -- <what> [--quick]

  idle  memory of each service, idle and at load, and its time from start to ready
  s1    local-sqs: throughput by backlog and groups, wake latency, memory
  w1    the consumer's cost per message against the SDK's calls alone
  w2    FIFO: makespan against its lower bound, by groups, handler and round trip
  w3    FIFO: one slow group among fast ones
  w4    calls per message, and of an idle consumer
  g1    cost per message by backlog and groups
  d1    SIGTERM under load: time to exit, messages left behind
  store deliveries per second: a transaction for each against the group commit
  dlq   the monitor with 100,000 dead letters: scan, pages, memory, redrive

  a1    what the order API adds to a bare SendMessage at half load
  a2    the order API at saturation against itself with a call per order; its memory
        a1 and a2 take --with NAME=VALUE, a setting of the API, to see what it costs: nothing is written

  chaos [--orders N] [--seed S] [--keep]
        the whole fleet as processes that are killed, stopped and paused at random while N
        orders (1000000) go through it, then an audit of queues, store and dead letters;
        with fewer orders nothing is written; --keep keeps the folder with logs and store

  kill [--quick] [--seed S]
        order-api's processes, killed at random under load: what was accepted is in the queues,
        and a worker delivers each order once; --quick kills 20 times instead of 200

  --quick measures about a tenth, to check the measurement itself: nothing is written,
  and no bound is held but that of idle
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (what, quick) = match words[..] {
        // What the measurements start themselves.
        ["role", spec] => return ended(role::run(spec)),
        ["chaos", ref options @ ..] => {
            let Some(options) = chaos::Options::parse(options) else { return usage() };
            return ended(chaos::run(options));
        }
        ["kill", ref options @ ..] => {
            let Some(options) = chaos::kill::Options::parse(options) else { return usage() };
            return ended(chaos::kill::run(options));
        }
        ["a1", ref options @ ..] => {
            let Some(options) = api::Options::parse(options) else { return usage() };
            return ended(on_runtime(api::a1::run(options)));
        }
        ["a2", ref options @ ..] => {
            let Some(options) = api::Options::parse(options) else { return usage() };
            return ended(on_runtime(api::a2::run(options)));
        }
        [what] => (what, false),
        [what, "--quick"] => (what, true),
        _ => ("", false),
    };
    ended(match what {
        "idle" => on_runtime(idle::run(quick)),
        "s1" => s1::run(if quick { s1::Scale::QUICK } else { s1::Scale::FULL }),
        "w1" => on_runtime(w1::run(quick)),
        "w2" => on_runtime(w2::run(quick)),
        "w3" => on_runtime(w3::run(quick)),
        "w4" => on_runtime(w4::run(quick)),
        "g1" => on_runtime(g1::run(quick)),
        "d1" => on_runtime(d1::run(quick)),
        "store" => on_runtime(store::run(quick)),
        "dlq" => on_runtime(dlq::run(quick)),
        _ => {
            return usage();
        }
    })
}

fn on_runtime(measurement: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measurement)
}

fn ended(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    print!("{USAGE}");
    ExitCode::from(64)
}
