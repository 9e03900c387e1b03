//! Carries out what a plan asks for: the calls to SQS and to the store.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::Timestamp;
use order_events::OrderEvent;
use order_store::{
    Archived, Checkpoint, DeadLetter, DeadLetterFilter, DeadLetterState, Job, JobKind, JobMethod,
    JobState, Mark, Marked, Newer, Progress, Store, StoreError,
};
use sqs_consumer::{
    Message, Queue as _, QueueError, ReceiptHandle, ReceiveRequest,
    aws::{AwsQueue, Connection, Outgoing},
};
use tokio::sync::MutexGuard;
use tracing::warn;

use super::{
    known::{self, moved_of},
    plan::{Action, Event, Fate, Found, MarkedAs, Saved, Standing, Terms, Timing, Write},
    request::JobRequest,
    told::tell,
};
use crate::{
    keeper::Keeper,
    letter::{WRITTEN_BY_WORKERS, attributes_json},
    metrics::{Counts, Redriven},
    observe, overtaken,
    queues::DeadLetterQueue,
    spans,
};

/// Long polls ask every one of SQS's servers.
const RECEIVE_WAIT: Duration = Duration::from_secs(1);

/// A job in this process's hands.
pub(super) struct Shell<'a> {
    pub(super) keeper: &'a Keeper,
    pub(super) connection: &'a Connection,
    pub(super) queue: &'a DeadLetterQueue,
    /// As it was last written.
    pub(super) job: Job,
    pub(super) terms: Terms,
    pub(super) filter: DeadLetterFilter,
    /// Whether what died before the job was asked for is part of it though it was not in sight.
    pub(super) goes_behind: bool,
    timing: Timing,
    /// The last receive's messages.
    batch: Vec<Message>,
    /// Behind a move task: messages that were met in this pass and are no business of the job any more.
    pub(super) staying: HashSet<String>,
    /// While messages are in hand nobody else of this process receives.
    turn: Option<MutexGuard<'a, ()>>,
}

impl<'a> Shell<'a> {
    pub(super) fn new(
        keeper: &'a Keeper,
        connection: &'a Connection,
        queue: &'a DeadLetterQueue,
        job: Job,
        request: &JobRequest,
        timing: Timing,
    ) -> Self {
        let terms = request.terms(job.kind, queue.fifo);
        let (filter, goes_behind) = (request.filter(), request.goes_behind(queue.fifo));
        let (batch, turn, staying) = (Vec::new(), None, HashSet::new());
        Self {
            keeper,
            connection,
            queue,
            job,
            terms,
            filter,
            goes_behind,
            timing,
            batch,
            staying,
            turn,
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.keeper.store
    }

    /// What comes of an action; waiting and stopping are the caller's.
    pub(super) async fn carry_out(&mut self, action: Action) -> Event {
        match action {
            Action::Receive { most, visibility } => {
                Event::Received(self.receive(most, visibility).await)
            }
            Action::LookUp => Event::LookedUp(self.look_up().await.map_err(|e| e.to_string())),
            Action::Send { entries } => Event::Sent(self.send(&entries).await),
            Action::Write(write) => Event::Saved(self.write(write).await),
            Action::Delete { entries } => Event::Deleted(self.delete(&entries).await),
            Action::Release { handles } => {
                let entries = handles.into_iter().map(|handle| (handle, Duration::ZERO)).collect();
                self.queue.queue.change_visibility(entries).await;
                self.staying.clear();
                Event::Released
            }
            Action::Count => Event::Counted(self.count().await),
            Action::CountUndeleted => {
                Event::Undeleted(self.count_undeleted().await.map_err(|error| error.to_string()))
            }
            Action::Canary => {
                let count = self.store().canary_count(self.job.id).await;
                Event::Canary(count.map_err(|error| error.to_string()))
            }
            Action::Wait { .. } | Action::Stop => {
                self.makes_room();
                Event::Woke
            }
        }
    }

    /// Notes how many messages a job that keeps order finds in the source queue: which groups they are of
    /// nobody can see. Its own copies are among those that whoever goes on with it would find.
    pub(super) async fn looks_at_source(&mut self) {
        let begins = self.job.task.is_none() && self.job.progress == Progress::default();
        let source = self.queue.source.as_ref().filter(|_| self.terms.refuses_disorder());
        let Some(source) = source.filter(|_| begins) else { return };
        let counts = observe::counts_of(self.connection, source.url()).await;
        if let Err(error) = &counts {
            warn!(job = %self.job.id, %error, "the source queue's messages are not counted");
        }
        // It is written with the first checkpoint.
        self.job.task = Some(known::in_source(counts.ok().map(Counts::total)));
    }

    /// Lets others look at the queue.
    pub(super) fn makes_room(&mut self) {
        self.turn = None;
    }

    async fn receive(&mut self, most: usize, visibility: Duration) -> Result<Vec<Found>, String> {
        self.batch.clear();
        // Who looks at the queue has it between two receives.
        self.turn = None;
        self.turn = Some(self.queue.turn_to_work().await);
        let request = ReceiveRequest { max_messages: most, wait: RECEIVE_WAIT, visibility };
        let received = self.queue.queue.receive(request).await;
        self.batch = received.map_err(|error| error.to_string())?;
        let found = self.batch.iter().map(|message| Found {
            message_id: message.message_id.clone(),
            handle: message.receipt_handle.clone(),
            group: message.group_id.clone(),
            bytes: message.bytes(),
        });
        Ok(found.collect())
    }

    async fn look_up(&mut self) -> Result<Vec<Standing>, StoreError> {
        let now = Timestamp::now();
        let known = self.keeper.look_up(self.queue.name(), &self.batch, now).await?;
        let mut standings = Vec::with_capacity(self.batch.len());
        for message in &self.batch {
            standings.push(self.standing(message, &known).await?);
        }
        if moved_of(&self.job).is_some() {
            let met = self.batch.iter().zip(&standings);
            let staying = met.filter(|(_, standing)| **standing == Standing::NotSelected);
            self.staying.extend(staying.map(|(message, _)| message.message_id.clone()));
        }
        Ok(standings)
    }

    async fn standing(
        &self,
        message: &Message,
        known: &HashMap<String, DeadLetter>,
    ) -> Result<Standing, StoreError> {
        let Some(letter) = known.get(&message.message_id) else { return Ok(Standing::NotSelected) };
        let is_part = self.part().has(letter) && self.filter.matches(letter);
        let dealt_with = letter.job.as_ref().is_some_and(|mark| mark.job_id == self.job.id);
        let may_be_sent = is_part && !dealt_with && letter.state == DeadLetterState::Dead;
        let newer = if may_be_sent { self.newer_than(message, letter).await? } else { None };
        Ok(Standing::of(letter.state, is_part, dealt_with, newer))
    }

    /// What newer message of its group is in its way, as far as the store of deliveries knows.
    async fn newer_than(
        &self,
        message: &Message,
        letter: &DeadLetter,
    ) -> Result<Option<Newer>, StoreError> {
        if !self.terms.refuses_disorder() {
            return Ok(None);
        }
        let accepted = OrderEvent::from_json(&message.body).ok().map(|order| order.timestamp);
        overtaken::newer_than(self.store(), self.queue, letter, accepted).await
    }

    async fn send(&self, entries: &[usize]) -> Vec<Fate> {
        let Some(source) = &self.queue.source else {
            let why = || Fate::Failed(format!("{} is not set", self.queue.source_setting));
            return entries.iter().map(|_| why()).collect();
        };
        let fates = self.try_to_send(source, entries).await;
        let refused = |fate: &Fate| matches!(fate, Fate::Refused(_));
        if entries.len() == 1 || !fates.iter().all(refused) {
            return fates;
        }
        // The whole call was refused, perhaps for one of them: alone, each gets what it deserves.
        let mut fates = Vec::with_capacity(entries.len());
        for entry in entries {
            fates.extend(self.try_to_send(source, &[*entry]).await);
        }
        fates
    }

    async fn try_to_send(&self, source: &AwsQueue, entries: &[usize]) -> Vec<Fate> {
        let messages = entries.iter().map(|&entry| &self.batch[entry]);
        let copies = messages.clone().map(|message| copy(message, self.terms.fifo));
        let call = source.send_batch(copies.collect());
        let results = spans::redrive(source.name(), self.job.id, messages, call).await;
        results.into_iter().map(fate).collect()
    }

    async fn delete(&self, entries: &[usize]) -> Vec<Fate> {
        let handles: Vec<ReceiptHandle> =
            entries.iter().map(|&entry| self.batch[entry].receipt_handle.clone()).collect();
        let results = self.queue.queue.delete(handles).await;
        let fates = results.into_iter().map(|result| match result {
            // Nothing about the message makes a delete fail for ever.
            Err(QueueError::Rejected(why)) => Fate::Failed(why),
            result => fate(result),
        });
        fates.collect()
    }

    async fn write(&mut self, write: Write) -> Result<Saved, String> {
        let marks: Vec<Mark> = write.marks.iter().filter_map(|mark| self.mark(mark)).collect();
        let mut checkpoint = self.checkpoint(write.state, write.keep);
        checkpoint.progress = write.progress;
        checkpoint.canary_passed = write.canary_passed;
        let behind = self.goes_behind;
        checkpoint.note = known::note(&self.job, write.progress, write.state, behind, write.note);
        // Nothing is left, so what SQS has moved is everything else.
        let moved = moved_of(&self.job).is_some() && write.progress.not_found == 0;
        checkpoint.all_moved = moved && write.state == JobState::Completed;
        checkpoint.deleted = write.deleted;
        checkpoint.marks = marks;
        let saved = self.save(checkpoint).await?;
        if saved != Saved::Lost {
            self.count_marks(&write.marks);
            self.note_staying(&write.marks);
        }
        Ok(saved)
    }

    /// What stays dead is not taken for something that is still to come.
    fn note_staying(&mut self, marks: &[super::plan::PlannedMark]) {
        if moved_of(&self.job).is_none() {
            return;
        }
        let stays = |what: &MarkedAs| matches!(what, MarkedAs::Refused(_) | MarkedAs::Failed(_));
        let staying = marks.iter().filter(|mark| stays(&mark.what));
        self.staying.extend(staying.map(|mark| mark.message_id.clone()));
    }

    fn mark(&self, mark: &super::plan::PlannedMark) -> Option<Mark> {
        let message_id = mark.message_id.clone();
        let what = match &mark.what {
            MarkedAs::Sent => Marked::Sent,
            MarkedAs::Refused(why) => Marked::Refused(why.clone()),
            MarkedAs::Failed(why) => Marked::Failed(why.clone()),
            MarkedAs::Archived => {
                let message = self.batch.get(mark.entry)?;
                Marked::Archived(Archived {
                    group: message.group_id.clone(),
                    body: message.body.clone(),
                    attributes: attributes_json(message),
                })
            }
        };
        Some(Mark { message_id, what })
    }

    fn count_marks(&self, marks: &[super::plan::PlannedMark]) {
        let metrics = &self.keeper.metrics;
        for mark in marks {
            if let Some(message) = self.batch.get(mark.entry) {
                tell(&self.job, message, mark);
            }
            match (&mark.what, self.job.kind) {
                (MarkedAs::Sent, _) => metrics.redriven(Redriven::Done, 1),
                (MarkedAs::Archived, _) => metrics.discarded(1),
                (MarkedAs::Refused(_), JobKind::Redrive) => metrics.redriven(Redriven::Refused, 1),
                (MarkedAs::Failed(_), JobKind::Redrive) => metrics.redriven(Redriven::Failed, 1),
                (MarkedAs::Refused(_) | MarkedAs::Failed(_), JobKind::Discard) => {}
            }
        }
    }

    /// The job as it was last written, to be written anew.
    pub(super) fn checkpoint(&self, state: JobState, keep: bool) -> Checkpoint {
        let job = &self.job;
        Checkpoint {
            job: job.id,
            queue: job.queue.clone(),
            holder: self.keeper.holder.to_string(),
            step: job.step,
            state,
            method: job.method,
            progress: job.progress,
            canary_passed: job.canary_passed,
            task: job.task.clone(),
            note: None,
            marks: Vec::new(),
            deleted: Vec::new(),
            all_moved: false,
            now: Timestamp::now(),
            lease: if keep { self.timing.lease } else { Duration::ZERO },
        }
    }

    /// Writes the checkpoint. One of which it was not known whether it is written may be, so that the
    /// job is a step further: it is written again then, which changes nothing that was.
    pub(super) async fn save(&mut self, mut checkpoint: Checkpoint) -> Result<Saved, String> {
        loop {
            let written = self.store().write_checkpoint(&checkpoint).await;
            if let Some(job) = written.map_err(|error| error.to_string())? {
                let cancelled = job.cancelled_by.is_some();
                self.job = job;
                return Ok(Saved::Yes { cancelled });
            }
            let found = self.store().find_job(self.job.id).await;
            let found = found.map_err(|error| error.to_string())?;
            match found {
                Some(job) if job.holder == *self.keeper.holder && job.step > checkpoint.step => {
                    checkpoint.step = job.step;
                }
                _ => return Ok(Saved::Lost),
            }
        }
    }

    /// Whether somebody asked for the job to be ended.
    pub(super) async fn is_cancelled(&self) -> bool {
        let found = self.store().find_job(self.job.id).await;
        found.ok().flatten().is_some_and(|job| job.cancelled_by.is_some())
    }

    /// Does the job message by message from now on; so many messages of it SQS has moved, if it
    /// tried; why it does not go on.
    pub(super) async fn do_it_otherwise(
        &mut self,
        moved: Option<u64>,
        why: &str,
    ) -> Result<Saved, String> {
        let before = self.job.progress.done;
        let mut checkpoint = self.checkpoint(JobState::Running, true);
        checkpoint.method = JobMethod::Messages;
        checkpoint.progress = Progress { done: moved.unwrap_or(0), ..Progress::default() };
        checkpoint.task = Some(moved.map_or_else(|| known::not_moved(why), known::moved));
        let saved = self.save(checkpoint).await?;
        if saved != Saved::Lost {
            let more = moved.unwrap_or(0).saturating_sub(before);
            self.keeper.metrics.redriven(Redriven::Done, more);
        }
        Ok(saved)
    }
}

/// The message as it goes back to its source: without what its death has left on it.
fn copy(message: &Message, fifo: bool) -> Outgoing {
    let mut attributes = message.attributes.clone();
    attributes.retain(|name, _| !WRITTEN_BY_WORKERS.contains(&name.as_str()));
    let own_id = || message.message_id.clone();
    Outgoing {
        body: message.body.clone(),
        attributes,
        trace_header: message.trace_header.clone(),
        group_id: message.group_id.clone().or_else(|| fifo.then(own_id)),
        // The same for whoever sends this message again, and another one when it dies again.
        deduplication_id: fifo.then(|| format!("redrive-{}", message.message_id)),
    }
}

fn fate(result: Result<(), QueueError>) -> Fate {
    match result {
        Ok(()) => Fate::Done,
        Err(QueueError::LeaseOver(_)) => Fate::LeaseOver,
        Err(QueueError::Rejected(why)) => Fate::Refused(why),
        Err(error) => Fate::Failed(error.to_string()),
    }
}
