//! Redriving and discarding: jobs that live in the store, are done by one process at a time, and are
//! taken over when it ends.
//!
//! What to do next is decided by [`plan`] and [`moving`], which are pure. `runner` takes jobs in hand
//! and carries out what these ask for; `request` is what was asked for, as it is kept.

mod known;
mod left;
pub mod moving;
pub mod plan;
pub(crate) mod request;
pub(crate) mod runner;
mod shell;
mod told;
