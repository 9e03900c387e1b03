//! The wire contract, byte by byte.

mod events;
mod groups;
