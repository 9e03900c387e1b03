//! Measures the fleet: `cargo run --release -p bench -- <what>`.
//!
//! Each measurement prints its table and writes it to `bench/RESULTS.md`, with the machine, the
//! version and the command beside it. Absolute figures move from machine to machine.

#![expect(clippy::print_stdout, reason = "a command-line tool prints its results")]

mod chaos;
mod idle;
mod process;
mod results;
mod s1;
mod sqs;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo run --release -p bench -- <what>

  idle          resident memory and time from start to ready of each service, idle
  s1 [--quick]  local-sqs: throughput by backlog and groups, wake latency, memory;
                --quick with a tenth of the messages, to check the measurement itself:
                nothing is written, and no bound is held
  chaos [--orders N] [--seed S] [--keep]
                the whole fleet as processes that are killed, stopped and paused at random while N
                orders (1000000) go through it, then an audit of queues, store and dead letters;
                with fewer orders nothing is written; --keep keeps the folder with logs and store
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["idle"] => idle::run(),
        ["s1"] => s1::run(s1::Scale::FULL),
        ["s1", "--quick"] => s1::run(s1::Scale::QUICK),
        ["chaos", ref options @ ..] => match chaos::Options::parse(options) {
            Some(options) => chaos::run(options),
            None => return usage(),
        },
        _ => return usage(),
    };
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
