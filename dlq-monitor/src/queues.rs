//! The queues that a monitor is set up with.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use service_kit::settings::QueueUrls;
use sqs_consumer::{
    Queue,
    aws::{AwsQueue, Connection},
};
use tokio::sync::{Mutex, MutexGuard, Notify, watch};

/// A dead-letter queue, and where its messages go back to.
pub(crate) struct DeadLetterQueue {
    pub(crate) queue: AwsQueue,
    /// None: its URL is not set.
    pub(crate) source: Option<AwsQueue>,
    /// The setting that would name the source.
    pub(crate) source_setting: &'static str,
    pub(crate) fifo: bool,
    /// Whoever receives from it: what one has received is hidden from the others.
    turn: Mutex<()>,
    /// Jobs that wait for the turn.
    waiting: AtomicUsize,
    /// Whether SQS is about to move, or moves, its messages: that can take hours.
    moves: watch::Sender<bool>,
    /// Whether open jobs were looked for since the process has begun.
    looked_for_jobs: watch::Sender<bool>,
    /// A job was asked for, or is to be ended.
    pub(crate) news: Notify,
}

impl DeadLetterQueue {
    /// The queues whose URLs are set.
    pub(crate) fn all(connection: &Connection, urls: &QueueUrls) -> Arc<[Self]> {
        let wanted = [
            (&urls.standard_dlq, &urls.standard, "SQS_QUEUE_URL_STANDARD", false),
            (&urls.fifo_dlq, &urls.fifo, "SQS_QUEUE_URL_FIFO", true),
        ];
        let queues = wanted.into_iter().filter_map(|(url, source, source_setting, fifo)| {
            Some(Self {
                queue: connection.queue(url.as_deref()?, None),
                source: source.as_deref().map(|url| connection.queue(url, None)),
                source_setting,
                fifo,
                turn: Mutex::default(),
                waiting: AtomicUsize::default(),
                moves: watch::Sender::default(),
                looked_for_jobs: watch::Sender::default(),
                news: Notify::default(),
            })
        });
        queues.collect()
    }

    pub(crate) fn name(&self) -> &str {
        self.queue.name()
    }

    /// The source queue's name.
    pub(crate) fn source_name(&self) -> Option<&str> {
        self.source.as_ref().map(Queue::name)
    }

    /// Open jobs were looked for, whatever was found.
    pub(crate) fn looks_for_jobs(&self) {
        self.looked_for_jobs.send_replace(true);
    }

    /// Waits until open jobs were looked for once.
    pub(crate) async fn jobs_were_looked_for(&self) {
        let mut looked = self.looked_for_jobs.subscribe();
        // The sender is this queue's.
        let _ = looked.wait_for(|looked| *looked).await;
    }

    /// Waits for the turn to look at the queue; there is none while SQS moves its messages.
    pub(crate) async fn turn_to_look(&self) -> Option<MutexGuard<'_, ()>> {
        let mut moves = self.moves.subscribe();
        tokio::select! {
            biased;
            _ = moves.wait_for(|moves| *moves) => None,
            turn = self.turn.lock() => Some(turn),
        }
    }

    /// Waits for the turn to work on the queue; who only looks at it makes room.
    pub(crate) async fn turn_to_work(&self) -> MutexGuard<'_, ()> {
        self.waiting.fetch_add(1, Relaxed);
        let _counted = Counted(&self.waiting);
        self.turn.lock().await
    }

    /// Waits for the turn to have SQS move the messages: what somebody has received it leaves behind.
    pub(crate) async fn turn_to_move(&self) -> impl Drop + '_ {
        let turn = self.turn_to_work().await;
        self.moves.send_replace(true);
        Moves { _turn: turn, moves: &self.moves }
    }

    /// Whether a job waits for the turn.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }
}

/// Until it is dropped SQS moves messages.
struct Moves<'a> {
    _turn: MutexGuard<'a, ()>,
    moves: &'a watch::Sender<bool>,
}

impl Drop for Moves<'_> {
    fn drop(&mut self) {
        self.moves.send_replace(false);
    }
}

/// Counts down when the waiting is over or given up.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
