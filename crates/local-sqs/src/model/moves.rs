//! Message move tasks: dead letters go back to where they came from, or elsewhere.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::{
    CancelMessageMoveTaskRequest, CancelMessageMoveTaskResult, ListMessageMoveTasksRequest,
    ListMessageMoveTasksResult, ListMessageMoveTasksResultEntry, StartMessageMoveTaskRequest,
    StartMessageMoveTaskResult,
};
use super::error::{ApiError, ErrorKind};
use super::message::MessageState;
use super::redrive::queue_of_arn;
use super::time::Millis;
use super::{Sqs, limits};

/// A task, running or ended. It lives in the queue that it moves messages out of.
#[derive(Debug, Clone)]
pub(super) struct MoveTask {
    id: Uuid,
    status: Status,
    /// Where to; the messages' own sources when absent.
    destination: Option<Arc<str>>,
    destination_arn: Option<String>,
    /// Messages per second that were asked for.
    wanted_rate: Option<u32>,
    rate: u32,
    started: Millis,
    moved: u64,
    to_move: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Running,
    Completed,
    Cancelled,
    Failed(&'static str),
}

impl MoveTask {
    /// When the next message is due.
    pub(super) fn next_step(&self) -> Option<Millis> {
        let after = Duration::from_millis(self.moved * 1000 / u64::from(self.rate));
        (self.status == Status::Running).then(|| self.started + after)
    }

    fn handle(&self, source_arn: &str) -> String {
        BASE64.encode(json!({ "taskId": self.id, "sourceArn": source_arn }).to_string())
    }
}

impl Sqs {
    /// StartMessageMoveTask. The source must be some queue's dead-letter queue.
    pub fn start_message_move_task(
        &mut self,
        now: Millis,
        request: StartMessageMoveTaskRequest,
    ) -> Result<StartMessageMoveTaskResult, ApiError> {
        self.advance(now);
        let source = self.queue_by_arn(&request.source_arn, "SourceArn")?;
        let rate = request.max_number_of_messages_per_second;
        check_number("MaxNumberOfMessagesPerSecond", rate, &limits::MOVE_RATE)?;
        if self.dead_letter_sources(&source).next().is_none() {
            return Err(ApiError::invalid_parameter(
                "Source queue must be configured as a Dead Letter Queue.",
            ));
        }
        let destination_arn = request.destination_arn.filter(|arn| !arn.is_empty());
        let destination = match &destination_arn {
            Some(arn) => Some(self.queue_by_arn(arn, "DestinationArn")?),
            None => None,
        };
        if destination.as_ref() == Some(&source) {
            return Err(ApiError::invalid_parameter(
                "Source queue arn and destination queue arn cannot be the same.",
            ));
        }
        let is_fifo = |name: &Arc<str>| self.queues.get(name).map(super::queue::Queue::is_fifo);
        if destination.as_ref().is_some_and(|name| is_fifo(name) != is_fifo(&source)) {
            return Err(ApiError::invalid_parameter(
                "The source queue and destination queue must be of the same queue type.",
            ));
        }
        let id = self.random.next_uuid();
        let default_rate = self.limits.move_rate;
        let queue = self.queues.get_mut(&source).ok_or_else(ApiError::queue_does_not_exist)?;
        if queue.moves.back().is_some_and(|task| task.status == Status::Running) {
            return Err(ApiError::invalid_parameter(
                "There is already a task running. Only one active task is allowed for a source queue arn at a given time.",
            ));
        }
        let wanted_rate = rate.map(|rate| rate as u32);
        let task = MoveTask {
            id,
            status: Status::Running,
            destination,
            destination_arn,
            wanted_rate,
            rate: wanted_rate.unwrap_or(default_rate),
            started: self.now,
            moved: 0,
            to_move: queue.visible() as u64,
        };
        let task_handle = task.handle(&request.source_arn);
        queue.moves.push_back(task);
        if queue.moves.len() > *limits::MOVE_TASKS_LISTED.end() as usize {
            queue.moves.pop_front();
        }
        self.close(&source);
        Ok(StartMessageMoveTaskResult { task_handle })
    }

    /// ListMessageMoveTasks: the latest tasks of a queue, newest first.
    pub fn list_message_move_tasks(
        &mut self,
        now: Millis,
        request: &ListMessageMoveTasksRequest,
    ) -> Result<ListMessageMoveTasksResult, ApiError> {
        self.advance(now);
        let source = self.queue_by_arn(&request.source_arn, "SourceArn")?;
        check_number("MaxResults", request.max_results, &limits::MOVE_TASKS_LISTED)?;
        let tasks = self.queues.get(&source).map(|queue| &queue.moves);
        let describe = |task: &MoveTask| ListMessageMoveTasksResultEntry {
            task_handle: (task.status == Status::Running).then(|| task.handle(&request.source_arn)),
            status: match task.status {
                Status::Running => "RUNNING",
                Status::Completed => "COMPLETED",
                Status::Cancelled => "CANCELLED",
                Status::Failed(_) => "FAILED",
            }
            .to_owned(),
            source_arn: request.source_arn.clone(),
            destination_arn: task.destination_arn.clone(),
            max_number_of_messages_per_second: task.wanted_rate,
            approximate_number_of_messages_moved: task.moved,
            approximate_number_of_messages_to_move: task.to_move,
            failure_reason: match task.status {
                Status::Failed(reason) => Some(reason.to_owned()),
                _ => None,
            },
            started_timestamp: task.started.0,
        };
        let most = request.max_results.unwrap_or(1) as usize;
        let results = tasks.into_iter().flatten().rev().take(most).map(describe).collect();
        Ok(ListMessageMoveTasksResult { results })
    }

    /// CancelMessageMoveTask. Messages that were moved stay moved.
    pub fn cancel_message_move_task(
        &mut self,
        now: Millis,
        request: &CancelMessageMoveTaskRequest,
    ) -> Result<CancelMessageMoveTaskResult, ApiError> {
        self.advance(now);
        if request.task_handle.is_empty() {
            return Err(ApiError::missing("TaskHandle"));
        }
        let (id, source_arn) = parse_handle(&request.task_handle).ok_or_else(|| {
            ApiError::invalid_parameter("Value for parameter TaskHandle is invalid.")
        })?;
        let source = self.queue_by_arn(&source_arn, "SourceArn")?;
        let queue = self.queues.get_mut(&source).ok_or_else(ApiError::queue_does_not_exist)?;
        let Some(task) = queue.moves.iter_mut().find(|task| task.id == id) else {
            return Err(ApiError::new(ErrorKind::ResourceNotFound, "Task does not exist."));
        };
        if task.status != Status::Running {
            return Err(ApiError::invalid_parameter("Only active tasks can be cancelled."));
        }
        task.status = Status::Cancelled;
        let moved = task.moved;
        self.close(&source);
        Ok(CancelMessageMoveTaskResult { approximate_number_of_messages_moved: moved })
    }

    /// Moves what a queue's running task has due by now.
    pub(super) fn run_move_task(&mut self, source: &Arc<str>) {
        while self
            .queues
            .get(source)
            .and_then(|queue| queue.moves.back()?.next_step())
            .is_some_and(|due| due <= self.now)
        {
            let ended = self.move_one(source);
            let task = self.queues.get_mut(source).and_then(|queue| queue.moves.back_mut());
            if let (Some(task), Some(status)) = (task, ended) {
                task.status = status;
            }
        }
    }

    /// Moves one message. `Some` when the task has ended by that.
    fn move_one(&mut self, source: &Arc<str>) -> Option<Status> {
        let id = self.random.next_uuid();
        let queue = self.queues.get_mut(source)?;
        let next = queue.next_run(1).first().copied();
        let task = queue.moves.back()?;
        let Some(seq) = next.filter(|_| task.moved < task.to_move) else {
            return Some(Status::Completed);
        };
        let destination = if let Some(name) = &task.destination {
            Some(Arc::clone(name))
        } else {
            let arn = queue.messages.get(&seq)?.dead_letter_source.as_deref();
            arn.and_then(queue_of_arn).map(Arc::from)
        };
        let Some(destination) = destination else {
            return Some(Status::Failed("CouldNotDetermineMessageSource"));
        };
        if !self.queues.contains_key(&destination) {
            return Some(Status::Failed("AWS.SimpleQueueService.NonExistentQueue"));
        }
        let queue = self.queues.get_mut(source)?;
        let (mut message, group) = queue.take_out(seq)?;
        let task = queue.moves.back_mut()?;
        task.moved += 1;
        let ended = (task.moved >= task.to_move).then_some(Status::Completed);
        // A moved message counts as a new one: id, times and receive count start anew.
        message.id = id;
        message.enqueued = self.now;
        message.first_received = None;
        message.receive_count = 0;
        message.receives_elsewhere = 0;
        message.dead_letter_source = None;
        message.receipt = 0;
        // The task sends the message, so it is delayed as the destination delays what is sent.
        let delay = self.queues.get(&destination)?.attributes.delay();
        message.state = match delay {
            Duration::ZERO => MessageState::Visible,
            delay => MessageState::Delayed { until: self.now + delay },
        };
        self.queues.get_mut(&destination)?.add(message, group.as_deref());
        self.close(&destination);
        ended
    }

    fn queue_by_arn(&self, arn: &str, parameter: &str) -> Result<Arc<str>, ApiError> {
        if arn.is_empty() {
            return Err(ApiError::missing(parameter));
        }
        let Some(name) = queue_of_arn(arn) else {
            return Err(ApiError::invalid_parameter(format!(
                "You must use this format to specify the {parameter}: arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
            )));
        };
        match self.queues.get_key_value(name) {
            Some((name, _)) if self.arn(name) == arn => Ok(Arc::clone(name)),
            _ => Err(ApiError::new(
                ErrorKind::ResourceNotFound,
                format!(
                    "The resource that you specified for the {parameter} parameter doesn't exist."
                ),
            )),
        }
    }
}

fn check_number(
    parameter: &str,
    number: Option<i64>,
    range: &RangeInclusive<i64>,
) -> Result<(), ApiError> {
    if number.is_none_or(|number| range.contains(&number)) {
        return Ok(());
    }
    Err(ApiError::invalid_parameter(format!(
        "Value for parameter {parameter} is invalid. Reason: You must enter a number that's between {} and {}.",
        range.start(),
        range.end()
    )))
}

fn parse_handle(handle: &str) -> Option<(Uuid, String)> {
    let text: Value = serde_json::from_slice(&BASE64.decode(handle).ok()?).ok()?;
    let id = text.get("taskId")?.as_str()?.parse().ok()?;
    Some((id, text.get("sourceArn")?.as_str()?.to_owned()))
}
