//! Tests of the delivery worker through its public surface.

mod carriers;
mod service;
mod settings;
mod store_conformance;
mod store_sqlite;
mod support;
mod verdicts;
