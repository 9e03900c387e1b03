//! The web console, as a browser without scripts meets it.

mod acting;
pub(crate) mod browser;
mod entrance;
mod pages;
mod states;
mod texts;
