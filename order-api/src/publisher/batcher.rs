//! Which orders go into which call, and when. Pure: it is told the time and what has become of calls.
//!
//! - With no call under way an order is sent at once. While one is, orders gather for the next; it
//!   begins when the last one to end has ended, when as many wait as a call takes, or when the linger
//!   has passed since a call began, whichever is first. So little load costs no delay, whatever SQS
//!   takes to answer, and much load costs few calls.
//! - Of a group in which the order counts, what waits goes into one call, in its order, and the next
//!   one begins when that call has ended. Groups do not wait for each other.
//! - A batch that SQS refuses as a whole is sent again one by one, so that one message that it does not
//!   take fails no other. One that it refuses by name is not: it would be refused again. A message
//!   that fails alone for a moment is tried again, unless a later one of its group is in the queue
//!   by then.
//! - What nobody waits for any more is not sent.

use super::{Confirmed, PublishError};
use crate::body::LARGEST;
use foldhash::fast::RandomState;
use rand::{RngExt, rngs::SmallRng};
use sqs_consumer::QueueError;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Times that a message is sent that fails alone for a moment; the caller's deadline counts as well.
const MOST_TRIES: u32 = 4;
/// Before the second one; doubles from there. Half of it is drawn.
const PAUSE: Duration = Duration::from_millis(50);

/// A quick hash, with a seed of this process's own: clients choose the groups.
type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;

/// What has to be known of an order that is to be sent.
pub(super) trait Outgoing {
    /// The group in which the order is kept; none where it does not count.
    fn group(&self) -> Option<&Arc<str>>;
    /// Bytes, as SQS counts them: body and attributes.
    fn size(&self) -> usize;
    /// Whether it was sent before, perhaps: SQS then answers with the place that it has had since.
    fn is_repeated(&self) -> bool;
    /// Takes it into a call, if anybody waits for its fate. From then on it may be in the queue.
    fn take(&self, now: Instant) -> bool;
}

/// An order in the batcher's hands, or in those of a call.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) order: T,
    arrived: Instant,
    tries: u32,
    /// To be sent in a call of its own.
    alone: bool,
}

/// What has become of a call.
#[derive(Debug)]
pub(super) enum Answer {
    /// SQS has told about each message.
    Each(Vec<Result<Confirmed, PublishError>>),
    /// It has refused the call, or did not answer it.
    Failed(PublishError),
}

/// An order and what is known of it.
pub(super) type Fate<T> = (T, Result<Confirmed, PublishError>);

/// Of the calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Calls under way at once.
    pub(super) calls: usize,
    /// Messages in a call.
    pub(super) batch: usize,
    /// Between the beginnings of calls that are not full, while one is under way.
    pub(super) linger: Duration,
}

#[derive(Debug)]
pub(super) struct Batcher<T> {
    bounds: Bounds,
    calls: usize,
    /// When the last call began.
    began: Option<Instant>,
    /// What may be sent now, in turn.
    ready: VecDeque<Ready<T>>,
    /// Messages and bytes in all that is ready.
    waiting: Load,
    /// What failed for a moment, until it is tried again.
    resting: BTreeMap<(Instant, u64), Ready<T>>,
    rests: u64,
    lanes: HashMap<Arc<str>, Lane<T>>,
    random: SmallRng,
}

#[derive(Debug)]
enum Ready<T> {
    One(Entry<T>),
    Lane(Arc<str>),
}

/// What waits of a group.
#[derive(Debug)]
struct Lane<T> {
    entries: VecDeque<Entry<T>>,
    load: Load,
    is_ready: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    messages: usize,
    bytes: usize,
}

impl<T: Outgoing> Batcher<T> {
    pub(super) fn new(bounds: Bounds, random: SmallRng) -> Self {
        Self {
            bounds,
            calls: 0,
            began: None,
            ready: VecDeque::new(),
            waiting: Load::default(),
            resting: BTreeMap::new(),
            rests: 0,
            lanes: HashMap::default(),
            random,
        }
    }

    /// Takes an order in. Those of a group are sent in the order of these calls.
    pub(super) fn push(&mut self, now: Instant, order: T) {
        let entry = Entry { order, arrived: now, tries: 0, alone: false };
        let size = entry.order.size();
        let Some(group) = entry.order.group().cloned() else {
            self.waiting.add(size);
            self.ready.push_back(Ready::One(entry));
            return;
        };
        let lane = self.lanes.entry(group.clone()).or_insert_with(|| {
            self.ready.push_back(Ready::Lane(group));
            Lane { is_ready: true, ..Lane::default() }
        });
        lane.entries.push_back(entry);
        lane.load.add(size);
        if lane.is_ready {
            self.waiting.add(size);
        }
    }

    /// The next call to be made now, if any; to be asked again until there is none.
    pub(super) fn next_call(&mut self, now: Instant) -> Option<Vec<Entry<T>>> {
        while let Some(rest) = self.resting.first_entry().filter(|rest| rest.key().0 <= now) {
            let ready = rest.remove();
            self.is_ready(ready);
        }
        while self.calls < self.bounds.calls && self.begins_at()? <= now {
            let entries = self.fill(now);
            if !entries.is_empty() {
                self.calls += 1;
                self.began = Some(now);
                return Some(entries);
            }
        }
        None
    }

    /// When [`next_call`](Self::next_call) is to be asked again, if nothing else happens.
    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        let next = self.begins_at().filter(|_| self.calls < self.bounds.calls);
        let rested = self.resting.first_key_value().map(|((until, _), _)| *until);
        next.into_iter().chain(rested).min()
    }

    /// A call has ended: what of its orders is decided now. The others are sent again.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        entries: Vec<Entry<T>>,
        answer: Answer,
    ) -> Vec<Fate<T>> {
        self.calls -= 1;
        let batch = entries.len();
        let groups: Vec<_> = entries.iter().filter_map(|e| e.order.group().cloned()).collect();
        let (results, as_a_whole) = match answer {
            Answer::Each(results) => (results, false),
            // Nobody knows of which message SQS speaks.
            Answer::Failed(PublishError::Refused(QueueError::Rejected(error))) => {
                (vec![Err(PublishError::Refused(QueueError::Rejected(error))); batch], true)
            }
            Answer::Failed(error) => {
                self.lanes_go_on(now, groups, Vec::new());
                return entries.into_iter().map(|e| (e.order, Err(error.clone()))).collect();
            }
        };
        let (mut fates, mut again) = (Vec::with_capacity(batch), Vec::new());
        // From the last to the first: what counts is whether a later one of the group has got in.
        let mut first_in_queue: HashMap<Arc<str>, Option<u128>> = HashMap::default();
        for (mut entry, result) in entries.into_iter().zip(results).rev() {
            let later = entry.order.group().and_then(|group| first_in_queue.get(group));
            let may_go_again = later.is_none();
            match result {
                Ok(Confirmed { sequence: Some(sequence), .. })
                    if later.copied().flatten().is_some_and(|later| sequence > later) =>
                {
                    // A call that the SDK tried again can put the earlier one behind the later one.
                    fates.push((entry.order, Err(PublishError::Unconfirmed)));
                }
                Ok(confirmed) => {
                    if let Some(group) = entry.order.group() {
                        // The place of one that has been there before says nothing of those beside it.
                        let sequence = confirmed.sequence.filter(|_| !entry.order.is_repeated());
                        let first = first_in_queue.entry(group.clone()).or_default();
                        *first = sequence.or(*first);
                    }
                    fates.push((entry.order, Ok(confirmed)));
                }
                Err(PublishError::Refused(QueueError::Rejected(_))) if as_a_whole && batch > 1 => {
                    entry.alone = true;
                    again.push(entry);
                }
                Err(PublishError::Refused(
                    QueueError::Throttled(_) | QueueError::Unavailable(_),
                )) if batch > 1 && may_go_again && entry.tries + 1 < MOST_TRIES => {
                    entry.tries += 1;
                    again.push(entry);
                }
                Err(error) => fates.push((entry.order, Err(error))),
            }
        }
        fates.reverse();
        self.lanes_go_on(now, groups, again);
        fates
    }

    /// The groups of a call may go on, with what is sent again first; `again` begins with the last.
    fn lanes_go_on(&mut self, now: Instant, mut groups: Vec<Arc<str>>, again: Vec<Entry<T>>) {
        let mut rests: HashMap<Arc<str>, u32> = HashMap::default();
        for entry in again {
            let Some(group) = entry.order.group().cloned() else {
                let tries = entry.tries;
                self.rest(now, tries, Ready::One(entry));
                continue;
            };
            let rest = rests.entry(group.clone()).or_default();
            *rest = entry.tries.max(*rest);
            let lane = self.lanes.get_mut(&group).expect("a group under way has a lane");
            lane.load.add(entry.order.size());
            lane.entries.push_front(entry);
        }
        groups.dedup();
        for group in groups {
            let tries = rests.get(&group).copied().unwrap_or_default();
            if self.lanes[&group].entries.is_empty() {
                self.lanes.remove(&group);
            } else {
                self.rest(now, tries, Ready::Lane(group));
            }
        }
    }

    fn rest(&mut self, now: Instant, tries: u32, ready: Ready<T>) {
        if tries == 0 {
            self.is_ready(ready);
            return;
        }
        let pause = PAUSE * 2_u32.pow(tries - 1);
        let until = now + pause.mul_f64(self.random.random_range(0.5..=1.0));
        self.rests += 1;
        self.resting.insert((until, self.rests), ready);
    }

    fn is_ready(&mut self, ready: Ready<T>) {
        match &ready {
            Ready::One(entry) => self.waiting.add(entry.order.size()),
            Ready::Lane(group) => {
                let lane = self.lanes.get_mut(group).expect("only lanes get ready");
                lane.is_ready = true;
                self.waiting.add_all(lane.load);
            }
        }
        self.ready.push_back(ready);
    }

    /// When the next call may begin, by what is ready.
    fn begins_at(&self) -> Option<Instant> {
        let first = match self.ready.front()? {
            Ready::One(entry) => entry,
            Ready::Lane(group) => self.lanes[group].entries.front().expect("lanes are not empty"),
        };
        let full = self.waiting.messages >= self.bounds.batch || self.waiting.bytes >= LARGEST;
        let company = self.began.filter(|_| self.calls > 0 && !full);
        Some(company.map_or(first.arrived, |began| {
            // What the last call had no room for does not wait longer for that.
            first.arrived.max(began.min(first.arrived) + self.bounds.linger)
        }))
    }

    /// As many messages as a call takes, of those whose turn it is.
    fn fill(&mut self, now: Instant) -> Vec<Entry<T>> {
        let mut call = Filling { most: self.bounds.batch, entries: Vec::new(), bytes: 0 };
        while let Some(ready) = self.ready.pop_front() {
            match ready {
                Ready::One(entry) if call.takes(&entry) => {
                    self.waiting.remove(entry.order.size());
                    if entry.order.take(now) {
                        call.add(entry);
                    }
                }
                Ready::Lane(group) if self.fill_from(&mut call, now, &group) => {}
                ready => {
                    self.ready.push_front(ready);
                    break;
                }
            }
        }
        call.entries
    }

    /// Whether nothing more of the lane is to be thought of now: it is under way, or gone.
    fn fill_from(&mut self, call: &mut Filling<T>, now: Instant, group: &Arc<str>) -> bool {
        let lane = self.lanes.get_mut(group).expect("only lanes are ready");
        let before = call.entries.len();
        while let Some(entry) = lane.entries.pop_front() {
            let size = entry.order.size();
            if !call.takes(&entry) {
                lane.entries.push_front(entry);
                break;
            }
            self.waiting.remove(size);
            lane.load.remove(size);
            if entry.order.take(now) {
                call.add(entry);
            }
        }
        if call.entries.len() > before {
            lane.is_ready = false;
            self.waiting.remove_all(lane.load);
            return true;
        }
        if lane.entries.is_empty() {
            self.lanes.remove(group);
            return true;
        }
        false
    }
}

/// A call that is being put together.
struct Filling<T> {
    most: usize,
    entries: Vec<Entry<T>>,
    bytes: usize,
}

impl<T: Outgoing> Filling<T> {
    fn takes(&self, entry: &Entry<T>) -> bool {
        let Some(first) = self.entries.first() else { return true };
        self.entries.len() < self.most
            && self.bytes + entry.order.size() <= LARGEST
            && !first.alone
            && !entry.alone
    }

    fn add(&mut self, entry: Entry<T>) {
        self.bytes += entry.order.size();
        self.entries.push(entry);
    }
}

impl Load {
    fn add(&mut self, bytes: usize) {
        self.add_all(Self { messages: 1, bytes });
    }

    fn remove(&mut self, bytes: usize) {
        self.remove_all(Self { messages: 1, bytes });
    }

    fn add_all(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }

    fn remove_all(&mut self, other: Self) {
        self.messages -= other.messages;
        self.bytes -= other.bytes;
    }
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), load: Load::default(), is_ready: false }
    }
}

#[cfg(test)]
mod tests;
