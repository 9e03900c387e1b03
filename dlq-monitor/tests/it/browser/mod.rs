//! The console in a browser.
//!
//! Each test has a browser, a monitor and an SQS of its own. It does what people do, by mouse or keyboard,
//! and looks at what they see. Whatever a test is about, the browser must have nothing to complain of.

mod acting;
mod canary_and_order;
mod devtools;
mod inspect;
mod keyboard;
mod login;
mod page;
mod pictures;
mod reading;
mod stage;
mod states;
mod without_scripts;
