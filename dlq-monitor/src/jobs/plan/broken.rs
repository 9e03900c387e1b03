//! Rules that a test can break, to prove that its checks would notice.
//!
//! Nothing is broken without the feature `broken-plans`, which this crate's own tests turn on.

use super::Plan;

/// A rule of the plan that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// A message whose send failed is taken for sent.
    TakesFailedForSent,
    /// A message is deleted before it is in the archive.
    DeletesBeforeArchive,
    /// The messages of a FIFO group are sent together.
    WholeGroupAtOnce,
    /// A group goes on behind a message whose send failed, or that stays dead.
    GroupGoesOn,
    /// The next message of a group is sent before the one before is deleted.
    OnBeforeDeleted,
    /// Messages that are not part of the job are dealt with.
    TakesEverything,
    /// Messages are redriven although newer ones of their groups were delivered.
    IgnoresOvertaking,
    /// A message whose copy is known is sent again.
    SendsAgain,
    /// The first messages are not waited for.
    NoCanary,
    /// There is no limit of messages per second.
    NoRate,
    /// The job goes on when its lease is over.
    ActsWithoutLease,
    /// What has failed is tried again at once.
    NoPause,
    /// A job that was cancelled goes on.
    IgnoresCancel,
    /// A message is deleted although its visibility timeout may be over.
    DeletesUnderOldHandle,
    /// Messages that do not come at once are taken for not to be found.
    GivesUpAtOnce,
    /// A job that ends does not say what it has not deleted.
    HidesUndeleted,
}

#[cfg(feature = "broken-plans")]
impl Broken {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::TakesFailedForSent,
        Self::DeletesBeforeArchive,
        Self::WholeGroupAtOnce,
        Self::GroupGoesOn,
        Self::OnBeforeDeleted,
        Self::TakesEverything,
        Self::IgnoresOvertaking,
        Self::SendsAgain,
        Self::NoCanary,
        Self::NoRate,
        Self::ActsWithoutLease,
        Self::NoPause,
        Self::IgnoresCancel,
        Self::DeletesUnderOldHandle,
        Self::GivesUpAtOnce,
        Self::HidesUndeleted,
    ];
}

impl Plan {
    /// From now on the plan does not keep this rule.
    #[cfg(feature = "broken-plans")]
    #[must_use]
    pub fn breaking(mut self, rule: Broken) -> Self {
        self.broken = Some(rule);
        self
    }

    pub(super) fn breaks(&self, rule: Broken) -> bool {
        cfg!(feature = "broken-plans") && self.broken == Some(rule)
    }
}
