//! The `local-sqs` binary: an SQS for development and tests. Not durable.

use std::process::ExitCode;

use local_sqs::cli::{self, Settings};

/// A full queue is a million small pieces of memory, taken by one thread and given back by another.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    service_kit::run(service_kit::Program {
        name: "local-sqs",
        version: env!("CARGO_PKG_VERSION"),
        about: "an SQS for development and tests; NOT DURABLE, everything is gone when it ends",
        table: Settings::table,
        flags: &[],
        read: Settings::read,
        run: cli::run,
    })
}
