//! What belongs to each ticket: the message, its current handle, its running handler.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use foldhash::HashMap;
use tokio::{task::AbortHandle, time::Instant};

use crate::{
    handler::Attempt,
    queue::{DeadLetter, Message, ReceiptHandle},
    scheduler::Ticket,
};

#[derive(Default)]
pub(super) struct Slots {
    by_ticket: HashMap<Ticket, Slot>,
    /// Handlers that outlive their tickets.
    leftover: Vec<Leftover>,
}

/// A handler that was told to stop and has not, though its message is held no more: it blocks its
/// thread, or is about to stop.
struct Leftover {
    message: Arc<Message>,
    handler: AbortHandle,
}

pub(super) struct Slot {
    pub(super) message: Arc<Message>,
    /// The newest receive's handle, if that was not the one that brought the message.
    newer_handle: Option<ReceiptHandle>,
    /// Why the latest attempt failed.
    letter: Option<DeadLetter>,
    pub(super) handler: Option<AbortHandle>,
    /// Handlers that were told to stop, and perhaps have not.
    stopping: Vec<AbortHandle>,
    /// The latest attempt's number; 0 before the first.
    pub(super) attempts: u32,
    /// How often a handler was started; names the latest start.
    started: u32,
    /// When that was.
    started_at: Instant,
}

impl Slot {
    /// Notes a start and names it.
    pub(super) fn starts(&mut self, attempt: Attempt) -> u32 {
        self.attempts = attempt.number;
        self.started += 1;
        self.started_at = Instant::now();
        self.started
    }

    /// The newest receive's.
    fn handle(&self) -> &ReceiptHandle {
        self.newer_handle.as_ref().unwrap_or(&self.message.receipt_handle)
    }

    pub(super) fn letter(&self) -> DeadLetter {
        let unknown = || DeadLetter { reason: "unknown", detail: String::new() };
        self.letter.clone().unwrap_or_else(unknown)
    }
}

impl Slots {
    pub(super) fn insert(&mut self, ticket: Ticket, message: Message) {
        let slot = Slot {
            message: Arc::new(message),
            newer_handle: None,
            letter: None,
            handler: None,
            stopping: Vec::new(),
            attempts: 0,
            started: 0,
            started_at: Instant::now(),
        };
        self.by_ticket.insert(ticket, slot);
    }

    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        self.by_ticket.get_mut(&ticket)
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Slot> {
        let slot = self.by_ticket.remove(&ticket)?;
        for handler in slot.stopping.iter().filter(|handler| !handler.is_finished()).cloned() {
            self.leftover.push(Leftover { message: slot.message.clone(), handler });
        }
        Some(slot)
    }

    /// Handlers of this message, or of its group where that has an order, that were told to stop and
    /// have not. No other one is to begin beside them, here or elsewhere.
    pub(super) fn predecessors(&mut self, ticket: Ticket, fifo: bool) -> Vec<AbortHandle> {
        self.leftover.retain(|left| !left.handler.is_finished());
        let Some(slot) = self.by_ticket.get(&ticket) else {
            return Vec::new();
        };
        let message = &slot.message;
        let bars = |other: &Message| {
            other.message_id == message.message_id || fifo && other.group_id == message.group_id
        };
        let leftover = self.leftover.iter().filter(|left| bars(&left.message));
        let stopping = slot.stopping.iter().filter(|handler| !handler.is_finished());
        leftover.map(|left| &left.handler).chain(stopping).cloned().collect()
    }

    /// Only held tickets occur in actions, so there is always a handle.
    pub(super) fn handle(&self, ticket: Ticket) -> ReceiptHandle {
        self.by_ticket[&ticket].handle().clone()
    }

    pub(super) fn handles(&self, entries: &[(Ticket, Duration)]) -> Vec<(ReceiptHandle, Duration)> {
        entries.iter().map(|&(ticket, length)| (self.handle(ticket), length)).collect()
    }

    pub(super) fn set_letter(&mut self, ticket: Ticket, letter: DeadLetter) {
        if let Some(slot) = self.by_ticket.get_mut(&ticket) {
            slot.letter = Some(letter);
        }
    }

    /// Whether the message's handler was started again since this start.
    pub(super) fn is_outdated(&self, ticket: Ticket, start: u32) -> bool {
        self.by_ticket.get(&ticket).is_some_and(|slot| slot.started != start)
    }

    /// The message whose handler runs longer than that, and for how long it has.
    pub(super) fn runs_longer_than(
        &self,
        ticket: Ticket,
        limit: Duration,
    ) -> Option<(&Message, Duration)> {
        let slot = self.by_ticket.get(&ticket).filter(|slot| slot.handler.is_some())?;
        let running = slot.started_at.elapsed();
        let is_running = slot.handler.as_ref().is_some_and(|handler| !handler.is_finished());
        (running > limit && is_running).then_some((&slot.message, running))
    }

    pub(super) fn cancel(&mut self, ticket: Ticket) {
        if let Some(slot) = self.by_ticket.get_mut(&ticket)
            && let Some(handler) = slot.handler.take()
        {
            handler.abort();
            slot.stopping.retain(|handler| !handler.is_finished());
            slot.stopping.push(handler);
        }
    }

    pub(super) fn adopt(&mut self, held: Ticket, newer: Ticket) {
        let Some(newer) = self.by_ticket.remove(&newer) else {
            return;
        };
        if let Some(slot) = self.by_ticket.get_mut(&held) {
            slot.newer_handle = Some(newer.handle().clone());
        }
    }
}

impl Drop for Slots {
    /// A consumer that is dropped, rather than stopped, leaves no handler running.
    fn drop(&mut self) {
        let handlers = self.by_ticket.values().filter_map(|slot| slot.handler.as_ref());
        handlers.for_each(AbortHandle::abort);
    }
}

/// Milliseconds since the Unix epoch, as SQS's timestamps count.
pub(super) fn wall_clock_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_start_is_outdated_by_the_next_one_and_outlives_its_ticket_until_it_has_stopped() {
        let (mut slots, ticket) = (Slots::default(), Ticket(1));
        let attempt = Attempt { number: 1, max: 3 };
        let message = Message {
            message_id: "m".to_owned(),
            receipt_handle: "h".into(),
            body: String::new(),
            attributes: std::collections::BTreeMap::new(),
            group_id: None,
            receive_count: 1,
            sent_at_ms: None,
            trace_header: None,
        };
        slots.insert(ticket, message.clone());
        let start = |slots: &mut Slots| {
            let slot = slots.get_mut(ticket).expect("it is held");
            slot.handler = Some(tokio::spawn(std::future::pending::<()>()).abort_handle());
            slot.starts(attempt)
        };
        let first = start(&mut slots);
        slots.cancel(ticket);
        assert!(!slots.is_outdated(ticket, first), "what it says of all is heard");
        assert_eq!(slots.predecessors(ticket, false).len(), 1);
        let second = start(&mut slots);
        assert!(!slots.is_outdated(ticket, second));
        assert!(slots.is_outdated(ticket, first), "it would be taken for the second one's end");
        slots.cancel(ticket);
        assert_eq!(slots.predecessors(ticket, false).len(), 2, "neither has stopped");
        slots.remove(ticket);
        assert!(!slots.is_outdated(ticket, second), "of one that is not held it is heard as well");
        slots.insert(Ticket(2), message);
        assert_eq!(slots.predecessors(Ticket(2), false).len(), 2, "nor since it was given up");
    }
}
