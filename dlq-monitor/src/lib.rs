//! The monitor of the dead-letter queues: notices what has died, says so once, and brings it back.
//!
//! A [`Service`] is built from [`Settings`] and then run. It repeats one round:
//!
//! 1. The attributes of every configured queue are read and become metrics.
//! 2. Each dead-letter queue is scanned: its messages are received with a short visibility timeout,
//!    looked at, and made visible again. A message that is not in the store yet is put there, counted as
//!    an arrival, by its reason, and logged with the order in it: once, by whichever monitor that is.
//!
//! A scan takes nothing out of a queue, and cannot always see everything: messages that somebody else
//! holds are hidden, a FIFO queue shows at most ten messages of a group at a time, and a scan is
//! bounded. `dlq_scan_complete` tells whether the last one saw all that SQS counts.
//!
//! Why a message died is asked of the deliveries in the same store, else of what its worker wrote on
//! it. Reasons are the closed list that the workers use; what has none is `unknown`.
//!
//! People look at it in the web console on `/` (`web`).
//!
//! Messages go back to their source queue, or to the archive, by [`jobs`], which are asked for over the
//! HTTP API (`api`, with `access` before it) or the command line ([`cli`]), are kept in the store, and
//! are taken over when their process ends.

mod access;
mod api;
pub mod cli;
pub mod jobs;
mod keeper;
mod letter;
mod metrics;
mod observe;
mod overtaken;
mod queues;
mod retention;
mod scan;
mod service;
mod settings;
mod spans;
mod web;

pub use api::openapi_json;
pub use letter::REASONS;
pub use service::Service;
pub use settings::{ClientSettings, Settings};
