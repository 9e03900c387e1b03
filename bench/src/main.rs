//! Measures the fleet: `cargo run --release -p bench -- <what>`.
//!
//! Each measurement prints its table and writes it to `bench/RESULTS.md`, with the machine, the
//! version and the command beside it. Absolute figures move from machine to machine.

#![expect(clippy::print_stdout, reason = "a command-line tool prints its results")]

mod idle;
mod process;
mod results;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo run --release -p bench -- <what>

  idle    resident memory and time from start to ready of each service, idle
";

fn main() -> ExitCode {
    let what = std::env::args().nth(1).unwrap_or_default();
    let outcome = if what == "idle" {
        idle::run()
    } else {
        print!("{USAGE}");
        return ExitCode::from(64);
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
