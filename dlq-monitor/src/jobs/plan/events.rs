//! What a plan makes of what came of its actions.

use order_store::{CanaryCount, JobState};
use sqs_consumer::Time;

use super::{
    Asked, Broken, Ending, Event, Fate, Found, Left, MarkedAs, NotCounted, Pause, Plan, Saved,
    Stage, Standing, Timing,
    batch::{Batch, Step, Why},
};

/// So many times the queue's messages are received in vain in one pass, which has no end then, before
/// the rest is taken for not to be found.
const PASSES: u64 = 3;
/// Beyond that, for small queues.
const SPARE: u64 = 100;

impl Plan {
    /// Tells what came of the action that [`Plan::next`] asked for.
    ///
    /// # Panics
    /// When it did not ask for that.
    pub fn done(&mut self, now: Time, event: Event) {
        let asked = self.asked.take();
        match (event, asked) {
            (Event::Received(result), Some(Asked::Receive { at })) => {
                self.received(at, now, result);
            }
            (Event::LookedUp(result), Some(Asked::LookUp)) => self.looked_up(now, result),
            (Event::Sent(fates), Some(Asked::Send { entries })) => self.sent(now, &entries, fates),
            (Event::Saved(result), Some(Asked::Write { at, last })) => {
                self.saved(at, now, last, result);
            }
            (Event::Deleted(fates), Some(Asked::Delete { entries })) => {
                self.were_deleted(now, &entries, fates);
            }
            (Event::Released, Some(Asked::Release)) | (Event::Woke, Some(Asked::Wait)) => {}
            (Event::Counted(result), Some(Asked::Count)) => self.counted(now, result),
            (Event::Undeleted(result), Some(Asked::CountUndeleted)) => self.ends_with(now, result),
            (Event::Canary(result), Some(Asked::Canary)) => self.canary(now, result),
            (event, asked) => panic!("{event:?} was not asked for, but {asked:?}"),
        }
    }

    fn received(&mut self, at: Time, now: Time, result: Result<Vec<Found>, String>) {
        let found = match result {
            Ok(found) => found,
            Err(trouble) => return self.queue_fails(now, trouble),
        };
        self.queue_works();
        if found.is_empty() {
            // The pass is over.
            self.in_vain = 0;
            self.stage = Stage::Counting;
            return;
        }
        if self.in_vain > PASSES * self.begun.depth + SPARE {
            self.stage = Stage::Counting;
        }
        let until = at + self.timing.visibility(self.begun.depth);
        self.batch = Batch::new(found, until);
    }

    fn looked_up(&mut self, now: Time, result: Result<Vec<Standing>, String>) {
        match result {
            Ok(standings) => {
                self.store_works();
                self.batch.unknown = false;
                for (position, standing) in standings.into_iter().enumerate() {
                    if position < self.batch.entries.len() {
                        self.stands(position, standing, now);
                    }
                }
            }
            Err(trouble) => {
                self.store_fails(now, trouble);
                if now + self.timing.call > self.batch.until {
                    // They are left, and received again.
                    self.batch.unknown = false;
                }
            }
        }
    }

    fn sent(&mut self, now: Time, entries: &[usize], fates: Vec<Fate>) {
        self.not_all_failed(&fates);
        let mut trouble = None;
        for (&position, fate) in entries.iter().zip(fates) {
            match fate {
                Fate::Done => self.copied(position, MarkedAs::Sent, now),
                Fate::Failed(_) if self.breaks(Broken::TakesFailedForSent) => {
                    self.copied(position, MarkedAs::Sent, now);
                }
                Fate::Failed(why) => {
                    if self.breaks(Broken::GroupGoesOn) {
                        self.batch.entries[position].step = Step::Left(Why::Later);
                    }
                    trouble = Some(why);
                }
                Fate::Refused(why) => {
                    self.progress.failed += 1;
                    self.stays(position, MarkedAs::Failed(why), now);
                }
                Fate::LeaseOver => self.batch.entries[position].step = Step::Left(Why::Later),
            }
        }
        match trouble {
            Some(why) => self.queue_fails(now, why),
            None => self.queue_works(),
        }
    }

    fn saved(&mut self, at: Time, now: Time, last: bool, result: Result<Saved, String>) {
        match result {
            Ok(Saved::Yes { cancelled }) => {
                self.store_works();
                self.renewed_at = at;
                self.marks.clear();
                self.deleted.clear();
                for entry in &mut self.batch.entries {
                    if entry.step == Step::Unwritten {
                        entry.step = Step::Copied;
                    }
                }
                if last {
                    self.ending = Some(Ending::Over);
                } else if cancelled {
                    self.cancel();
                }
            }
            Ok(Saved::Lost) if self.breaks(Broken::ActsWithoutLease) => {
                self.marks.clear();
                self.deleted.clear();
            }
            Ok(Saved::Lost) => self.ending = Some(Ending::Over),
            Err(trouble) => self.store_fails(now, trouble),
        }
    }

    fn were_deleted(&mut self, now: Time, entries: &[usize], fates: Vec<Fate>) {
        self.not_all_failed(&fates);
        let mut trouble = None;
        for (&position, fate) in entries.iter().zip(fates) {
            let entry = &mut self.batch.entries[position];
            match fate {
                Fate::Done => {
                    entry.step = Step::Deleted;
                    self.deleted.push(entry.found.message_id.clone());
                    self.progressed(now);
                }
                Fate::Failed(why) => trouble = Some(why),
                // It comes again, and is only deleted then.
                Fate::LeaseOver | Fate::Refused(_) => entry.step = Step::Left(Why::Later),
            }
        }
        match trouble {
            Some(why) => self.queue_fails(now, why),
            None => self.queue_works(),
        }
    }

    fn ends_with(&mut self, now: Time, result: Result<u64, String>) {
        match result {
            Ok(undeleted) => {
                self.store_works();
                self.is_counted = true;
                self.progress.undeleted = undeleted;
            }
            Err(trouble) => self.store_fails(now, trouble),
        }
    }

    fn counted(&mut self, now: Time, result: Result<Left, NotCounted>) {
        let Left { unhandled, undeleted } = match result {
            Ok(left) => left,
            Err(NotCounted::Queue(trouble)) => return self.queue_fails(now, trouble),
            Err(NotCounted::Store(trouble)) => return self.store_fails(now, trouble),
        };
        self.store_works();
        if self.ending.is_some() {
            // It was told to end meanwhile.
            return;
        }
        let visibility = self.timing.visibility(self.begun.depth);
        let given_up = now >= self.progress_at + visibility + self.timing.patience
            || self.in_vain > PASSES * self.begun.depth + SPARE
            || self.breaks(Broken::GivesUpAtOnce);
        if unhandled + undeleted == 0 || given_up {
            self.is_counted = true;
            (self.progress.not_found, self.progress.undeleted) = (unhandled, undeleted);
            let note = (unhandled > 0).then(|| {
                format!(
                    "{unhandled} were not found in the queue: they expired, were taken by others, or are \
                     behind messages of their groups that stay dead"
                )
            });
            self.ending = Some(Ending::As(JobState::Completed, note));
        } else {
            self.stage = Stage::LookingAgain { at: now + self.timing.look_again };
        }
    }

    fn canary(&mut self, now: Time, result: Result<CanaryCount, String>) {
        let Stage::Canary { since, .. } = self.stage else { return };
        let CanaryCount { delivered, failed, waiting } = match result {
            Ok(count) => count,
            Err(trouble) => return self.store_fails(now, trouble),
        };
        self.store_works();
        let note = if failed > 0 {
            format!(
                "the canary failed: of its messages {failed} failed or died again, {delivered} were delivered"
            )
        } else if waiting == 0 {
            self.canary_passed = true;
            self.stage = Stage::Receiving;
            self.progressed(now);
            return;
        } else if now >= since + self.timing.canary_patience {
            format!("the canary is not delivered in time: {delivered} were, {waiting} were not")
        } else {
            self.stage = Stage::Canary { since, ask_at: now + self.timing.canary_ask };
            return;
        };
        self.ending = Some(Ending::As(JobState::Failed, Some(note)));
    }

    /// Pauses become longer only as long as nothing succeeds.
    fn not_all_failed(&mut self, fates: &[Fate]) {
        if fates.contains(&Fate::Done) {
            self.queue = Pause::default();
        }
    }

    fn queue_fails(&mut self, now: Time, why: String) {
        self.queue.longer(now, &self.timing);
        self.note = Some(why);
    }

    fn queue_works(&mut self) {
        self.queue = Pause::default();
        self.all_is_well();
    }

    fn store_fails(&mut self, now: Time, why: String) {
        self.store.longer(now, &self.timing);
        self.note = Some(why);
    }

    fn store_works(&mut self) {
        self.store = Pause::default();
        self.all_is_well();
    }

    fn all_is_well(&mut self) {
        if self.queue.failures + self.store.failures == 0 {
            self.note = None;
        }
    }
}

impl Pause {
    fn longer(&mut self, now: Time, timing: &Timing) {
        let doubled = timing.backoff.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        self.until = now + doubled.min(timing.backoff_max);
    }
}
