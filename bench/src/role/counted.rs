//! A queue that notices when the first receive is sent and when how many messages are deleted.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;

use sqs_consumer::{
    BatchResult, DeadLetter, Message, Queue, QueueAttributes, QueueError, ReceiptHandle,
    ReceiveRequest, aws::AwsQueue,
};
use tokio::{sync::Notify, time::Instant};

/// How far the work has come.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) first_receive: OnceLock<Instant>,
    count: AtomicUsize,
    goal: usize,
    reached: Notify,
}

impl Progress {
    pub(super) fn towards(goal: usize) -> Arc<Self> {
        Arc::new(Self { goal, ..Self::default() })
    }

    pub(super) fn add(&self, count: usize) {
        let before = self.count.fetch_add(count, Ordering::Relaxed);
        if before < self.goal && before + count >= self.goal {
            self.reached.notify_one();
        }
    }

    pub(super) async fn reached(&self) {
        self.reached.notified().await;
    }
}

pub(super) struct Counted {
    pub(super) queue: AwsQueue,
    pub(super) progress: Arc<Progress>,
    pub(super) counts_deletes: bool,
}

impl Queue for Counted {
    fn name(&self) -> &str {
        self.queue.name()
    }

    async fn attributes(&self) -> Result<QueueAttributes, QueueError> {
        self.queue.attributes().await
    }

    async fn receive(&self, request: ReceiveRequest) -> Result<Vec<Message>, QueueError> {
        self.progress.first_receive.get_or_init(Instant::now);
        self.queue.receive(request).await
    }

    async fn delete(&self, handles: Vec<ReceiptHandle>) -> BatchResult {
        let results = self.queue.delete(handles).await;
        if self.counts_deletes {
            self.progress.add(results.iter().filter(|result| result.is_ok()).count());
        }
        results
    }

    async fn change_visibility(&self, entries: Vec<(ReceiptHandle, Duration)>) -> BatchResult {
        self.queue.change_visibility(entries).await
    }

    async fn dead_letter(
        &self,
        message: &Message,
        letter: &DeadLetter,
        attempts: u32,
    ) -> Result<(), QueueError> {
        self.queue.dead_letter(message, letter, attempts).await
    }

    fn has_dead_letter_queue(&self) -> bool {
        self.queue.has_dead_letter_queue()
    }
}
