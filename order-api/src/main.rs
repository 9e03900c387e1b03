//! The order API's binary.

use order_api::{Service, Settings};
use service_kit::Program;
use std::process::ExitCode;

/// Small allocations by the hundred for each order: a tenth of the processor with the system's.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    service_kit::run(Program {
        name: "order-api",
        version: env!("CARGO_PKG_VERSION"),
        about: "takes orders over HTTP and publishes them to SQS",
        table: Settings::table,
        flags: &[],
        read: Settings::read,
        run: async |settings, shutdown| Service::build(settings).await?.run(shutdown).await,
    })
}
