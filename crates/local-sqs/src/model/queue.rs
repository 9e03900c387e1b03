//! One queue: its messages and the indexes that keep every operation's cost flat.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::attempts::Attempts;
use super::attributes::Attributes;
use super::dedup::Deduplication;
use super::fifo::Groups;
use super::message::{Message, MessageState, Seq};
use super::moves::MoveTask;
use super::standard::Lanes;
use super::time::Millis;

/// A queue. Each message is in `messages`, in `by_age`, and in exactly one of: `in_flight`, `delayed`,
/// or visible according to `turns`.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    /// Tells this queue from an earlier one of the same name.
    pub(super) incarnation: u64,
    pub(super) attributes: Attributes,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) created: Millis,
    pub(super) modified: Millis,
    pub(super) purged: Option<Millis>,
    pub(super) messages: BTreeMap<Seq, Message>,
    pub(super) deduplication: Deduplication,
    /// Until when an earlier DeduplicationScope still holds, and whether that is the message group.
    pub(super) scope_until: Option<(bool, Millis)>,
    pub(super) attempts: Attempts,
    pub(super) moves: VecDeque<MoveTask>,
    turns: Turns,
    /// By the end of the visibility timeout.
    in_flight: BTreeSet<(Millis, Seq)>,
    /// By the end of the delay.
    delayed: BTreeSet<(Millis, Seq)>,
    by_age: BTreeSet<(Millis, Seq)>,
    next_seq: Seq,
    next_receive: u64,
    /// Whether a receive found the in-flight limit reached; then every message that leaves flight
    /// makes others receivable.
    limit_reached: bool,
    /// Whether a message became receivable since this was last asked.
    became_receivable: bool,
    /// The deadline that the model's index has for this queue.
    pub(super) indexed_deadline: Option<Millis>,
}

#[derive(Debug, Clone)]
enum Turns {
    Standard(Lanes),
    Fifo(Groups),
}

impl Queue {
    pub(super) fn new(incarnation: u64, attributes: Attributes, now: Millis) -> Self {
        let turns = if attributes.fifo {
            Turns::Fifo(Groups::default())
        } else {
            Turns::Standard(Lanes::default())
        };
        Self {
            incarnation,
            attributes,
            tags: BTreeMap::new(),
            created: now,
            modified: now,
            purged: None,
            messages: BTreeMap::new(),
            deduplication: Deduplication::default(),
            scope_until: None,
            attempts: Attempts::default(),
            moves: VecDeque::new(),
            turns,
            in_flight: BTreeSet::new(),
            delayed: BTreeSet::new(),
            by_age: BTreeSet::new(),
            next_seq: 1,
            next_receive: 1,
            limit_reached: false,
            became_receivable: false,
            indexed_deadline: None,
        }
    }

    pub(super) const fn is_fifo(&self) -> bool {
        self.attributes.fifo
    }

    /// Whether deduplication ids are those of a message group, or else of the queue.
    pub(super) fn deduplicates_per_group(&self, now: Millis) -> bool {
        match self.scope_until {
            Some((per_group, until)) if now < until => per_group,
            _ => self.attributes.deduplication_per_group,
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn delayed(&self) -> usize {
        self.delayed.len()
    }

    pub(super) fn visible(&self) -> usize {
        self.messages.len() - self.in_flight.len() - self.delayed.len()
    }

    /// Takes a message in; its state says how it enters.
    pub(super) fn add(&mut self, mut message: Message, group: Option<&str>) -> Seq {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.by_age.insert((message.enqueued, seq));
        message.place = match &mut self.turns {
            Turns::Standard(lanes) => lanes.join(group),
            // Sends to a FIFO queue without a group are refused.
            Turns::Fifo(groups) => groups.join(group.unwrap_or_default()),
        };
        self.messages.insert(seq, message);
        self.enter(seq);
        seq
    }

    pub(super) fn remove(&mut self, seq: Seq) -> Option<Message> {
        self.leave(seq);
        let message = self.messages.remove(&seq)?;
        self.by_age.remove(&(message.enqueued, seq));
        match &mut self.turns {
            Turns::Standard(lanes) => lanes.leave(message.place),
            Turns::Fifo(groups) => self.became_receivable |= groups.remove(message.place, seq),
        }
        Some(message)
    }

    /// Takes a message out, to be put into another queue, with its group.
    pub(super) fn take_out(&mut self, seq: Seq) -> Option<(Message, Option<Arc<str>>)> {
        let group = self.group_of(self.messages.get(&seq)?).cloned();
        Some((self.remove(seq)?, group))
    }

    pub(super) fn group_of(&self, message: &Message) -> Option<&Arc<str>> {
        match &self.turns {
            Turns::Standard(lanes) => lanes.name(message.place),
            Turns::Fifo(groups) => Some(groups.name(message.place)),
        }
    }

    pub(super) fn set_state(&mut self, seq: Seq, state: MessageState) {
        self.leave(seq);
        if let Some(message) = self.messages.get_mut(&seq) {
            message.state = state;
            self.enter(seq);
        }
    }

    /// Makes a received message visible again in the turn that it had: as if it had not been received,
    /// or because its visibility timeout is over. What is released goes to the end instead.
    pub(super) fn restore_turn(&mut self, seq: Seq) {
        self.leave(seq);
        let Some(message) = self.messages.get_mut(&seq) else {
            return;
        };
        message.state = MessageState::Visible;
        match &mut self.turns {
            Turns::Standard(lanes) => {
                lanes.put(message.place, seq, message.turn);
                self.became_receivable = true;
            }
            Turns::Fifo(_) => self.enter(seq),
        }
    }

    pub(super) const fn note_limit_reached(&mut self) {
        self.limit_reached = true;
    }

    pub(super) const fn next_receive_number(&mut self) -> u64 {
        let number = self.next_receive;
        self.next_receive += 1;
        number
    }

    /// The messages to receive next, at most `limit`; empty only when none can be received.
    /// Messages of a FIFO queue come from one group, those of a standard queue one by one
    /// because each receive can change the turn.
    pub(super) fn next_run(&mut self, limit: usize) -> Vec<Seq> {
        match &mut self.turns {
            Turns::Standard(lanes) => lanes.first().into_iter().take(limit).collect(),
            Turns::Fifo(groups) => groups.next_run(limit),
        }
    }

    /// The groups of a FIFO queue that can be served, in turn.
    pub(super) fn groups_in_turn(&self) -> impl Iterator<Item = &Arc<str>> {
        let fifo = match &self.turns {
            Turns::Standard(_) => None,
            Turns::Fifo(groups) => Some(groups.in_turn()),
        };
        fifo.into_iter().flatten()
    }

    pub(super) fn has_receivable(&self) -> bool {
        match &self.turns {
            Turns::Standard(lanes) => !lanes.is_empty(),
            Turns::Fifo(groups) => groups.has_servable(),
        }
    }

    /// Forgets every message, and that it was ever sent or received.
    pub(super) fn clear(&mut self) {
        let fresh = Self::new(self.incarnation, self.attributes.clone(), self.created);
        self.messages = fresh.messages;
        self.turns = fresh.turns;
        self.in_flight = fresh.in_flight;
        self.delayed = fresh.delayed;
        self.by_age = fresh.by_age;
        self.attempts = fresh.attempts;
        self.deduplication = fresh.deduplication;
    }

    /// A FIFO queue's delay holds for the messages already waiting, so its change moves their times.
    pub(super) fn apply_changed_delay(&mut self) {
        if !self.is_fifo() {
            return;
        }
        for (_, seq) in std::mem::take(&mut self.delayed) {
            if let Some(message) = self.messages.get_mut(&seq) {
                let until = message.enqueued + self.attributes.delay();
                message.state = MessageState::Delayed { until };
                self.delayed.insert((until, seq));
            }
        }
    }

    /// Lets time pass: retention, visibility timeouts and delays that end by `now`.
    pub(super) fn advance(&mut self, now: Millis) {
        self.deduplication.advance(now);
        self.attempts.advance(now);
        let retention = self.attributes.retention();
        while let Some((enqueued, seq)) = self.by_age.first().copied()
            && enqueued + retention <= now
        {
            self.remove(seq);
        }
        while let Some((until, seq)) = self.in_flight.first().copied()
            && until <= now
        {
            if let Some(message) = self.messages.get_mut(&seq) {
                // A timeout of zero is a release.
                message.released =
                    matches!(message.state, MessageState::InFlight { since, .. } if since == until);
            }
            self.restore_turn(seq);
        }
        while let Some((until, seq)) = self.delayed.first().copied()
            && until <= now
        {
            self.set_state(seq, MessageState::Visible);
        }
    }

    /// When something here changes by itself.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        let retention = self.attributes.retention();
        [
            self.in_flight.first().map(|(until, _)| *until),
            self.delayed.first().map(|(until, _)| *until),
            self.by_age.first().map(|(enqueued, _)| *enqueued + retention),
            self.moves.back().and_then(MoveTask::next_step),
            self.deduplication.next_end(),
            self.attempts.next_end(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) const fn take_became_receivable(&mut self) -> bool {
        std::mem::replace(&mut self.became_receivable, false)
    }

    /// Takes a message out of the indexes of its state.
    fn leave(&mut self, seq: Seq) {
        let Some(message) = self.messages.get(&seq) else {
            return;
        };
        match message.state {
            MessageState::Visible => {
                if let Turns::Standard(lanes) = &mut self.turns {
                    lanes.take(message.place, message.turn);
                }
            }
            MessageState::Delayed { until } => {
                self.delayed.remove(&(until, seq));
            }
            MessageState::InFlight { until, .. } => {
                self.in_flight.remove(&(until, seq));
                self.became_receivable |= std::mem::take(&mut self.limit_reached);
                if let Turns::Standard(lanes) = &mut self.turns {
                    lanes.count_in_flight(message.place, false);
                }
            }
        }
    }

    /// Puts a message into the indexes of its state.
    fn enter(&mut self, seq: Seq) {
        let Some(message) = self.messages.get_mut(&seq) else {
            return;
        };
        let visible = message.state == MessageState::Visible;
        match message.state {
            MessageState::Visible => {}
            MessageState::Delayed { until } => {
                self.delayed.insert((until, seq));
            }
            MessageState::InFlight { until, .. } => {
                self.in_flight.insert((until, seq));
            }
        }
        match &mut self.turns {
            Turns::Standard(lanes) => match message.state {
                MessageState::Visible => {
                    message.turn = lanes.push(message.place, seq);
                    self.became_receivable = true;
                }
                MessageState::InFlight { .. } => {
                    lanes.count_in_flight(message.place, true);
                }
                MessageState::Delayed { .. } => {}
            },
            Turns::Fifo(groups) => {
                self.became_receivable |= groups.set(message.place, seq, visible);
            }
        }
    }
}

/// A message's SequenceNumber: 20 digits, increasing within its queue, not consecutive.
pub(super) fn sequence_number(seq: Seq) -> String {
    const FIRST: u64 = 10_000_000_000_000_000_000;
    const STEP: u64 = 256;
    (FIRST + seq * STEP).to_string()
}

/// The exact numbers of a queue's messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Neither delayed nor in flight; ApproximateNumberOfMessages.
    pub visible: usize,
    /// Received and not yet deleted; ApproximateNumberOfMessagesNotVisible.
    pub in_flight: usize,
    /// Not yet visible for the first time; ApproximateNumberOfMessagesDelayed.
    pub delayed: usize,
}

/// A message as a test or a simulation sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// The MessageId.
    pub message_id: String,
    /// The body.
    pub body: String,
    /// The MessageGroupId.
    pub group: Option<Arc<str>>,
    /// Where in its life it is.
    pub state: MessageState,
    /// Receives in all queues.
    pub receive_count: u32,
    /// When it was sent.
    pub enqueued: Millis,
    /// When it was first received in any queue.
    pub first_received: Option<Millis>,
    /// ARN of the queue that it was dead-lettered from.
    pub dead_letter_source: Option<Arc<str>>,
}

/// A message group of a queue as a test or a simulation sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupView {
    /// The numbers of its messages.
    pub counts: QueueCounts,
    /// Whether a FIFO queue would serve it now: its first message is visible. Groups of a standard
    /// queue are served as soon as they have a visible message.
    pub servable: bool,
}
