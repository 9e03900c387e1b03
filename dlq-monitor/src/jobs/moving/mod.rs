//! A job that SQS does itself, followed: `StartMessageMoveTask` moves a whole dead-letter queue.
//!
//! As a [`super::plan::Plan`] it is asked for one action at a time and told what came of it. That a task
//! is to be started is written down before it is, so that whoever takes the job over looks for it
//! instead of starting another one.

mod types;

use order_store::JobState;
use sqs_consumer::Time;

pub use types::{MoveAction, MoveEvent, MoveStatus, MoveTask, StartError};

use super::{
    known::arrived,
    plan::{Saved, Timing},
};

/// Clocks differ: a task that began so many milliseconds before it was asked for may be the job's.
const CLOCKS_DIFFER_MS: i64 = 2_000;

/// A job that SQS does.
#[derive(Clone, Debug)]
pub struct Moving {
    timing: Timing,
    phase: Phase,
    renewed_at: Time,
    /// When starting was written down.
    asked_at_ms: Option<i64>,
    /// When the job's own task began, which tells it from later ones.
    own_since_ms: Option<i64>,
    moved: u64,
    /// Messages that were to be moved, as far as they were known.
    selected: u64,
    written: u64,
    cancel: bool,
    stop: bool,
    failures: u32,
    not_before: Time,
    note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Whether another task runs.
    LookingAround,
    /// Starting is written down.
    Asking,
    Starting,
    /// Whether a start of which nothing is known has happened.
    LookingForOwn,
    Following {
        at: Time,
    },
    Cancelling(String),
    /// Its task is done: whether the queue is empty since then.
    Counting {
        since: Time,
        at: Time,
    },
    /// The job goes on message by message, for this reason; whether SQS's task has come to its end.
    Otherwise {
        why: String,
        after: bool,
    },
    Ending(JobState, Option<String>),
    Over,
}

impl Moving {
    /// The job on so many messages, whose lease was asked for at this time. `asked_at_ms`: when starting
    /// was written down by who had the job before, and `moved`: how many were moved by then.
    pub fn new(
        timing: Timing,
        selected: u64,
        asked_at_ms: Option<i64>,
        moved: u64,
        leased_at: Time,
    ) -> Self {
        let phase = if asked_at_ms.is_some() { Phase::LookingForOwn } else { Phase::LookingAround };
        Self {
            timing,
            phase,
            renewed_at: leased_at,
            asked_at_ms,
            own_since_ms: None,
            moved,
            selected,
            written: moved,
            cancel: false,
            stop: false,
            failures: 0,
            not_before: Time::ZERO,
            note: None,
        }
    }

    /// Somebody asked for the job to be ended.
    pub fn cancel(&mut self) {
        self.cancel = true;
    }

    /// The process is to end; SQS goes on.
    pub fn stop(&mut self) {
        self.stop = true;
    }

    /// Messages moved so far.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// What to do now; nothing else may be under way.
    pub fn next(&mut self, now: Time) -> MoveAction {
        if self.phase == Phase::Over || now >= self.renewed_at + self.timing.lease {
            return MoveAction::Stop;
        }
        if now < self.not_before {
            let over = self.renewed_at + self.timing.lease;
            return MoveAction::Wait { until: self.not_before.min(over) };
        }
        let begins = matches!(self.phase, Phase::LookingAround | Phase::Asking);
        if self.cancel && begins {
            self.phase = Phase::Ending(JobState::Cancelled, None);
        }
        let ends = matches!(self.phase, Phase::Ending(..) | Phase::Otherwise { .. });
        if self.stop && !ends {
            return self.write(JobState::Running, None, false);
        }
        let due = now >= self.renewed_at + self.timing.renew || self.moved != self.written;
        if due && !ends && self.phase != Phase::Asking {
            return self.write(JobState::Running, self.note.clone(), true);
        }
        match &self.phase {
            Phase::Asking => self.write(JobState::Running, None, true),
            Phase::Starting => MoveAction::Start,
            Phase::Following { at } | Phase::Counting { at, .. } if now < *at => {
                MoveAction::Wait { until: (*at).min(self.renewed_at + self.timing.renew) }
            }
            Phase::LookingAround | Phase::LookingForOwn | Phase::Following { .. } => {
                MoveAction::List
            }
            Phase::Counting { .. } => MoveAction::Count,
            Phase::Cancelling(handle) => MoveAction::Cancel { handle: handle.clone() },
            Phase::Otherwise { why, after } => {
                let moved = (*after || self.moved > 0).then_some(self.moved);
                MoveAction::DoItOtherwise { why: why.clone(), moved }
            }
            Phase::Ending(state, note) => self.write(*state, note.clone(), false),
            Phase::Over => MoveAction::Stop,
        }
    }

    fn write(&self, state: JobState, note: Option<String>, keep: bool) -> MoveAction {
        let asking = self.phase == Phase::Asking;
        MoveAction::Write { state, moved: self.moved, asking, note, keep }
    }

    /// Tells what came of the last action.
    pub fn done(&mut self, asked_at: Time, now: Time, event: MoveEvent) {
        match event {
            MoveEvent::Listed(Ok(tasks)) => {
                self.works();
                self.listed(now, &tasks);
            }
            MoveEvent::Started(Ok(())) => {
                self.works();
                self.phase = Phase::Following { at: now };
            }
            MoveEvent::Started(Err(StartError::Refused(why))) => {
                self.phase = Phase::Otherwise { why, after: false };
            }
            MoveEvent::Started(Err(StartError::Unknown(why))) => {
                self.phase = Phase::LookingForOwn;
                self.fails(now, why);
            }
            MoveEvent::Cancelled => {
                self.phase = Phase::Following { at: now + self.timing.canary_ask };
            }
            MoveEvent::Counted(Ok(count)) => {
                self.works();
                self.counted(now, count);
            }
            MoveEvent::Saved(Ok((Saved::Lost, _))) => self.phase = Phase::Over,
            MoveEvent::Saved(Ok((Saved::Yes { cancelled }, asked_at_ms))) => {
                self.works();
                self.renewed_at = asked_at;
                self.written = self.moved;
                self.cancel |= cancelled;
                match &self.phase {
                    Phase::Ending(..) => self.phase = Phase::Over,
                    _ if self.stop => self.phase = Phase::Over,
                    Phase::Asking => {
                        self.asked_at_ms = asked_at_ms;
                        self.phase = Phase::Starting;
                    }
                    _ => {}
                }
            }
            MoveEvent::Listed(Err(why))
            | MoveEvent::Counted(Err(why))
            | MoveEvent::Saved(Err(why)) => self.fails(now, why),
            MoveEvent::Woke => {}
        }
    }

    fn listed(&mut self, now: Time, tasks: &[MoveTask]) {
        let newest = tasks.first();
        match self.phase {
            Phase::LookingAround => {
                let busy = newest.is_some_and(|task| task.status == MoveStatus::Running);
                self.phase = if busy {
                    let note = "another move task of this queue is running".to_owned();
                    Phase::Ending(JobState::Failed, Some(note))
                } else {
                    Phase::Asking
                };
            }
            Phase::LookingForOwn => {
                let since = self.asked_at_ms.unwrap_or(i64::MAX) - CLOCKS_DIFFER_MS;
                let own = newest.filter(|task| task.started_at_ms >= since);
                match own {
                    Some(task) => self.follow(now, task),
                    None => self.phase = Phase::Starting,
                }
            }
            Phase::Following { .. } => {
                let own = |task: &&MoveTask| {
                    self.own_since_ms.is_none_or(|since| task.started_at_ms == since)
                };
                if let Some(task) = tasks.iter().find(own) {
                    self.follow(now, task);
                } else {
                    let note = "SQS does not know of the move task any more".to_owned();
                    self.phase = Phase::Ending(JobState::Failed, Some(note));
                }
            }
            _ => {}
        }
    }

    fn follow(&mut self, now: Time, task: &MoveTask) {
        self.own_since_ms = Some(task.started_at_ms);
        self.moved = task.moved;
        self.phase = match (&task.status, &task.handle) {
            (MoveStatus::Running, Some(handle)) if self.cancel => Phase::Cancelling(handle.clone()),
            (MoveStatus::Running, _) => Phase::Following { at: now + self.timing.canary_ask },
            // The others were received by somebody at that time, or are gone: that is found out.
            (MoveStatus::Completed, _) if task.moved < self.selected => {
                let why = format!("its task moved {} of {} messages", task.moved, self.selected);
                Phase::Otherwise { why, after: true }
            }
            // What arrived meanwhile is among what it moved: as many does not mean that none is left.
            (MoveStatus::Completed, _) => Phase::Counting { since: now, at: now },
            (MoveStatus::Cancelled, _) => {
                let note = "SQS had moved a part of the messages by then: which of them, the next looks at the queue find \
                     out within minutes".to_owned();
                Phase::Ending(JobState::Cancelled, Some(note))
            }
            (MoveStatus::Failed(why), _) => {
                let note = format!("the move task failed: {why}");
                Phase::Ending(JobState::Failed, Some(note))
            }
        };
    }

    /// SQS's numbers lag behind, so one that is not zero is asked for again for a while.
    fn counted(&mut self, now: Time, count: u64) {
        let Phase::Counting { since, .. } = self.phase else { return };
        self.phase = if count == 0 {
            let more = self.moved.saturating_sub(self.selected);
            Phase::Ending(JobState::Completed, (more > 0).then(|| arrived(more)))
        } else if now >= since + self.timing.patience {
            let why = format!("its task is done, and about {count} messages are in the queue");
            Phase::Otherwise { why, after: true }
        } else {
            Phase::Counting { since, at: now + self.timing.canary_ask }
        };
    }

    fn fails(&mut self, now: Time, why: String) {
        let doubled = self.timing.backoff.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        // Long before the lease is over it is tried again.
        self.not_before = now + doubled.min(self.timing.renew);
        self.note = Some(why);
    }

    fn works(&mut self) {
        self.failures = 0;
        self.note = None;
    }
}

#[cfg(test)]
mod tests;
