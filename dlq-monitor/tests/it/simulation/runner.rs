//! A process that has a job in hand: what the shell does around a plan.

use std::time::Duration;

use dlq_monitor::jobs::plan::{
    Action, Event as Told, Fate, MarkedAs, NotCounted, Plan, Saved, Standing, Terms, Timing,
};
use order_store::{CanaryCount, JobKind};
use sqs_consumer::Time;

use super::{
    checks::{Check, Checked, that},
    store::Store,
};

pub(super) struct Runner {
    pub(super) life: Life,
    pub(super) holder: u64,
    /// The number of the last call; answers to earlier ones are nobody's.
    pub(super) call: u64,
    pub(super) job: Option<InWork>,
    pub(super) stopping: bool,
    /// What came while it stood still.
    pub(super) mailbox: Vec<(u64, Told)>,
    /// When it last acted, and how often at that moment.
    acted: (u64, u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Up,
    Paused,
    Gone,
}

/// The job in hand.
pub(super) struct InWork {
    pub(super) job: usize,
    pub(super) terms: Terms,
    pub(super) plan: Plan,
    pub(super) batch: Vec<InHand>,
    standings: Vec<Standing>,
    canary_passed: bool,
    cancelled: bool,
    /// When the queues, or the store, last failed without success since then.
    failed: [Option<u64>; 2],
    /// The last messages that were begun, and when.
    wave: Option<(u64, Vec<String>)>,
    received: Option<(u64, Duration)>,
}

/// A received message.
#[derive(Clone, Debug)]
pub(super) struct InHand {
    pub(super) message_id: String,
    pub(super) handle: String,
    pub(super) number: usize,
    pub(super) group: u32,
}

pub(super) fn time(millis: u64) -> Time {
    Time::new(Duration::from_millis(millis))
}

impl Runner {
    pub(super) fn new(holder: u64) -> Self {
        Self {
            life: Life::Up,
            holder,
            call: 0,
            job: None,
            stopping: false,
            mailbox: Vec::new(),
            acted: (0, 0),
        }
    }

    /// Counts actions at one moment.
    pub(super) fn acts(&mut self, now: u64) -> Checked {
        self.acted = if self.acted.0 == now { (now, self.acted.1 + 1) } else { (now, 1) };
        that(self.acted.1 < 50, Check::NoHotLoop, now, || "it acts again and again".to_owned())
    }
}

impl InWork {
    pub(super) fn new(job: usize, terms: Terms, plan: Plan, canary_passed: bool) -> Self {
        Self {
            job,
            terms,
            plan,
            batch: Vec::new(),
            standings: Vec::new(),
            canary_passed,
            cancelled: false,
            failed: [None, None],
            wave: None,
            received: None,
        }
    }

    /// Judges what the plan asks for, by what it was told.
    pub(super) fn judge(
        &mut self,
        now: u64,
        holder: u64,
        action: &Action,
        store: &Store,
    ) -> Checked {
        let row = &store.jobs[self.job];
        let about_queues = matches!(
            action,
            Action::Receive { .. }
                | Action::Send { .. }
                | Action::Delete { .. }
                | Action::Release { .. }
        );
        if about_queues {
            let holds = row.holder == Some(holder) && row.until > now;
            that(holds, Check::HoldsLease, now, || {
                format!("{action:?} of {holder}, but {:?} holds it until {}", row.holder, row.until)
            })?;
        }
        let sides: &[usize] = match action {
            Action::Release { .. } | Action::Wait { .. } | Action::Stop => &[],
            // SQS is asked too.
            Action::Count => &[0, 1],
            _ if about_queues => &[0],
            _ => &[1],
        };
        for failed in sides.iter().filter_map(|&side| self.failed[side]) {
            let backoff = Timing::DEFAULT.backoff.as_millis() as u64;
            that(now >= failed + backoff, Check::Backoff, now, || {
                format!("{action:?} comes {} ms after a failure", now - failed)
            })?;
        }
        let begun = match action {
            Action::Send { entries } => {
                for &entry in entries {
                    self.may_be_sent(now, entry)?;
                }
                let most = self.terms.canary.filter(|_| !self.canary_passed).unwrap_or(u64::MAX);
                let sent = self.plan.progress().done + entries.len() as u64;
                that(sent <= most, Check::CanaryFirst, now, || format!("{sent} of {most}"))?;
                entries.iter().map(|&entry| self.batch[entry].message_id.clone()).collect()
            }
            Action::Write(write) => {
                let archived = write.marks.iter().filter(|mark| mark.what == MarkedAs::Archived);
                archived.map(|mark| mark.message_id.clone()).collect()
            }
            Action::Delete { entries } => {
                let (at, visibility) = self.received.unwrap_or_default();
                let call = Timing::DEFAULT.call.as_millis() as u64;
                let in_time = now + call <= at + visibility.as_millis() as u64;
                that(in_time, Check::DeletesUnderLease, now, || "it may be over".to_owned())?;
                for &entry in entries {
                    self.is_its_own(now, entry)?;
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.begins(now, begun)
    }

    fn may_be_sent(&self, now: u64, entry: usize) -> Checked {
        self.is_its_own(now, entry)?;
        let number = self.batch[entry].number;
        let standing = self.standings[entry];
        let what = || format!("message {number}");
        let overtaken = matches!(standing, Standing::Overtaken(_));
        let in_order = !overtaken || self.terms.may_reorder || !self.terms.fifo;
        that(in_order, Check::NotOvertaken, now, what)?;
        that(standing != Standing::Copied, Check::CopiesAreNotSentAgain, now, what)
    }

    fn is_its_own(&self, now: u64, entry: usize) -> Checked {
        let other = self.standings[entry] == Standing::NotSelected;
        that(!other, Check::OthersAreLeftAlone, now, || {
            format!("message {}", self.batch[entry].number)
        })
    }

    /// Messages are begun with: sent, or archived.
    fn begins(&mut self, now: u64, ids: Vec<String>) -> Checked {
        let again =
            self.wave.as_ref().is_some_and(|(_, wave)| ids.iter().all(|id| wave.contains(id)));
        if ids.is_empty() || (again && self.terms.kind == JobKind::Discard) {
            return Ok(());
        }
        that(!self.cancelled, Check::StopsWhenCancelled, now, || format!("{ids:?} are begun"))?;
        if let (Some(rate), Some((at, wave))) = (self.terms.per_second, &self.wave) {
            let earliest = at + wave.len() as u64 * 1000 / u64::from(rate);
            that(now + 1 >= earliest, Check::Rate, now, || format!("not before {earliest}"))?;
        }
        self.wave = Some((now, ids));
        Ok(())
    }

    /// Notes what the plan is told.
    pub(super) fn hears(&mut self, now: u64, told: &Told) {
        let fates = |fates: &[Fate]| fates.iter().any(|fate| matches!(fate, Fate::Failed(_)));
        let (side, fails) = match told {
            Told::Received(result) => (0, result.is_err()),
            Told::Sent(of) | Told::Deleted(of) => (0, fates(of)),
            Told::LookedUp(result) => {
                self.standings = result.clone().unwrap_or_default();
                (1, result.is_err())
            }
            Told::Saved(result) => {
                if let Ok(Saved::Yes { cancelled }) = result {
                    self.cancelled |= cancelled;
                }
                (1, result.is_err())
            }
            Told::Counted(result) => {
                (usize::from(!matches!(result, Err(NotCounted::Queue(_)))), result.is_err())
            }
            Told::Undeleted(result) => (1, result.is_err()),
            Told::Canary(result) => {
                let passed = |count: &CanaryCount| count.failed + count.waiting == 0;
                self.canary_passed |= result.as_ref().is_ok_and(passed);
                (1, result.is_err())
            }
            Told::Released | Told::Woke => return,
        };
        self.failed[side] = fails.then_some(now);
    }

    /// The job was cancelled before it was begun.
    pub(super) fn cancel(&mut self) {
        self.plan.cancel();
        self.cancelled = true;
    }

    /// Notes what was received, and when that was asked for.
    pub(super) fn receives(&mut self, at: u64, visibility: Duration, batch: Vec<InHand>) {
        self.received = Some((at, visibility));
        self.batch = batch;
        self.standings.clear();
    }
}
