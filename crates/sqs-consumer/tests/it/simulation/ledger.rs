//! What is true of every message, seen from outside: where it is, who has it leased until when, what
//! has become of it. Workers know less.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

use local_sqs::model::{MessageState, api::ReceivedMessage};
use sqs_consumer::scheduler::Answer;

use super::{
    calls::{Entry, Got},
    plan::Plan,
    sqs::{Known, Queues},
    violation::{Check, Checked, Violation},
};

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) messages: Vec<Message>,
    pub(super) instances: Vec<Instance>,
    by_id: HashMap<String, usize>,
    /// FIFO: what is in the queue of each group, in order.
    in_order: BTreeMap<u32, BTreeSet<(u64, usize)>>,
    /// FIFO: the place in the order of each group's latest first effect.
    last_effect: BTreeMap<u32, u64>,
    /// Messages in both queues together.
    total: usize,
    dead: usize,
    /// Messages that the queue has moved to its dead-letter queue, with their last receives.
    pub(super) moved: Vec<(usize, Lease)>,
    next_receive: u64,
    fifo: bool,
}

/// A message as the application knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    pub(super) group: Option<u32>,
    pub(super) sent: bool,
    pub(super) took_effect: bool,
    /// Handlers started, by any worker.
    pub(super) starts: u32,
    /// Somebody has mended what made it fail always.
    pub(super) mended: bool,
    pub(super) failed_by_itself: bool,
    /// Failures that could be everybody's, outside of any outage.
    pub(super) failed_alone: u32,
    /// The outages in which it has failed, as bits.
    pub(super) outages: u64,
    /// A dead letter was sent of it.
    pub(super) copied: bool,
}

/// A message as SQS knows it: moved back from the dead-letter queue it is another one.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) message: usize,
    pub(super) group: Option<u32>,
    pub(super) id: Rc<str>,
    /// Its place in the order of its FIFO queue.
    pub(super) sequence: u64,
    /// In the queue, and not deleted or moved away.
    pub(super) in_queue: bool,
    pub(super) lease: Option<Lease>,
    pub(super) receives: u32,
    /// Its receives whose leases were cut short by a call that the worker could not know of.
    pub(super) cut_short: Vec<u64>,
}

/// The latest receive of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) worker: usize,
    pub(super) receive: u64,
    pub(super) until: u64,
    /// The worker has got it.
    pub(super) delivered: bool,
    /// The worker has given it back, perhaps for later.
    pub(super) returned: bool,
    /// Cut short by a call that its worker could not know of: one with an older handle, which a
    /// standard queue obeys, or one that arrived after its sender had given it up.
    pub(super) cut_short: bool,
    /// A call about it, or about another message of its lane, has failed, got lost or come too late.
    pub(super) troubled: bool,
    /// The worker could not but give it back.
    pub(super) excused: bool,
}

impl Lease {
    pub(super) fn holds(&self, now: u64) -> bool {
        now < self.until
    }
}

impl Ledger {
    pub(super) fn new(plan: &Plan) -> Self {
        let message =
            |planned: &super::plan::Planned| Message { group: planned.group, ..Message::default() };
        let messages = plan.messages.iter().map(message).collect();
        Self { messages, fifo: plan.fifo, ..Self::default() }
    }

    pub(super) fn sent(&mut self, message: usize, known: Known) {
        self.messages[message].sent = true;
        self.total += 1;
        self.add(message, known.message_id, known.sequence);
    }

    fn add(&mut self, message: usize, id: String, sequence: u64) -> usize {
        let instance = self.instances.len();
        let group = self.messages[message].group;
        self.by_id.insert(id.clone(), instance);
        if let (true, Some(group)) = (self.fifo, group) {
            self.in_order.entry(group).or_default().insert((sequence, instance));
        }
        self.instances.push(Instance {
            message,
            group,
            id: id.into(),
            sequence,
            in_queue: true,
            lease: None,
            receives: 0,
            cut_short: Vec::new(),
        });
        instance
    }

    /// A receive has taken these messages out of sight, until `until`.
    pub(super) fn received(
        &mut self,
        worker: usize,
        until: u64,
        messages: Vec<ReceivedMessage>,
    ) -> Vec<Got> {
        let mut taken = Vec::with_capacity(messages.len());
        for message in messages {
            let number = |name: &str| {
                let text = message.attributes.get(name);
                text.map_or(0, |text| text.parse::<u64>().expect("a number"))
            };
            let receive_count = number("ApproximateReceiveCount") as u32;
            let instance = if let Some(instance) = self.by_id.get(&message.message_id) {
                *instance
            } else {
                let index = message.body.parse().expect("bodies are numbers");
                self.add(index, message.message_id, number("SequenceNumber"))
            };
            self.next_receive += 1;
            let receive = self.next_receive;
            let known = &mut self.instances[instance];
            known.receives += 1;
            if let Some(old) = known.lease.filter(|lease| lease.cut_short) {
                known.cut_short.push(old.receive);
            }
            known.lease = Some(Lease {
                worker,
                receive,
                until,
                delivered: false,
                returned: false,
                cut_short: false,
                troubled: false,
                excused: false,
            });
            let handle = message.receipt_handle.into();
            taken.push(Got { instance, receive, handle, receive_count });
        }
        taken
    }

    /// Visibility changes took effect at the queue, as its answers say.
    pub(super) fn changed(
        &mut self,
        now: u64,
        entries: &[Entry],
        answers: &[Answer],
        abandoned: bool,
        gives_back: bool,
    ) {
        for (entry, answer) in entries.iter().zip(answers) {
            let instance = &mut self.instances[entry.instance];
            let Some(lease) = instance.lease.as_mut().filter(|lease| lease.holds(now)) else {
                continue;
            };
            if *answer != Answer::Ok || !instance.in_queue {
                continue;
            }
            let until = now + entry.visibility.as_millis().div_ceil(1000) as u64 * 1000;
            if entry.receive == lease.receive {
                lease.returned |= gives_back;
                lease.cut_short |= abandoned && until < lease.until;
            } else {
                lease.cut_short |= until < lease.until;
            }
            lease.until = until;
        }
    }

    /// Deletes took effect at the queue. What is deleted must have taken effect or be a dead letter.
    pub(super) fn deleted(&mut self, now: u64, entries: &[Entry], answers: &[Answer]) -> Checked {
        for (entry, answer) in entries.iter().zip(answers) {
            let instance = &self.instances[entry.instance];
            let newest = instance.lease.is_some_and(|lease| lease.receive == entry.receive);
            if *answer != Answer::Ok || !instance.in_queue || !newest {
                continue;
            }
            let message = &self.messages[instance.message];
            if !message.took_effect && !message.copied {
                return Err(Violation {
                    check: Check::NothingIsLost,
                    at: now,
                    worker: None,
                    message: Some(instance.message),
                    what: format!("message {} is deleted without effect", instance.message),
                });
            }
            self.total -= 1;
            self.leaves(entry.instance);
        }
        Ok(())
    }

    /// Something has gone wrong about this receive of a message. What is held of its FIFO group shares
    /// its fate.
    pub(super) fn troubled(&mut self, instance: usize, receive: u64) {
        let lease = self.instances[instance].lease.as_mut();
        let Some(lease) = lease.filter(|lease| lease.receive == receive) else { return };
        lease.troubled = true;
        let worker = lease.worker;
        let group = self.instances[instance].group.and_then(|group| self.in_order.get(&group));
        for &(_, instance) in group.into_iter().flatten() {
            let lease = self.instances[instance].lease.as_mut();
            if let Some(lease) = lease.filter(|lease| lease.worker == worker) {
                lease.troubled = true;
            }
        }
    }

    /// The worker of this receive of a message cannot but give it back.
    pub(super) fn excused(&mut self, instance: usize, receive: u64) {
        let lease = self.instances[instance].lease.as_mut();
        if let Some(lease) = lease.filter(|lease| lease.receive == receive) {
            lease.excused = true;
        }
    }

    fn leaves(&mut self, instance: usize) {
        let known = &mut self.instances[instance];
        known.in_queue = false;
        if let Some(old) = known.lease.take().filter(|lease| lease.cut_short) {
            known.cut_short.push(old.receive);
        }
        if let (true, Some(group)) = (self.fifo, known.group)
            && let Some(order) = self.in_order.get_mut(&group)
        {
            order.remove(&(known.sequence, instance));
        }
    }

    /// Follows what the queue does by itself: its redrive policy, and moves back.
    pub(super) fn follow(&mut self, queues: &Queues) -> Checked {
        let (alive, dead) = queues.counts();
        if dead > self.dead {
            // Copies of a worker, or the redrive policy: then something has left the queue.
            let here: BTreeSet<String> = queues.messages().map(|m| m.message_id).collect();
            for instance in 0..self.instances.len() {
                let known = &self.instances[instance];
                if known.in_queue && !here.contains(&*known.id) {
                    self.moved.extend(known.lease.map(|lease| (known.message, lease)));
                    self.leaves(instance);
                }
            }
        }
        self.dead = dead;
        self.holds(alive + dead == self.total, None, "messages appear or vanish at the queue")
    }

    /// A worker has sent a copy to the dead-letter queue.
    pub(super) fn copied(&mut self, instance: usize, queues: &Queues) {
        self.messages[self.instances[instance].message].copied = true;
        let (alive, dead) = queues.counts();
        self.total = alive + dead;
        self.dead = dead;
    }

    /// A handler has done its work. Only the first time counts. Under a lease that is over, as in a
    /// process that was stopped, it may come after later ones only if it was given up meanwhile.
    pub(super) fn takes_effect(
        &mut self,
        now: u64,
        worker: usize,
        instance: usize,
        holds: bool,
    ) -> Checked {
        let known = &self.instances[instance];
        let message = &mut self.messages[known.message];
        if std::mem::replace(&mut message.took_effect, true) || !self.fifo {
            return Ok(());
        }
        let Some(group) = known.group else { return Ok(()) };
        let given_up = !known.in_queue || message.copied;
        let last = self.last_effect.entry(group).or_default();
        if known.sequence < *last {
            if given_up && !holds {
                return Ok(());
            }
            return Err(Violation {
                check: Check::EffectsInOrder,
                at: now,
                worker: Some(worker),
                message: Some(known.message),
                what: format!("message {} takes effect after a later one", known.message),
            });
        }
        *last = known.sequence;
        Ok(())
    }

    /// The first earlier message of the FIFO group that is in the queue without having taken effect.
    pub(super) fn earlier_unsettled(&self, instance: usize) -> Option<usize> {
        let known = &self.instances[instance];
        let order = self.in_order.get(&known.group?)?;
        let mut earlier = order.range(..(known.sequence, 0)).map(|&(_, earlier)| earlier);
        earlier.find(|&earlier| !self.messages[self.instances[earlier].message].took_effect)
    }

    /// Compares with the model: the ledger itself must be right.
    pub(super) fn audit(&self, now: u64, queues: &Queues) -> Checked {
        let mut here = 0;
        for view in queues.messages() {
            let Some(&instance) = self.by_id.get(&view.message_id) else {
                continue; // Moved back and not yet received.
            };
            here += 1;
            let known = &self.instances[instance];
            let until = match view.state {
                MessageState::InFlight { until, .. } => until.0,
                _ => 0,
            };
            let ours = known.lease.filter(|lease| lease.holds(now)).map_or(0, |lease| lease.until);
            let what = || format!("{view:?} is {known:?} here");
            self.holds(known.in_queue && until == ours, Some(known.message), what)?;
        }
        let ours = self.instances.iter().filter(|instance| instance.in_queue).count();
        self.holds(here == ours, None, "the ledger has other messages than the queue")
    }

    /// Everything that was sent has come to its end.
    pub(super) fn nothing_is_lost(&self, now: u64, queues: &Queues) -> Checked {
        let dead: BTreeSet<usize> =
            queues.dead_bodies().map(|body| body.parse().expect("bodies are numbers")).collect();
        for (index, message) in self.messages.iter().enumerate() {
            if message.sent && !message.took_effect && !dead.contains(&index) {
                return Err(Violation {
                    check: Check::NothingIsLost,
                    at: now,
                    worker: None,
                    message: Some(index),
                    what: format!("message {index} has vanished without effect"),
                });
            }
        }
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "reads as a statement about the ledger")]
    fn holds(&self, condition: bool, message: Option<usize>, what: impl Text) -> Checked {
        if condition {
            return Ok(());
        }
        Err(Violation {
            check: Check::NothingIsLost,
            at: 0,
            worker: None,
            message,
            what: what.text(),
        })
    }
}

trait Text {
    fn text(self) -> String;
}

impl Text for &str {
    fn text(self) -> String {
        self.to_owned()
    }
}

impl<F: FnOnce() -> String> Text for F {
    fn text(self) -> String {
        self()
    }
}
