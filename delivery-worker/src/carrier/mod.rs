//! Whoever delivers: a [`Carrier`] takes an order, or says why not.
//!
//! Two are built in. [`Simulated`] takes a while and never fails. [`HttpCarrier`] hands the order
//! to a delivery system over HTTP, so that a team uses the fleet with its own system without
//! writing Rust.

mod http;
mod retry_after;
mod simulated;

use std::time::Duration;

use futures_util::future::BoxFuture;
use order_events::OrderEvent;

pub(crate) use http::rest;
pub use http::{HttpCarrier, HttpCarrierError};
pub use simulated::{InvalidSimulatedTime, Simulated, SimulatedTime};

/// Delivers orders.
///
/// SQS delivers at least once, so an order may be handed over more than once; its `order_id` tells
/// a carrier that it has it already.
pub trait Carrier: Send + Sync + 'static {
    /// Hands the order over; the future may be dropped when its time is up.
    fn deliver<'a>(&'a self, order: &'a OrderEvent) -> BoxFuture<'a, Result<(), Failure>>;
}

/// Why the carrier did not take the order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Not now: it could not be reached or asked to be tried again.
    #[error("the carrier is unavailable: {detail}")]
    Unavailable {
        /// What happened.
        detail: String,
        /// The carrier wants no other try before this time has passed.
        retry_after: Option<Duration>,
    },
    /// No answer in time. It may have taken the order.
    #[error("the carrier did not answer within {0:?}")]
    TimedOut(Duration),
    /// Not ever.
    #[error("the carrier refused the order with status {status}: {answer}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The beginning of the answer, at most 1 KiB.
        answer: String,
    },
}
