//! What is to happen, in order of time.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use super::calls::{Sent, Told};

pub(super) enum Event {
    /// A message is sent to the queue.
    Send(usize),
    /// A call reaches the queue.
    Request(Box<Sent>),
    /// An answer reaches its worker, or a handler of it ends.
    Fact {
        worker: usize,
        told: Told,
    },
    Wakeup {
        worker: usize,
    },
    /// The queue changes by itself, or a long poll's time is up.
    Queue,
    /// One of the plan's troubles begins.
    Trouble(usize),
    Resume {
        worker: usize,
        trouble: usize,
    },
    /// A new worker.
    Join,
    /// The connections of a dead worker are closed.
    PollsVanish {
        worker: usize,
    },
    /// A drain must have come to its end.
    DrainMustBeOver {
        worker: usize,
    },
}

#[derive(Default)]
pub(super) struct Events {
    heap: BinaryHeap<Reverse<Scheduled>>,
    order: u64,
}

struct Scheduled {
    at: u64,
    order: u64,
    event: Event,
}

impl Events {
    pub(super) fn push(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.heap.push(Reverse(Scheduled { at, order: self.order, event }));
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Event)> {
        let Reverse(next) = self.heap.pop()?;
        Some((next.at, next.event))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
