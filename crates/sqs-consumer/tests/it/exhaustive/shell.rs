//! A worker's shell: answers become facts, actions become calls.

use std::sync::Arc;

use sqs_consumer::{
    Time,
    scheduler::{Action, Answer, Ended, Fate, Ticket},
};

use super::{
    calls::{Asked, Call, Poll, Told, Way},
    scene::{Receipt, Scene},
    state::State,
    worker::{Process, Worker},
};

impl State {
    pub(super) fn tell(&mut self, at: usize, told: &Told) {
        let now = self.now;
        if let Told::Received(_, receipts) = told {
            for receipt in receipts {
                self.check_receipt(at, receipt.mail);
            }
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
                for &(ticket, receipt, answer) in answers {
                    worker.slots.entry(ticket).and_modify(|slot| {
                        slot.returned |= answer == Answer::Ok;
                        slot.refused |= answer == Answer::Refused && slot.receipt == receipt;
                    });
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
                for &(ticket, receipt, answer) in answers {
                    // A delete that keeps others waiting, or beside which there is a copy, is tried
                    // again while the lease holds.
                    let tried_again = self.truth.fifo || self.truth.is_copied(receipt.mail);
                    self.worker(at).slots.entry(ticket).and_modify(|slot| {
                        slot.deleted |= answer == Answer::Ok;
                        let is_about_it = slot.receipt == receipt && !tried_again;
                        slot.refused |= answer == Answer::Refused && is_about_it;
                    });
                }
                let answers: Vec<_> = answers.iter().map(|&(t, _, a)| (t, a)).collect();
                self.worker(at).scheduler.deleted(now, &answers);
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

    pub(super) fn ends(&mut self, at: usize, ticket: Ticket, ended: Ended) {
        let now = self.now;
        match ended {
            Ended::Done | Ended::AlreadyDone => {}
            Ended::Retry { shared: false, .. } => self.left.retries -= 1,
            Ended::Retry { shared: true, .. } | Ended::NotYet => self.left.shared -= 1,
            Ended::DeadLetter => self.left.refusals -= 1,
            Ended::Unavailable => self.left.outages -= 1,
        }
        let worker = self.worker(at);
        let draining = worker.draining;
        let slot = worker.slots.get_mut(&ticket).expect("it runs");
        slot.running = false;
        let mail = slot.receipt.mail;
        match ended {
            Ended::Retry { shared: true, .. } => {
                slot.fails_alone |= slot.suspect.replace(false) == Some(true);
            }
            Ended::Retry { .. } | Ended::DeadLetter => {
                slot.failed = true;
                slot.failed_in_drain |= draining;
            }
            Ended::AlreadyDone | Ended::Unavailable | Ended::NotYet => {}
            Ended::Done => {
                let others = worker.slots.values_mut().filter_map(|slot| slot.suspect.as_mut());
                others.for_each(|succeeded_since| *succeeded_since = true);
            }
        }
        worker.scheduler.finished(now, ticket, ended);
        if matches!(ended, Ended::Retry { shared: false, .. } | Ended::DeadLetter) {
            self.truth.failed(mail);
        }
        if ended == Ended::Done {
            self.truth.took_effect(mail);
        }
    }

    pub(super) fn worker(&mut self, at: usize) -> &mut Worker {
        Arc::make_mut(&mut self.workers[at])
    }

    fn ask(&mut self, at: usize, asked: Asked) {
        let call = Call { worker: at, abandoned: false, way: Way::ToQueue(asked) };
        self.calls.push(Arc::new(call));
    }

    /// Lets a worker's scheduler act.
    pub(super) fn advance(&mut self, scene: &Scene, at: usize) {
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
                for (ticket, ..) in &entries {
                    worker.slots.entry(*ticket).and_modify(|slot| slot.going_back = true);
                }
                // One that failed before could have gone back before.
                let is_in_hand = |ticket: &Ticket| {
                    let slot = &worker.slots[ticket];
                    !slot.failed || slot.failed_in_drain
                };
                if worker.draining {
                    let in_hand = entries.iter().filter(|(ticket, ..)| is_in_hand(ticket));
                    let in_hand: Vec<_> = in_hand.map(|(_, receipt, _)| receipt.mail).collect();
                    worker.gave_back_in_drain.extend(in_hand);
                }
                if worker.is_out_of_time(now) {
                    for (_, receipt, _) in &entries {
                        self.truth.out_of_time(*receipt);
                    }
                }
                Asked::Return(entries)
            }
            Action::Delete { tickets } => {
                Asked::Delete(tickets.iter().map(|&t| (t, receipt(&t))).collect())
            }
            Action::DeadLetter { ticket } => Asked::DeadLetter(ticket, receipt(&ticket).mail),
            Action::Start { ticket, .. } => {
                let slot = worker.slots.get_mut(&ticket).expect("checked");
                (slot.running, slot.anew, slot.going_back) = (true, false, false);
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
                (slot.deleted, slot.returned, slot.refused) = (false, false, false);
                slot.anew |= std::mem::take(&mut slot.going_back);
                slot.leased_until = newer.leased_until;
                slot.unconfirmed = newer.unconfirmed;
                return;
            }
            Action::Forget { ticket, fate } => {
                let slot = worker.slots.remove(&ticket).expect("checked");
                let group = slot.receipt.mail.group;
                if worker.slots.values().all(|slot| slot.receipt.mail.group != group) {
                    worker.head_is_back.retain(|&back| back != group);
                }
                self.forgotten(at, slot.receipt, fate);
                return;
            }
        };
        self.ask(at, asked);
    }

    /// What is settled is deleted, or others can have it, perhaps later.
    fn forgotten(&mut self, at: usize, receipt: Receipt, fate: Fate) {
        let is_settled = !matches!(fate, Fate::Lost | Fate::Stranded);
        let stays = self.queue.is_leased(receipt) && !self.truth.is_given_back(receipt);
        if is_settled && stays {
            self.worker(at).left_in_flight.push(receipt);
        }
    }
}
