//! How often a worker may do what is of no use.

use sqs_consumer::MAX_BATCH;

use super::plan::Plan;

/// A worker's allowances: each holds some reserve and refills with time.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Receives that bring nothing.
    pub(super) receives: Allowance,
    /// Copies to the dead-letter queue that fail, one message a call.
    pub(super) copies: Allowance,
    /// Settling calls that fail.
    pub(super) settling: Allowance,
    /// Attempts that end because a common need is down.
    pub(super) probes: Allowance,
    /// Wakeups after which there is nothing to do.
    pub(super) wakeups: Allowance,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    left: f64,
    reserve: f64,
    per_second: f64,
    since: u64,
}

impl Pace {
    pub(super) fn new(plan: &Plan, now: u64) -> Self {
        let concurrency = plan.config.concurrency as f64;
        let received = (plan.config.timing.max_polls * MAX_BATCH) as f64;
        Self {
            // All outstanding receives may come back empty at once; then one a second.
            receives: Allowance::new(now, plan.config.timing.max_polls as f64 + 12.0, 2.0),
            // Batches of all that is held, of each kind and not all full.
            settling: Allowance::new(now, 60.0 + 2.0 * concurrency + received / 4.0, 6.0),
            // One message a call: all that is received before the first one fails, three times each.
            copies: Allowance::new(now, 3.0 * (concurrency + received), 10.0),
            probes: Allowance::new(now, concurrency + 8.0, 1.0),
            wakeups: Allowance::new(now, 100.0, 20.0),
        }
    }
}

impl Allowance {
    fn new(now: u64, reserve: f64, per_second: f64) -> Self {
        Self { left: reserve, reserve, per_second, since: now }
    }

    /// Uses the allowance once. False when it is used up.
    pub(super) fn take(&mut self, now: u64) -> bool {
        let refill = (now - self.since) as f64 / 1000.0 * self.per_second;
        self.left = (self.left + refill).min(self.reserve) - 1.0;
        self.since = now;
        self.left >= 0.0
    }

    /// Useful work allows a useless try after it.
    pub(super) fn earn(&mut self) {
        self.left = (self.left + 1.0).min(self.reserve);
    }
}
