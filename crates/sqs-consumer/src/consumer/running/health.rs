//! How a consumer that runs is seen from outside.

use super::Running;
use crate::{consumer::Health, handler::Handler, queue::Queue};

impl<Q: Queue, H: Handler> Running<Q, H> {
    /// Unhealthy, unless it is so for another reason already.
    fn fails(&self, reason: &str) {
        self.health.send_if_modified(|health| {
            let changed = *health == Health::Receiving;
            if changed {
                *health = Health::Failing(reason.to_owned());
            }
            changed
        });
    }

    /// Gauges, and the way back to healthy.
    pub(super) fn publish(&mut self) {
        let stats = self.scheduler.stats();
        self.metrics.publish(&stats);
        if stats.breaker_open
            && let Some(cause) = &self.shared_cause
        {
            self.fails(cause);
        }
        if stats.settling_fails {
            self.fails("messages are received and cannot be deleted or given back");
        }
        let failing = stats.breaker_open || stats.settling_fails || self.failing_copies.are_there();
        if self.scheduler.failed_receives() == 0 && !failing {
            self.health.send_if_modified(|health| {
                let changed = *health != Health::Receiving;
                *health = Health::Receiving;
                changed
            });
        }
    }
}
