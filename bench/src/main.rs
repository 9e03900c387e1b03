//! Measures the fleet: `cargo run --release -p bench -- <what>`.
//!
//! Each measurement prints its table and writes it to `bench/RESULTS.md`, with the machine, the
//! version and the command beside it. Absolute figures move from machine to machine.

#![expect(clippy::print_stdout, reason = "a command-line tool prints its results")]

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
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["idle"] => idle::run(),
        ["s1"] => s1::run(s1::Scale::FULL),
        ["s1", "--quick"] => s1::run(s1::Scale::QUICK),
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
