//! The monitor of the dead-letter queues: notices what has died, says so once, and measures.
//!
//! A [`Service`] is built from [`Settings`] and then run. It repeats one round:
//!
//! 1. The attributes of every configured queue are read and become metrics.
//! 2. Each dead-letter queue is scanned: its messages are received with a short visibility timeout,
//!    looked at, and made visible again. A message that this process has not met before is counted
//!    as an arrival, by its reason, and logged with the order in it.
//!
//! The monitor takes nothing out of a queue. A scan cannot always see everything: messages that
//! somebody else holds are hidden, a FIFO queue shows at most ten messages of a group at a time, and
//! a scan is bounded. `dlq_scan_complete` tells whether the last one saw all that SQS counts.
//!
//! Reasons are the closed list that the workers use; what has none, or another, is `unknown`.

mod letter;
mod metrics;
mod observe;
mod routes;
mod scan;
mod seen;
mod service;
mod settings;

pub use letter::REASONS;
pub use service::Service;
pub use settings::Settings;
