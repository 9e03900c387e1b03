//! The wire: aws-sdk-sqs, configured for long polls and batches.
//!
//! One [`Connection`] per process holds one HTTP connection pool and three clients on it, for
//! receiving, settling and sending, so that failing polls cannot use up the retry budget of the
//! acknowledgements. [`Connection::queue`] makes a [`crate::Queue`] of a URL.

mod calls;
mod connection;
mod convert;
mod dead_letter;
mod error;
mod queue;
mod redrive;
mod send;

pub use calls::CallMetrics;
pub use connection::{Connection, Options, StaticCredentials};
pub use dead_letter::{
    DEAD_LETTER_ATTEMPTS, DEAD_LETTER_DETAIL, DEAD_LETTER_REASON, DEAD_LETTER_SOURCE_ID,
};
pub use error::{classify, classify_entry};
pub use queue::AwsQueue;
pub use send::Outgoing;
