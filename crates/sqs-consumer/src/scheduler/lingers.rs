//! How long what can share a call waits for company.

use std::time::Duration;

use super::{Scheduler, settling::Settling};
use crate::time::Time;

/// Since when deletes wait for which something else waits.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Awaited {
    /// A lane's last one: the group may give out more.
    pub(super) last: Option<Time>,
    /// The same where the group is known to have more.
    pub(super) urgent: Option<Time>,
    /// One without which a lane stands still, or a lease has to be extended.
    pub(super) stalled: Option<Time>,
}

/// How long deletes may wait for company now.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeleteLinger {
    any: Duration,
    last: Duration,
    urgent: Duration,
    stalled: Duration,
}

impl Awaited {
    /// Some were sent; the first of those that are left has waited since `left`.
    pub(super) fn sent(&mut self, left: Option<Time>) {
        for since in [&mut self.last, &mut self.urgent, &mut self.stalled] {
            // Which of them it was is not known: none that is left has waited longer.
            *since = since.and_then(|since| Some(since.max(left?)));
        }
    }
}

impl Settling {
    pub(super) fn deletes_due_at(&self, linger: DeleteLinger) -> Option<Time> {
        let Awaited { last, urgent, stalled } = self.awaited;
        let oldest = self.deletes.front().map(|&(_, since)| since + linger.any);
        let last = last.map(|since| since + linger.last);
        let urgent = urgent.map(|since| since + linger.urgent);
        let stalled = stalled.map(|since| since + linger.stalled);
        [oldest, last, urgent, stalled].into_iter().flatten().min()
    }

    /// Something stands still until a delete that waits is made.
    pub(super) fn stalls(&mut self, now: Time) {
        if !self.deletes.is_empty() {
            self.awaited.stalled.get_or_insert(now);
        }
    }
}

impl Scheduler {
    /// A handler took this long.
    pub(super) fn learn(&mut self, took: Duration) {
        self.mean_time = Some(super::polling::mean(self.mean_time, took));
        self.latest_time = took;
    }

    /// How long to wait for company that is waited for as long as `quick` with quick handlers. Quick ones
    /// among slow ones do not pay for these, nor does a slow one among quick ones make them wait.
    pub(super) fn linger(&self, quick: Duration) -> Duration {
        let time = self.mean_time.unwrap_or_default().min(self.latest_time);
        self.config.timing.linger(quick, time)
    }

    /// How long deletes may wait for company now.
    pub(super) fn delete_linger(&self) -> DeleteLinger {
        let timing = &self.config.timing;
        let idle = self.running < self.config.concurrency && self.startable() == 0;
        if self.drain.begun() {
            let none = Duration::ZERO;
            return DeleteLinger { any: none, last: none, urgent: none, stalled: none };
        }
        let any = self.linger(timing.acknowledge_linger);
        let stalled = timing.urgent_linger;
        if idle {
            let last = self.linger(timing.idle_linger);
            DeleteLinger { any, last, urgent: timing.urgent_linger, stalled }
        } else {
            DeleteLinger { any, last: any, urgent: any, stalled }
        }
    }
}
