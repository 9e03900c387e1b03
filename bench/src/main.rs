//! Measures the fleet: `cargo run --release -p bench -- <what>`.
//!
//! Each measurement prints its table and writes it to `bench/RESULTS.md`, with the machine, the
//! version and the command beside it. Absolute figures move from machine to machine.

#![expect(clippy::print_stdout, reason = "a command-line tool prints its results")]

mod idle;
mod process;
mod results;
mod role;
mod s1;
mod server;
mod sqs;
mod stage;
mod w1;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo run --release -p bench -- <what>

  idle          resident memory and time from start to ready of each service, idle
  s1 [--quick]  local-sqs: throughput by backlog and groups, wake latency, memory;
                --quick with a tenth of the messages, to check the measurement itself:
                nothing is written, and no bound is held
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["idle"] => idle::run(),
        ["s1"] => s1::run(s1::Scale::FULL),
        ["s1", "--quick"] => s1::run(s1::Scale::QUICK),
        ["w1"] => on_runtime(w1::run(false)),
        ["w1", "--quick"] => on_runtime(w1::run(true)),
        // What the measurements start themselves.
        ["role", spec] => role::run(spec),
        _ => {
            print!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn on_runtime(measurement: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measurement)
}
