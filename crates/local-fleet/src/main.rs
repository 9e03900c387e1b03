//! `cargo run`: the fleet on this machine, without AWS.

use std::process::ExitCode;

use local_fleet::{Fleet, Settings, welcome};
use service_kit::Program;

fn main() -> ExitCode {
    service_kit::run(Program {
        name: "local-fleet",
        version: env!("CARGO_PKG_VERSION"),
        about: "the order fleet and an embedded SQS in one process, without AWS",
        table: Settings::table,
        flags: &[("--data-dir", "LOCAL_FLEET_DATA_DIR")],
        read: Settings::read,
        run: |settings: Settings, shutdown| async move {
            let data_dir = settings.data_dir.clone();
            let fleet = Box::pin(Fleet::build(settings)).await?;
            welcome(&fleet.addresses(), &data_dir);
            fleet.run(shutdown).await
        },
    })
}
