//! The kit from outside, as a service uses it.

mod http;
mod settings;
