//! A running server's handle, for tests and for the process that the server is embedded in.

use std::sync::Arc;
use std::time::Duration;

use super::core::Shared;
use super::faults::Faults;
use crate::model::{QueueCounts, Sqs};

/// Observes and steers a server in the same process.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

impl Handle {
    /// Answers every waiting receive now and makes later ones not wait, so that a process whose
    /// clients drain is not held up by long polls.
    pub fn end_long_polls(&self) {
        self.shared.end_long_polls();
    }

    /// The exact numbers of a queue's messages. `None` when there is no such queue.
    pub fn queue_counts(&self, name: &str) -> Option<QueueCounts> {
        self.shared.with_model(|model, now| {
            model.advance(now);
            model.counts(name)
        })
    }

    /// How many receives wait for a message, in all queues.
    pub fn waiting_receives(&self) -> usize {
        self.shared.waiting_receives()
    }

    /// Turns the server's clock forward: visibility timeouts, delays and retention that end by then
    /// have ended.
    pub fn skip(&self, by: Duration) {
        self.shared.skip(by);
    }

    /// Replaces the faults that the server shows. `Faults::default()` ends them.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.faults.set(faults);
    }

    /// A copy of the model as it is now.
    pub fn snapshot(&self) -> Sqs {
        self.shared.with_model(|model, now| {
            model.advance(now);
            model.clone()
        })
    }
}
