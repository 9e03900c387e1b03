//! Tests of the deliveries store through its public surface.

mod conformance;
mod dead_letters;
mod dlq_jobs;
mod listing;
mod migrating;
mod overtaking;
mod postgres;
mod proxy;
mod questions;
mod requests;
mod retention;
mod sqlite;
mod support;
mod undeleted;
