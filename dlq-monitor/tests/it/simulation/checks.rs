//! What must hold, whatever happens.

use std::{collections::BTreeSet, fmt};

use dlq_monitor::jobs::plan::Broken;
use order_store::{DeadLetterState, JobState};

use super::{scenario::Scenario, sqs::Queues, store::Store};

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    /// Every message is in the source queue, delivered, in the dead-letter queue, or in the archive.
    NothingIsLost,
    /// Of a group, no message is redriven while an earlier one is in the dead-letter queue.
    GroupOrder,
    /// What is not part of a job is not touched by it.
    OthersAreLeftAlone,
    /// What newer messages have overtaken is not redriven.
    NotOvertaken,
    /// What is known to have a copy is not sent again.
    CopiesAreNotSentAgain,
    /// No more than the canary is redriven before it is delivered.
    CanaryFirst,
    /// No more messages in a second than were asked for.
    Rate,
    /// Nothing is done without the job's lease.
    HoldsLease,
    /// After a failure there is a pause.
    Backoff,
    /// What was cancelled begins nothing more.
    StopsWhenCancelled,
    /// No message is deleted whose visibility timeout may be over.
    DeletesUnderLease,
    /// What is said to be redriven or discarded is not in the dead-letter queue.
    WhatIsSettledIsGone,
    /// What is there is found.
    FoundIfThere,
    /// A job's count is what it has done.
    CountsAreRight,
    /// Every job ends.
    ComesToRest,
    /// No work without end at one moment.
    NoHotLoop,
}

/// A rule that was not kept.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) check: Check,
    pub(super) at: u64,
    pub(super) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {} ms: {}", self.check, self.at, self.what)
    }
}

pub(super) type Checked = Result<(), Violation>;

pub(super) fn that(holds: bool, check: Check, at: u64, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation { check, at, what: what() }) }
}

/// The check that is about what goes wrong when the rule is not kept.
pub(super) fn symptom(rule: Broken) -> Check {
    match rule {
        Broken::TakesFailedForSent | Broken::DeletesBeforeArchive => Check::NothingIsLost,
        Broken::WholeGroupAtOnce | Broken::GroupGoesOn | Broken::OnBeforeDeleted => {
            Check::GroupOrder
        }
        Broken::TakesEverything => Check::OthersAreLeftAlone,
        Broken::IgnoresOvertaking => Check::NotOvertaken,
        Broken::SendsAgain => Check::CopiesAreNotSentAgain,
        Broken::NoCanary => Check::CanaryFirst,
        Broken::NoRate => Check::Rate,
        Broken::ActsWithoutLease => Check::HoldsLease,
        Broken::NoPause => Check::Backoff,
        Broken::IgnoresCancel => Check::StopsWhenCancelled,
        Broken::DeletesUnderOldHandle => Check::DeletesUnderLease,
        Broken::GivesUpAtOnce => Check::FoundIfThere,
        Broken::HidesUndeleted => Check::CountsAreRight,
    }
}

/// Every message is somewhere.
pub(super) fn nothing_is_lost(at: u64, total: usize, queues: &Queues, store: &Store) -> Checked {
    let mut there: BTreeSet<usize> = store.archive.union(&store.delivered).copied().collect();
    for queue in [queues.source, queues.dead] {
        there.extend(queues.messages(queue).into_iter().map(|(number, _, _)| number));
    }
    let lost: Vec<usize> = (0..total).filter(|number| !there.contains(number)).collect();
    that(lost.is_empty(), Check::NothingIsLost, at, || format!("{lost:?} are nowhere"))
}

/// What must hold when all jobs have ended.
pub(super) fn at_the_end(at: u64, scenario: &Scenario, queues: &Queues, store: &Store) -> Checked {
    let dead: BTreeSet<String> =
        queues.messages(queues.dead).into_iter().map(|(_, id, _)| id).collect();
    for row in &store.rows {
        let settled = matches!(row.state, DeadLetterState::Redriven | DeadLetterState::Discarded);
        that(!(settled && dead.contains(&row.message_id)), Check::WhatIsSettledIsGone, at, || {
            format!("message {} is said to be {:?}, and is dead", row.number, row.state)
        })?;
    }
    for (id, job) in store.jobs.iter().enumerate() {
        let done = store.rows.iter().filter(|row| row.by == Some((id, true))).count() as u64;
        that(job.progress.done == done, Check::CountsAreRight, at, || {
            format!("job {id} counts {} and has done {done}", job.progress.done)
        })?;
        // Others may have deleted some of them since.
        let undeleted = store.count(id).undeleted;
        that(undeleted <= job.progress.undeleted, Check::CountsAreRight, at, || {
            format!("job {id} has {undeleted} undeleted, and says {}", job.progress.undeleted)
        })?;
        if job.state != JobState::Completed {
            continue;
        }
        for (place, row) in store.rows.iter().enumerate() {
            let left = job.has(place, row)
                && row.state == DeadLetterState::Dead
                && row.by.is_none_or(|(by, _)| by < id);
            if !left {
                continue;
            }
            that(job.progress.not_found > 0, Check::FoundIfThere, at, || {
                format!("job {id} has not dealt with message {}, and does not say so", row.number)
            })?;
            let there = dead.contains(&row.message_id) && scenario.is_calm();
            that(!there, Check::FoundIfThere, at, || {
                format!("job {id} has not found message {}, which is there", row.number)
            })?;
        }
    }
    Ok(())
}
