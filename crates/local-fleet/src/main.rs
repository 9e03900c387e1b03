//! `cargo run`: the fleet on this machine, without AWS.

use std::process::ExitCode;

use local_fleet::{Fleet, Observers, Settings, welcome};
use service_kit::{Flag, Program, Shutdown};

fn main() -> ExitCode {
    service_kit::run(Program {
        name: "local-fleet",
        version: env!("CARGO_PKG_VERSION"),
        about: "the order fleet and an embedded SQS in one process, without AWS",
        table: Settings::table,
        flags: &[
            Flag { option: "--data-dir", setting: "LOCAL_FLEET_DATA_DIR", alone: None },
            Flag { option: "--observe", setting: "LOCAL_FLEET_OBSERVE", alone: Some("true") },
        ],
        read: Settings::read,
        run: |settings: Settings, shutdown: Shutdown| async move {
            let (data_dir, observe) = (settings.data_dir.clone(), settings.observe);
            let fleet = Box::pin(Fleet::build(settings)).await?;
            let at = fleet.addresses();
            let observers = if observe {
                tokio::select! {
                    started = Observers::start(&at) => Some(started?),
                    () = shutdown.requested() => return Ok(()),
                }
            } else {
                None
            };
            welcome(&at, &data_dir, observers.as_ref());
            let outcome = fleet.run(shutdown).await;
            if let Some(observers) = observers {
                observers.stop().await;
            }
            outcome
        },
    })
}
