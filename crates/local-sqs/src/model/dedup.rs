//! What a FIFO queue remembers of the messages sent in the last five minutes.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::checksum::hex;
use super::message::Seq;
use super::time::Millis;

/// A deduplication id in its scope, as half a SHA-256: at a high rate millions of them are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    const fn shard(self) -> usize {
        (self.0 >> 64) as usize % SHARDS
    }
}

/// A digest is as good a hash as any.
impl Hash for DeduplicationKey {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.0 as u64);
    }
}

#[derive(Debug, Clone, Default)]
struct Digested(u64);

impl Hasher for Digested {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Keys write themselves as one number; this is for the trait's sake.
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// A map that grows moves all that it has. Many small ones do so at different times, and briefly.
const SHARDS: usize = 64;

type Shard = HashMap<DeduplicationKey, Accepted, BuildHasherDefault<Digested>>;

/// The messages accepted lately, by deduplication id. They stay known after they are deleted.
#[derive(Debug, Clone, Default)]
pub(super) struct Deduplication {
    /// None until there is something to remember.
    accepted: Vec<Shard>,
    oldest_first: VecDeque<(Millis, DeduplicationKey)>,
}

/// What a repeated send is answered with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepted {
    pub(super) message_id: Uuid,
    pub(super) sequence_number: Seq,
}

impl Deduplication {
    /// When the oldest is to be forgotten.
    pub(super) fn next_end(&self) -> Option<Millis> {
        self.oldest_first.front().map(|(until, _)| *until)
    }

    /// Forgets what is older than the interval.
    pub(super) fn advance(&mut self, now: Millis) {
        while let Some((until, old)) = self.oldest_first.front().copied()
            && until <= now
        {
            self.oldest_first.pop_front();
            self.accepted[old.shard()].remove(&old);
        }
        if self.oldest_first.is_empty() {
            *self = Self::default();
        }
    }

    /// What was accepted by a key, as of the last [`Self::advance`].
    pub(super) fn find(&self, key: &DeduplicationKey) -> Option<Accepted> {
        self.accepted.get(key.shard())?.get(key).copied()
    }

    /// Remembers an accepted message. The caller has found no earlier one by this key.
    pub(super) fn remember(
        &mut self,
        key: DeduplicationKey,
        accepted: Accepted,
        now: Millis,
        interval: Duration,
    ) {
        if self.accepted.is_empty() {
            self.accepted.resize_with(SHARDS, Shard::default);
        }
        self.oldest_first.push_back((now + interval, key));
        self.accepted[key.shard()].insert(key, accepted);
    }
}

/// The id that content-based deduplication gives a body: its SHA-256, attributes not included.
pub(super) fn of_content(body: &str) -> String {
    hex(&Sha256::digest(body))
}
