//! The consumer from outside: its pure core driven by hand, and its shell on a real server.

mod blocking;
mod both_queues;
mod denied;
mod drain;
mod exhaustive;
mod failures;
mod fifo;
mod fixture;
mod handlers;
mod leases;
mod lingers;
mod modelled;
mod polling;
mod refused_copies;
mod rig;
mod shell;
mod simulation;
mod storms;
mod traps;
