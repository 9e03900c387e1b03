//! The binary of the delivery worker; see the library for what it does.

use std::process::ExitCode;

use delivery_worker::{Service, Settings};
use service_kit::Program;

/// A message is some dozens of small pieces of memory, most of them the SDK's: a fifth less processor
/// time than with the system's allocator (`bench w1`).
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    service_kit::run(Program {
        name: "delivery-worker",
        version: env!("CARGO_PKG_VERSION"),
        about: "consumes orders from SQS, delivers them and remembers every attempt",
        table: Settings::table,
        flags: &[],
        read: Settings::read,
        run: |settings, shutdown| async move { Service::build(settings).await?.run(shutdown).await },
    })
}
