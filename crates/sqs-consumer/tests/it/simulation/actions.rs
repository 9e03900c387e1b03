//! Carries out what a scheduler asks for, after checking it.

use std::time::Duration;

use rand::{RngExt, rngs::SmallRng};
use sqs_consumer::scheduler::{Action, Answer, Fate, Ticket};

use super::{
    calls::{Call, Entry, Told},
    dice::About,
    events::Event,
    plan::{HandlerTime, Plan},
    run::Simulation,
    violation::Checked,
};

/// What the decision about the handlers that stop before a call is told apart by.
const HANDLERS: u64 = 1 << 42;
/// For how long a return waits for handlers that were told to stop, in milliseconds.
const PATIENCE: u64 = 1_000;

impl Simulation<'_> {
    pub(super) fn act(&mut self, index: usize, action: Action) -> Checked {
        match action {
            Action::Receive { poll, request } => {
                self.check_receive(index, &request)?;
                self.workers[index].polls.insert(poll, request.max_messages);
                let ends = request.wait.as_millis() as u64 + self.plan.network.receive_margin;
                let polls_end = &mut self.workers[index].polls_end;
                *polls_end = (*polls_end).max(self.now + ends);
                self.send(index, Call::Receive { poll, request });
            }
            Action::Start { ticket, attempt } => {
                self.check_start(index, ticket, attempt)?;
                let worker = &mut self.workers[index];
                let start = worker.starts;
                worker.starts += 1;
                let slot = worker.slots.get_mut(&ticket).expect("it was checked");
                let message = &mut self.ledger.messages[slot.message];
                message.starts += 1;
                (slot.running, slot.attempt, slot.nth) =
                    (Some(start), Some(attempt), message.starts);
                (slot.verdict, slot.returning, slot.stopped) = (None, false, false);
                slot.started_at = self.now;
                if let Some(group) = slot.group {
                    worker.gone_back.remove(&group);
                    worker.lost.remove(&group);
                    worker.closing.remove(&group);
                }
                let (message, nth) = (slot.message, slot.nth);
                let at = self.now + self.handler_time(message, nth);
                let told = Told::HandlerEnded { ticket, start, at };
                self.events.push(at, Event::Fact { worker: index, told });
                self.say(|| {
                    let number = attempt.number;
                    (vec![message], format!("worker {index} starts {message}, attempt {number}"))
                });
            }
            Action::Cancel { ticket } => {
                let message = self.slot(index, ticket)?.message;
                let slot = self.slot_mut(index, ticket);
                (slot.running, slot.stopped) = (None, true);
                self.say(|| (vec![message], format!("worker {index} cancels {message}")));
            }
            Action::Extend { entries } => {
                self.check_batch(index, &tickets(&entries))?;
                for (ticket, length) in &entries {
                    self.check_extend(index, *ticket, *length)?;
                    self.slot_mut(index, *ticket).changing = true;
                }
                let entries = self.entries(index, &entries);
                self.send(index, Call::Extend { entries });
            }
            Action::Return { entries } => {
                let batch = tickets(&entries);
                self.check_batch(index, &batch)?;
                for (ticket, visibility) in &entries {
                    let slot = self.slot(index, *ticket)?;
                    let (group, kept) = (slot.group, self.is_kept_for_longest(slot));
                    let worker = &mut self.workers[index];
                    if kept || worker.gives_up(group) {
                        worker.closing.extend(group);
                    }
                    self.check_return(index, *ticket, *visibility, &batch)?;
                    self.excuse_return(index, *ticket)?;
                    let slot = self.slot_mut(index, *ticket);
                    (slot.changing, slot.returning) = (true, true);
                }
                let entries = self.entries(index, &entries);
                self.give_back(index, entries);
            }
            Action::Delete { tickets } => {
                self.check_batch(index, &tickets)?;
                for ticket in &tickets {
                    self.check_delete(index, *ticket)?;
                    self.slot_mut(index, *ticket).deleting = true;
                }
                let entries: Vec<_> = tickets.into_iter().map(|t| (t, Duration::ZERO)).collect();
                let entries = self.entries(index, &entries);
                self.send(index, Call::Delete { entries });
            }
            Action::DeadLetter { ticket } => {
                self.check_dead_letter(index, ticket)?;
                let slot = self.slot_mut(index, ticket);
                slot.copying = true;
                let instance = slot.instance;
                self.send(index, Call::DeadLetter { ticket, instance });
            }
            Action::Adopt { held, newer } => {
                self.check_adopt(index, held, newer)?;
                let fifo = self.plan.fifo;
                let stays = self.workers[index].draining_since.is_none();
                let slots = &mut self.workers[index].slots;
                let newer = slots.remove(&newer).expect("it was checked");
                let slot = slots.get_mut(&held).expect("it was checked");
                // The handler's end was told after the newer receive: it had gone on under that one.
                if slot.verdict_of == slot.receive && newer.receive <= slot.verdict_knew {
                    slot.verdict_of = newer.receive;
                }
                (slot.receive, slot.handle) = (newer.receive, newer.handle);
                (slot.deadline, slot.unconfirmed) = (newer.deadline, newer.unconfirmed);
                slot.requested_at = newer.requested_at;
                // The new receive counts as an attempt that a failed one in place may have been already.
                slot.own_failures =
                    (slot.receive_count + slot.own_failures).saturating_sub(newer.receive_count);
                slot.receive_count = slot.receive_count.max(newer.receive_count);
                // What was said about the older receive says nothing about this one.
                (slot.refused, slot.returned, slot.deleted) = (false, false, false);
                (slot.unextended, slot.return_refused) = (false, false);
                // A return with the older handle has no effect any more on a FIFO queue; and on a
                // standard queue it may have had it.
                if (fifo || stays) && std::mem::take(&mut slot.returning) {
                    (slot.own_failures, slot.shared_failures) = (0, 0);
                    // Its last failure was to be the end of it; this is a new beginning.
                    slot.verdict = slot.verdict.filter(|_| !slot.is_given_up());
                }
                let (message, instance) = (slot.message, slot.instance);
                if slot.changing || slot.copying {
                    // A call about the older receive has had no answer yet.
                    let receive = slot.receive;
                    self.ledger.troubled(instance, receive);
                }
                self.say(|| {
                    (vec![message], format!("worker {index} goes on with {message}, received anew"))
                });
            }
            Action::Forget { ticket, fate } => {
                self.check_forget(index, ticket, fate)?;
                let nothing_fails = self.nothing_fails();
                let worker = &mut self.workers[index];
                if nothing_fails && fate != Fate::Lost {
                    worker.received_in_calm.get_or_insert(0);
                }
                let slot = worker.slots.remove(&ticket).expect("it was checked");
                if let Some(group) = slot.group
                    && matches!(fate, Fate::Lost | Fate::Stranded)
                {
                    worker.lost.insert(group);
                }
                let is_under_way = slot.deleting || slot.returning || slot.is_done() || slot.copied;
                if let Some(group) = slot.group
                    && matches!(fate, Fate::Stranded | Fate::Lost)
                    && worker.draining_since.is_some()
                    && is_under_way
                {
                    worker.stuck.insert(group);
                }
                if fate == Fate::Lost {
                    // The worker may not touch it any more, whether or not SQS sees it so.
                    self.ledger.troubled(slot.instance, slot.receive);
                }
                let message = slot.message;
                self.say(|| (vec![message], format!("worker {index} forgets {message}: {fate:?}")));
            }
        }
        Ok(())
    }

    /// What is to go back waits for handlers that were told to stop; some do not in time.
    fn give_back(&mut self, index: usize, entries: Vec<Entry>) {
        let number = self.workers[index].calls;
        self.workers[index].calls += 1;
        let mut random = self.dice.about(About::Call, index as u64, number + HANDLERS);
        let chance = self.plan.handlers.stubborn;
        let troubled = self.now < self.calm_from;
        let stays = |entry: &Entry| {
            let stubborn = random.random_bool(chance);
            stubborn && troubled && self.workers[index].slots[&entry.ticket].stopped
        };
        let (mut stay, go): (Vec<_>, Vec<_>) = entries.into_iter().partition(stays);
        // Some stop after a while, and what is still leased then may go.
        let after = random.random_range(20..2 * PATIENCE);
        let late: Vec<_> = if after < PATIENCE {
            let slots = &self.workers[index].slots;
            let is_leased = |entry: &mut Entry| self.now + after < slots[&entry.ticket].deadline;
            stay.extract_if(.., is_leased).collect()
        } else {
            Vec::new()
        };
        if !late.is_empty() {
            self.send_after(after, index, Call::Return { entries: late });
        }
        if !stay.is_empty() {
            for entry in &stay {
                self.ledger.troubled(entry.instance, entry.receive);
            }
            let answers = stay.into_iter().map(|entry| (entry, Answer::NotMade)).collect();
            let told = Told::Returned { answers };
            self.events.push(self.now + PATIENCE, Event::Fact { worker: index, told });
        }
        if !go.is_empty() {
            self.send(index, Call::Return { entries: go });
        }
    }

    pub(super) fn slot_mut(&mut self, index: usize, ticket: Ticket) -> &mut super::worker::Slot {
        self.workers[index].slots.get_mut(&ticket).expect("it was checked")
    }

    fn entries(&self, index: usize, entries: &[(Ticket, Duration)]) -> Vec<Entry> {
        let entry = |&(ticket, visibility): &(Ticket, Duration)| {
            let slot = &self.workers[index].slots[&ticket];
            Entry {
                ticket,
                instance: slot.instance,
                receive: slot.receive,
                handle: slot.handle.clone(),
                visibility,
            }
        };
        entries.iter().map(entry).collect()
    }

    /// How long the `nth` handler of a message takes.
    fn handler_time(&self, message: usize, nth: u32) -> u64 {
        let (handlers, key) = (&self.plan.handlers, self.plan.messages[message].key);
        let mut random = self.dice.about(About::Handler, key, u64::from(nth));
        if random.random_bool(handlers.outliers) && self.now < Plan::OUTLIERS_UNTIL {
            return handlers.outlier;
        }
        match handlers.time {
            HandlerTime::Constant(time) => time,
            HandlerTime::Uniform(time) => random.random_range(1..=2 * time),
            HandlerTime::LogNormal(median) => {
                let factor = normal(&mut random).clamp(-3.0, 3.0).exp();
                ((median as f64 * factor) as u64).max(1)
            }
        }
    }
}

fn tickets(entries: &[(Ticket, Duration)]) -> Vec<Ticket> {
    entries.iter().map(|(ticket, _)| *ticket).collect()
}

/// Nearly normal: the sum of twelve uniform numbers.
fn normal(random: &mut SmallRng) -> f64 {
    (0..12).map(|_| random.random_range(0.0..1.0)).sum::<f64>() - 6.0
}
