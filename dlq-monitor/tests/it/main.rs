//! Tests of the monitor through its public surface.

mod observing;
mod settings;
mod support;
