//! What can happen next in a state.

use std::sync::Arc;

use sqs_consumer::{
    Time,
    scheduler::{Ended, Ticket},
};

use super::{
    calls::{Asked, Way},
    state::State,
    worker::{Process, Worker},
};

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A request reaches the queue.
    Reaches(usize),
    /// A waiting poll is answered.
    Serves(usize),
    /// An answer reaches its worker.
    Answers(usize),
    /// A request or an answer is lost, and its caller notices.
    IsLost(usize),
    /// The caller gives up a request that is still on its way.
    GivesUp(usize),
    /// A batch reaches the queue, and its first entry fails.
    HalfFails(usize),
    /// The queue refuses a call for good.
    IsRefused(usize),
    /// A return is not sent: the handlers that were told to stop have not.
    IsNotMade(usize),
    Ends(usize, Ticket, Ended),
    /// A worker's timer goes off.
    Wakes(usize),
    Crashes(usize),
    Drains(usize),
    Pauses(usize),
    Resumes(usize),
    TimePasses,
}

impl Step {
    /// Whether it needs something to go wrong.
    pub(super) fn is_trouble(self) -> bool {
        match self {
            Self::Ends(_, _, ended) => !matches!(ended, Ended::Done | Ended::AlreadyDone),
            Self::IsLost(_)
            | Self::GivesUp(_)
            | Self::HalfFails(_)
            | Self::IsRefused(_)
            | Self::IsNotMade(_)
            | Self::Crashes(_)
            | Self::Drains(_)
            | Self::Pauses(_) => true,
            _ => false,
        }
    }
}

impl State {
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.truth.is_violated() || self.is_at_rest() {
            return steps;
        }
        // Leases end at their workers first, since nothing takes no time on its way: what is due there
        // comes before what the queue does at the same moment.
        let first = |w: &Arc<Worker>| w.process == Process::Runs && w.is_due(self.now);
        let queue_may_act = !self.workers.iter().any(first);
        let mut must_wait = false;
        for (at, call) in self.calls.iter().enumerate() {
            let paused = self.workers[call.worker].is_paused();
            match &call.way {
                Way::ToQueue(asked) => {
                    must_wait = true;
                    let may_fail = self.left.losses > 0 && !call.abandoned;
                    let may_fail_otherwise = may_fail && self.truth.all_losses;
                    if queue_may_act {
                        steps.push(Step::Reaches(at));
                    }
                    if queue_may_act && may_fail_otherwise && asked.entries() > 1 {
                        steps.push(Step::HalfFails(at));
                    }
                    if may_fail {
                        steps.push(Step::IsLost(at));
                    }
                    let settles = !matches!(asked, Asked::Receive(_));
                    if settles && self.left.rejections > 0 && !call.abandoned {
                        steps.push(Step::IsRefused(at));
                    }
                    let returns = matches!(asked, Asked::Return(_));
                    if returns && self.left.stubborn > 0 && !call.abandoned {
                        steps.push(Step::IsNotMade(at));
                    }
                    if may_fail_otherwise {
                        steps.push(Step::GivesUp(at));
                    }
                }
                Way::Waits(_, until) => {
                    if queue_may_act && self.can_be_served(call.worker, *until) {
                        must_wait = true;
                        steps.push(Step::Serves(at));
                    }
                }
                Way::ToWorker(told) => {
                    if !paused {
                        must_wait = true;
                        steps.push(Step::Answers(at));
                    }
                    if self.left.losses > 0 && told.failure().is_some() {
                        steps.push(Step::IsLost(at));
                    }
                }
            }
        }
        let mut time_may_pass = !must_wait || self.left.delays > 0;
        for (at, worker) in self.workers.iter().enumerate() {
            match worker.process {
                Process::Paused { for_long } => {
                    if for_long && (!self.truth.long_pauses || worker.has_no_lease(self.now)) {
                        steps.push(Step::Resumes(at));
                    }
                    continue;
                }
                Process::Resumed => time_may_pass = false,
                Process::Gone => continue,
                Process::Runs => {}
            }
            if worker.is_due(self.now) || worker.process == Process::Resumed {
                time_may_pass = false;
                steps.push(Step::Wakes(at));
            }
            self.steps_of_handlers(at, &mut steps);
            self.troubles_of(at, &mut steps);
        }
        if time_may_pass && self.next_deadline().is_some() {
            steps.push(Step::TimePasses);
        }
        steps
    }

    /// Whether a poll has waited long enough. One that finds nothing waits on, as if it were sent
    /// again at once, unless its worker's end depends on it.
    pub(super) fn can_be_served(&self, worker: usize, until: Time) -> bool {
        let ends_empty = self.truth.empty_polls || self.workers[worker].draining;
        self.queue.has_receivable() || ends_empty && self.now >= until
    }

    fn steps_of_handlers(&self, at: usize, steps: &mut Vec<Step>) {
        let retry = |shared| Ended::Retry { not_before: None, shared };
        let endings = [
            (true, Ended::Done),
            (self.left.retries > 0, retry(false)),
            (self.left.refusals > 0, Ended::DeadLetter),
            (self.left.shared > 0, retry(true)),
            (self.left.shared > 0, Ended::NotYet),
            (self.left.outages > 0, Ended::Unavailable),
        ];
        for (&ticket, slot) in self.workers[at].slots.iter().filter(|(_, slot)| slot.running) {
            // A handler sees what has taken effect, and does it no second time.
            let repeats = self.truth.took_effect_before(slot.receipt.mail);
            let known = |ended| match ended {
                Ended::Done if repeats => Ended::AlreadyDone,
                ended => ended,
            };
            let possible = endings.iter().filter(|(possible, _)| *possible);
            steps.extend(possible.map(|&(_, ended)| Step::Ends(at, ticket, known(ended))));
        }
    }

    fn troubles_of(&self, at: usize, steps: &mut Vec<Step>) {
        let stays = |&(other, w): &(usize, &Arc<Worker>)| {
            other != at && w.process != Process::Gone && !w.draining
        };
        let may_go = self.truth.replaced || self.workers.iter().enumerate().any(|w| stays(&w));
        let worker = &self.workers[at];
        let has_calls = self.calls.iter().any(|call| call.worker == at && !call.abandoned);
        let is_busy = !worker.slots.is_empty() || has_calls;
        if self.left.crashes > 0 && is_busy && may_go {
            steps.push(Step::Crashes(at));
        }
        if self.left.drains > 0 && is_busy && may_go && !worker.draining {
            steps.push(Step::Drains(at));
        }
        if self.left.pauses > 0 && is_busy && worker.process == Process::Runs {
            steps.push(Step::Pauses(at));
        }
    }

    /// When something happens by itself.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let workers = self.workers.iter().filter_map(|worker| worker.wakes_at);
        let polls = self.calls.iter().filter_map(|call| match call.way {
            Way::Waits(_, until) => {
                Some(until).filter(|_| self.truth.empty_polls || self.workers[call.worker].draining)
            }
            _ => None,
        });
        let queue = self.queue.next_deadline(self.now);
        let paused = self.workers.iter().filter(|worker| worker.is_paused());
        let leases = paused.flat_map(|w| w.slots.values().map(|slot| slot.leased_until));
        workers.chain(polls).chain(queue).chain(leases).filter(|at| *at > self.now).min()
    }
}
