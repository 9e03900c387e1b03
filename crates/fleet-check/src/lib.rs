//! Checks a running fleet from the outside, as its clients and operators would.
//!
//! The checks run one after another, and each is told with its time and what it found:
//!
//! 1. the order API answers;
//! 2. an order on the standard queue is delivered;
//! 3. orders of one customer on the FIFO queue are delivered in their order;
//! 4. an order that always fails is dead-lettered, and the monitor counts it;
//! 5. its dead letter, sent to the source queue again, is attempted again;
//! 6. its dead letter is taken out, so that the dead-letter queue is left as it was.
//!
//! A check that needs what an earlier one failed to bring is not run, and counts as failed. What a
//! fleet does not have (a queue without URL, orders that fail on purpose) is not checked, and said.
//!
//! Only orders of its own are touched. Other dead letters are received while its own is looked for,
//! and made visible again at once.

mod checks;
mod dead_letters;
mod http;
mod report;
mod scrape;
mod settings;
mod wait;

pub use checks::run;
pub use settings::{DeadLetterRoute, Settings};
