//! The kit from outside, as a service uses it.

mod answers;
mod http;
mod settings;
mod stopping;
