//! The delivery worker: takes orders from SQS, has a carrier deliver them, remembers every attempt.
//!
//! A [`Service`] is built from [`Settings`] and then run. Inside, a message goes this way:
//!
//! 1. A `sqs_consumer::Consumer` per queue receives it and decides when its attempt starts; it owns
//!    leases, order within FIFO groups, backoff and the drain.
//! 2. [`Deliver`] makes the attempt: skips an order that is delivered already, hands the others to
//!    the [`Carrier`], and records what happened in the [`store`].
//! 3. Only after that record is committed does the consumer hear the verdict and delete the message,
//!    try again or dead-letter it with its [`Reason`].
//!
//! So the effects of a message survive a crash at any point: what is not committed is received
//! again, what is committed is not repeated. The HTTP routes read the same store.

mod backlog;
mod carrier;
mod counting;
mod deliver;
mod figures;
mod metrics;
mod orders_in_hand;
mod retention;
mod routes;
mod service;
mod settings;
mod spans;

pub use carrier::{
    Carrier, Failure, HttpCarrier, HttpCarrierError, InvalidSimulatedTime, Simulated, SimulatedTime,
};
pub use deliver::{Deliver, DeliverFrom, TEST_PRODUCT, TimeLimits};
pub use metrics::{Metrics, QueueMetrics};
/// The deliveries store, a crate of its own.
pub use order_store as store;
pub use order_store::Reason;
pub use service::Service;
pub use settings::{CarrierSettings, ConsumerSettings, Settings};
