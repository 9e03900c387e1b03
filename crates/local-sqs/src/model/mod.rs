//! SQS as a pure state machine.
//!
//! [`Sqs`] holds queues and answers typed requests. It reads no clock and does no I/O: each call is
//! handed the time, and all randomness comes from a seed, so a run can be repeated exactly. It is cheap
//! enough to clone, which makes it an oracle for simulations.
//!
//! What a server needs beyond request and answer:
//! - [`Sqs::next_deadline`] tells when something changes by itself (a visibility timeout, a delay,
//!   retention, a message move). Call [`Sqs::advance`] then; every request does so too.
//! - [`Sqs::take_awakened`] tells which queues got something to receive, so that long polls wait without
//!   polling.
//! - [`Sqs::give_back`] undoes a receive whose receiver has gone.
//!
//! No operation's cost grows with a queue's backlog or its number of message groups beyond a logarithm.
//! The exceptions are administrative: a purge, a deletion, and a change of a FIFO queue's delay.

mod admin;
pub mod api;
mod attempts;
mod attributes;
mod checksum;
mod dedup;
mod error;
mod fifo;
mod groups;
mod handle;
mod identity;
mod limits;
mod line;
mod message;
mod moves;
mod permissions;
mod policy;
mod queue;
mod receive;
mod redrive;
mod seeded;
mod send;
mod settle;
mod standard;
mod time;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{BatchResultErrorEntry, Empty, Request, Response};
pub use error::{ApiError, ErrorKind};
pub use limits::Limits;
pub use message::MessageState;
use queue::Queue;
pub use queue::{GroupView, MessageView, QueueCounts};
pub use receive::{Lease, Received};
pub(crate) use seeded::Seeded;
pub use time::Millis;

/// Says whether an entry of a batch, by its position, is to fail, and with what.
pub type EntryFails<'a> = &'a mut dyn FnMut(usize) -> Option<ApiError>;

/// What a model is made with.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    /// The account in queue URLs and ARNs.
    pub account: String,
    /// The region in ARNs.
    pub region: String,
    /// Where ids come from.
    pub seed: u64,
    /// Limits and fixed times.
    pub limits: Limits,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            seed: 0,
            limits: Limits::default(),
        }
    }
}

/// All queues of one account in one region.
#[derive(Debug, Clone)]
pub struct Sqs {
    account: String,
    region: String,
    limits: Limits,
    random: Seeded,
    /// The latest time that was handed in; time does not go back.
    now: Millis,
    queues: BTreeMap<Arc<str>, Queue>,
    /// When each queue next changes by itself.
    deadlines: BTreeSet<(Millis, Arc<str>)>,
    awakened: BTreeSet<Arc<str>>,
    /// When names were freed.
    deleted: BTreeMap<Arc<str>, Millis>,
}

impl Sqs {
    /// A model without queues.
    pub fn new(settings: ModelSettings) -> Self {
        Self {
            account: settings.account,
            region: settings.region,
            limits: settings.limits,
            random: Seeded::new(settings.seed),
            now: Millis::default(),
            queues: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            awakened: BTreeSet::new(),
            deleted: BTreeMap::new(),
        }
    }

    /// Answers a request of any operation; a receive as a short poll.
    pub fn apply(&mut self, now: Millis, request: Request) -> Result<Response, ApiError> {
        self.apply_with(now, request, &mut |_| None)
    }

    /// The same, where entries of a batch may fail for reasons that are not the model's, as they do on
    /// AWS: `fails` is asked for each entry of a batch by its position, and an entry that it has an
    /// error for has no effect and is answered with that.
    pub fn apply_with(
        &mut self,
        now: Millis,
        request: Request,
        fails: EntryFails<'_>,
    ) -> Result<Response, ApiError> {
        let done = |()| Empty {};
        Ok(match request {
            Request::AddPermission(r) => {
                Response::AddPermission(self.add_permission(now, &r).map(done)?)
            }
            Request::CancelMessageMoveTask(r) => {
                Response::CancelMessageMoveTask(self.cancel_message_move_task(now, &r)?)
            }
            Request::ChangeMessageVisibility(r) => Response::ChangeMessageVisibility(
                self.change_message_visibility(now, &r).map(done)?,
            ),
            Request::ChangeMessageVisibilityBatch(r) => Response::ChangeMessageVisibilityBatch(
                self.change_message_visibility_batch_with(now, r, fails)?,
            ),
            Request::CreateQueue(r) => Response::CreateQueue(self.create_queue(now, r)?),
            Request::DeleteMessage(r) => {
                Response::DeleteMessage(self.delete_message(now, &r).map(done)?)
            }
            Request::DeleteMessageBatch(r) => {
                Response::DeleteMessageBatch(self.delete_message_batch_with(now, r, fails)?)
            }
            Request::DeleteQueue(r) => {
                Response::DeleteQueue(self.delete_queue(now, &r.queue_url).map(done)?)
            }
            Request::GetQueueAttributes(r) => {
                Response::GetQueueAttributes(self.get_queue_attributes(now, &r)?)
            }
            Request::GetQueueUrl(r) => Response::GetQueueUrl(self.get_queue_url(now, &r)?),
            Request::ListDeadLetterSourceQueues(r) => {
                Response::ListDeadLetterSourceQueues(self.list_dead_letter_source_queues(now, &r)?)
            }
            Request::ListMessageMoveTasks(r) => {
                Response::ListMessageMoveTasks(self.list_message_move_tasks(now, &r)?)
            }
            Request::ListQueues(r) => Response::ListQueues(self.list_queues(now, &r)?),
            Request::ListQueueTags(r) => {
                Response::ListQueueTags(self.list_queue_tags(now, &r.queue_url)?)
            }
            Request::PurgeQueue(r) => {
                Response::PurgeQueue(self.purge_queue(now, &r.queue_url).map(done)?)
            }
            Request::ReceiveMessage(r) => {
                Response::ReceiveMessage(self.receive_message(now, &r)?.result)
            }
            Request::RemovePermission(r) => {
                Response::RemovePermission(self.remove_permission(now, &r).map(done)?)
            }
            Request::SendMessage(r) => Response::SendMessage(self.send_message(now, r)?),
            Request::SendMessageBatch(r) => {
                Response::SendMessageBatch(self.send_message_batch_with(now, r, fails)?)
            }
            Request::SetQueueAttributes(r) => {
                Response::SetQueueAttributes(self.set_queue_attributes(now, &r).map(done)?)
            }
            Request::StartMessageMoveTask(r) => {
                Response::StartMessageMoveTask(self.start_message_move_task(now, r)?)
            }
            Request::TagQueue(r) => Response::TagQueue(self.tag_queue(now, r).map(done)?),
            Request::UntagQueue(r) => Response::UntagQueue(self.untag_queue(now, &r).map(done)?),
        })
    }

    /// Lets time pass until `now`: whatever ends by then has ended afterwards.
    pub fn advance(&mut self, now: Millis) {
        self.now = self.now.max(now);
        while let Some((deadline, name)) = self.deadlines.first().cloned()
            && deadline <= self.now
        {
            if let Some(queue) = self.queues.get_mut(&name) {
                queue.advance(self.now);
            }
            self.run_move_task(&name);
            self.close(&name);
        }
    }

    /// When something next changes by itself. `None` when nothing does.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The queues in which a message became receivable since this was last asked, or that are gone.
    pub fn take_awakened(&mut self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.awakened)
    }

    /// The names of all queues, in order.
    pub fn queue_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.queues.keys()
    }

    /// The name of the queue that a queue URL means: its last two path segments are account and name.
    /// As on AWS a bare name does as well.
    pub fn queue_name(&self, queue_url: &str) -> Result<Arc<str>, ApiError> {
        if queue_url.is_empty() {
            return Err(ApiError::missing("QueueUrl"));
        }
        if let Some((_, rest)) = queue_url.split_once("://")
            && rest.trim_end_matches('/').split('/').count() < 3
        {
            return Err(ApiError::new(
                ErrorKind::InvalidAddress,
                format!("The address {queue_url} is not valid for this endpoint."),
            ));
        }
        let mut segments = queue_url.trim_end_matches('/').rsplit('/');
        let (name, account) = (segments.next(), segments.next());
        name.filter(|_| account.is_none_or(|account| account == self.account))
            .and_then(|name| self.queues.get_key_value(name))
            .map(|(name, _)| Arc::clone(name))
            .ok_or_else(ApiError::queue_does_not_exist)
    }

    /// The numbers of a queue's messages as of the last call, exact. `None` when there is no such queue.
    pub fn counts(&self, name: &str) -> Option<QueueCounts> {
        self.queues.get(name).map(|queue| QueueCounts {
            visible: queue.visible(),
            in_flight: queue.in_flight(),
            delayed: queue.delayed(),
        })
    }

    /// Whether a receive from the queue would find a message as of the last call.
    pub fn has_receivable(&self, name: &str) -> bool {
        self.queues.get(name).is_some_and(Queue::has_receivable)
    }

    /// The messages of a queue in the order in which they came, for observation.
    pub fn messages(&self, name: &str) -> impl Iterator<Item = MessageView> {
        let queue = self.queues.get(name).into_iter();
        let messages = queue.flat_map(|q| q.messages.values().map(move |message| (q, message)));
        messages.map(|(queue, message)| MessageView {
            message_id: message.id.to_string(),
            body: message.content.body.clone(),
            group: queue.group_of(message).cloned(),
            state: message.state,
            receive_count: message.receive_count,
            enqueued: message.enqueued,
            first_received: message.first_received,
            dead_letter_source: message.dead_letter_source.clone(),
        })
    }

    /// The message groups of a queue by name, for observation. Messages without a group are in none.
    pub fn groups(&self, name: &str) -> BTreeMap<Arc<str>, GroupView> {
        let mut groups = BTreeMap::<Arc<str>, GroupView>::new();
        let Some(queue) = self.queues.get(name) else {
            return groups;
        };
        for message in queue.messages.values() {
            let Some(name) = queue.group_of(message) else { continue };
            let visible = message.state == MessageState::Visible;
            let group = groups.entry(Arc::clone(name)).or_insert_with(|| GroupView {
                // In a FIFO queue the first message that is met decides.
                servable: visible,
                ..GroupView::default()
            });
            group.servable |= visible && !queue.is_fifo();
            match message.state {
                MessageState::Visible => group.counts.visible += 1,
                MessageState::InFlight { .. } => group.counts.in_flight += 1,
                MessageState::Delayed { .. } => group.counts.delayed += 1,
            }
        }
        groups
    }

    /// The ARN of a queue of this account.
    pub fn arn(&self, name: &str) -> String {
        format!("arn:aws:sqs:{}:{}:{name}", self.region, self.account)
    }

    /// The path of a queue's URL.
    fn path(&self, name: &str) -> String {
        format!("/{}/{name}", self.account)
    }

    /// Begins an operation on a queue: lets time pass and finds it.
    fn open(&mut self, now: Millis, queue_url: &str) -> Result<Arc<str>, ApiError> {
        self.advance(now);
        self.queue_name(queue_url)
    }

    /// Ends an operation on a queue: notes its next deadline and whether it has something new.
    fn close(&mut self, name: &Arc<str>) {
        let Some(queue) = self.queues.get_mut(name) else {
            return;
        };
        let deadline = queue.next_deadline();
        if deadline != queue.indexed_deadline {
            if let Some(old) = queue.indexed_deadline {
                self.deadlines.remove(&(old, Arc::clone(name)));
            }
            if let Some(new) = deadline {
                self.deadlines.insert((new, Arc::clone(name)));
            }
            queue.indexed_deadline = deadline;
        }
        if queue.take_became_receivable() {
            self.awakened.insert(Arc::clone(name));
        }
    }

    fn queue(&self, queue_url: &str) -> Result<&Queue, ApiError> {
        let name = self.queue_name(queue_url)?;
        self.queues.get(&name).ok_or_else(ApiError::queue_does_not_exist)
    }
}

/// Settles each entry of a batch by itself.
fn settle_entries<E, T>(
    entries: Vec<E>,
    fails: EntryFails<'_>,
    id: impl Fn(&E) -> String,
    mut settle: impl FnMut(E) -> Result<T, ApiError>,
) -> api::BatchResult<T> {
    let mut result = api::BatchResult::default();
    for (position, entry) in entries.into_iter().enumerate() {
        let id = id(&entry);
        let settled = match fails(position) {
            Some(error) => Err(error),
            None => settle(entry),
        };
        match settled {
            Ok(done) => result.successful.push(done),
            Err(error) => result.failed.push(failed_entry(id, error)),
        }
    }
    result
}

fn failed_entry(id: String, error: ApiError) -> BatchResultErrorEntry {
    BatchResultErrorEntry {
        id,
        sender_fault: error.kind.sender_fault(),
        code: error.kind.query_code().to_owned(),
        message: error.message,
    }
}
