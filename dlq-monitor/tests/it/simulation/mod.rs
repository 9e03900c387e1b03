//! Jobs' real plans against the pure model of SQS and a store in memory, on a virtual clock.
//!
//! A seed decides everything: what is dead, what is asked for, how calls get lost or late, when the
//! store fails, which processes are killed, paused or stopped, what arrives meanwhile. After every step
//! the rules of [`Check`] must hold; they are written from what a redrive promises, not from the plan's
//! code. A violation names its rule and its seed.

mod checks;
mod events;
mod runner;
mod scenario;
mod sqs;
mod store;
mod tests;
mod world;

pub(crate) use self::{scenario::Scenario, world::run};
