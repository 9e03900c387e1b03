//! The messages in hand: which of them may be dealt with now.

use std::collections::HashMap;

use order_store::{JobKind, Newer};
use sqs_consumer::Time;

use super::{Action, Broken, Found, LEFT, MarkedAs, Plan, PlannedMark, Standing};

/// Bytes of one call, at most (AWS SQS quotas).
const CALL_BYTES: usize = 1_048_576;

/// The messages of the last receive.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    /// Their visibility timeout is not over before.
    pub(super) until: Time,
    /// Their standings are not known yet.
    pub(super) unknown: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) found: Found,
    pub(super) step: Step,
}

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To be dealt with.
    Ready,
    /// Its copy is there, or is to be archived; that is not written yet.
    Unwritten,
    /// It is to be deleted.
    Copied,
    /// It is deleted.
    Deleted,
    /// It is left alone.
    Left(Why),
}

/// Why a message is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It stays dead.
    Stays,
    /// It is dealt with when it is received again.
    Later,
}

impl Batch {
    pub(super) fn new(found: Vec<Found>, until: Time) -> Self {
        let entry = |found| Entry { found, step: Step::Left(Why::Later) };
        Self { unknown: !found.is_empty(), entries: found.into_iter().map(entry).collect(), until }
    }

    fn of(&self, step: Step) -> Vec<usize> {
        let positions = self.entries.iter().enumerate();
        positions.filter(|(_, entry)| entry.step == step).map(|(position, _)| position).collect()
    }
}

impl Plan {
    /// What is done with the messages in hand; none when each is dealt with.
    pub(super) fn work(&mut self, now: Time) -> Option<Action> {
        let in_time = now + self.timing.call <= self.batch.until
            || self.breaks(Broken::DeletesUnderOldHandle);
        if !in_time {
            self.leave_rest();
        }
        if self.ending.is_some() {
            self.leave_ready();
        }
        let copied = self.batch.of(Step::Copied);
        let later = self.breaks(Broken::OnBeforeDeleted) && !self.wave(now).is_empty();
        if !copied.is_empty() && !later {
            return Some(self.of_queue(now, Action::Delete { entries: copied }));
        }
        let wave = self.wave(now);
        if wave.is_empty() {
            // What is refused is written before the next receive.
            return (!self.marks.is_empty()).then(|| self.write(now, self.state(), true));
        }
        if now < self.next_allowed && !self.breaks(Broken::NoRate) {
            return Some(self.wait(self.next_allowed.min(self.batch.until)));
        }
        let pause = match self.terms.kind {
            JobKind::Redrive => self.queue.until,
            JobKind::Discard => self.store.until,
        };
        if now < pause && !self.breaks(Broken::NoPause) {
            return Some(self.wait(pause));
        }
        if let Some(rate) = self.terms.per_second {
            let took = std::time::Duration::from_secs(1) * wave.len() as u32 / rate.max(1);
            self.next_allowed = self.next_allowed.max(now) + took;
        }
        match self.terms.kind {
            JobKind::Redrive => Some(Action::Send { entries: wave }),
            JobKind::Discard => {
                for &position in &wave {
                    self.copied(position, MarkedAs::Archived, now);
                }
                if self.breaks(Broken::DeletesBeforeArchive) {
                    for &position in &wave {
                        self.batch.entries[position].step = Step::Copied;
                    }
                    return Some(Action::Delete { entries: wave });
                }
                Some(self.write(now, self.state(), true))
            }
        }
    }

    /// The messages that may be dealt with in one call: of a FIFO group the first one, once those before
    /// it are deleted.
    fn wave(&mut self, now: Time) -> Vec<usize> {
        let most = self.wave_size().min(self.until_canary());
        if most == 0 {
            self.leave_ready();
        }
        let (mut wave, mut bytes) = (Vec::new(), 0);
        let mut groups: HashMap<String, Group> = HashMap::new();
        let ordered = self.goes_by_groups();
        for position in 0..self.batch.entries.len() {
            let Entry { found, step } = &self.batch.entries[position];
            let (step, size) = (*step, found.bytes);
            let group = found.group.clone().filter(|_| ordered);
            let before = group.as_ref().and_then(|group| groups.get(group)).copied();
            if step == Step::Ready {
                match before {
                    Some(Group::Later) => {
                        self.batch.entries[position].step = Step::Left(Why::Later);
                        continue;
                    }
                    Some(Group::Stays) if !self.terms.may_reorder => {
                        let why = "an earlier dead letter of its message group stays dead";
                        self.refuse(position, why, now);
                        continue;
                    }
                    Some(Group::Busy) => continue,
                    Some(Group::Stays) | None => {}
                }
                let fits = wave.is_empty() || bytes + size <= CALL_BYTES;
                if fits && (wave.len() as u64) < most {
                    bytes += size;
                    wave.push(position);
                }
            }
            let state = match self.batch.entries[position].step {
                Step::Ready if !self.breaks(Broken::WholeGroupAtOnce) => Some(Group::Busy),
                Step::Unwritten | Step::Copied if !self.breaks(Broken::OnBeforeDeleted) => {
                    Some(Group::Busy)
                }
                Step::Left(Why::Later) if !self.breaks(Broken::GroupGoesOn) => Some(Group::Later),
                Step::Left(Why::Stays) if !self.breaks(Broken::GroupGoesOn) => Some(Group::Stays),
                _ => None,
            };
            if let (Some(group), Some(state)) = (group, state) {
                // One that comes again goes before one that stays.
                groups.entry(group).and_modify(|known| *known = state.max(*known)).or_insert(state);
            }
        }
        wave
    }

    fn goes_by_groups(&self) -> bool {
        self.terms.fifo && self.terms.kind == JobKind::Redrive
    }

    /// What the lookup makes of the messages in hand.
    pub(super) fn stands(&mut self, position: usize, standing: Standing, now: Time) {
        let step = match standing {
            Standing::NotSelected if !self.breaks(Broken::TakesEverything) => {
                Step::Left(Why::Stays)
            }
            Standing::Overtaken(newer)
                if self.terms.refuses_disorder() && !self.breaks(Broken::IgnoresOvertaking) =>
            {
                self.refuse(position, why_refused(newer), now);
                return;
            }
            Standing::Copied if !self.breaks(Broken::SendsAgain) => Step::Copied,
            Standing::NotSelected
            | Standing::Selected
            | Standing::Overtaken(_)
            | Standing::Copied => Step::Ready,
        };
        self.batch.entries[position].step = step;
    }

    fn refuse(&mut self, position: usize, why: &str, now: Time) {
        self.progress.refused += 1;
        self.stays(position, MarkedAs::Refused(why.to_owned()), now);
    }

    pub(super) fn stays(&mut self, position: usize, what: MarkedAs, now: Time) {
        self.batch.entries[position].step = Step::Left(Why::Stays);
        self.mark(position, what, now);
    }

    /// The message has a copy where it should be.
    pub(super) fn copied(&mut self, position: usize, what: MarkedAs, now: Time) {
        self.progress.done += 1;
        self.batch.entries[position].step = Step::Unwritten;
        self.mark(position, what, now);
    }

    fn mark(&mut self, entry: usize, what: MarkedAs, now: Time) {
        let message_id = self.batch.entries[entry].found.message_id.clone();
        self.marks.push(PlannedMark { entry, message_id, what });
        self.progressed(now);
    }

    pub(super) fn progressed(&mut self, now: Time) {
        self.progress_at = now;
        self.in_vain = 0;
    }

    /// Nothing more is begun: the visibility timeout may be over before it is done.
    fn leave_rest(&mut self) {
        for entry in &mut self.batch.entries {
            if matches!(entry.step, Step::Ready | Step::Copied) {
                entry.step = Step::Left(Why::Later);
            }
        }
    }

    fn leave_ready(&mut self) {
        for entry in &mut self.batch.entries {
            if entry.step == Step::Ready {
                entry.step = Step::Left(Why::Later);
            }
        }
    }

    /// Keeps the handles of what is left alone.
    pub(super) fn put_aside(&mut self) {
        let entries = std::mem::take(&mut self.batch.entries);
        let groups = entries.iter().map(|entry| entry.found.group.as_deref());
        let cut = cut_group(groups).filter(|_| self.terms.fifo).map(str::to_owned);
        for entry in entries {
            if matches!(entry.step, Step::Left(_)) {
                let handle = (entry.found.handle, self.batch.until);
                if cut.is_some() && entry.found.group == cut {
                    self.cut.push_back(handle);
                } else {
                    self.left.push_back(handle);
                    self.in_vain += 1;
                }
            }
        }
        while self.left.len() > LEFT {
            // The oldest become visible by themselves first.
            self.left.pop_front();
        }
    }
}

/// Why a message is refused that would come behind this one of its group.
fn why_refused(newer: Newer) -> &'static str {
    match newer {
        Newer::Delivered => "newer messages of its message group were delivered already",
        Newer::OnTheWay => {
            "newer messages of its message group are in the source queue or being delivered: it would \
             come behind them"
        }
        Newer::Ahead => "newer messages of its message group are dead before it, and go first",
    }
}

/// The group of which a receive from a FIFO queue may have brought the first messages alone: the last
/// one of several. While these are in hand the others of it are hidden.
pub(crate) fn cut_group<'a>(
    mut groups: impl DoubleEndedIterator<Item = Option<&'a str>>,
) -> Option<&'a str> {
    let last = groups.next_back()??;
    groups.any(|group| group != Some(last)).then_some(last)
}

/// What stands before a message in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// One that stays dead.
    Stays,
    /// One that is being dealt with.
    Busy,
    /// One that is left for a later receive.
    Later,
}
