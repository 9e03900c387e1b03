//! What a FIFO queue remembers of the messages sent in the last five minutes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::checksum::hex;
use super::message::Seq;
use super::time::Millis;

/// A deduplication id in its scope, as half a SHA-256: at a high rate millions of them are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeduplicationKey(u128);

impl DeduplicationKey {
    /// The scope is the whole queue (`None`) or one message group.
    pub(super) fn new(group: Option<&str>, id: &str) -> Self {
        let mut digest = Sha256::new();
        if let Some(group) = group {
            digest.update(group);
            // Not part of any group's name.
            digest.update([0]);
        }
        digest.update(id);
        let digest = digest.finalize();
        Self(digest.iter().take(16).fold(0, |key, byte| (key << 8) | u128::from(*byte)))
    }
}

/// The messages accepted lately, by deduplication id. They stay known after they are deleted.
#[derive(Debug, Clone, Default)]
pub(super) struct Deduplication {
    accepted: BTreeMap<DeduplicationKey, Accepted>,
    oldest_first: VecDeque<(Millis, DeduplicationKey)>,
}

/// What a repeated send is answered with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepted {
    pub(super) message_id: Uuid,
    pub(super) sequence_number: Seq,
}

impl Deduplication {
    pub(super) fn find(&mut self, key: &DeduplicationKey, now: Millis) -> Option<Accepted> {
        while self.oldest_first.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, key)) = self.oldest_first.pop_front() {
                self.accepted.remove(&key);
            }
        }
        self.accepted.get(key).copied()
    }

    /// Remembers an accepted message. The caller has found no earlier one by this key.
    pub(super) fn remember(
        &mut self,
        key: DeduplicationKey,
        accepted: Accepted,
        now: Millis,
        interval: Duration,
    ) {
        self.oldest_first.push_back((now + interval, key));
        self.accepted.insert(key, accepted);
    }
}

/// The id that content-based deduplication gives a body: its SHA-256, attributes not included.
pub(super) fn of_content(body: &str) -> String {
    hex(&Sha256::digest(body))
}
