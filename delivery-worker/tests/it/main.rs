//! Tests of the delivery worker through its public surface.

mod carriers;
mod carriers_misbehaving;
mod carriers_tls;
mod deliveries_api;
mod postgres;
mod rig;
mod service;
mod settings;
mod support;
mod verdicts;
