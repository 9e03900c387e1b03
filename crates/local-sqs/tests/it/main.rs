//! One test for each behaviour. The model's need no I/O; the server's go through the AWS SDK.

#[cfg(feature = "cli")]
mod cli;
mod model_administration;
mod model_dead_letters;
mod model_fifo;
mod model_properties;
mod model_receive;
mod model_send;
mod model_settle;
mod rig;
mod server_faults;
mod server_long_polls;
mod server_protocol;
mod server_sdk;
mod server_support;
