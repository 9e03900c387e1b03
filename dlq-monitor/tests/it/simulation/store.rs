//! The store as jobs use it, in memory: the promises of `order_store`, without its databases.

use std::{collections::BTreeSet, time::Duration};

use dlq_monitor::jobs::plan::{Begun, Left, MarkedAs, Saved, Standing, Terms, Write};
use order_store::{CanaryCount, DeadLetterState, JobState, Newer, Progress};

use super::scenario::Asked;

#[derive(Default)]
pub(super) struct Store {
    pub(super) rows: Vec<Row>,
    pub(super) jobs: Vec<Job>,
    /// The numbers of archived messages.
    pub(super) archive: BTreeSet<usize>,
    /// Groups of which newer messages were delivered, or are on their way.
    pub(super) overtaken: BTreeSet<u32>,
    pub(super) delivered: BTreeSet<usize>,
}

/// A dead letter; its place is its id.
pub(super) struct Row {
    pub(super) message_id: String,
    pub(super) number: usize,
    pub(super) group: u32,
    pub(super) state: DeadLetterState,
    /// The last job that dealt with it, and whether it is done.
    pub(super) by: Option<(usize, bool)>,
}

pub(super) struct Job {
    pub(super) terms: Terms,
    pub(super) meant: BTreeSet<usize>,
    /// Rows from here on came later.
    through: usize,
    selected: u64,
    pub(super) state: JobState,
    pub(super) holder: Option<u64>,
    pub(super) until: u64,
    pub(super) progress: Progress,
    canary_passed: bool,
    pub(super) cancelled: bool,
}

impl Store {
    /// Keeps a message that is met for the first time.
    pub(super) fn keep(&mut self, message_id: &str, number: usize, group: u32) {
        if self.rows.iter().any(|row| row.message_id == message_id) {
            return;
        }
        let (message_id, state) = (message_id.to_owned(), DeadLetterState::Dead);
        self.rows.push(Row { message_id, number, group, state, by: None });
    }

    pub(super) fn create(&mut self, asked: &Asked) {
        let mut job = Job {
            terms: asked.terms,
            meant: asked.meant.clone(),
            through: self.rows.len(),
            selected: 0,
            state: JobState::Queued,
            holder: None,
            until: 0,
            progress: Progress::default(),
            canary_passed: false,
            cancelled: false,
        };
        let rows = self.rows.iter().enumerate();
        let part = rows.filter(|(id, row)| job.has(*id, row) && row.state == DeadLetterState::Dead);
        job.selected = part.count() as u64;
        self.jobs.push(job);
    }

    /// The oldest job that is not finished, if it is to be had.
    pub(super) fn claim(&mut self, holder: u64, now: u64, lease: Duration) -> Option<usize> {
        let open = self.jobs.iter().position(|job| !job.state.is_end())?;
        let job = &mut self.jobs[open];
        if job.holder.is_some_and(|other| other != holder) && job.until > now {
            return None;
        }
        job.holder = Some(holder);
        job.until = now + lease.as_millis() as u64;
        if job.state == JobState::Queued {
            job.state = JobState::Running;
        }
        Some(open)
    }

    pub(super) fn begun(&self, job: usize) -> Begun {
        let Job { progress, canary_passed, selected, .. } = self.jobs[job];
        let dead = self.rows.iter().filter(|row| row.state == DeadLetterState::Dead);
        Begun { progress, canary_passed, selected, depth: dead.count() as u64 }
    }

    pub(super) fn write(
        &mut self,
        (job, holder): (usize, u64),
        write: &Write,
        now: u64,
        lease: Duration,
    ) -> Saved {
        let row = &mut self.jobs[job];
        if row.holder != Some(holder) || row.state.is_end() {
            return Saved::Lost;
        }
        row.state = write.state;
        row.progress = write.progress;
        row.canary_passed = write.canary_passed;
        row.until = now + lease.as_millis() as u64;
        if !write.keep || write.state.is_end() {
            row.holder = None;
        }
        let cancelled = row.cancelled;
        for mark in &write.marks {
            let Some(row) = self.rows.iter_mut().find(|row| row.message_id == mark.message_id)
            else {
                continue;
            };
            if row.state != DeadLetterState::Dead {
                continue;
            }
            let (state, done) = match mark.what {
                MarkedAs::Sent => (DeadLetterState::Sent, true),
                MarkedAs::Archived => {
                    self.archive.insert(row.number);
                    (DeadLetterState::Archived, true)
                }
                MarkedAs::Refused(_) | MarkedAs::Failed(_) => (DeadLetterState::Dead, false),
            };
            (row.state, row.by) = (state, Some((job, done)));
        }
        for id in &write.deleted {
            self.delete(id);
        }
        Saved::Yes { cancelled }
    }

    pub(super) fn standing(&self, job: usize, message_id: &str) -> Standing {
        let (id, row) = self.found(message_id);
        let dealt_with = row.by.is_some_and(|(by, _)| by == job);
        let newer = if row.group % 2 == 0 { Newer::Delivered } else { Newer::OnTheWay };
        let newer = self.overtaken.contains(&row.group).then_some(newer);
        Standing::of(row.state, self.jobs[job].has(id, row), dealt_with, newer)
    }

    pub(super) fn found(&self, message_id: &str) -> (usize, &Row) {
        let mut rows = self.rows.iter().enumerate();
        rows.find(|(_, row)| row.message_id == message_id).expect("it is kept")
    }

    pub(super) fn count(&self, job: usize) -> Left {
        let mut left = Left::default();
        for (id, row) in self.rows.iter().enumerate() {
            let is_its_own = row.by.is_some_and(|(by, _)| by == job);
            match row.state {
                DeadLetterState::Dead if self.jobs[job].has(id, row) && !is_its_own => {
                    left.unhandled += 1;
                }
                state if state.is_undeleted() && is_its_own => left.undeleted += 1,
                _ => {}
            }
        }
        left
    }

    /// Notes that a message was deleted.
    pub(super) fn delete(&mut self, message_id: &str) {
        let Some(row) = self.rows.iter_mut().find(|row| row.message_id == message_id) else {
            return;
        };
        row.state = match row.state {
            DeadLetterState::Sent => DeadLetterState::Redriven,
            DeadLetterState::Archived => DeadLetterState::Discarded,
            state => state,
        };
    }

    pub(super) fn canary(&self, job: usize) -> CanaryCount {
        let mut count = CanaryCount::default();
        for (id, row) in self.rows.iter().enumerate() {
            if row.by != Some((job, true)) {
                continue;
            }
            if self.delivered.contains(&row.number) {
                count.delivered += 1;
            } else if self.rows[id + 1..].iter().any(|again| again.number == row.number) {
                count.failed += 1;
            } else {
                count.waiting += 1;
            }
        }
        count
    }
}

impl Job {
    /// Whether a letter is part of the job.
    pub(super) fn has(&self, id: usize, row: &Row) -> bool {
        id < self.through && self.meant.contains(&row.number)
    }
}
