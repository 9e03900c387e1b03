//! The `fleet-check` binary: whether a running fleet keeps its promises.

use std::process::ExitCode;

use fleet_check::Settings;
use service_kit::Program;

fn main() -> ExitCode {
    service_kit::run(Program {
        name: "fleet-check",
        version: env!("CARGO_PKG_VERSION"),
        about: "places orders with a running fleet and follows them: delivered, dead-lettered, redriven",
        table: Settings::table,
        flags: &[],
        read: Settings::read,
        run: fleet_check::run,
    })
}
