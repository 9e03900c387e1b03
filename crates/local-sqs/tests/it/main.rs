//! One test for each behaviour. The model's need no I/O; the server's go through the AWS SDK.

#[cfg(feature = "cli")]
mod cli;
mod model_administration;
mod model_batches;
mod model_dead_letters;
mod model_fifo;
mod model_invariants;
mod model_limits;
mod model_messages;
mod model_order;
mod model_permissions;
mod model_policies;
mod model_properties;
mod model_receive;
mod model_send;
mod model_settle;
mod model_tags;
mod rig;
mod server_boto3;
mod server_connections;
mod server_faults;
mod server_long_polls;
mod server_metrics;
mod server_protocol;
mod server_query;
mod server_sdk;
mod server_support;
