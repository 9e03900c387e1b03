//! Tests of the monitor through its public surface.

mod access;
mod behind;
mod blind;
mod browser;
mod commands;
mod console;
mod deep;
mod document;
mod http;
mod kills;
mod logs;
mod moving;
mod observing;
mod ordering;
mod redriving;
mod settings;
mod simulation;
mod support;
mod traced;
mod undeleted;
mod unseen;
