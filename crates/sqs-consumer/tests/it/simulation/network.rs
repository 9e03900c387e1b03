//! The way of a call to the queue, what the queue does with it, and the way back.

use std::fmt::Write as _;

use local_sqs::model::ApiError;
use rand::RngExt;
use sqs_consumer::{MAX_BATCH, scheduler::Answer};

use super::{
    calls::{Call, Entry, Sent, Told},
    dice::About,
    events::Event,
    ledger::Ledger,
    plan::Down,
    run::Simulation,
    sqs::{refusal, server_fault},
    violation::Checked,
    worker::Life,
};

/// A receive that the queue holds open.
pub(super) struct Waiting {
    pub(super) sent: Sent,
    pub(super) until: u64,
}

/// What a call's second decision, that about its answer, is told apart by.
const ANSWER: u64 = 1 << 40;
/// And the one about the entries of its batch.
const BATCH: u64 = 1 << 41;

impl Simulation<'_> {
    /// A worker sends a call.
    pub(super) fn send(&mut self, worker: usize, call: Call) {
        self.send_after(0, worker, call);
    }

    /// The same when it has waited for so long.
    pub(super) fn send_after(&mut self, wait: u64, worker: usize, call: Call) {
        let (now, network) = (self.now + wait, self.plan.network);
        let troubled = now < self.calm_from;
        let number = self.workers[worker].calls;
        self.workers[worker].calls += 1;
        let mut random = self.dice.about(About::Call, worker as u64, number);
        let timeout = match &call {
            Call::Receive { request, .. } => {
                request.wait.as_millis() as u64 + network.receive_margin
            }
            _ => network.timeout,
        };
        // What changes a lease is given up at its end.
        let gives_up_at = (now + timeout).min(self.ends_with_lease(worker, &call)).max(now + 1);
        let late = 0..2 * self.plan.visibility();
        let usual = random.random_range(1..=network.latency.max(1));
        let is_late = random.random_bool(network.late_request) && troubled;
        let way = if is_late { random.random_range(late.clone()).max(1) } else { usual };
        let lost = random.random_bool(network.lost / 2.0) && troubled;
        let repeated = random.random_bool(network.repeated) && troubled;
        let again = random.random_range(late).max(1);
        let sent =
            Sent { worker, at: now, gives_up_at, number, late: is_late, abandoned: false, call };
        if repeated {
            let sent = Sent { abandoned: true, ..sent.clone() };
            self.events.push(now + again, Event::Request(Box::new(sent)));
        }
        if is_late {
            self.troubled(&sent.call);
        }
        let given_up = now + way >= gives_up_at;
        if lost || given_up {
            self.fails(&sent, gives_up_at);
        }
        if !lost {
            let sent = Sent { abandoned: given_up, ..sent };
            self.events.push(now + way, Event::Request(Box::new(sent)));
        }
    }

    /// The end of the first of the leases that a call changes.
    fn ends_with_lease(&self, worker: usize, call: &Call) -> u64 {
        let (Call::Extend { entries } | Call::Return { entries }) = call else { return u64::MAX };
        let slots = &self.workers[worker].slots;
        let held = entries.iter().filter_map(|entry| slots.get(&entry.ticket));
        let ends = held.filter(|slot| !slot.unconfirmed).map(|slot| slot.deadline);
        ends.min().unwrap_or(u64::MAX)
    }

    /// The call, or its answer, does not come as it should.
    fn troubled(&mut self, call: &Call) {
        if let &Call::DeadLetter { instance, .. } = call {
            let lease = self.ledger.instances[instance].lease;
            self.ledger.troubled(instance, lease.map_or(0, |lease| lease.receive));
        }
        for entry in call.entries() {
            self.ledger.troubled(entry.instance, entry.receive);
        }
    }

    /// The worker takes the call for failed at `at`.
    fn fails(&mut self, sent: &Sent, at: u64) {
        debug_assert!(at >= self.now, "the failure is told in time");
        self.troubled(&sent.call);
        let told = sent.call.failed(sent.at);
        self.events.push(at, Event::Fact { worker: sent.worker, told });
    }

    /// A call reaches the queue.
    pub(super) fn request(&mut self, sent: Sent) -> Checked {
        let down = |&what: &Down| self.plan.down(what, self.now).is_some();
        let fails = sent.call.needs().iter().any(down);
        let refused = !sent.call.is_receive() && down(&Down::Refused);
        if fails || refused {
            self.trace.say(self.now, || {
                let about = messages_of(&self.ledger, sent.call.entries());
                let text =
                    format!("the queue refuses worker {}: {}", sent.worker, sent.call.name());
                (if about.is_empty() { vec![usize::MAX] } else { about }, text)
            });
            let answer = if fails { Answer::Failed } else { Answer::Refused };
            self.answers(&sent, sent.call.comes_to_nothing(sent.at, answer));
            return Ok(());
        }
        match &sent.call {
            Call::Receive { request, .. } => {
                // The connection of a dead process is closed.
                if self.workers[sent.worker].life != Life::Dead {
                    // The caller closes the connection when it gives up.
                    let until = self.now + request.wait.as_millis() as u64;
                    let until = until.min(sent.gives_up_at.max(self.now));
                    self.waiting.push(Waiting { sent, until });
                }
            }
            Call::Extend { entries } => {
                let answers = self.change(&sent, entries, false);
                let requested_at = sent.at;
                self.answers(&sent, Told::Extended { requested_at, answers });
            }
            Call::Return { entries } => {
                let answers = self.change(&sent, entries, true);
                self.answers(&sent, Told::Returned { answers });
            }
            Call::Delete { entries } => {
                let mut faults = self.faults_of_entries(&sent);
                let mut fail = |position: usize| faults[position].take();
                let answers = self.queues.delete(self.now, entries, &mut fail);
                self.trace.say(self.now, || told(&self.ledger, &sent, "delete", entries, &answers));
                self.ledger.deleted(self.now, entries, &answers)?;
                let answers = entries.iter().cloned().zip(answers).collect();
                self.answers(&sent, Told::Deleted { answers });
            }
            &Call::DeadLetter { ticket, .. } if self.refuses_copy(&sent) => {
                self.answers(&sent, Told::DeadLettered { ticket, answer: Answer::Refused });
            }
            &Call::DeadLetter { ticket, instance } => {
                let known = &self.ledger.instances[instance];
                let (id, message) = (known.id.clone(), known.message);
                self.queues.dead_letter(self.now, known.group, &id, &message.to_string());
                self.ledger.copied(instance, &self.queues);
                self.say(|| {
                    (vec![message], format!("the dead-letter queue has message {message}"))
                });
                self.answers(&sent, Told::DeadLettered { ticket, answer: Answer::Ok });
            }
        }
        self.serve_polls()
    }

    fn change(&mut self, sent: &Sent, entries: &[Entry], back: bool) -> Vec<(Entry, Answer)> {
        let mut faults = self.faults_of_entries(sent);
        let mut fail = |position: usize| faults[position].take();
        let answers = self.queues.change_visibility(self.now, entries, &mut fail);
        let name = if back { "return" } else { "extend" };
        self.trace.say(self.now, || told(&self.ledger, sent, name, entries, &answers));
        self.ledger.changed(self.now, entries, &answers, sent.abandoned, back);
        entries.iter().cloned().zip(answers).collect()
    }

    fn refuses_copy(&self, sent: &Sent) -> bool {
        let [first, ..] = self.faults_of_entries(sent);
        first.is_some_and(|fault| fault.kind == refusal().kind)
    }

    fn faults_of_entries(&self, sent: &Sent) -> [Option<ApiError>; MAX_BATCH] {
        let network = self.plan.network;
        let number = sent.number + BATCH;
        let mut random = self.dice.about(About::Call, sent.worker as u64, number);
        let troubled = self.now < self.calm_from;
        std::array::from_fn(|_| {
            let (fails, refused) =
                (random.random_bool(network.partial), random.random_bool(network.refused));
            let fault = fails.then(server_fault).or_else(|| refused.then(refusal));
            fault.filter(|_| troubled)
        })
    }

    /// The queue's answer sets out for the worker.
    fn answers(&mut self, sent: &Sent, told: Told) {
        if sent.abandoned {
            return;
        }
        let network = self.plan.network;
        let number = sent.number + ANSWER;
        let mut random = self.dice.about(About::Call, sent.worker as u64, number);
        let troubled = self.now < self.calm_from;
        let usual = random.random_range(1..=network.latency.max(1));
        let late = random.random_range(0..2 * self.plan.visibility());
        let is_late = random.random_bool(network.late_answer) && troubled;
        let at = self.now + if is_late { late.max(1) } else { usual };
        let lost = random.random_bool(network.lost / 2.0) && troubled;
        if lost || at > sent.gives_up_at {
            self.fails(sent, sent.gives_up_at);
            return;
        }
        if is_late {
            self.troubled(&sent.call);
        }
        if let Told::Received { messages, .. } = &told
            && (is_late || sent.late)
        {
            for got in messages {
                self.ledger.troubled(got.instance, got.receive);
            }
        }
        if let Told::Extended { answers, .. }
        | Told::Returned { answers }
        | Told::Deleted { answers } = &told
        {
            for (entry, answer) in answers {
                if *answer != Answer::Ok {
                    self.ledger.troubled(entry.instance, entry.receive);
                }
            }
        }
        self.events.push(at, Event::Fact { worker: sent.worker, told });
    }

    /// Answers the receives that find something or whose time is up.
    pub(super) fn serve_polls(&mut self) -> Checked {
        let mut position = 0;
        while position < self.waiting.len() {
            let over = self.waiting[position].until <= self.now;
            if !over && !self.queues.has_receivable() {
                position += 1;
                continue;
            }
            let Call::Receive { poll, request } = self.waiting[position].sent.call else {
                unreachable!("only receives wait")
            };
            let messages = self.queues.receive(self.now, &request);
            let found = messages.as_ref().is_none_or(|messages| !messages.is_empty());
            if !over && !found {
                self.ledger.follow(&self.queues)?;
                position += 1;
                continue;
            }
            let Waiting { sent, .. } = self.waiting.remove(position);
            let until = self.now + request.visibility.as_millis() as u64;
            let told = match messages {
                None => sent.call.failed(sent.at),
                Some(messages) => {
                    let messages = self.ledger.received(sent.worker, until, messages);
                    self.trace.say(self.now, || {
                        let instances = messages.iter().map(|got| got.instance);
                        let about: Vec<usize> =
                            instances.map(|i| self.ledger.instances[i].message).collect();
                        let abandoned = if sent.abandoned { " (nobody gets them)" } else { "" };
                        let worker = sent.worker;
                        let text = format!("queue -> worker {worker}: {about:?}{abandoned}");
                        (about, text)
                    });
                    Told::Received { poll, requested_at: sent.at, messages }
                }
            };
            self.ledger.follow(&self.queues)?;
            self.answers(&sent, told);
        }
        let change = self.queues.next_change().filter(|_| !self.waiting.is_empty());
        let over = self.waiting.iter().map(|waiting| waiting.until).min();
        let next = change.into_iter().chain(over).filter(|at| *at > self.now).min();
        if let Some(at) = next
            && self.queue_event != Some(at)
        {
            self.queue_event = Some(at);
            self.events.push(at, Event::Queue);
        }
        Ok(())
    }
}

fn messages_of(ledger: &Ledger, entries: &[Entry]) -> Vec<usize> {
    entries.iter().map(|entry| ledger.instances[entry.instance].message).collect()
}

fn told(
    ledger: &Ledger,
    sent: &Sent,
    call: &str,
    entries: &[Entry],
    answers: &[Answer],
) -> (Vec<usize>, String) {
    let about = messages_of(ledger, entries);
    let mut text = format!("queue <- worker {}: {call}", sent.worker);
    if sent.abandoned {
        text.push_str(" (given up by its sender)");
    }
    for ((message, entry), answer) in about.iter().zip(entries).zip(answers) {
        let visibility = if entry.visibility.is_zero() {
            String::new()
        } else {
            format!(" for {:?}", entry.visibility)
        };
        _ = write!(text, ", {message}{visibility}: {answer:?}");
    }
    (about, text)
}
