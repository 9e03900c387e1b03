//! The binary of the monitor; see the library for what it does.

use std::process::ExitCode;

use dlq_monitor::{Service, Settings, cli};
use service_kit::Program;

fn main() -> ExitCode {
    if let Some(code) = cli::run(std::env::args_os().skip(1)) {
        return code;
    }
    service_kit::run(Program {
        name: "dlq-monitor",
        version: env!("CARGO_PKG_VERSION"),
        about: "watches the order queues and their dead letters, and brings these back; \
                `dlq-monitor dlq --help` shows its command line",
        table: Settings::table,
        flags: &[],
        read: Settings::read,
        run: |settings, shutdown| async move { Service::build(settings).await?.run(shutdown).await },
    })
}
