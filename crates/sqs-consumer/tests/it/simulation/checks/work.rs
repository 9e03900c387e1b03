//! What must hold of handlers that have nothing to do.

use std::collections::BTreeMap;

use crate::simulation::{
    run::Simulation,
    violation::{Check, Checked},
    worker::{Slot, Worker},
};

impl Simulation<'_> {
    /// After a worker's step no handler is free while a message could start that nobody has tried yet:
    /// neither a slow message nor a slow group keeps others waiting.
    pub(super) fn check_no_idle_handler(&self, index: usize) -> Checked {
        let (now, worker) = (self.now, &self.workers[index]);
        let stats = worker.scheduler.stats();
        let starts_freely = worker.draining_since.is_none() && !stats.breaker_open;
        if !starts_freely || stats.running >= self.plan.config.concurrency {
            return Ok(());
        }
        let startable =
            if self.plan.fifo { self.next_of_a_lane(worker) } else { self.next_of_a_group(worker) };
        let Some(slot) = startable else { return Ok(()) };
        let what = format!("waits although {} handlers run only", stats.running);
        worker.violates(now, Check::NoIdleHandler, Some(slot), &what)
    }

    /// What nobody has tried under this receive, and nothing keeps from a start but others of its group.
    fn is_fresh(&self, slot: &Slot) -> bool {
        let untouched = slot.running.is_none() && slot.attempt.is_none() && slot.verdict.is_none();
        let stays = !slot.returning && !slot.copied && !slot.refused && !slot.unextended;
        untouched && stays && !slot.unconfirmed && self.now < slot.deadline
    }

    /// The first message of a lane, or the next one behind those that are done. A lane that has lost
    /// something or is on its way back is closed.
    fn next_of_a_lane<'w>(&self, worker: &'w Worker) -> Option<&'w Slot> {
        let mut heads = BTreeMap::<_, &Slot>::new();
        for slot in worker.slots.values().filter(|slot| !slot.is_done()) {
            let head = heads.entry(slot.group).or_insert(slot);
            if slot.sequence < head.sequence {
                *head = slot;
            }
        }
        let closed = |group| worker.lost.contains(&group) || worker.gone_back.contains(&group);
        let is_open =
            |slot: &&Slot| !slot.group.is_some_and(closed) && !worker.gives_up(slot.group);
        heads.into_values().filter(is_open).find(|slot| self.is_fresh(slot))
    }

    /// A message whose group has not as many handlers as it may.
    fn next_of_a_group<'w>(&self, worker: &'w Worker) -> Option<&'w Slot> {
        let config = &self.plan.config;
        let mut running = BTreeMap::<_, usize>::new();
        for (_, slot) in worker.running() {
            *running.entry(slot.group).or_default() += 1;
        }
        let limit = |slot: &Slot| match slot.group {
            Some(_) if config.group_concurrency < config.concurrency => config.group_concurrency,
            _ => usize::MAX,
        };
        worker.slots.values().find(|slot| {
            let group_runs = running.get(&slot.group).copied().unwrap_or(0);
            group_runs < limit(slot) && self.is_fresh(slot)
        })
    }
}
