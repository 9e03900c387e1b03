//! Tests of the delivery worker through its public surface.

mod carriers;
mod service;
mod settings;
mod support;
mod verdicts;
