//! Several workers' real schedulers against the pure model of SQS, on a virtual clock.
//!
//! A seed decides everything: what is sent and when, how handlers fare, how calls get lost or late,
//! which workers die, stop, come and go. After every step the rules of [`Check`] must hold. They are
//! written from what SQS does and what the consumer promises, not from the scheduler's code: the
//! simulation sees a scheduler's facts and actions and the state of the queue, nothing else.
//!
//! Of what the shell sees to itself, a return waits for handlers that were told to stop, and a change
//! of visibility is given up at the end of a lease. That a handler waits for those before it is left
//! out: a scheduler cannot tell it from one that takes longer or cannot begin yet, which are drawn.
//!
//! A violation names its rule and its seed, and tells the story of its message in the smallest plan
//! that still shows it.

mod actions;
mod calls;
mod checks;
mod dice;
mod events;
mod facts;
mod ledger;
mod network;
mod pace;
mod plan;
mod report;
mod run;
mod shrink;
mod sqs;
mod symptoms;
#[cfg(test)]
mod tests;
mod trace;
mod troubles;
mod violation;
mod worker;

use std::time::Duration;

use sqs_consumer::Time;

pub(crate) use self::{
    plan::Plan,
    report::{caught, examine, row, story},
};

/// The virtual clock in the scheduler's terms.
fn time(millis: u64) -> Time {
    Time::new(Duration::from_millis(millis))
}
