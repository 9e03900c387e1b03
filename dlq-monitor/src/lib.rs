//! Watches the queues and their dead letters.
