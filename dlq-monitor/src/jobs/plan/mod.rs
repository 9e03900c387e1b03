//! A job on messages, decided step by step: events and time in, one action out.
//!
//! A [`Plan`] asks for one thing at a time. [`Plan::next`] says what to do now; when that is done,
//! [`Plan::done`] is told what came of it, and so on until [`Action::Stop`]. It knows no clock, no
//! network and no threads, so that every order of failures can be tried on a virtual clock.
//!
//! What it holds to, whatever fails and wherever it is killed:
//!
//! - A message is deleted from its dead-letter queue only when SQS has confirmed its copy in the source
//!   queue, or it is in the archive, and when that is written down. So at every moment it is in at least
//!   one of the three. A copy that is written down is not sent again: the message is only deleted.
//! - On a FIFO queue the messages of a group are redriven one after another: the next one is sent when
//!   the one before is deleted. Behind one that stays dead none is redriven, unless that was asked for.
//! - Nothing is done without the job's lease, which is renewed long before it is over, nor to a message
//!   whose visibility timeout may be over.
//! - Failures are waited out, longer and longer; what was begun is finished before the job is given up.

mod batch;
mod broken;
mod events;
mod types;

use std::collections::VecDeque;

use order_store::{JobKind, JobState, Progress};
use sqs_consumer::{MAX_BATCH, ReceiptHandle, Time};

pub use broken::Broken;
pub use types::{
    Action, Begun, Event, Fate, Found, Left, MarkedAs, NotCounted, PlannedMark, Saved, Standing,
    Terms, Timing, Write,
};

use self::batch::Batch;
pub(crate) use self::batch::cut_group;

/// Handles of messages that are left alone, at most: they are made visible again at the end of a pass,
/// what is beyond that becomes so by itself, which takes minutes in which neither scans nor the next job
/// find it. SQS has no more than 120,000 messages of a queue in flight.
const LEFT: usize = 110_000;

/// A job on messages.
#[derive(Clone, Debug)]
pub struct Plan {
    terms: Terms,
    timing: Timing,
    begun: Begun,
    progress: Progress,
    canary_passed: bool,
    /// When the lease was last asked for with success.
    renewed_at: Time,
    batch: Batch,
    /// Not written yet.
    marks: Vec<PlannedMark>,
    /// Deletions that are not written yet.
    deleted: Vec<String>,
    /// What is left alone, and until when it is invisible.
    left: VecDeque<(ReceiptHandle, Time)>,
    /// The same of a group that the last receive may have cut: it is to show the others of it.
    cut: VecDeque<(ReceiptHandle, Time)>,
    /// After failures of the queues.
    queue: Pause,
    /// After failures of the store.
    store: Pause,
    /// No further message is dealt with before: the rate.
    next_allowed: Time,
    /// When a message was last dealt with, or the job was begun.
    progress_at: Time,
    /// Messages that were received in vain since then, in this pass.
    in_vain: u64,
    note: Option<String>,
    stage: Stage,
    ending: Option<Ending>,
    /// What is copied and not deleted is counted, as the last thing before the end.
    is_counted: bool,
    /// What was asked for and is not done.
    asked: Option<Asked>,
    broken: Option<Broken>,
}

/// What comes when no message is in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Further messages.
    Receiving,
    /// Whether anything is left.
    Counting,
    /// What was left alone is made visible again, then it is looked for what is still missing.
    LookingAgain { at: Time },
    /// What became of the first messages.
    Canary { since: Time, ask_at: Time },
}

/// How the job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ending {
    /// With this state and note.
    As(JobState, Option<String>),
    /// It is left to others.
    Yielded,
    /// It is over.
    Over,
}

/// A pause after failures in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Pause {
    failures: u32,
    /// Nothing is tried before.
    until: Time,
}

/// An action that is under way, with what is needed when it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Receive { at: Time },
    LookUp,
    Send { entries: Vec<usize> },
    Write { at: Time, last: bool },
    Delete { entries: Vec<usize> },
    Release,
    Count,
    CountUndeleted,
    Canary,
    Wait,
}

impl Plan {
    /// The plan of a job whose lease was asked for at this time.
    pub fn new(terms: Terms, timing: Timing, begun: Begun, leased_at: Time, now: Time) -> Self {
        Self {
            progress: begun.progress,
            canary_passed: begun.canary_passed,
            terms,
            timing,
            begun,
            renewed_at: leased_at,
            batch: Batch::default(),
            marks: Vec::new(),
            deleted: Vec::new(),
            left: VecDeque::new(),
            cut: VecDeque::new(),
            queue: Pause::default(),
            store: Pause::default(),
            next_allowed: now,
            progress_at: now,
            in_vain: 0,
            note: None,
            stage: Stage::Receiving,
            ending: None,
            is_counted: false,
            asked: None,
            broken: None,
        }
    }

    /// What to do now; nothing else may be under way.
    pub fn next(&mut self, now: Time) -> Action {
        let action = self.decide(now);
        self.asked = Some(match &action {
            Action::Receive { .. } => Asked::Receive { at: now },
            Action::LookUp => Asked::LookUp,
            Action::Send { entries } => Asked::Send { entries: entries.clone() },
            Action::Write(write) => Asked::Write { at: now, last: !write.keep },
            Action::Delete { entries } => Asked::Delete { entries: entries.clone() },
            Action::Release { .. } => Asked::Release,
            Action::Count => Asked::Count,
            Action::CountUndeleted => Asked::CountUndeleted,
            Action::Canary => Asked::Canary,
            Action::Wait { .. } => Asked::Wait,
            Action::Stop => return action,
        });
        action
    }

    /// The process is to end: what was begun is finished, and the job is left to others.
    pub fn stop(&mut self) {
        self.ending.get_or_insert(Ending::Yielded);
    }

    /// Somebody asked for the job to be ended: what was begun is finished, and no more.
    pub fn cancel(&mut self) {
        if !self.breaks(Broken::IgnoresCancel) {
            self.ending.get_or_insert(Ending::As(JobState::Cancelled, None));
        }
    }

    /// How many messages are dealt with.
    pub fn progress(&self) -> Progress {
        let hides = self.breaks(Broken::HidesUndeleted);
        Progress { undeleted: if hides { 0 } else { self.progress.undeleted }, ..self.progress }
    }

    fn decide(&mut self, now: Time) -> Action {
        if self.ending == Some(Ending::Over) {
            return Action::Stop;
        }
        let careless = self.breaks(Broken::ActsWithoutLease);
        if now >= self.renewed_at + self.timing.lease && !careless {
            return Action::Stop;
        }
        // Whatever is begun before this time is over before the lease is.
        let renew_at = self.renewed_at + self.timing.renew;
        let unwritten = !self.marks.is_empty() && !self.breaks(Broken::DeletesBeforeArchive);
        if unwritten || (now >= renew_at && !careless) {
            return self.write(now, self.state(), true);
        }
        if self.ending.is_some() {
            self.batch.unknown = false;
        }
        if self.batch.unknown {
            return self.of_store(now, Action::LookUp);
        }
        if let Some(action) = self.work(now) {
            return action;
        }
        self.put_aside();
        if let Some(handles) = self.in_time(now, |plan| &mut plan.cut) {
            return Action::Release { handles };
        }
        if self.ending.is_some() {
            return self.end(now);
        }
        self.look(now)
    }

    /// What is done when no message is in hand.
    fn look(&mut self, now: Time) -> Action {
        if self.canary_is_due() && !matches!(self.stage, Stage::Canary { .. }) {
            self.stage = Stage::Canary { since: now, ask_at: now };
            return self.write(now, JobState::Canary, true);
        }
        match self.stage {
            Stage::Canary { ask_at, .. } => match self.release(now) {
                // Others may look at what is not dealt with for a while.
                Some(action) => action,
                None if now < ask_at => self.wait(ask_at),
                None => self.of_store(now, Action::Canary),
            },
            Stage::Counting => self.count(now),
            Stage::LookingAgain { at } => match self.release(now) {
                Some(action) => action,
                None if now < at => self.wait(at),
                None => {
                    self.stage = Stage::Receiving;
                    self.receive(now)
                }
            },
            Stage::Receiving if self.handled() >= self.begun.selected => {
                self.stage = Stage::Counting;
                self.look(now)
            }
            Stage::Receiving => self.receive(now),
        }
    }

    /// As many as there can be: with fewer of a FIFO group in hand the others of it would be hidden.
    fn receive(&self, now: Time) -> Action {
        let visibility = self.timing.visibility(self.begun.depth);
        self.of_queue(now, Action::Receive { most: MAX_BATCH, visibility })
    }

    /// What is not written would be counted as left.
    fn count(&self, now: Time) -> Action {
        if !self.deleted.is_empty() {
            return self.write(now, self.state(), true);
        }
        if self.ending.is_some() {
            return self.of_store(now, Action::CountUndeleted);
        }
        self.of_queue(now, self.of_store(now, Action::Count))
    }

    fn end(&mut self, now: Time) -> Action {
        if let Some(action) = self.release(now) {
            return action;
        }
        match self.ending.clone() {
            Some(Ending::As(..)) if !self.is_counted && self.progress.done > 0 => self.count(now),
            Some(Ending::As(state, note)) => {
                self.note = note;
                self.write(now, state, false)
            }
            _ => self.write(now, self.state(), false),
        }
    }

    /// Writes what was done and renews the lease, or gives it up.
    fn write(&self, now: Time, state: JobState, keep: bool) -> Action {
        let write = Write {
            state,
            progress: self.progress(),
            canary_passed: self.canary_passed,
            note: self.note.clone(),
            marks: self.marks.clone(),
            deleted: self.deleted.clone(),
            keep,
        };
        self.of_store(now, Action::Write(write))
    }

    /// Makes visible what is left alone.
    fn release(&mut self, now: Time) -> Option<Action> {
        let handles = self.in_time(now, |plan| &mut plan.left)?;
        Some(Action::Release { handles })
    }

    /// Handles for one call, the head of a group first, but for those whose messages may be visible by
    /// themselves: the handle of an earlier receive may be used up.
    fn in_time(
        &mut self,
        now: Time,
        of: impl Fn(&mut Self) -> &mut VecDeque<(ReceiptHandle, Time)>,
    ) -> Option<Vec<ReceiptHandle>> {
        let in_time = now + self.timing.call;
        let mut handles = Vec::new();
        while handles.len() < MAX_BATCH
            && let Some((handle, until)) = of(self).pop_front()
        {
            if in_time <= until {
                handles.push(handle);
            }
        }
        (!handles.is_empty()).then_some(handles)
    }

    /// The action, once the pause after a failure of the queues is over.
    fn of_queue(&self, now: Time, action: Action) -> Action {
        if now < self.queue.until && !self.breaks(Broken::NoPause) {
            return self.wait(self.queue.until);
        }
        action
    }

    /// The action, once the pause after a failure of the store is over.
    fn of_store(&self, now: Time, action: Action) -> Action {
        if now < self.store.until && !self.breaks(Broken::NoPause) {
            let over = self.renewed_at + self.timing.lease;
            return Action::Wait { until: self.store.until.min(over) };
        }
        action
    }

    /// Waits, but not for longer than until the lease is to be renewed.
    fn wait(&self, until: Time) -> Action {
        let renew_at = (self.renewed_at + self.timing.renew).max(self.store.until);
        let careless = self.breaks(Broken::ActsWithoutLease);
        Action::Wait { until: if careless { until } else { until.min(renew_at) } }
    }

    /// How many messages are dealt with.
    fn handled(&self) -> u64 {
        self.progress.done + self.progress.refused + self.progress.failed
    }

    fn state(&self) -> JobState {
        match self.stage {
            Stage::Canary { .. } => JobState::Canary,
            _ => JobState::Running,
        }
    }

    /// How many more messages may be redriven before the canary is asked for.
    fn until_canary(&self) -> u64 {
        match self.terms.canary {
            Some(canary) if !self.canary_passed && !self.breaks(Broken::NoCanary) => {
                canary.saturating_sub(self.progress.done)
            }
            _ => u64::MAX,
        }
    }

    fn canary_is_due(&self) -> bool {
        self.terms.kind == JobKind::Redrive && self.until_canary() == 0
    }

    /// How many messages may be dealt with at once.
    fn wave_size(&self) -> u64 {
        match self.terms.per_second {
            Some(rate) if !self.breaks(Broken::NoRate) => {
                u64::from(rate.clamp(1, MAX_BATCH as u32))
            }
            _ => MAX_BATCH as u64,
        }
    }
}
