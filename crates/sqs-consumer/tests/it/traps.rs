//! The traps of consuming SQS, by number: each has the tests here that would catch it.
//!
//! Where a trap lies in a decision it is tried on the pure scheduler, call by call. Where it lies in
//! what calls, handlers and other workers do meanwhile, the whole consumer runs on the model of the
//! queue, on a virtual clock.

mod batches;
mod blocked;
mod late_answers;
mod leases;
mod load;
mod order;
mod outages;
mod repetitions;
mod stopping;
