//! Which dead letters this process has met.

use std::collections::HashMap;

/// A message is forgotten when this many complete scans in a row have not shown it: SQS's counts,
/// by which a scan is called complete, lag behind at times.
const MISSED: u8 = 2;

/// The messages of one queue that have been met, by message id.
///
/// It stays about as large as the queue: what is gone is forgotten, at the latest when it expires.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashMap<Box<str>, Met>);

#[derive(Debug)]
struct Met {
    sent_at_ms: Option<u64>,
    /// The scan that last showed it.
    scan: u64,
    /// Complete scans since then.
    missed: u8,
}

impl Seen {
    /// Notes the message; whether it is new.
    pub(crate) fn meet(&mut self, message_id: &str, sent_at_ms: Option<u64>, scan: u64) -> bool {
        if let Some(met) = self.0.get_mut(message_id) {
            (met.scan, met.missed) = (scan, 0);
            return false;
        }
        self.0.insert(message_id.into(), Met { sent_at_ms, scan, missed: 0 });
        true
    }

    /// How many messages the scan has shown.
    pub(crate) fn shown_in(&self, scan: u64) -> u64 {
        self.0.values().filter(|met| met.scan == scan).count() as u64
    }

    /// When the oldest message was sent, of those that the last complete scan has not missed.
    pub(crate) fn oldest_ms(&self) -> Option<u64> {
        self.0.values().filter(|met| met.missed == 0).filter_map(|met| met.sent_at_ms).min()
    }

    /// Forgets what is gone. `expired_before_ms`: messages sent before have been deleted by SQS.
    pub(crate) fn forget(&mut self, scan: u64, complete: bool, expired_before_ms: Option<u64>) {
        self.0.retain(|_, met| {
            if met.scan == scan {
                return true;
            }
            if complete {
                met.missed += 1;
            }
            let expired =
                met.sent_at_ms.zip(expired_before_ms).is_some_and(|(sent, before)| sent < before);
            met.missed < MISSED && !expired
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_once_and_forgotten_when_two_complete_scans_missed_it() {
        let mut seen = Seen::default();
        assert!(seen.meet("a", Some(10), 1));
        assert!(seen.meet("b", Some(20), 1));
        assert!(!seen.meet("a", Some(10), 1));
        assert_eq!(seen.shown_in(1), 2);
        seen.forget(1, true, None);
        assert!(!seen.meet("b", Some(20), 2));
        seen.forget(2, true, None);
        assert_eq!(seen.oldest_ms(), Some(20));
        // Missed once: it may have been hidden.
        assert!(!seen.meet("a", Some(10), 3));
        for scan in 4..=5 {
            seen.meet("b", Some(20), scan);
            seen.forget(scan, true, None);
        }
        assert!(seen.meet("a", Some(10), 6));
    }

    #[test]
    fn incomplete_scans_forget_only_what_has_expired() {
        let mut seen = Seen::default();
        seen.meet("a", Some(10), 1);
        seen.meet("b", Some(20), 1);
        for scan in 2..10 {
            seen.forget(scan, false, Some(15));
        }
        assert!(seen.meet("a", Some(10), 10));
        assert!(!seen.meet("b", Some(20), 10));
    }
}
