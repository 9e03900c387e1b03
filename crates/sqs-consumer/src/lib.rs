//! Consumes Amazon SQS: each message once in effect, each FIFO group in order, at little cost, with
//! an end that leaves nothing behind.
//!
//! # The mental model
//!
//! You bring a [`Handler`]: given a message and the number of the attempt, it does the work and
//! gives a [`Verdict`]. The [`Consumer`] brings everything around it.
//!
//! * **A receive is a lease.** SQS hides the message from others for the visibility timeout. While
//!   a message waits or runs here, its lease is extended in time; when it is lost all the same, the
//!   handler is cancelled and nothing is said to SQS about a message that may be somebody else's.
//! * **A FIFO group is a lane.** Of a group's messages only the first one runs. When it fails it is
//!   retried in place, after a backoff, and those behind it wait, still leased. When its attempts
//!   are used up it goes to the dead-letter queue with a reason, and the lane goes on. Different
//!   groups run side by side.
//! * **A standard queue has no lanes.** A failed message is given back with a visibility backoff, and
//!   the queue's redrive policy ends it after `maxReceiveCount` receives.
//! * **An attempt** is numbered by the receive count plus the retries in place since that receive.
//! * **[`Verdict::Unavailable`]** says that what every message needs is down: nothing is
//!   acknowledged, the attempt does not count, and receiving pauses until a probe succeeds.
//! * **[`Verdict::AlreadyDone`]** acknowledges what has come again, and does not show that what
//!   messages are handed to works.
//! * **A drain** stops receiving, waits for the polls under way, lets running handlers finish, then
//!   gives back the rest, the head of a lane before its tail; but what the queue would dead-letter at
//!   its next receive is attempted.
//!
//! SQS delivers at least once, so a handler must be safe to repeat.
//!
//! # The parts
//!
//! The decisions are made in [`scheduler`] and [`lease`], which are pure: facts and time in, actions
//! out. The [`Consumer`] is a thin shell that carries the actions out on a [`Queue`]; [`aws`] has the
//! one for SQS. Tests drive the pure parts by hand, and a simulation runs several of them against a
//! model of SQS.
//!
//! # Example
//!
//! ```no_run
//! use sqs_consumer::{Attempt, Consumer, Handler, Message, Metrics, Settings, Verdict, aws};
//!
//! struct Print;
//!
//! impl Handler for Print {
//!     async fn handle(&self, message: &Message, attempt: Attempt) -> Verdict {
//!         println!("{} (attempt {})", message.body, attempt.number);
//!         Verdict::Done
//!     }
//! }
//!
//! # use sqs_consumer::SettingsError;
//! # async fn example(url: &str, stop: impl Future<Output = ()>) -> Result<(), SettingsError> {
//! let registry = prometheus::Registry::new();
//! let calls = aws::CallMetrics::register(&registry);
//! let connection = aws::Connection::open(aws::Options::default(), Some(url), calls).await;
//! let metrics = Metrics::register(&registry, "example");
//! let consumer = Consumer::new(connection.queue(url, None), Print, Settings::default(), metrics)?;
//! let drained = consumer.run(stop).await;
//! assert_eq!(drained.stranded, 0);
//! # Ok(())
//! # }
//! ```

pub mod aws;
mod consumer;
mod handler;
pub mod lease;
mod metrics;
mod queue;
pub mod scheduler;
mod time;

pub use consumer::{Activity, Consumer, Drained, Health, Settings, SettingsError};
pub use handler::{Attempt, Handler, Verdict};
pub use lease::LONGEST_WORK;
pub use metrics::{Metrics, QueueMetrics};
pub use queue::{
    AttributeValue, BatchResult, DeadLetter, LONGEST_CALL, MAX_BATCH, Message, Queue,
    QueueAttributes, QueueError, ReceiptHandle, ReceiveRequest, SplitDeadLetters,
};
pub use time::Time;
