//! How long a received message is ours.
//!
//! SQS starts a message's visibility timeout when it hands the message out, which is some time
//! before the answer arrives. Counting from the moment at which the request was *sent* can only
//! err on the safe side: the lease is over here before it is over there.

use std::time::Duration;

use crate::time::Time;

/// The longest that a message can stay invisible after one receive, extensions included.
///
/// Source: AWS SQS developer guide, "Amazon SQS visibility timeout".
pub const MAX_LEASE: Duration = Duration::from_hours(12);

/// Kept free before [`MAX_LEASE`], for the difference between our clock's start and the server's.
const CAP_MARGIN: Duration = Duration::from_mins(1);

/// Kept free of a lease that cannot be extended, to stop the handler and give the message back.
const GIVE_BACK_MARGIN: Duration = Duration::from_secs(30);

/// The longest that a handler may take: a lease from its receive to where it is given up.
pub const LONGEST_WORK: Duration =
    Duration::from_secs(MAX_LEASE.as_secs() - CAP_MARGIN.as_secs() - GIVE_BACK_MARGIN.as_secs());

/// The lease of one message under one receipt handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    visibility: Duration,
    deadline: Time,
    cap: Time,
}

impl Lease {
    /// A lease from a receive that was sent at `requested_at` and asked for `visibility`.
    pub fn new(requested_at: Time, visibility: Duration) -> Self {
        let cap = requested_at + MAX_LEASE.saturating_sub(CAP_MARGIN);
        Self { visibility, deadline: (requested_at + visibility).min(cap), cap }
    }

    /// From here on the message may be someone else's.
    pub fn deadline(&self) -> Time {
        self.deadline
    }

    /// Whether the message may be someone else's by now.
    pub fn is_over(&self, now: Time) -> bool {
        now >= self.deadline
    }

    /// When to ask for more time: a third of the visibility timeout before the end, so that a
    /// failed extension can be tried again.
    pub fn renew_at(&self) -> Time {
        self.deadline - self.visibility / 3
    }

    /// When to give it up if it cannot be extended: what is left then is for the handler to stop and
    /// for the message to go back.
    pub fn give_up_at(&self) -> Time {
        self.deadline - GIVE_BACK_MARGIN.min(self.visibility / 3)
    }

    /// For how long to extend if asked at `now`, in whole seconds; none once the cap leaves nothing
    /// to gain.
    pub fn extension(&self, now: Time) -> Option<Duration> {
        let left = self.cap.saturating_since(now);
        let length = self.visibility.min(Duration::from_secs(left.as_secs()));
        (now + length > self.deadline).then_some(length)
    }

    /// The longest visibility that SQS still allows, in whole seconds.
    pub fn longest_from(&self, now: Time) -> Duration {
        Duration::from_secs(self.cap.saturating_since(now).as_secs())
    }

    /// The server has confirmed an extension by `length` that was requested at `requested_at`.
    pub fn extended(&mut self, requested_at: Time, length: Duration) {
        // Confirmations may arrive out of order; the message's timeout is what was set last, and
        // only one extension of a message is under way at a time.
        self.deadline = (requested_at + length).min(self.cap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VISIBILITY: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Time {
        Time::new(Duration::from_secs(seconds))
    }

    #[test]
    fn deadlines_count_from_the_request_and_not_from_the_answer() {
        let mut lease = Lease::new(at(100), VISIBILITY);
        assert_eq!(lease.deadline(), at(130));
        assert!(!lease.is_over(at(129)) && lease.is_over(at(130)));
        lease.extended(at(120), VISIBILITY);
        assert_eq!(lease.deadline(), at(150));
    }

    #[test]
    fn a_lease_is_renewed_with_a_third_of_it_left() {
        assert_eq!(Lease::new(at(0), VISIBILITY).renew_at(), at(20));
    }

    #[test]
    fn the_lease_clamps_at_twelve_hours_and_then_cannot_be_extended() {
        let mut lease = Lease::new(at(0), VISIBILITY);
        let mut now = at(0);
        let mut extensions = 0;
        while let Some(length) = lease.extension(lease.renew_at()) {
            now = lease.renew_at();
            assert!(now + length <= Time::new(MAX_LEASE), "SQS would refuse it");
            lease.extended(now, length);
            extensions += 1;
            assert!(extensions < 5_000, "the lease must end");
        }
        assert!(lease.deadline() <= Time::new(MAX_LEASE));
        assert!(now > at(11 * 3600), "it lasts nearly twelve hours");
    }
}
