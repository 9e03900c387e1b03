//! The kit from outside, as a service uses it.

mod answers;
mod http;
mod scraping;
mod settings;
mod stopping;
