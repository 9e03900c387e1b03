//! An embedded SQS for development, tests and benchmarks. **Nothing is durable**: queues and messages
//! live in memory and are gone with the process. Never for production.
//!
//! Two layers:
//! - [`model`] is SQS as a pure state machine, without clock, threads or I/O. Simulations use it directly.
//! - [`Server`] puts it behind HTTP and speaks AWS JSON 1.0, as the AWS SDKs, the AWS CLI and KEDA do,
//!   and the older AWS Query. It only translates and waits: a long poll is answered the moment something
//!   can be received, without a poll loop, and a connection that is dropped while waiting consumes
//!   nothing. [`Faults`] make it fail on purpose.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use local_sqs::{Server, ServerSettings};
//!
//! let server = Server::bind("127.0.0.1:0".parse().unwrap(), ServerSettings::default()).await?;
//! let endpoint = server.endpoint(); // for an SDK, as its endpoint URL
//! server.serve(std::future::pending()).await
//! # }
//! ```

#[cfg(feature = "cli")]
pub mod cli;
mod declaration;
pub mod model;
mod server;

/// What the fuzzer calls.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// Answers a request made of any bytes, as the server would. Returns the answer's HTTP status.
    pub fn answer(bytes: &[u8]) -> u16 {
        crate::server::fuzzing::answer(bytes)
    }
}

pub use declaration::{DeclarationError, QueueDeclaration, default_queues, parse_queues};
pub use server::{FaultError, FaultRule, Faults, Handle, Latency, Server, ServerSettings};
