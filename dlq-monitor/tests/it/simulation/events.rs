//! What is to happen, in order of time.

use std::{cmp::Reverse, collections::BinaryHeap};

use dlq_monitor::jobs::plan::{Action, Event as Told};

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A call of a process reaches its server.
    Request(Box<Sent>),
    /// What came of a call reaches its process.
    Answer {
        runner: usize,
        call: u64,
        told: Told,
    },
    /// A process has waited long enough, or looks for a job.
    Wake {
        runner: usize,
        call: u64,
    },
    /// A job is asked for.
    Asked(usize),
    Cancelled(usize),
    Trouble(usize),
    Join,
    /// A process goes on after a pause.
    Resume {
        runner: usize,
    },
    /// Orders of the source queue are delivered.
    Work,
}

/// A call on its way.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) runner: usize,
    pub(super) call: u64,
    pub(super) at: u64,
    pub(super) action: Action,
    /// What the process knows of the job.
    pub(super) job: usize,
    pub(super) holder: u64,
    /// The messages in hand.
    pub(super) batch: Vec<super::runner::InHand>,
}

#[derive(Default)]
pub(super) struct Events {
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    by_order: std::collections::HashMap<u64, Event>,
    order: u64,
}

impl Events {
    pub(super) fn push(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.heap.push(Reverse((at, self.order)));
        self.by_order.insert(self.order, event);
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Event)> {
        let Reverse((at, order)) = self.heap.pop()?;
        let event = self.by_order.remove(&order).expect("each is taken once");
        Some((at, event))
    }
}
