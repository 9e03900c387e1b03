//! What must hold when a ticket ends.

use sqs_consumer::scheduler::{Broken, Fate, Ticket};

use crate::simulation::{
    run::Simulation,
    violation::{Check, Checked},
    worker::Slot,
};

impl Simulation<'_> {
    /// A ticket ends as it is said to only if that is what has happened. Not so with the rules that
    /// are broken by just that: of these it is to be noticed that messages stay in flight.
    pub(in crate::simulation) fn check_forget(
        &self,
        index: usize,
        ticket: Ticket,
        fate: Fate,
    ) -> Checked {
        let slot = self.slot(index, ticket)?;
        let (now, worker) = (self.now, &self.workers[index]);
        if slot.running.is_some() {
            let what = "is forgotten with its handler running";
            return worker.violates(now, Check::OneEnd, Some(slot), what);
        }
        let earned = match fate {
            Fate::Deleted => slot.deleted && !slot.copied,
            // An earlier delete may have worked whose answer was lost.
            Fate::DeadLettered => slot.copied && (slot.deleted || slot.refused),
            Fate::BackedOff | Fate::Released => slot.returned,
            Fate::Lost => {
                // An answer that comes after that of a later receive.
                let newer =
                    |other: &Slot| other.instance == slot.instance && other.receive > slot.receive;
                let overtaken = worker.slots.values().any(newer);
                let over = now >= slot.deadline || slot.was_over;
                // In a drain that is told as what it is.
                let stays = slot.return_refused && worker.draining_since.is_some();
                over || slot.unconfirmed || slot.refused && !stays || overtaken
            }
            // SQS refuses for good to make it visible, or the time for it is up.
            Fate::Stranded => worker.draining_since.is_some_and(|since| {
                slot.return_refused
                    || now >= since + self.plan.config.drain_timeout.as_millis() as u64
            }),
        };
        let is_broken_rule = self.plan.broken.and_then(Broken::false_fate) == Some(fate);
        if earned || is_broken_rule {
            return Ok(());
        }
        let what = format!("is forgotten as {fate:?}, which it is not");
        worker.violates(now, Check::OneEnd, Some(slot), &what)
    }

    /// The newer receive of the same message replaces the older one.
    pub(in crate::simulation) fn check_adopt(
        &self,
        index: usize,
        held: Ticket,
        newer: Ticket,
    ) -> Checked {
        let (old, new) = (self.slot(index, held)?, self.slot(index, newer)?);
        if old.instance == new.instance && old.receive < new.receive {
            return Ok(());
        }
        let what = "its handle is replaced by one that is not newer";
        self.workers[index].violates(self.now, Check::OneEnd, Some(old), what)
    }
}
