//! Receives that a client may repeat by their ReceiveRequestAttemptId.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::message::Seq;
use super::time::Millis;

/// The answered attempts of a FIFO queue in the last five minutes.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempts {
    answered: BTreeMap<String, Answered>,
    oldest_first: VecDeque<(Millis, String)>,
}

#[derive(Debug, Clone)]
struct Answered {
    until: Millis,
    /// Each message with the number of the receive that gave its handle.
    receipts: Vec<(Seq, u64)>,
}

impl Attempts {
    /// When the oldest is to be forgotten.
    pub(super) fn next_end(&self) -> Option<Millis> {
        self.oldest_first.front().map(|(until, _)| *until)
    }

    /// Forgets what is older than the interval.
    pub(super) fn advance(&mut self, now: Millis) {
        while let Some((until, _)) = self.oldest_first.front()
            && *until <= now
        {
            let Some((until, id)) = self.oldest_first.pop_front() else {
                break;
            };
            // A later receive by the same id has its own entry in the line.
            if self.answered.get(&id).is_some_and(|answered| answered.until <= until) {
                self.answered.remove(&id);
            }
        }
    }

    /// The receipts of an attempt, as of the last [`Self::advance`].
    pub(super) fn find(&self, id: &str) -> Option<Vec<(Seq, u64)>> {
        self.answered.get(id).map(|answered| answered.receipts.clone())
    }

    pub(super) fn remember(
        &mut self,
        id: &str,
        receipts: Vec<(Seq, u64)>,
        now: Millis,
        interval: Duration,
    ) {
        let until = now + interval;
        self.oldest_first.push_back((until, id.to_owned()));
        self.answered.insert(id.to_owned(), Answered { until, receipts });
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.answered.remove(id);
    }
}
