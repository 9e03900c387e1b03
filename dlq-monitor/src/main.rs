//! The binary of the monitor; see the library for what it does.

use std::process::ExitCode;

use dlq_monitor::{Service, Settings};
use service_kit::Program;

fn main() -> ExitCode {
    service_kit::run(Program {
        name: "dlq-monitor",
        version: env!("CARGO_PKG_VERSION"),
        about: "watches the order queues and their dead letters",
        table: Settings::table,
        flags: &[],
        read: Settings::read,
        run: |settings, shutdown| async move { Service::build(settings).await?.run(shutdown).await },
    })
}
