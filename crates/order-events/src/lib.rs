//! The wire contract of the order fleet: what is on the queues, and nothing else.
//!
//! An [`OrderEvent`] is the body of every message on the order queues; a [`DeliveryEvent`] says what
//! became of an order. Both are JSON in camelCase. Three rules hold for every reader and writer:
//!
//! - **Money is exact.** Amounts are [`Decimal`] in memory and JSON numbers on the wire, digit for
//!   digit: `12.50` stays `12.50`. They never pass through binary floating point, and a number with
//!   more digits than a [`Decimal`] holds is refused, not rounded.
//! - **Time is UTC.** Written as RFC 3339 with `Z`. A local date-time without zone, as older
//!   producers write it, is read as UTC.
//! - **Readers are tolerant.** Unknown fields are ignored.
//!
//! [`message_group_id`] belongs to the contract too: it decides which orders SQS keeps in order.

mod decimal;
mod event;
mod group;
mod object;
mod time;
mod written;

pub use decimal::{DecimalError, parse_decimal};
pub use event::{AmountOverflow, DeliveryEvent, DeliveryStatus, EventError, OrderEvent, OrderItem};
pub use group::message_group_id;
pub use object::Object;
pub use rust_decimal::Decimal;
