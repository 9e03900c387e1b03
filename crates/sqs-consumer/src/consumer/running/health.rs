//! How a consumer that runs is seen from outside.

use tracing::warn;

use super::Running;
use crate::{consumer::Health, handler::Handler, queue::Queue, scheduler::Ticket};

impl<Q: Queue, H: Handler> Running<Q, H> {
    /// A handler that blocks for ever is told of each time that its lease is extended.
    pub(super) fn tell_if_blocked(&self, ticket: Ticket) {
        if let Some((message, running)) = self.slots.runs_longer_than(ticket, self.longest_start) {
            warn!(
                queue = self.queue.name(),
                message_id = message.message_id,
                receives = message.receive_count,
                ?running,
                "the handler has not come back though its time is over: it blocks its thread"
            );
        }
    }

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
