//! By what each broken rule must be noticed.

use sqs_consumer::scheduler::Broken;

use super::violation::Check;

/// The checks that are about what goes wrong when the rule is not kept. Another one that came first
/// would prove nothing about these.
pub(super) fn symptoms(rule: Broken) -> &'static [Check] {
    match rule {
        Broken::AnyMessageOfTheLane | Broken::LaneGoesOnAfterLoss => {
            &[Check::HeadIsSettledFirst, Check::OneHandler]
        }
        Broken::OnBeforeDeadLetterIsDeleted => &[Check::HeadIsSettledFirst],
        Broken::TailWithHead => &[Check::HeadGoesBackFirst],
        // It uses up the receives of those behind the head.
        Broken::LaneGoesBackOnFailure => {
            &[Check::NoReceiveWasted, Check::DrainLeavesNothing, Check::DeadLettersAreGuilty]
        }
        // What is in flight for nobody comes back with a receive less.
        Broken::TailLeftBehind | Broken::LastReceiveGoesBack => {
            &[Check::DrainLeavesNothing, Check::DeadLettersAreGuilty]
        }
        Broken::DropPollsOnDrain | Broken::ReleaseUnderOwnPolls | Broken::DropDeletesOnDrain => {
            &[Check::DrainLeavesNothing]
        }
        Broken::DeleteUnderOldLease | Broken::LeaseFromAnswer => {
            &[Check::CallsUnderLease, Check::RunsUnderLease]
        }
        // One that is to find out by an extension whether its lease holds never does.
        Broken::NoHeartbeatWhileWaiting => &[Check::NoReceiveWasted, Check::ComesToRest],
        Broken::ReturnDuringExtension | Broken::HeartbeatAfterReturn => &[Check::OneVisibilityCall],
        // A ticket ends with its handler running; the message is deleted once more.
        Broken::NoCancelOnLoss | Broken::BatchFailsAsOne => &[Check::OneEnd],
        Broken::NoPauseAfterFailedReceive => &[Check::NoHotLoop],
        Broken::RunsDuplicates => &[Check::OneHandler],
        Broken::HoldsWithoutBound | Broken::NoGroupLimit => &[Check::Limits],
        // Either that is asked for, or a message that is held still is forgotten as lost.
        Broken::BeyondTwelveHours => &[Check::Limits, Check::OneEnd],
        Broken::OutageCountsAsAttempt | Broken::RepetitionCountsAsSuccess => {
            &[Check::DeadLettersAreGuilty]
        }
        Broken::NeverProbes | Broken::RoundAfterRound => &[Check::NoIdleHandler],
    }
}
