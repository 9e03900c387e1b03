//! The rules, checked on each action of a scheduler and after each step.

mod ends;
mod requests;
mod starts;
mod steps;
mod work;

pub(super) use starts::TrueLease;
