//! What tells a model from one in another state, for searches that visit each state once.

use std::hash::{Hash, Hasher};

use super::Sqs;
use super::message::{Message, MessageState};
use super::time::Millis;

impl Sqs {
    /// Hashes what decides how a queue answers receives, deletes and changes of visibility from the
    /// last call on. Of two models that hash alike, one answers later as the other does now.
    ///
    /// Times count from `now`. Message ids and receipt handles are left out, and so is what is
    /// long compared with a search: retention, deduplication, the longest visibility timeout.
    pub fn identify(&self, now: Millis, name: &str, state: &mut impl Hasher) {
        let Some(queue) = self.queues.get(name) else { return };
        let left = |until: Millis| until.since(now);
        let identify = |message: &Message, state: &mut _| {
            message.content.body.hash(state);
            (message.receive_count, message.receives_elsewhere).hash(state);
            message.released.hash(state);
            std::mem::discriminant(&message.state).hash(state);
            match message.state {
                MessageState::Visible => {}
                MessageState::Delayed { until } | MessageState::InFlight { until, .. } => {
                    left(until).hash(state);
                }
            }
        };
        queue.messages.len().hash(state);
        if queue.is_fifo() {
            for message in queue.messages.values() {
                identify(message, state);
            }
            for group in queue.groups_in_turn() {
                group.hash(state);
            }
        } else {
            // A message that becomes visible again has its turn from before.
            let mut in_turn: Vec<&Message> = queue.messages.values().collect();
            in_turn.sort_by_key(|message| message.turn);
            for message in in_turn {
                identify(message, state);
            }
        }
    }
}
