//! One state of everything, and what each step makes of it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use sqs_consumer::{
    Time,
    scheduler::{Action, Answer, Ended, Ticket},
};

use super::{
    calls::{Asked, Call, Poll, Told, Way},
    queue::Queue,
    scene::{Mail, Receipt, Scene, Troubles, VISIBILITY},
    shared::Shared,
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
            Self::Ends(_, _, ended) => ended != Ended::Done,
            Self::IsLost(_)
            | Self::GivesUp(_)
            | Self::HalfFails(_)
            | Self::Crashes(_)
            | Self::Drains(_)
            | Self::Pauses(_) => true,
            _ => false,
        }
    }
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
                let calls = self.calls.iter().filter(|call| call.worker == at);
                let empty_polls = self.truth.empty_polls;
                let digest = self.workers[at].digest(self.now, calls, empty_polls);
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
                    if queue_may_act && self.left.losses > 0 && asked.entries() > 1 {
                        steps.push(Step::HalfFails(at));
                    }
                    if queue_may_act {
                        steps.push(Step::Reaches(at));
                    }
                    if self.left.losses > 0 && !call.abandoned {
                        steps.push(Step::IsLost(at));
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
    fn can_be_served(&self, worker: usize, until: Time) -> bool {
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
            (self.left.outages > 0, Ended::Unavailable),
        ];
        for (&ticket, _) in self.workers[at].slots.iter().filter(|(_, slot)| slot.running) {
            let possible = endings.iter().filter(|(possible, _)| *possible);
            steps.extend(possible.map(|&(_, ended)| Step::Ends(at, ticket, ended)));
        }
    }

    fn troubles_of(&self, at: usize, steps: &mut Vec<Step>) {
        let worker = &self.workers[at];
        let has_calls = self.calls.iter().any(|call| call.worker == at && !call.abandoned);
        let is_busy = !worker.slots.is_empty() || has_calls;
        if self.left.crashes > 0 && is_busy {
            steps.push(Step::Crashes(at));
        }
        if self.left.drains > 0 && is_busy && !worker.draining {
            steps.push(Step::Drains(at));
        }
        if self.left.pauses > 0 && is_busy && worker.process == Process::Runs {
            steps.push(Step::Pauses(at));
        }
    }

    /// When something happens by itself.
    fn next_deadline(&self) -> Option<Time> {
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
            | Step::HalfFails(at) => Some(self.calls[at].worker),
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

    /// A new worker in place of one that is gone, with its connections: what it had sent has
    /// reached the queue before or never does.
    fn replace(&mut self, scene: &Scene, at: usize) {
        self.calls.retain(|call| call.worker != at);
        self.workers[at] = Arc::new(Worker::new(scene, self.now));
        self.advance(scene, at);
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
        self.answer(call, Told::Received(poll, receipts));
    }

    fn answer(&mut self, call: &Call, told: Told) {
        if !call.abandoned {
            let way = Way::ToWorker(told);
            self.calls.push(Arc::new(Call { way, ..*call }));
        }
    }

    fn tell(&mut self, at: usize, told: &Told) {
        let now = self.now;
        if let Told::Received(_, receipts) = told {
            receipts.iter().for_each(|receipt| self.check_receipt(at, receipt.mail));
        }
        let worker = self.worker(at);
        match told {
            Told::Received(poll, receipts) => {
                let arrivals =
                    receipts.iter().map(|&receipt| worker.arrival(now, poll, receipt)).collect();
                worker.scheduler.received(now, poll.id, poll.requested_at, arrivals);
            }
            Told::ReceiveFailed(poll) => {
                worker.receive_failed_at = Some(now);
                worker.scheduler.receive_failed(now, poll.id);
            }
            Told::Extended { answers, requested_at } => {
                for &(ticket, receipt, length, answer) in answers {
                    self.truth_of_extension(at, ticket, receipt, *requested_at + length, answer);
                }
                let answers: Vec<_> = answers.iter().map(|&(t, _, l, a)| (t, l, a)).collect();
                self.worker(at).scheduler.extended(now, *requested_at, &answers);
            }
            Told::Returned(answers) => {
                for &(_, receipt, answer) in answers {
                    if answer == Answer::Ok {
                        worker.head_is_back.push(receipt.mail.group);
                        worker.head_is_back.sort_unstable();
                        worker.head_is_back.dedup();
                    }
                }
                let answers: Vec<_> = answers.iter().map(|&(t, _, a)| (t, a)).collect();
                worker.scheduler.returned(now, &answers);
            }
            Told::Deleted(answers) => {
                let answers: Vec<_> = answers.iter().map(|&(t, _, a)| (t, a)).collect();
                worker.scheduler.deleted(now, &answers);
            }
            Told::DeadLettered(ticket, _, answer) => {
                worker.scheduler.dead_lettered(now, *ticket, *answer);
            }
        }
    }

    fn truth_of_extension(
        &mut self,
        at: usize,
        ticket: Ticket,
        receipt: Receipt,
        until: Time,
        answer: Answer,
    ) {
        let now = self.now;
        let fifo = self.truth.fifo;
        if let Some(slot) = self.worker(at).slots.get_mut(&ticket)
            && slot.receipt == receipt
            && answer == Answer::Ok
            && (fifo || now < slot.leased_until)
        {
            slot.leased_until = until;
            slot.unconfirmed = false;
        }
    }

    fn ends(&mut self, at: usize, ticket: Ticket, ended: Ended) {
        let now = self.now;
        match ended {
            Ended::Done => {}
            Ended::Retry { shared: false, .. } => self.left.retries -= 1,
            Ended::Retry { shared: true, .. } => self.left.shared -= 1,
            Ended::DeadLetter => self.left.refusals -= 1,
            Ended::Unavailable => self.left.outages -= 1,
        }
        let worker = self.worker(at);
        let slot = worker.slots.get_mut(&ticket).expect("it runs");
        slot.running = false;
        let mail = slot.receipt.mail;
        match ended {
            Ended::Retry { shared: true, .. } => {
                slot.suspect.get_or_insert(false);
            }
            Ended::Retry { .. } | Ended::DeadLetter => slot.failed = true,
            Ended::Unavailable => {}
            Ended::Done => {
                let others = worker.slots.values_mut().filter_map(|slot| slot.suspect.as_mut());
                others.for_each(|succeeded_since| *succeeded_since = true);
            }
        }
        worker.scheduler.finished(now, ticket, ended);
        if ended == Ended::Done {
            self.truth.took_effect(mail);
        }
    }

    pub(super) fn worker(&mut self, at: usize) -> &mut Worker {
        Arc::make_mut(&mut self.workers[at])
    }

    pub(super) fn ask(&mut self, at: usize, asked: Asked) {
        let call = Call { worker: at, abandoned: false, way: Way::ToQueue(asked) };
        self.calls.push(Arc::new(call));
    }

    /// Lets a worker's scheduler act.
    fn advance(&mut self, scene: &Scene, at: usize) {
        let now = self.now;
        let worker = self.worker(at);
        worker.process = Process::Runs;
        let actions = worker.scheduler.advance(now);
        worker.wakes_at = worker.scheduler.next_wakeup(now);
        for action in actions {
            self.act(at, action);
        }
        self.check_worker(scene, at);
        if self.workers[at].draining && self.workers[at].scheduler.is_drained() {
            self.check_drained(at);
            self.replace(scene, at);
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        self.check_action(at, &action);
        if self.truth.is_violated() {
            return;
        }
        let now = self.now;
        let worker = self.worker(at);
        let receipt = |ticket: &Ticket| worker.slots[ticket].receipt;
        let asked = match action {
            Action::Receive { poll, request } => {
                worker.polls += 1;
                let (max, wait) = (request.max_messages, request.wait);
                Asked::Receive(Poll { id: poll, max, wait, requested_at: now })
            }
            Action::Extend { entries } => {
                let entries = entries.iter().map(|&(t, length)| (t, receipt(&t), length));
                Asked::Extend { entries: entries.collect(), requested_at: now }
            }
            Action::Return { entries } => {
                let entries = entries.iter().map(|&(t, length)| (t, receipt(&t), length));
                let entries: Vec<_> = entries.collect();
                if worker.draining {
                    worker.gave_back_in_drain.extend(entries.iter().map(|(_, r, _)| r.mail));
                }
                Asked::Return(entries)
            }
            Action::Delete { tickets } => {
                Asked::Delete(tickets.iter().map(|&t| (t, receipt(&t))).collect())
            }
            Action::DeadLetter { ticket } => Asked::DeadLetter(ticket, receipt(&ticket).mail),
            Action::Start { ticket, .. } => {
                worker.slots.get_mut(&ticket).expect("checked").running = true;
                return;
            }
            Action::Cancel { ticket } => {
                worker.slots.get_mut(&ticket).expect("checked").running = false;
                return;
            }
            Action::Adopt { held, newer } => {
                let newer = worker.slots.remove(&newer).expect("checked");
                let slot = worker.slots.get_mut(&held).expect("checked");
                slot.receipt = newer.receipt;
                slot.leased_until = newer.leased_until;
                slot.unconfirmed = newer.unconfirmed;
                return;
            }
            Action::Forget { ticket, .. } => {
                let slot = worker.slots.remove(&ticket).expect("checked");
                let group = slot.receipt.mail.group;
                if worker.slots.values().all(|slot| slot.receipt.mail.group != group) {
                    worker.head_is_back.retain(|&back| back != group);
                }
                return;
            }
        };
        self.ask(at, asked);
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

    /// Handlers that run under a lease. Not those of a process that stands still: they do not run.
    /// Not those of one that has stood still, until it has looked at its clock, or, for a message
    /// that it has received again meanwhile, until it has asked whether the lease still holds.
    pub(super) fn running(&self) -> impl Iterator<Item = (usize, Mail)> {
        let awake = self.workers.iter().enumerate().filter(|(_, w)| w.process == Process::Runs);
        awake.flat_map(|(at, worker)| {
            let running = worker.slots.values().filter(|s| s.running && !s.unconfirmed);
            running.map(move |slot| (at, slot.receipt.mail))
        })
    }
}
