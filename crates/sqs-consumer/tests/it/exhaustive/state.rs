//! One state of everything, and what each step makes of it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use sqs_consumer::{Time, scheduler::Answer};

use super::{
    calls::{Asked, Call, Told, Way},
    queue::Queue,
    scene::{DRAIN_FLUSH, DRAIN_TIMEOUT, Mail, Scene, Troubles, VISIBILITY},
    shared::Shared,
    steps::Step,
    truth::Truth,
    worker::{Process, Worker},
};

/// Long after the messages were sent.
pub(super) const START: Time = Time::new(Duration::from_secs(1_000));

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) now: Time,
    pub(super) queue: Arc<Queue>,
    pub(super) workers: Vec<Arc<Worker>>,
    pub(super) calls: Vec<Arc<Call>>,
    pub(super) left: Troubles,
    pub(super) truth: Truth,
    digests: Digests,
}

/// Numbers that are the same for what goes on in the same way.
#[derive(Clone, Debug)]
struct Digests {
    whole: u64,
    workers: Vec<u64>,
}

/// States with the same digest go on in the same way.
impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digests.whole.hash(state);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.digests.whole == other.digests.whole
    }
}

impl State {
    pub(super) fn new(scene: &Scene) -> Self {
        let mut queue = Queue::new(scene);
        queue.advance(START);
        let worker = Arc::new(Worker::new(scene, START));
        let mut state = Self {
            now: START,
            queue: Arc::new(queue),
            workers: vec![worker; scene.workers],
            calls: Vec::new(),
            left: scene.troubles,
            truth: Truth::new(scene),
            digests: Digests { whole: 0, workers: vec![0; scene.workers] },
        };
        for worker in 0..scene.workers {
            state.advance(scene, worker);
        }
        state.sign(None, &Shared::default());
        state
    }

    pub(super) fn digest(&self) -> u64 {
        self.digests.whole
    }

    /// Workers are alike: which one is in which state makes no difference. Only what has changed is
    /// looked at: one worker with its calls, or everything.
    fn sign(&mut self, changed: Option<usize>, shared: &Shared) {
        for at in 0..self.workers.len() {
            if changed.is_none_or(|changed| changed == at) {
                let own = self.calls.iter().filter(|call| call.worker == at);
                let calls: Vec<&Call> = own.map(|call| &**call).collect();
                let empty_polls = self.truth.empty_polls;
                let digest = self.workers[at].digest(self.now, &calls, empty_polls);
                self.digests.workers[at] = digest;
                let key = self.workers[at].key(self.now, digest);
                shared.worker(key, &mut self.workers[at]);
            }
        }
        let mut workers = self.digests.workers.clone();
        workers.sort_unstable();
        let mut state = DefaultHasher::new();
        self.queue.identify(self.now, &mut state);
        shared.queue(self.queue.key(self.now, state.finish()), &mut self.queue);
        (self.left, &self.truth, workers).hash(&mut state);
        self.digests.whole = state.finish();
    }

    pub(super) fn after(&self, scene: &Scene, step: Step, shared: &Shared) -> Self {
        let mut next = self.clone();
        let changed = self.worker_of(step);
        next.take(scene, step);
        next.sign(changed, shared);
        next
    }

    /// The one worker that a step concerns, itself or by its calls.
    fn worker_of(&self, step: Step) -> Option<usize> {
        match step {
            Step::Reaches(at)
            | Step::Serves(at)
            | Step::Answers(at)
            | Step::IsLost(at)
            | Step::GivesUp(at)
            | Step::HalfFails(at)
            | Step::IsRefused(at)
            | Step::IsNotMade(at) => Some(self.calls[at].worker),
            Step::Ends(at, ..)
            | Step::Wakes(at)
            | Step::Crashes(at)
            | Step::Drains(at)
            | Step::Pauses(at)
            | Step::Resumes(at) => Some(at),
            Step::TimePasses => None,
        }
    }

    fn take(&mut self, scene: &Scene, step: Step) {
        match step {
            Step::Reaches(at) => self.reaches(at, 0),
            Step::HalfFails(at) => {
                self.left.losses -= 1;
                self.reaches(at, 1);
            }
            Step::IsRefused(at) => {
                self.left.rejections -= 1;
                self.comes_to_nothing(at, Answer::Refused);
            }
            Step::IsNotMade(at) => {
                self.left.stubborn -= 1;
                self.comes_to_nothing(at, Answer::NotMade);
            }
            Step::Serves(at) => {
                let call = self.calls.remove(at);
                self.serve(&call);
            }
            Step::Answers(at) => {
                let call = self.calls.remove(at);
                if let Way::ToWorker(told) = &call.way {
                    self.tell(call.worker, told);
                    self.advance(scene, call.worker);
                }
            }
            Step::IsLost(at) => {
                self.left.losses -= 1;
                let call = Arc::make_mut(&mut self.calls[at]);
                let told = match &call.way {
                    Way::ToQueue(asked) => Some(asked.failure()),
                    Way::ToWorker(told) => told.failure(),
                    Way::Waits(..) => None,
                };
                call.way = Way::ToWorker(told.expect("only what can fail is lost"));
            }
            Step::GivesUp(at) => {
                self.left.losses -= 1;
                let call = Arc::make_mut(&mut self.calls[at]);
                call.abandoned = true;
                if let Way::ToQueue(asked) = &call.way {
                    let way = Way::ToWorker(asked.failure());
                    let failure = Call { worker: call.worker, abandoned: false, way };
                    self.calls.push(Arc::new(failure));
                }
            }
            Step::Ends(at, ticket, ended) => {
                self.ends(at, ticket, ended);
                self.advance(scene, at);
            }
            Step::Wakes(at) => self.advance(scene, at),
            Step::Crashes(at) => {
                self.left.crashes -= 1;
                self.replace(scene, at);
            }
            Step::Drains(at) => {
                self.left.drains -= 1;
                let now = self.now;
                let worker = self.worker(at);
                worker.draining = true;
                worker.drain_ends = Some(now + DRAIN_TIMEOUT);
                worker.may_strand_at = Some(now + DRAIN_TIMEOUT + DRAIN_FLUSH);
                worker.scheduler.drain(now);
                for call in self.calls.iter_mut().filter(|call| call.worker == at) {
                    if let Way::Waits(poll, until) = &mut Arc::make_mut(call).way {
                        *until = (*until).max(now + poll.wait);
                    }
                }
                self.advance(scene, at);
            }
            Step::Pauses(at) => {
                self.left.pauses -= 1;
                self.worker(at).process = Process::Paused { for_long: false };
            }
            Step::Resumes(at) => self.worker(at).process = Process::Resumed,
            Step::TimePasses => self.time_passes(),
        }
    }

    fn comes_to_nothing(&mut self, at: usize, answer: Answer) {
        let call = Arc::make_mut(&mut self.calls[at]);
        if let Way::ToQueue(asked) = &call.way {
            call.way = Way::ToWorker(asked.answered(answer));
        }
    }

    fn time_passes(&mut self) {
        let moving = |call: &&Arc<Call>| match call.way {
            Way::ToQueue(_) => true,
            Way::ToWorker(_) => !self.workers[call.worker].is_paused(),
            Way::Waits(_, until) => self.can_be_served(call.worker, until),
        };
        if self.calls.iter().any(|call| moving(&call)) {
            self.left.delays -= 1;
        }
        self.now = self.next_deadline().expect("time passes only until something happens");
        let now = self.now;
        Arc::make_mut(&mut self.queue).advance(now);
        for at in 0..self.workers.len() {
            if self.workers[at].is_paused() {
                self.worker(at).process = Process::Paused { for_long: true };
            }
        }
    }

    /// Another worker, or none, in place of one that is gone with its connections: what it had sent has
    /// reached the queue before or never does.
    pub(super) fn replace(&mut self, scene: &Scene, at: usize) {
        self.calls.retain(|call| call.worker != at);
        self.workers[at] = Arc::new(Worker::new(scene, self.now));
        if scene.replaced {
            self.advance(scene, at);
        } else {
            self.worker(at).process = Process::Gone;
        }
    }

    fn reaches(&mut self, at: usize, failing: usize) {
        let call = self.calls.remove(at);
        let Way::ToQueue(asked) = &call.way else { return };
        let now = self.now;
        let queue = Arc::make_mut(&mut self.queue);
        let told = match asked {
            Asked::Receive(poll) => {
                let until = if self.truth.empty_polls { now + poll.wait } else { START };
                let call = Call { way: Way::Waits(*poll, until), ..(*call).clone() };
                if self.queue.has_receivable() {
                    self.serve(&call);
                } else if !call.abandoned {
                    self.calls.push(Arc::new(call));
                }
                return;
            }
            Asked::Extend { entries, requested_at } => {
                let rest = entries[failing..].iter();
                let answers = queue.change(now, rest.map(|&(_, r, length)| (r, length)));
                let answers = std::iter::repeat_n(Answer::Failed, failing).chain(answers);
                let answers = entries.iter().zip(answers).map(|(&(t, r, l), a)| (t, r, l, a));
                Told::Extended { answers: answers.collect(), requested_at: *requested_at }
            }
            Asked::Return(entries) => {
                let rest = entries[failing..].iter();
                let answers = queue.change(now, rest.map(|&(_, r, length)| (r, length)));
                let answers = std::iter::repeat_n(Answer::Failed, failing).chain(answers);
                let answers: Vec<_> =
                    entries.iter().zip(answers).map(|(&(t, r, _), a)| (t, r, a)).collect();
                for (_, receipt, answer) in &answers {
                    if *answer == Answer::Ok {
                        self.truth.given_back(*receipt);
                    }
                }
                Told::Returned(answers)
            }
            Asked::Delete(entries) => {
                let answers = queue.delete(now, entries[failing..].iter().map(|&(_, r)| r));
                self.truth.look(queue);
                let answers = std::iter::repeat_n(Answer::Failed, failing).chain(answers);
                let answers = entries.iter().zip(answers).map(|(&(t, r), a)| (t, r, a));
                Told::Deleted(answers.collect())
            }
            Asked::DeadLetter(ticket, mail) => {
                self.truth.copied(*mail);
                Told::DeadLettered(*ticket, *mail, Answer::Ok)
            }
        };
        self.answer(&call, told);
    }

    fn serve(&mut self, call: &Call) {
        let Way::Waits(mut poll, _) = call.way else { return };
        let now = self.now;
        if !self.truth.empty_polls {
            poll.requested_at = now;
        }
        let queue = Arc::make_mut(&mut self.queue);
        let receipts = queue.receive(now, poll.max, VISIBILITY);
        self.truth.look(queue);
        self.answer(call, Told::Received(poll, receipts));
    }

    fn answer(&mut self, call: &Call, told: Told) {
        if !call.abandoned {
            let way = Way::ToWorker(told);
            self.calls.push(Arc::new(Call { way, ..*call }));
        }
    }

    /// Everything is done with; what follows is only polls that find nothing.
    pub(super) fn is_at_rest(&self) -> bool {
        let only_polls = |call: &Arc<Call>| match &call.way {
            Way::ToWorker(Told::Received(_, receipts)) => receipts.is_empty(),
            _ => call.poll().is_some(),
        };
        self.truth.all_done()
            && self.calls.iter().all(only_polls)
            && self.workers.iter().all(|w| w.slots.is_empty() && !w.draining && !w.is_paused())
    }

    /// Handlers that run, but for those of a process that stands still, which do not, or of one that
    /// has stood still and has not looked at its clock since, as it will do at once.
    pub(super) fn running(&self) -> impl Iterator<Item = (usize, Mail)> {
        let awake = self.workers.iter().enumerate().filter(|(_, w)| w.process == Process::Runs);
        awake.flat_map(|(at, worker)| {
            let running = worker.slots.values().filter(|slot| slot.running);
            running.map(move |slot| (at, slot.receipt.mail))
        })
    }
}
