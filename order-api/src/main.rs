//! The order API's binary.

use order_api::{Service, Settings};
use service_kit::Program;
use std::process::ExitCode;

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
