//! A job that SQS does itself, followed: `StartMessageMoveTask` moves a whole dead-letter queue.
//!
//! As a [`super::plan::Plan`] it is asked for one action at a time and told what came of it. That a task
//! is to be started is written down before it is, so that whoever takes the job over looks for it
//! instead of starting another one.

mod types;

use order_store::JobState;
use sqs_consumer::Time;

pub use types::{MoveAction, MoveEvent, MoveStatus, MoveTask, StartError};

use super::plan::{Saved, Timing};

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
    Refused(String),
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
        let ends = matches!(self.phase, Phase::Ending(..) | Phase::Refused(_));
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
            Phase::Following { at } if now < *at => {
                MoveAction::Wait { until: (*at).min(self.renewed_at + self.timing.renew) }
            }
            Phase::LookingAround | Phase::LookingForOwn | Phase::Following { .. } => {
                MoveAction::List
            }
            Phase::Cancelling(handle) => MoveAction::Cancel { handle: handle.clone() },
            Phase::Refused(why) => MoveAction::DoItOtherwise(why.clone()),
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
            MoveEvent::Started(Err(StartError::Refused(why))) => self.phase = Phase::Refused(why),
            MoveEvent::Started(Err(StartError::Unknown(why))) => {
                self.phase = Phase::LookingForOwn;
                self.fails(now, why);
            }
            MoveEvent::Cancelled => {
                self.phase = Phase::Following { at: now + self.timing.canary_ask };
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
            MoveEvent::Listed(Err(why)) | MoveEvent::Saved(Err(why)) => self.fails(now, why),
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
                if let Some(task) = newest {
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
        self.moved = task.moved;
        self.phase = match (&task.status, &task.handle) {
            (MoveStatus::Running, Some(handle)) if self.cancel => Phase::Cancelling(handle.clone()),
            (MoveStatus::Running, _) => Phase::Following { at: now + self.timing.canary_ask },
            (MoveStatus::Completed, _) => {
                let (moved, selected) = (task.moved, self.selected);
                let note = (moved < selected).then(|| {
                    format!(
                        "SQS moved {moved} of {selected} messages: the others were received by somebody at that time, \
                         or are gone"
                    )
                });
                Phase::Ending(JobState::Completed, note)
            }
            (MoveStatus::Cancelled, _) => {
                let note = "SQS had moved a part of the messages by then".to_owned();
                Phase::Ending(JobState::Cancelled, Some(note))
            }
            (MoveStatus::Failed(why), _) => {
                let note = format!("the move task failed: {why}");
                Phase::Ending(JobState::Failed, Some(note))
            }
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
mod tests {
    use std::time::Duration;

    use super::*;

    const AT: i64 = 1_700_000_000_000;

    fn at(seconds: u64) -> Time {
        Time::new(Duration::from_secs(seconds))
    }

    fn task(status: MoveStatus, moved: u64) -> MoveTask {
        MoveTask { handle: Some("handle".to_owned()), status, moved, started_at_ms: AT }
    }

    fn saved(cancelled: bool) -> MoveEvent {
        MoveEvent::Saved(Ok((Saved::Yes { cancelled }, Some(AT))))
    }

    fn listed(tasks: &[MoveTask]) -> MoveEvent {
        MoveEvent::Listed(Ok(tasks.to_vec()))
    }

    /// A job whose task is started.
    fn following() -> Moving {
        let mut job = Moving::new(Timing::DEFAULT, 5, None, 0, at(0));
        assert_eq!(job.next(at(0)), MoveAction::List);
        job.done(at(0), at(0), listed(&[task(MoveStatus::Completed, 7)]));
        assert!(matches!(job.next(at(0)), MoveAction::Write { asking: true, keep: true, .. }));
        job.done(at(0), at(0), saved(false));
        assert_eq!(job.next(at(0)), MoveAction::Start);
        job.done(at(0), at(0), MoveEvent::Started(Ok(())));
        job
    }

    fn ends(job: &mut Moving, now: u64) -> (JobState, Option<String>) {
        let MoveAction::Write { state, note, keep: false, .. } = job.next(at(now)) else {
            panic!("it ends");
        };
        job.done(at(now), at(now), saved(false));
        assert_eq!(job.next(at(now)), MoveAction::Stop);
        (state, note)
    }

    #[test]
    fn a_task_is_started_when_that_is_written_down_and_followed_to_its_end() {
        let mut job = following();
        assert_eq!(job.next(at(0)), MoveAction::List);
        job.done(at(0), at(0), listed(&[task(MoveStatus::Running, 3)]));
        assert!(matches!(job.next(at(1)), MoveAction::Write { moved: 3, keep: true, .. }));
        job.done(at(1), at(1), saved(false));
        assert_eq!(job.next(at(1)), MoveAction::Wait { until: at(2) });
        job.done(at(1), at(2), MoveEvent::Woke);
        assert_eq!(job.next(at(2)), MoveAction::List);
        job.done(at(2), at(2), listed(&[task(MoveStatus::Completed, 5)]));
        assert_eq!(job.moved(), 5);
        assert_eq!(ends(&mut job, 2), (JobState::Completed, None));
    }

    #[test]
    fn a_task_that_has_not_moved_all_there_was_says_so() {
        let mut job = following();
        job.next(at(0));
        job.done(at(0), at(0), listed(&[task(MoveStatus::Completed, 3)]));
        let (state, note) = ends(&mut job, 0);
        assert_eq!(state, JobState::Completed);
        assert!(note.expect("it is told").starts_with("SQS moved 3 of 5 messages"));
    }

    #[test]
    fn who_takes_the_job_over_finds_the_task_or_starts_it() {
        let mut job = Moving::new(Timing::DEFAULT, 5, Some(AT + 500), 0, at(0));
        assert_eq!(job.next(at(0)), MoveAction::List);
        job.done(at(0), at(0), listed(&[task(MoveStatus::Completed, 5)]));
        assert_eq!(ends(&mut job, 0), (JobState::Completed, None));
        let mut job = Moving::new(Timing::DEFAULT, 5, Some(AT + 60_000), 0, at(0));
        job.next(at(0));
        job.done(at(0), at(0), listed(&[task(MoveStatus::Completed, 5)]));
        assert_eq!(job.next(at(0)), MoveAction::Start, "that one was before");
        // The answer got lost.
        let lost = MoveEvent::Started(Err(StartError::Unknown("no answer".to_owned())));
        job.done(at(0), at(0), lost);
        assert_eq!(job.next(at(0)), MoveAction::Wait { until: at(1) });
        assert_eq!(job.next(at(1)), MoveAction::List);
    }

    #[test]
    fn a_cancelled_job_ends_the_task_and_waits_for_that() {
        let mut job = following();
        job.cancel();
        job.next(at(0));
        job.done(at(0), at(0), listed(&[task(MoveStatus::Running, 0)]));
        assert_eq!(job.next(at(0)), MoveAction::Cancel { handle: "handle".to_owned() });
        job.done(at(0), at(0), MoveEvent::Cancelled);
        assert_eq!(job.next(at(2)), MoveAction::List);
        job.done(at(2), at(2), listed(&[task(MoveStatus::Cancelled, 0)]));
        assert_eq!(ends(&mut job, 2).0, JobState::Cancelled);
        // One that is not begun is only ended.
        let mut job = Moving::new(Timing::DEFAULT, 5, None, 0, at(0));
        job.cancel();
        assert_eq!(ends(&mut job, 0).0, JobState::Cancelled);
    }

    #[test]
    fn what_sqs_does_not_move_is_done_otherwise_and_another_task_is_not_taken_for_ones_own() {
        let mut job = Moving::new(Timing::DEFAULT, 5, None, 0, at(0));
        job.next(at(0));
        job.done(at(0), at(0), listed(&[task(MoveStatus::Running, 1)]));
        assert_eq!(ends(&mut job, 0).0, JobState::Failed);
        let mut job = Moving::new(Timing::DEFAULT, 5, Some(AT), 0, at(0));
        job.next(at(0));
        job.done(at(0), at(0), listed(&[]));
        assert_eq!(job.next(at(0)), MoveAction::Start);
        let refused = StartError::Refused("not a dead-letter queue".to_owned());
        job.done(at(0), at(0), MoveEvent::Started(Err(refused)));
        let otherwise = MoveAction::DoItOtherwise("not a dead-letter queue".to_owned());
        assert_eq!(job.next(at(0)), otherwise);
    }

    #[test]
    fn nothing_is_done_when_the_lease_is_over_or_the_job_is_anothers() {
        let mut job = following();
        assert_eq!(job.next(at(30)), MoveAction::Stop);
        let mut job = following();
        assert!(matches!(job.next(at(10)), MoveAction::Write { .. }), "it is renewed");
        job.done(at(10), at(10), MoveEvent::Saved(Ok((Saved::Lost, None))));
        assert_eq!(job.next(at(10)), MoveAction::Stop);
        let mut job = following();
        job.stop();
        assert!(matches!(job.next(at(1)), MoveAction::Write { keep: false, .. }));
        job.done(at(1), at(1), saved(false));
        assert_eq!(job.next(at(1)), MoveAction::Stop);
    }
}
