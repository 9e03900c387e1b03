//! The whole fleet in one process: an embedded SQS and the three services, on loopback.
//!
//! For a first look, demonstrations and tests. It is the same code as the services' own binaries,
//! wired by [`Fleet::build`] to queues of [`local_sqs`] instead of AWS. Messages live in memory
//! only; deliveries are kept in a SQLite file below the data directory. [`Observers`] are Prometheus
//! and Alertmanager beside it, where these are installed.

mod fleet;
mod observers;
mod settings;
mod welcome;

pub use fleet::{Addresses, Fleet};
pub use observers::Observers;
pub use settings::Settings;
pub use welcome::welcome;
