//! What is known from outside about every message, and the rules that hold in every state.

use std::hash::{Hash, Hasher};

use sqs_consumer::scheduler::{Action, Broken, Fate, Ticket};

use super::{
    calls::Call,
    queue::Queue,
    scene::{Mail, Receipt, Scene},
    state::State,
    worker::Slot,
};

#[derive(Clone, Debug)]
pub(super) struct Truth {
    pub(super) fifo: bool,
    pub(super) empty_polls: bool,
    pub(super) long_pauses: bool,
    pub(super) all_losses: bool,
    pub(super) replaced: bool,
    max_receives: Option<u32>,
    broken: Option<Broken>,
    facts: Vec<Facts>,
    violation: Option<String>,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Facts {
    mail: Mail,
    /// A handler has done its work.
    effect: bool,
    /// The dead-letter queue has it.
    copied: bool,
    deleted: bool,
    /// A handler has failed by the message's own fault.
    failed: bool,
    /// Its last receive ended with a drain that had no time left for it.
    out_of_time: bool,
    /// The queue has moved it to its dead-letter queue.
    moved: bool,
    /// The newest receipt under which it was given back.
    given_back: u32,
}

impl Hash for Truth {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.facts, self.violation.is_some()).hash(state);
    }
}

impl Truth {
    pub(super) fn new(scene: &Scene) -> Self {
        let facts = scene.mails().into_iter().map(|mail| Facts {
            mail,
            effect: false,
            copied: false,
            deleted: false,
            failed: false,
            out_of_time: false,
            moved: false,
            given_back: 0,
        });
        let Scene { fifo, empty_polls, long_pauses, all_losses, replaced, .. } = *scene;
        let Scene { max_receives, broken, .. } = *scene;
        let (facts, violation) = (facts.collect(), None);
        Self {
            fifo,
            empty_polls,
            long_pauses,
            all_losses,
            replaced,
            max_receives,
            broken,
            facts,
            violation,
        }
    }

    pub(super) fn is_violated(&self) -> bool {
        self.violation.is_some()
    }

    pub(super) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    pub(super) fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub(super) fn all_done(&self) -> bool {
        self.facts.iter().all(|facts| facts.deleted)
    }

    fn of(&self, mail: Mail) -> &Facts {
        self.facts.iter().find(|facts| facts.mail == mail).expect("sent")
    }

    fn of_mut(&mut self, mail: Mail) -> &mut Facts {
        self.facts.iter_mut().find(|facts| facts.mail == mail).expect("sent")
    }

    /// An earlier message of the group that has neither taken effect nor moved to the dead-letter
    /// queue for good.
    fn unsettled_before(&self, mail: Mail) -> Option<Mail> {
        let earlier =
            |facts: &&Facts| facts.mail.group == mail.group && facts.mail.number < mail.number;
        let unsettled =
            |facts: &&Facts| !(facts.effect || facts.moved || facts.copied && facts.deleted);
        self.facts.iter().filter(earlier).find(unsettled).map(|facts| facts.mail)
    }

    pub(super) fn took_effect(&mut self, mail: Mail) {
        if self.fifo
            && !self.of(mail).effect
            && let Some(earlier) = self.unsettled_before(mail)
        {
            self.violate(format!("{mail} takes effect before {earlier}"));
        }
        self.of_mut(mail).effect = true;
    }

    pub(super) fn took_effect_before(&self, mail: Mail) -> bool {
        self.of(mail).effect
    }

    pub(super) fn is_copied(&self, mail: Mail) -> bool {
        self.of(mail).copied
    }

    pub(super) fn copied(&mut self, mail: Mail) {
        self.of_mut(mail).copied = true;
    }

    pub(super) fn failed(&mut self, mail: Mail) {
        self.of_mut(mail).failed = true;
    }

    pub(super) fn out_of_time(&mut self, receipt: Receipt) {
        if self.is_last(receipt) {
            self.of_mut(receipt.mail).out_of_time = true;
        }
    }

    /// Whether the queue would move the message at its next receive.
    pub(super) fn is_last(&self, receipt: Receipt) -> bool {
        self.max_receives.is_some_and(|most| receipt.receive >= most)
    }

    pub(super) fn given_back(&mut self, receipt: Receipt) {
        let given_back = &mut self.of_mut(receipt.mail).given_back;
        *given_back = receipt.receive.max(*given_back);
    }

    pub(super) fn is_given_back(&self, receipt: Receipt) -> bool {
        self.of(receipt.mail).given_back >= receipt.receive
    }

    /// Finds out what was deleted or moved. None is moved for nothing: the scenes with a redrive
    /// policy have drains and failures, and neither uses up receives without an attempt.
    pub(super) fn look(&mut self, queue: &Queue) {
        for at in 0..self.facts.len() {
            let facts = &mut self.facts[at];
            facts.deleted = queue.seen(facts.mail).is_none();
            facts.moved = queue.has_moved(facts.mail);
            let mail = facts.mail;
            if facts.moved && !facts.failed && !facts.out_of_time {
                self.violate(format!("{mail} is dead-lettered by the queue and never failed"));
            } else if facts.deleted && !facts.effect && !facts.copied && !facts.moved {
                self.violate(format!("{mail} is lost: deleted with neither an effect nor a copy"));
            }
        }
    }
}

impl State {
    /// The rules for what a worker does.
    pub(super) fn check_action(&mut self, at: usize, action: &Action) {
        if let Err(what) = self.judge(at, action) {
            self.truth.violate(format!("worker {at} {what} ({action:?})"));
        }
    }

    fn judge(&self, at: usize, action: &Action) -> Result<(), String> {
        match action {
            Action::Receive { .. } if self.workers[at].draining => {
                Err("receives in a drain".to_owned())
            }
            Action::Receive { .. } if self.workers[at].receive_failed_at == Some(self.now) => {
                Err("receives again at once after a failure".to_owned())
            }
            Action::Receive { .. } => Ok(()),
            Action::Start { ticket, .. } => self.judge_start(at, *ticket),
            Action::Cancel { ticket } => self.known(at, *ticket).map(drop),
            Action::Extend { entries } => entries.iter().try_for_each(|&(ticket, _)| {
                if self.known(at, ticket)?.unconfirmed {
                    return self.judge_change(at, ticket);
                }
                self.judge_lease(at, ticket, "extends")?;
                self.judge_change(at, ticket)
            }),
            Action::Return { entries } => entries.iter().try_for_each(|&(ticket, _)| {
                self.judge_lease(at, ticket, "gives back")?;
                self.judge_change(at, ticket)?;
                self.judge_last_return(at, ticket)?;
                self.judge_order_of_return(at, ticket)
            }),
            Action::Delete { tickets } => {
                tickets.iter().try_for_each(|&t| self.judge_lease(at, t, "deletes"))
            }
            Action::DeadLetter { ticket } => {
                self.judge_lease(at, *ticket, "copies")?;
                let slot = self.known(at, *ticket)?;
                let mail = slot.receipt.mail;
                if slot.failed || slot.fails_alone {
                    Ok(())
                } else if slot.suspect.is_some() {
                    Err(format!("dead-letters {mail} for what may be everyone's failure"))
                } else {
                    Err(format!("dead-letters {mail} without an attempt of its own"))
                }
            }
            Action::Adopt { held, newer } => {
                let (held, newer) =
                    (self.known(at, *held)?.receipt, self.known(at, *newer)?.receipt);
                if held.mail != newer.mail || held.receive >= newer.receive {
                    return Err(format!("takes {newer:?} for a newer {held:?}"));
                }
                Ok(())
            }
            Action::Forget { ticket, fate } => self.judge_end(at, *ticket, *fate),
        }
    }

    fn known(&self, at: usize, ticket: Ticket) -> Result<&Slot, String> {
        let slot = self.workers[at].slots.get(&ticket);
        slot.ok_or_else(|| format!("speaks of ticket {}, which has come to its end", ticket.0))
    }

    fn judge_lease(&self, at: usize, ticket: Ticket, does: &str) -> Result<(), String> {
        let slot = self.known(at, ticket)?;
        if self.now >= slot.leased_until {
            return Err(format!("{does} {:?} under a lease that is over", slot.receipt));
        }
        Ok(())
    }

    fn judge_start(&self, at: usize, ticket: Ticket) -> Result<(), String> {
        let slot = self.known(at, ticket)?;
        let mail = slot.receipt.mail;
        self.judge_lease(at, ticket, "starts")?;
        if self.workers[at].draining && !self.leads_to_last(at, mail) {
            return Err(format!("starts {mail} in a drain"));
        }
        let mut running = self.workers[at].slots.values().filter(|slot| slot.running);
        if running.any(|slot| slot.receipt.mail == mail) {
            return Err(format!("starts {mail} twice"));
        }
        if let Some((other, _)) = self.running().find(|(_, running)| *running == mail) {
            return Err(format!("starts {mail} while worker {other} runs it"));
        }
        if !self.truth.fifo {
            return Ok(());
        }
        if !self.queue.is_leased(slot.receipt) {
            return Err(format!(
                "starts {:?}, which the queue has leased to nobody or to another",
                slot.receipt
            ));
        }
        if let Some(earlier) = self.truth.unsettled_before(mail) {
            return Err(format!("starts {mail} before {earlier} is settled"));
        }
        if let Some((other, running)) =
            self.running().find(|(_, running)| running.group == mail.group)
        {
            return Err(format!("starts {mail} while {running} runs in worker {other}"));
        }
        Ok(())
    }

    /// Whether the worker holds this message, or one behind it in its lane, on its last receive.
    fn leads_to_last(&self, at: usize, mail: Mail) -> bool {
        let behind = |other: Mail| {
            other == mail
                || self.truth.fifo && other.group == mail.group && other.number > mail.number
        };
        let untried = |slot: &Slot| !slot.failed && slot.suspect.is_none();
        let mut held = self.workers[at].slots.values();
        held.any(|slot| {
            let is_last = self.truth.is_last(slot.receipt);
            behind(slot.receipt.mail) && is_last && (untried(slot) || slot.running)
        })
    }

    /// At most one change of a message's visibility is under way.
    fn judge_change(&self, at: usize, ticket: Ticket) -> Result<(), String> {
        let receipt = self.known(at, ticket)?.receipt;
        let under_way =
            |call: &Call| call.worker == at && !call.abandoned && call.changes(ticket, receipt);
        if self.calls.iter().any(|call| under_way(call)) {
            return Err(format!("changes {receipt:?} while another change is under way"));
        }
        Ok(())
    }

    /// What is here on its last receive is not given back untried while there is time.
    fn judge_last_return(&self, at: usize, ticket: Ticket) -> Result<(), String> {
        let worker = &self.workers[at];
        let slot = &worker.slots[&ticket];
        let tried = slot.failed || slot.suspect.is_some();
        if self.truth.is_last(slot.receipt) && !tried && !worker.is_out_of_time(self.now) {
            return Err(format!("gives back {:?} untried, its last receive", slot.receipt));
        }
        Ok(())
    }

    /// Of a lane, its head goes back first, and alone. What was received later, an earlier message of
    /// the group perhaps, waits behind those that leave.
    fn judge_order_of_return(&self, at: usize, ticket: Ticket) -> Result<(), String> {
        let worker = &self.workers[at];
        let mail = worker.slots[&ticket].receipt.mail;
        let held = worker.slots.range(..ticket).filter(|(_, slot)| !slot.anew);
        let held = held.map(|(_, slot)| slot.receipt.mail);
        let earlier = held.filter(|held| held.group == mail.group).min().unwrap_or(mail);
        if self.truth.fifo && earlier < mail && !worker.head_is_back.contains(&mail.group) {
            return Err(format!("gives back {mail} while it still holds {earlier}"));
        }
        Ok(())
    }

    fn judge_end(&self, at: usize, ticket: Ticket, fate: Fate) -> Result<(), String> {
        let slot = self.known(at, ticket)?;
        let receipt = slot.receipt;
        let facts = self.truth.of(receipt.mail);
        if slot.running {
            return Err(format!("forgets {receipt:?} with its handler running"));
        }
        let fifo = self.truth.fifo;
        let is_newest =
            self.queue.seen(receipt.mail).is_some_and(|s| s.receives == receipt.receive);
        let true_to_word = match fate {
            Fate::Deleted => facts.effect && slot.deleted && (facts.deleted || !fifo),
            Fate::DeadLettered => facts.copied && (facts.deleted || !fifo),
            Fate::BackedOff | Fate::Released => {
                slot.returned && (facts.given_back >= receipt.receive || !is_newest || !fifo)
            }
            // A lease that still holds must not be given up: nobody could have the message.
            Fate::Lost => {
                slot.refused
                    || slot.unconfirmed
                    || self.now >= slot.leased_until
                    || !self.queue.is_leased(receipt)
            }
            // Not before all the time is up that there is for settling it, or it is refused for good.
            Fate::Stranded => {
                self.workers[at].may_strand_at.is_some_and(|at| slot.refused || self.now >= at)
            }
        };
        // Of a rule that is broken by just that, it is to be found that messages stay in flight.
        let is_broken_rule = self.truth.broken.and_then(Broken::false_fate) == Some(fate);
        if !true_to_word && !is_broken_rule {
            return Err(format!("forgets {receipt:?} as {fate:?}, which it is not"));
        }
        Ok(())
    }

    /// The rules for what a worker is after each of its steps.
    pub(super) fn check_worker(&mut self, scene: &Scene, at: usize) {
        let worker = &self.workers[at];
        let running = worker.slots.values().filter(|slot| slot.running).count();
        if running > scene.concurrency {
            self.truth.violate(format!("worker {at} runs {running} handlers"));
        } else if worker.is_due(self.now) {
            self.truth.violate(format!("worker {at} asks to be woken at once, again and again"));
        } else if worker.scheduler.stats().held != worker.slots.len() && !self.truth.is_violated() {
            self.truth
                .violate(format!("worker {at} holds tickets that have no slot, or the other way"));
        }
    }

    /// A drain that gave back under its own polls would get the messages again.
    pub(super) fn check_receipt(&mut self, at: usize, mail: Mail) {
        if self.workers[at].gave_back_in_drain.contains(&mail) {
            self.truth.violate(format!("worker {at} receives {mail} after it gave it back to end"));
        }
    }

    pub(super) fn check_drained(&mut self, at: usize) {
        if !self.workers[at].slots.is_empty() {
            self.truth.violate(format!("worker {at} ends with messages"));
        }
        let own = |call: &Call| call.worker == at && !call.abandoned;
        if self.calls.iter().any(|call| own(call) && call.poll().is_some()) {
            self.truth.violate(format!("worker {at} ends with a receive under way"));
        }
        let mut left = self.workers[at].left_in_flight.iter().copied();
        if let Some(receipt) = left.find(|&receipt| self.queue.is_leased(receipt)) {
            self.truth.violate(format!("worker {at} ends and leaves {receipt:?} in flight"));
        }
    }
}
