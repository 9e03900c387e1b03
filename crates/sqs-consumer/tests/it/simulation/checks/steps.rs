//! What must hold after each step, of a worker and of all together.

use std::collections::{BTreeMap, BTreeSet};

use sqs_consumer::{MAX_BATCH, scheduler::Ended};

use super::starts::TrueLease;
use crate::simulation::{
    ledger::Lease,
    run::Simulation,
    time,
    violation::{Check, Checked, Violation},
    worker::{Life, Worker},
};

impl Simulation<'_> {
    /// After a worker's step.
    pub(in crate::simulation) fn check_worker(&mut self, index: usize) -> Checked {
        let (now, worker) = (self.now, &self.workers[index]);
        let config = &self.plan.config;
        let limits = |what: String| worker.violates(now, Check::Limits, None, &what);
        let stats = worker.scheduler.stats();
        let running = worker.running().count();
        if running > config.concurrency {
            return limits(format!("{running} handlers run"));
        }
        if stats.running != running || stats.held != worker.slots.len() {
            return limits(format!("{stats:?}, but {running} run of {}", worker.slots.len()));
        }
        // A starved worker receives beyond what it should hold, up to four times that.
        if stats.held >= 4 * Worker::most_held(config) + MAX_BATCH {
            return limits(format!("{} messages are held", stats.held));
        }
        if !self.plan.fifo {
            let idle = |slot: &&crate::simulation::worker::Slot| {
                // Those that wait until what is down for all may be up again keep nobody out.
                let later =
                    |ended| matches!(ended, Ended::Retry { shared: true, .. } | Ended::NotYet);
                let shared = slot.verdict.is_some_and(later);
                // Nor do those that are given up.
                let settled = slot.running.is_none() && (shared || slot.is_given_up());
                !slot.is_done() && !slot.copied && !slot.returning && !settled
            };
            let mut by_group = BTreeMap::<_, usize>::new();
            for slot in worker.slots.values().filter(idle) {
                *by_group.entry(slot.group).or_default() += 1;
            }
            // What is held behind the limit of its group does not keep others out.
            let counted = |(group, count): (Option<u32>, usize)| match group {
                Some(_) => count.min(config.group_concurrency),
                None => count,
            };
            let idle: usize = by_group.into_iter().map(counted).sum();
            if idle > worker.capacity(config) + MAX_BATCH {
                return limits(format!("{idle} messages wait or run"));
            }
            if config.group_concurrency < config.concurrency {
                for (_, slot) in worker.running() {
                    let group = slot.group;
                    let same = worker.running().filter(|(_, other)| other.group == group).count();
                    if group.is_some() && same > config.group_concurrency {
                        return limits(format!("{same} handlers of group {group:?} run"));
                    }
                }
            }
        }
        if worker.scheduler.next_wakeup(time(now)).is_some_and(|at| at <= time(now)) {
            let what = "asks to be woken in the past";
            return worker.violates(now, Check::NoHotLoop, None, what);
        }
        if worker.draining_since.is_some() && worker.scheduler.is_drained() {
            return self.check_drained(index);
        }
        self.check_no_idle_handler(index)
    }

    /// A drain is over: nothing that this worker has received is left in flight, unless its own calls
    /// about it went wrong.
    fn check_drained(&mut self, index: usize) -> Checked {
        let (now, worker) = (self.now, &self.workers[index]);
        let check = Check::DrainLeavesNothing;
        if let Some(slot) = worker.slots.values().next() {
            return worker.violates(now, check, Some(slot), "is held by a drained worker");
        }
        if !worker.polls.is_empty() {
            return worker.violates(now, check, None, "is drained with receives outstanding");
        }
        // A lane waits for its head: what is behind one that could not be settled stays with it.
        let ours = |lease: &&Lease| lease.worker == index;
        let troubled: BTreeSet<u32> = self
            .ledger
            .instances
            .iter()
            .filter(|instance| instance.lease.as_ref().filter(ours).is_some_and(|l| l.troubled))
            .filter_map(|instance| instance.group.filter(|_| self.plan.fifo))
            .collect();
        for instance in &self.ledger.instances {
            let waits = |group| troubled.contains(&group) || worker.stuck.contains(&group);
            if self.plan.fifo && instance.group.is_some_and(waits) {
                continue;
            }
            let Some(lease) = instance.lease.filter(|lease| lease.worker == index) else {
                continue;
            };
            let excused = !lease.delivered || lease.returned || lease.troubled;
            if lease.holds(now) && !excused && !worker.paused_in_drain {
                return Err(Violation {
                    check,
                    at: now,
                    worker: Some(index),
                    message: Some(instance.message),
                    what: format!("message {} stays in flight after the drain", instance.message),
                });
            }
        }
        self.workers[index].life = Life::Drained;
        self.say(|| (Vec::new(), format!("worker {index} is drained")));
        Ok(())
    }

    /// Whatever runs in a process that is not stopped runs under a lease that SQS knows.
    pub(in crate::simulation) fn check_running(&self) -> Checked {
        for worker in &self.workers {
            // A worker whose timer goes off in this very moment is about to notice.
            if worker.life != Life::Up || worker.wakeup == Some(self.now) {
                continue;
            }
            for (_, slot) in worker.running() {
                if self.true_lease(slot) == TrueLease::Over {
                    let what = "runs on although SQS's lease is over";
                    return worker.violates(self.now, Check::RunsUnderLease, Some(slot), what);
                }
            }
        }
        Ok(())
    }
}
