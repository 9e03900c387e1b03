//! The order API through real HTTP: against local-sqs, and against an SQS that misbehaves on purpose.

mod accepting;
mod batching;
mod binary;
mod deliveries;
mod document;
mod faults;
mod harness;
mod hostile;
mod hostile_answers;
mod hostile_bodies;
mod hostile_clients;
mod hostile_framing;
mod hostile_memory;
mod hostile_mutations;
mod keys;
mod order;
mod origins;
mod pages;
mod stopping;
mod traces;
mod validation;
