//! The binary of the delivery worker; see the library for what it does.

use std::process::ExitCode;

use delivery_worker::{Service, Settings};
use service_kit::Program;

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
