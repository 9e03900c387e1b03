//! What every service of the fleet shares, so that each of them is only its own subject.
//!
//! A binary's `main` hands a [`Program`] to [`run`]; the rest is a life in fixed steps:
//!
//! 1. The command line and the [`settings`] are read, and every problem is reported at once, before
//!    anything is bound (exit 64).
//! 2. [`telemetry`] starts: logs to standard error, and traces over OTLP when an endpoint is set.
//! 3. The service is built (its listeners [`bind()`]) and runs until its [`Shutdown`] is requested by
//!    SIGTERM or SIGINT. A second signal aborts the process (exit 130).
//! 4. Spans still in memory are flushed, last of all, and the process exits.
//!
//! A running service tells the outside how it is on its [`AdminServer`]: metrics of the
//! [`prometheus::Registry`] that was handed in, liveness, and [`Readiness`], a set of latches that
//! each part of the service raises and drops. Its own routes are finished by [`routes()`] and served
//! by [`serve()`]; every error answer is a [`Problem`], which lists [`FieldErrors`] where parts of the
//! request are invalid. With the feature `docs` an API is described once, for machines and for people. What it asks others over HTTP, it asks by an
//! [`HttpClient`], within bounds.
//!
//! Nothing here is a process global but the tracing subscriber and the limit of open files, which
//! only [`run`] installs and raises: several services live in one process in tests and in the
//! all-in-one runner.

mod admin;
mod bind;
mod client;
#[cfg(feature = "docs")]
pub mod docs;
mod first_scrape;
mod http;
mod invalid;
mod line;
mod open_files;
mod problem;
mod program;
mod readiness;
mod scrapes;
pub mod settings;
mod shutdown;
pub mod telemetry;

pub use admin::{AdminServer, build_info};
pub use bind::{BindError, bind};
pub use client::{HttpClient, HttpClientError, HttpClientLimits};
pub use http::{
    BAD_REQUEST, GivesWay, METHOD_NOT_ALLOWED, NOT_FOUND, Peer, ServeLimits, is_json, routes, serve,
};
pub use invalid::{FieldError, FieldErrors, read_query};
pub use line::{Line, LinePlace};
pub use problem::{Problem, ProblemKind};
pub use program::{Flag, Program, read_settings, run};
pub use readiness::{Latch, Readiness};
pub use scrapes::Scrapes;
pub use shutdown::{Shutdown, ShutdownTrigger};
