//! Takes jobs in hand, one of each queue at a time, and does them.

use std::{sync::Arc, time::Duration};

use aws_sdk_sqs::types::ListMessageMoveTasksResultEntry;
use jiff::Timestamp;
use order_store::{Job, JobMethod, JobState, Undeleted};
use service_kit::Shutdown;
use sqs_consumer::{
    Queue as _, QueueError, Time,
    aws::{AwsQueue, Connection, classify},
};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::{
    known::moved_of,
    moving::{MoveAction, MoveEvent, MoveStatus, MoveTask, Moving, StartError},
    plan::{Action, Begun, Event, Plan, Saved, Timing},
    request::JobRequest,
    shell::Shell,
};
use crate::{keeper::Keeper, metrics::Redriven, queues::DeadLetterQueue};

/// How often a queue's jobs are looked for when there is no news: another process may have had one.
const LOOK: Duration = Duration::from_secs(5);
/// For a job to finish what it has begun when the process is to end.
const LAST_STEPS: Duration = Duration::from_secs(15);

/// Does the jobs of the dead-letter queues.
pub(crate) struct Jobs {
    pub(crate) connection: Connection,
    pub(crate) keeper: Keeper,
    pub(crate) queues: Arc<[DeadLetterQueue]>,
    pub(crate) timing: Timing,
}

impl Jobs {
    /// Does the jobs of one queue, oldest first, until the shutdown is requested.
    pub(crate) async fn run(self: Arc<Self>, place: usize, shutdown: Shutdown) {
        let queue = &self.queues[place];
        while !shutdown.is_requested() {
            let now = Timestamp::now();
            let leased_at = Instant::now();
            let claimed = self
                .keeper
                .store
                .claim_job(queue.name(), &self.keeper.holder, now, self.timing.lease)
                .await;
            queue.looks_for_jobs();
            match claimed {
                Ok(Some(job)) => {
                    let (this, stop) = (Arc::clone(&self), shutdown.clone());
                    // A task of its own: it is not dropped in the middle of a call.
                    let mut work = tokio::spawn(async move {
                        this.work(&this.queues[place], job, leased_at, &stop).await;
                    });
                    tokio::select! {
                        ended = &mut work => {
                            if let Err(error) = ended {
                                tracing::error!(%error, "a job broke; it is taken up again");
                                sleep(LOOK).await;
                            }
                        }
                        // A job that does not come to its end is taken over when its lease is over.
                        () = overdue(&shutdown) => {}
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => warn!(queue = queue.name(), %error, "jobs cannot be looked for"),
            }
            tokio::select! {
                () = queue.news.notified() => {}
                () = shutdown.requested() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    async fn work(
        &self,
        queue: &DeadLetterQueue,
        job: Job,
        leased_at: Instant,
        shutdown: &Shutdown,
    ) {
        let (id, kind, cancelled) = (job.id, job.kind.as_str(), job.cancelled_by.is_some());
        info!(job = %id, kind, queue = queue.name(), step = job.step, "the job is taken in hand");
        let request = serde_json::from_str::<JobRequest>(&job.request);
        let method = job.method;
        let read = request.as_ref().ok().cloned().unwrap_or_default();
        let mut shell = Shell::new(&self.keeper, &self.connection, queue, job, &read, self.timing);
        let clock = Clock(leased_at);
        if let Err(error) = request {
            shell.give_up(format!("what was asked for cannot be read: {error}")).await;
        } else if queue.source.is_none() && shell.job.kind == order_store::JobKind::Redrive {
            shell.give_up(format!("{} is not set", queue.source_setting)).await;
        } else {
            let by_messages = match (method, &queue.source) {
                (JobMethod::MoveTask, Some(source)) => {
                    let _moves = queue.turn_to_move().await;
                    self.follow(&mut shell, &read, source, clock, cancelled, shutdown).await
                }
                _ => Some(clock),
            };
            if let Some(clock) = by_messages {
                shell.looks_at_source().await;
                let cancelled = shell.job.cancelled_by.is_some();
                self.by_messages(&mut shell, clock, cancelled, shutdown).await;
            }
        }
        let job = &shell.job;
        let (state, progress) = (job.state.as_str(), job.progress);
        info!(job = %id, kind, state, ?progress, note = job.note, "the job is out of hand");
    }

    async fn by_messages(
        &self,
        shell: &mut Shell<'_>,
        clock: Clock,
        cancelled: bool,
        shutdown: &Shutdown,
    ) {
        let everything = order_store::DeadLetterFilter::default();
        let depth = self.keeper.store.count_dead_letters(shell.queue.name(), &everything);
        let depth = depth.await.map_or(shell.job.selected, |count| count.letters);
        let (moved, selected) = (moved_of(&shell.job), shell.job.selected);
        let begun = Begun {
            progress: shell.job.progress,
            canary_passed: shell.job.canary_passed,
            // What SQS moves, or shows of a group later, is more than what was selected when there was
            // more by then.
            selected: if moved.is_some() || shell.goes_behind { u64::MAX } else { selected },
            depth: depth.saturating_sub(moved.unwrap_or(0)),
        };
        let mut plan = Plan::new(shell.terms, self.timing, begun, Time::ZERO, clock.now());
        if cancelled {
            plan.cancel();
        }
        let mut stopping = false;
        loop {
            if shutdown.is_requested() && !stopping {
                stopping = true;
                plan.stop();
            }
            let event = match plan.next(clock.now()) {
                Action::Stop => break,
                Action::Wait { until } => {
                    shell.makes_room();
                    if news(shell.queue, clock, until, stopping, shutdown).await
                        && shell.is_cancelled().await
                    {
                        plan.cancel();
                    }
                    Event::Woke
                }
                action => shell.carry_out(action).await,
            };
            plan.done(clock.now(), event);
        }
        shell.makes_room();
    }

    /// Has SQS move the queue. Gives the clock of the lease under which the job is to go on message by
    /// message, if it is.
    async fn follow(
        &self,
        shell: &mut Shell<'_>,
        request: &JobRequest,
        source: &AwsQueue,
        clock: Clock,
        cancelled: bool,
        shutdown: &Shutdown,
    ) -> Option<Clock> {
        let asked_at_ms = shell.job.task.as_deref().and_then(|task| task.parse().ok());
        let (selected, moved) = (shell.job.selected, shell.job.progress.done);
        let mut moving = Moving::new(self.timing, selected, asked_at_ms, moved, Time::ZERO);
        if cancelled {
            moving.cancel();
        }
        let mut stopping = false;
        loop {
            if shutdown.is_requested() && !stopping {
                stopping = true;
                moving.stop();
            }
            let asked_at = clock.now();
            let event = match moving.next(asked_at) {
                MoveAction::Stop => return None,
                MoveAction::DoItOtherwise { why, moved } => {
                    let (job, leased) = (shell.job.id, Clock(Instant::now()));
                    warn!(%job, why, "SQS does not move the queue: it is done message by message");
                    let saved = shell.do_it_otherwise(moved, &why).await;
                    return matches!(saved, Ok(Saved::Yes { .. })).then_some(leased);
                }
                MoveAction::Wait { until } => {
                    if news(shell.queue, clock, until, stopping, shutdown).await
                        && shell.is_cancelled().await
                    {
                        moving.cancel();
                    }
                    MoveEvent::Woke
                }
                MoveAction::Write { state, moved, asking, note, keep } => {
                    self.write_move(shell, state, moved, asking, note, keep).await
                }
                MoveAction::Count => MoveEvent::Counted(shell.count_queue().await),
                MoveAction::List => MoveEvent::Listed(self.list(&shell.queue.queue).await),
                MoveAction::Start => {
                    let started = self.start(&shell.queue.queue, source, request.rate).await;
                    MoveEvent::Started(started)
                }
                MoveAction::Cancel { handle } => {
                    let call = self.connection.settling().cancel_message_move_task();
                    if let Err(error) = Box::pin(call.task_handle(handle).send()).await {
                        let error = classify(&error);
                        warn!(job = %shell.job.id, %error, "the move task was not ended");
                    }
                    MoveEvent::Cancelled
                }
            };
            moving.done(asked_at, clock.now(), event);
        }
    }

    async fn write_move(
        &self,
        shell: &mut Shell<'_>,
        state: JobState,
        moved: u64,
        asking: bool,
        note: Option<String>,
        keep: bool,
    ) -> MoveEvent {
        let mut checkpoint = shell.checkpoint(state, keep);
        let before = checkpoint.progress.done;
        checkpoint.progress.done = moved;
        // Of a part it is not known which: that is left to the next looks.
        checkpoint.all_moved = state == JobState::Completed;
        checkpoint.note = note;
        let asked_at_ms = asking.then(|| checkpoint.now.as_millisecond());
        if let Some(at) = asked_at_ms {
            checkpoint.task = Some(at.to_string());
        }
        let saved = shell.save(checkpoint).await;
        if matches!(saved, Ok(Saved::Yes { .. })) {
            self.keeper.metrics.redriven(Redriven::Done, moved.saturating_sub(before));
        }
        MoveEvent::Saved(saved.map(|saved| (saved, asked_at_ms)))
    }

    async fn list(&self, queue: &AwsQueue) -> Result<Vec<MoveTask>, String> {
        let arn = self.arn(queue).await.map_err(|error| error.to_string())?;
        let call = self.connection.settling().list_message_move_tasks();
        let call = call.source_arn(arn).max_results(10).send();
        let answer = Box::pin(call).await.map_err(|error| classify(&error).to_string())?;
        Ok(answer.results.unwrap_or_default().into_iter().map(task).collect())
    }

    async fn start(
        &self,
        queue: &AwsQueue,
        source: &AwsQueue,
        rate: Option<u32>,
    ) -> Result<(), StartError> {
        let failed = |error: QueueError| match error {
            QueueError::Rejected(why) | QueueError::AccessDenied(why) => StartError::Refused(why),
            error => StartError::Unknown(error.to_string()),
        };
        // A task would send once more what has its copy, and deliver what was discarded.
        let undeleted = self.keeper.store.undeleted(queue.name()).await;
        let undeleted = undeleted.map_err(|error| StartError::Unknown(error.to_string()))?;
        if undeleted.total() > 0 {
            return Err(StartError::Refused(not_to_be_moved(undeleted)));
        }
        let dead = self.arn(queue).await.map_err(failed)?;
        let alive = self.arn(source).await.map_err(failed)?;
        let call = self.connection.settling().start_message_move_task();
        let call = call
            .source_arn(dead)
            .destination_arn(alive)
            .set_max_number_of_messages_per_second(rate.map(u32::cast_signed));
        Box::pin(call.send()).await.map(drop).map_err(|error| failed(classify(&error)))
    }

    async fn arn(&self, queue: &AwsQueue) -> Result<String, QueueError> {
        use aws_sdk_sqs::types::QueueAttributeName::QueueArn;
        let call = self.connection.settling().get_queue_attributes();
        let call = call.queue_url(queue.url()).attribute_names(QueueArn).send();
        let answer = Box::pin(call).await.map_err(|error| classify(&error))?;
        let arn = answer.attributes.unwrap_or_default().remove(&QueueArn);
        arn.ok_or_else(|| QueueError::Unavailable("the queue's ARN is missing".to_owned()))
    }
}

/// Why a queue with these in it is not moved as a whole.
fn not_to_be_moved(Undeleted { sent, archived }: Undeleted) -> String {
    format!(
        "of its messages {sent} were redriven and {archived} discarded before, and are still to be deleted"
    )
}

fn task(entry: ListMessageMoveTasksResultEntry) -> MoveTask {
    let status = match entry.status.as_deref() {
        Some("COMPLETED") => MoveStatus::Completed,
        Some("CANCELLED") => MoveStatus::Cancelled,
        Some("FAILED") => MoveStatus::Failed(entry.failure_reason.unwrap_or_default()),
        // `CANCELLING` too: it has not ended.
        _ => MoveStatus::Running,
    };
    MoveTask {
        handle: entry.task_handle,
        status,
        moved: entry.approximate_number_of_messages_moved.cast_unsigned(),
        started_at_ms: entry.started_timestamp,
    }
}

/// A plan's clock: its origin is when the lease was asked for.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Time {
        Time::new(self.0.elapsed())
    }
}

/// Waits; whether there is news.
async fn news(
    queue: &DeadLetterQueue,
    clock: Clock,
    until: Time,
    stopping: bool,
    shutdown: &Shutdown,
) -> bool {
    let pause = until.saturating_since(clock.now());
    tokio::select! {
        () = sleep(pause) => false,
        () = queue.news.notified() => true,
        () = shutdown.requested(), if !stopping => false,
    }
}

/// Returns when the shutdown has been requested for as long as last steps may take.
async fn overdue(shutdown: &Shutdown) {
    shutdown.requested().await;
    sleep(LAST_STEPS).await;
}
