//! Rules that a test can break, to prove that its checks would notice.
//!
//! Nothing is broken without the feature `broken-schedulers`, which this crate's own tests turn on.

#[cfg(feature = "broken-schedulers")]
use super::Fate;
use super::Scheduler;

/// A rule of the scheduler that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    not(feature = "broken-schedulers"),
    expect(unreachable_pub, reason = "public for those who break rules only")
)]
pub enum Broken {
    /// Any waiting message of a lane starts, not only its head.
    AnyMessageOfTheLane,
    /// The tail of a closing lane is forgotten and not given back.
    TailLeftBehind,
    /// The tail of a closing lane goes back together with its head.
    TailWithHead,
    /// A failed head goes back to the queue with its whole lane, instead of its retry in place.
    LaneGoesBackOnFailure,
    /// The lane goes on while the delete of its dead-lettered head is not confirmed.
    OnBeforeDeadLetterIsDeleted,
    /// The lane goes on after the loss of its head's lease.
    LaneGoesOnAfterLoss,
    /// A message is deleted although its lease is over.
    DeleteUnderOldLease,
    /// Only running messages have their lease extended.
    NoHeartbeatWhileWaiting,
    /// A message goes back while an extension of its lease is under way.
    ReturnDuringExtension,
    /// A handler whose lease is lost runs on, and its lane goes on after it.
    NoCancelOnLoss,
    /// Messages on their way back have their lease extended.
    HeartbeatAfterReturn,
    /// Deadlines count from the answer and not from the request.
    LeaseFromAnswer,
    /// A drain does not wait for the polls under way.
    DropPollsOnDrain,
    /// A drain gives messages back while its own polls are outstanding.
    ReleaseUnderOwnPolls,
    /// A drain forgets the deletes that wait for company.
    DropDeletesOnDrain,
    /// A drain gives back what is here on its last receive.
    LastReceiveGoesBack,
    /// A failed receive is repeated at once.
    NoPauseAfterFailedReceive,
    /// A message that is received again is taken for another one.
    RunsDuplicates,
    /// Receiving goes on whatever is held, and however many deletes are not confirmed.
    HoldsWithoutBound,
    /// Leases are extended beyond the twelve hours that SQS allows.
    BeyondTwelveHours,
    /// When an entry of a batch fails, all of them are taken for failed.
    BatchFailsAsOne,
    /// A group of a standard queue may have all handlers.
    NoGroupLimit,
    /// Attempts count although what all messages need is down.
    OutageCountsAsAttempt,
    /// What was done before counts as a success of what messages are handed to.
    RepetitionCountsAsSuccess,
    /// After visibility changes have failed, none is made to find out whether they work again.
    NeverProbes,
    /// Nothing starts before all that was started together has ended: the slowest stalls the rest.
    RoundAfterRound,
}

#[cfg(feature = "broken-schedulers")]
impl Broken {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::AnyMessageOfTheLane,
        Self::TailLeftBehind,
        Self::TailWithHead,
        Self::LaneGoesBackOnFailure,
        Self::OnBeforeDeadLetterIsDeleted,
        Self::LaneGoesOnAfterLoss,
        Self::DeleteUnderOldLease,
        Self::NoHeartbeatWhileWaiting,
        Self::ReturnDuringExtension,
        Self::NoCancelOnLoss,
        Self::HeartbeatAfterReturn,
        Self::LeaseFromAnswer,
        Self::DropPollsOnDrain,
        Self::ReleaseUnderOwnPolls,
        Self::DropDeletesOnDrain,
        Self::LastReceiveGoesBack,
        Self::NoPauseAfterFailedReceive,
        Self::RunsDuplicates,
        Self::HoldsWithoutBound,
        Self::BeyondTwelveHours,
        Self::BatchFailsAsOne,
        Self::NoGroupLimit,
        Self::OutageCountsAsAttempt,
        Self::RepetitionCountsAsSuccess,
        Self::NeverProbes,
        Self::RoundAfterRound,
    ];

    /// The end that is told of messages which are dropped without a word to SQS, and is not true of
    /// them. A test that goes by what is told would notice no more than that; what comes of it is
    /// what the rule is about.
    pub fn false_fate(self) -> Option<Fate> {
        match self {
            Self::TailLeftBehind => Some(Fate::Released),
            Self::DropDeletesOnDrain => Some(Fate::Deleted),
            _ => None,
        }
    }
}

impl Scheduler {
    /// From now on the scheduler does not keep this rule.
    #[cfg(feature = "broken-schedulers")]
    #[must_use]
    pub fn breaking(mut self, rule: Broken) -> Self {
        self.broken = Some(rule);
        self
    }

    #[cfg(feature = "broken-schedulers")]
    pub(super) fn breaks(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    #[cfg(not(feature = "broken-schedulers"))]
    #[expect(clippy::unused_self, reason = "the same call as with the feature")]
    pub(super) const fn breaks(&self, _rule: Broken) -> bool {
        false
    }
}
