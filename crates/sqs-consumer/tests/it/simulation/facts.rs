//! Tells a scheduler what has happened, and remembers what it can know by that.

use std::time::Duration;

use rand::RngExt;
use sqs_consumer::scheduler::{Answer, Arrival, Ended, PollId, Ticket};

use super::{
    calls::{Entry, Got, Told},
    checks::TrueLease,
    dice::About,
    plan::{CALM, Down, Nature},
    run::Simulation,
    time,
    violation::{Check, Checked},
    worker::{Outage, Slot},
};

/// In calm, after so many receives nothing reminds of failures. Those before the first message has
/// left do not count: until its delete is answered a worker cannot know that deletes work again.
const RECEIVES_IN_CALM: u32 = 10;

impl Simulation<'_> {
    /// A fact reaches a worker that runs.
    pub(super) fn learns(&mut self, index: usize, told: Told) -> Checked {
        let (now, fifo) = (time(self.now), self.plan.fifo);
        match told {
            Told::Received { poll, requested_at, messages } => {
                self.received(index, poll, requested_at, messages)
            }
            Told::ReceiveFailed { poll } => {
                self.workers[index].polls.remove(&poll);
                self.useless_receive(index)?;
                self.ask(index, |scheduler| scheduler.receive_failed(now, poll))?;
                self.check_pauses(index)
            }
            Told::Extended { requested_at, answers } => {
                for (entry, answer) in &answers {
                    self.extended(index, requested_at, entry, *answer);
                }
                self.settled(index, answers.iter().map(|(_, answer)| *answer))?;
                let answers: Vec<_> =
                    answers.iter().map(|(e, answer)| (e.ticket, e.visibility, *answer)).collect();
                let requested_at = time(requested_at);
                self.ask(index, |scheduler| scheduler.extended(now, requested_at, &answers))
            }
            Told::Returned { answers } => {
                for (entry, answer) in &answers {
                    self.returned(index, entry, *answer);
                }
                let answers = self.answered(index, &answers)?;
                self.ask(index, |scheduler| scheduler.returned(now, &answers))
            }
            Told::Deleted { answers } => {
                for (entry, answer) in &answers {
                    let Some(slot) = self.workers[index].slots.get_mut(&entry.ticket) else {
                        continue;
                    };
                    slot.deleting = false;
                    if slot.receive == entry.receive {
                        slot.deleted |= *answer == Answer::Ok;
                        // A delete that keeps others waiting, or beside which there is a copy, is
                        // tried again while the lease holds.
                        let is_last_word = !fifo && !slot.copied && *answer == Answer::Refused;
                        slot.refused |= *answer == Answer::LeaseOver || is_last_word;
                    }
                }
                let answers = self.answered(index, &answers)?;
                self.ask(index, |scheduler| scheduler.deleted(now, &answers))
            }
            Told::DeadLettered { ticket, answer } => {
                if let Some(slot) = self.workers[index].slots.get_mut(&ticket) {
                    slot.copied |= answer == Answer::Ok;
                    slot.copying = false;
                }
                let (at, worker) = (self.now, &mut self.workers[index]);
                if answer == Answer::Ok {
                    worker.pace.copies.earn();
                } else if !worker.pace.copies.take(at) {
                    let what = "copies to the dead-letter queue again and again";
                    return worker.violates(at, Check::NoHotLoop, None, what);
                }
                self.ask(index, |scheduler| scheduler.dead_lettered(now, ticket, answer))
            }
            Told::HandlerEnded { ticket, start, at } => self.handler_ends(index, ticket, start, at),
        }
    }

    fn received(
        &mut self,
        index: usize,
        poll: PollId,
        requested_at: u64,
        messages: Vec<Got>,
    ) -> Checked {
        let now = self.now;
        let worker = &mut self.workers[index];
        let asked = worker.polls.remove(&poll);
        let Some(asked) = asked else {
            return worker.violates(now, Check::OneEnd, None, "hears of a receive twice");
        };
        if messages.len() >= asked {
            worker.slowest_receive = worker.slowest_receive.max(now - requested_at);
        }
        if messages.is_empty() {
            self.useless_receive(index)?;
        } else {
            self.workers[index].pace.receives.earn();
        }
        let deadline = requested_at + self.plan.visibility();
        let mut arrivals = Vec::with_capacity(messages.len());
        for got in messages {
            let instance = &mut self.ledger.instances[got.instance];
            let lease = instance.lease.as_mut();
            if let Some(lease) = lease.filter(|lease| lease.receive == got.receive) {
                lease.delivered = true;
            }
            let what = (instance.message, instance.group, instance.sequence);
            let message_id = (&*instance.id).into();
            let slot = Slot::new(&got, what, requested_at, deadline, now);
            let bytes = slot.bytes();
            let ticket = self.workers[index].takes(now, slot);
            arrivals.push(Arrival {
                ticket,
                message_id,
                group: what.1.map(|group| group.to_string().into()),
                receive_count: got.receive_count,
                bytes,
            });
        }
        let useful = !arrivals.is_empty();
        let (now, requested_at) = (time(now), time(requested_at));
        self.ask(index, |scheduler| scheduler.received(now, poll, requested_at, arrivals))?;
        self.check_pauses(index)?;
        self.check_pace(index, useful)
    }

    /// Receives that fail together make one pause: each earlier one has had the time to pass, of
    /// which the jitter takes half at most.
    fn check_pauses(&mut self, index: usize) -> Checked {
        let timing = &self.plan.config.timing;
        let (now, worker) = (self.now, &mut self.workers[index]);
        let pauses = worker.scheduler.failed_receives();
        if pauses == 0 {
            worker.receives_fail_since = None;
            return Ok(());
        }
        let since = *worker.receives_fail_since.get_or_insert(now);
        let (first, longest) = (timing.poll_backoff, timing.poll_backoff_max);
        let full = |nth: u32| first.saturating_mul(1 << nth.min(16)).min(longest);
        let least = (0..pauses - 1).map(full).sum::<Duration>().as_millis() as u64 / 2;
        if now - since >= least {
            return Ok(());
        }
        let what = format!("pauses as if receives had failed {pauses} times, one after another");
        worker.violates(now, Check::NoIdleHandler, None, &what)
    }

    /// When nothing has failed for long, and some messages have come since, a worker receives without
    /// the pauses that failures make.
    fn check_pace(&mut self, index: usize, useful: bool) -> Checked {
        let nothing_fails = self.nothing_fails();
        let (now, worker) = (self.now, &mut self.workers[index]);
        let Some(received) = &mut worker.received_in_calm else {
            return Ok(());
        };
        *received += u32::from(useful && nothing_fails);
        if *received < RECEIVES_IN_CALM {
            return Ok(());
        }
        if worker.scheduler.failed_receives() > 0 || worker.scheduler.stats().settling_fails {
            let what = "receives slowly though nothing fails";
            return worker.violates(now, Check::NoIdleHandler, None, what);
        }
        Ok(())
    }

    /// Nothing has failed for long, and nothing will.
    pub(super) fn nothing_fails(&self) -> bool {
        // Receives wait for two thirds of the visibility timeout and leases are extended in its last third:
        // answers that take that long come too late.
        let is_in_time = self.plan.network.latency * 2 < self.plan.visibility() / 3;
        self.now > self.calm_from + CALM && self.plan.in_flight_limit.is_none() && is_in_time
    }

    fn extended(&mut self, index: usize, requested_at: u64, entry: &Entry, answer: Answer) {
        let (now, fifo) = (self.now, self.plan.fifo);
        let Some(slot) = self.workers[index].slots.get_mut(&entry.ticket) else {
            return;
        };
        slot.changing = false;
        if slot.receive != entry.receive {
            return;
        }
        match answer {
            // A standard queue says yes to a change that comes too late to have any effect.
            Answer::Ok if fifo || now < slot.deadline => {
                // It may have been given up by then, in one go with this answer.
                slot.was_over |= now >= slot.deadline;
                slot.deadline = requested_at + entry.visibility.as_millis() as u64;
                slot.unconfirmed = now >= slot.deadline;
            }
            Answer::LeaseOver => slot.refused = true,
            Answer::Refused => slot.unextended = true,
            Answer::Ok | Answer::Failed | Answer::NotMade => {}
        }
    }

    fn returned(&mut self, index: usize, entry: &Entry, answer: Answer) {
        let worker = &mut self.workers[index];
        let Some(slot) = worker.slots.get_mut(&entry.ticket) else {
            return;
        };
        slot.changing = false;
        if slot.receive != entry.receive {
            return;
        }
        match answer {
            Answer::Ok => {
                slot.returned = true;
                worker.gone_back.extend(slot.group);
            }
            Answer::LeaseOver => slot.refused = true,
            Answer::Refused => (slot.refused, slot.return_refused) = (true, true),
            Answer::Failed | Answer::NotMade => {}
        }
    }

    fn answered(
        &mut self,
        index: usize,
        answers: &[(Entry, Answer)],
    ) -> Checked<Vec<(Ticket, Answer)>> {
        self.settled(index, answers.iter().map(|(_, answer)| *answer))?;
        Ok(answers.iter().map(|(entry, answer)| (entry.ticket, *answer)).collect())
    }

    fn useless_receive(&mut self, index: usize) -> Checked {
        let (now, worker) = (self.now, &mut self.workers[index]);
        if worker.pace.receives.take(now) {
            return Ok(());
        }
        worker.violates(now, Check::NoHotLoop, None, "receives again and again for nothing")
    }

    fn settled(&mut self, index: usize, mut answers: impl Iterator<Item = Answer>) -> Checked {
        let (now, worker) = (self.now, &mut self.workers[index]);
        // None of them is tried again without a pause.
        let is_useless =
            |answer| matches!(answer, Answer::Failed | Answer::Refused | Answer::NotMade);
        if !answers.all(is_useless) {
            worker.pace.settling.earn();
        } else if !worker.pace.settling.take(now) {
            let what = "repeats failing calls again and again";
            return worker.violates(now, Check::NoHotLoop, None, what);
        }
        Ok(())
    }

    /// A handler has come to its end at `at`; the worker hears of it now.
    fn handler_ends(&mut self, index: usize, ticket: Ticket, start: u64, at: u64) -> Checked {
        let Some(slot) = self.workers[index].slots.get(&ticket) else {
            return Ok(());
        };
        if slot.running != Some(start) {
            return Ok(());
        }
        let ended = self.verdict(slot.message, slot.nth, at);
        let (message, instance) = (slot.message, slot.instance);
        if ended == Ended::Done {
            let holds = self.true_lease(slot) == TrueLease::Holds;
            self.ledger.takes_effect(self.now, index, instance, holds)?;
        }
        self.remember_failure(message, at, ended);
        let (now, worker) = (self.now, &mut self.workers[index]);
        let receives = worker.slots.values().filter(|slot| slot.instance == instance);
        let newest = receives.map(|slot| slot.receive).max();
        let slot = worker.slots.get_mut(&ticket).expect("it was found");
        slot.verdict_knew = newest.unwrap_or_default();
        (slot.running, slot.verdict, slot.ended_at) = (None, Some(ended), now);
        slot.verdict_of = slot.receive;
        let took = at - slot.started_at;
        worker.fastest = Some(worker.fastest.map_or(took, |fastest| fastest.min(took)));
        match ended {
            Ended::Retry { shared: false, .. } => slot.own_failures += 1,
            Ended::Retry { shared: true, .. } => slot.shared_failures += 1,
            _ => {}
        }
        if ended == Ended::Unavailable {
            // Handlers that were running already say nothing new.
            if worker.outage.is_none_or(|outage| start >= outage.first_start) {
                let first_start = worker.outage.map_or(worker.starts, |outage| outage.first_start);
                worker.outage = Some(Outage { told_at: now, first_start });
            }
            if !worker.pace.probes.take(now) {
                let what = "tries again and again although a common need is down";
                return worker.violates(now, Check::NoHotLoop, None, what);
            }
        } else {
            worker.outage = None;
            worker.pace.probes.earn();
        }
        self.say(|| (vec![message], format!("worker {index} ends {message}: {ended:?}")));
        let now = time(now);
        self.ask(index, |scheduler| scheduler.finished(now, ticket, ended))
    }

    /// How the `nth` handler of a message ends.
    fn verdict(&self, index: usize, nth: u32, at: u64) -> Ended {
        let (planned, message) = (self.plan.messages[index], &self.ledger.messages[index]);
        let number = u64::from(nth) << 32;
        let mut random = self.dice.about(About::Handler, planned.key, number);
        let not_before = random
            .random_bool(self.plan.handlers.not_before)
            .then(|| Duration::from_millis(random.random_range(100..15_000)));
        let own = Ended::Retry { not_before, shared: false };
        let shared = Ended::Retry { not_before, shared: true };
        if self.plan.down(Down::Store, at).is_some() {
            return Ended::Unavailable;
        }
        if random.random_bool(self.plan.handlers.not_yet) {
            return Ended::NotYet;
        }
        // That is asked before it is handed to anybody, who may be down.
        if message.took_effect {
            return Ended::AlreadyDone;
        }
        if self.plan.down(Down::Carrier, at).is_some() || nth <= planned.shared_failures {
            return shared;
        }
        match planned.nature {
            Nature::Poison if !message.mended => own,
            Nature::Unparseable if !message.mended => Ended::DeadLetter,
            Nature::FailsFirst(failures) if nth <= failures => own,
            _ => Ended::Done,
        }
    }

    fn remember_failure(&mut self, message: usize, at: u64, ended: Ended) {
        let outage = self.plan.down(Down::Carrier, at);
        let message = &mut self.ledger.messages[message];
        match (ended, outage) {
            (Ended::Retry { shared: true, .. }, Some(outage)) => message.outages |= 1 << outage,
            (Ended::Retry { shared: true, .. }, None) => message.failed_alone += 1,
            (Ended::Retry { .. } | Ended::DeadLetter, _) => message.failed_by_itself = true,
            (Ended::Done | Ended::AlreadyDone | Ended::Unavailable | Ended::NotYet, _) => {}
        }
    }
}
