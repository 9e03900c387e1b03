//! The latest keys of this replica, in bounded memory.

use jiff::Timestamp;
use std::collections::{HashMap, VecDeque};

/// Keys that are remembered at most: some 10 MB.
const MOST: usize = 65_536;

/// A digest of customer and key.
type Name = [u8; 32];

/// What is remembered of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// What the key stands for.
    pub(super) fingerprint: [u8; 32],
    /// The time in the order and its answer.
    pub(super) at: Timestamp,
    /// SQS has confirmed the order.
    pub(super) is_confirmed: bool,
}

impl Seen {
    fn is_over(&self, before: Option<Timestamp>) -> bool {
        before.is_some_and(|before| self.at < before)
    }
}

/// The latest keys; the one that was noted longest ago goes for a new one.
#[derive(Debug)]
pub(super) struct Recent {
    by_name: HashMap<Name, Seen>,
    in_order: VecDeque<Name>,
    most: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self::with_room_for(MOST)
    }
}

impl Recent {
    fn with_room_for(most: usize) -> Self {
        Self { by_name: HashMap::new(), in_order: VecDeque::new(), most }
    }

    /// What is known of a key, unless that is from before this time.
    pub(super) fn get(&self, name: &Name, before: Option<Timestamp>) -> Option<Seen> {
        self.by_name.get(name).copied().filter(|seen| !seen.is_over(before))
    }

    /// Notes a key of which nothing is known, or only something from before this time; returns what
    /// is known of it now.
    pub(super) fn note(&mut self, name: Name, seen: Seen, before: Option<Timestamp>) -> Seen {
        if let Some(known) = self.by_name.get_mut(&name) {
            let is_the_same = (known.fingerprint, known.at) == (seen.fingerprint, seen.at);
            if known.is_over(before) && !is_the_same {
                *known = seen;
            }
            return *known;
        }
        if self.by_name.len() >= self.most
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.by_name.remove(&oldest);
        }
        self.by_name.insert(name, seen);
        self.in_order.push_back(name);
        seen
    }

    /// The order is in its queue.
    pub(super) fn confirmed(&mut self, name: &Name, fingerprint: &[u8; 32]) {
        if let Some(seen) = self.by_name.get_mut(name)
            && seen.fingerprint == *fingerprint
        {
            seen.is_confirmed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(fingerprint: u8) -> Seen {
        let at = Timestamp::UNIX_EPOCH;
        Seen { fingerprint: [fingerprint; 32], at, is_confirmed: false }
    }

    #[test]
    fn the_first_stays_and_the_oldest_goes() {
        let mut recent = Recent::with_room_for(2);
        assert_eq!(recent.note([1; 32], seen(1), None), seen(1));
        assert_eq!(recent.note([1; 32], seen(9), None), seen(1), "the first one stays");
        recent.confirmed(&[1; 32], &[9; 32]);
        assert!(!recent.get(&[1; 32], None).unwrap().is_confirmed, "another order is not this one");
        recent.confirmed(&[1; 32], &[1; 32]);
        assert!(recent.get(&[1; 32], None).unwrap().is_confirmed);
        recent.note([2; 32], seen(2), None);
        recent.note([3; 32], seen(3), None);
        assert_eq!(recent.get(&[1; 32], None), None);
        assert_eq!((recent.by_name.len(), recent.in_order.len()), (2, 2));
        recent.confirmed(&[1; 32], &[1; 32]);
        assert_eq!(recent.get(&[1; 32], None), None, "what is forgotten stays so");
    }

    #[test]
    fn what_is_from_before_a_time_goes_for_what_is_not_the_same() {
        let name = [1; 32];
        let now = Timestamp::from_second(1).expect("a time");
        let (old, new) = (seen(1), Seen { at: now, ..seen(2) });
        let mut recent = Recent::default();
        recent.note(name, old, Some(old.at));
        assert_eq!(recent.get(&name, Some(old.at)), Some(old), "from that time, not before it");
        assert_eq!(recent.note(name, new, Some(old.at)), old);
        assert_eq!(recent.get(&name, Some(now)), None);
        recent.confirmed(&name, &old.fingerprint);
        let same = recent.note(name, old, Some(now));
        assert!(same.is_confirmed, "the store has it still");
        assert_eq!(recent.note(name, new, Some(now)), new);
        assert_eq!(recent.get(&name, Some(now)), Some(new));
        assert_eq!(recent.in_order.len(), 1);
    }
}
