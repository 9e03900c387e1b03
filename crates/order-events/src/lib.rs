//! The wire contract of the order fleet: what is on the queues.
