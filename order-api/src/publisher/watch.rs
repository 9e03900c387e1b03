//! Watches whether the queues can be reached, holds the service's readiness accordingly, and learns
//! how large a message each of them takes.

use super::Outcomes;
use crate::body::LARGEST;
use rand::RngExt;
use service_kit::{Latch, Shutdown};
use sqs_consumer::{Queue, aws::AwsQueue};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A queue that is looked at, and what it said. Clones share that.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    queue: AwsQueue,
    largest: Arc<AtomicUsize>,
}

impl Watched {
    pub(super) fn new(queue: AwsQueue) -> Self {
        Self { queue, largest: Arc::new(AtomicUsize::new(LARGEST)) }
    }

    /// The largest message that the queue takes, bytes: what it said last, and what SQS takes at
    /// all before it said anything.
    pub(super) fn largest(&self) -> usize {
        self.largest.load(Ordering::Relaxed)
    }

    async fn look(&self) -> Result<(), String> {
        let queue = self.queue.name();
        let found = self.queue.attributes().await.map_err(|error| format!("{queue}: {error}"))?;
        let largest = found.max_message_size.map_or(LARGEST, |bytes| bytes.min(LARGEST));
        let before = self.largest.swap(largest, Ordering::Relaxed);
        if largest < LARGEST && largest != before {
            tracing::warn!(queue, largest, "the queue refuses larger orders (MaximumMessageSize)");
        }
        Ok(())
    }
}

/// When the queues are looked at.
struct Pace {
    /// Between looks while all is well; sends tell about trouble earlier.
    steady: Duration,
    /// After the first failure; doubles with each further one.
    first: Duration,
    /// The longest after many.
    last: Duration,
}

const PACE: Pace = Pace {
    steady: Duration::from_secs(12),
    first: Duration::from_secs(1),
    last: Duration::from_secs(15),
};

/// Looks at the queues until the shutdown is requested. The latch is ready while every queue answers,
/// and drops as soon as one does not or a send fails.
pub(crate) async fn watch(
    queues: [Option<Watched>; 2],
    outcomes: Arc<Outcomes>,
    latch: Latch,
    shutdown: Shutdown,
) {
    if queues.iter().all(Option::is_none) {
        tracing::warn!(
            "no order can be accepted: neither SQS_QUEUE_URL_STANDARD nor SQS_QUEUE_URL_FIFO is set"
        );
        latch.unready("no queue URL is set: SQS_QUEUE_URL_STANDARD, SQS_QUEUE_URL_FIFO");
        return;
    }
    // Looking changes nothing, so a look under way may be dropped.
    tokio::select! {
        () = shutdown.requested() => {}
        () = keep_looking(&queues, &outcomes, &latch) => {}
    }
}

async fn keep_looking(queues: &[Option<Watched>; 2], outcomes: &Outcomes, latch: &Latch) {
    // Looks may succeed while sends fail, so each has its own backoff.
    let (mut failed_looks, mut failed_sends) = (0_u32, 0_u32);
    let mut told = false;
    loop {
        let (reason, failures) = match look(queues).await {
            Ok(()) => {
                failed_looks = 0;
                told = false;
                if latch.ready() {
                    tracing::info!("the queues answer");
                }
                tokio::select! {
                    () = tokio::time::sleep(jittered(PACE.steady)) => {
                        failed_sends = 0;
                        continue;
                    }
                    () = outcomes.failed.notified() => {
                        failed_sends += 1;
                        ("sending to a queue failed".to_owned(), failed_sends)
                    }
                }
            }
            Err(reason) => {
                failed_looks += 1;
                (reason, failed_looks)
            }
        };
        latch.unready(reason.as_str());
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(reason, "not ready: a queue cannot be used");
        }
        tokio::select! {
            () = tokio::time::sleep(backoff(failures)) => {}
            // Orders get through again: no need to wait for the backoff's end.
            () = outcomes.succeeded.notified() => {}
        }
    }
}

/// At both at once: what one says counts, and is not late, when the other one cannot be reached.
async fn look([one, other]: &[Option<Watched>; 2]) -> Result<(), String> {
    let (one, other) = tokio::join!(look_at(one.as_ref()), look_at(other.as_ref()));
    one.and(other)
}

async fn look_at(queue: Option<&Watched>) -> Result<(), String> {
    match queue {
        Some(queue) => queue.look().await,
        None => Ok(()),
    }
}

fn backoff(failures: u32) -> Duration {
    let doubled = PACE.first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    jittered(doubled.min(PACE.last))
}

/// Between three quarters and all of it, so that many replicas do not look at the same moment.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(rand::rng().random_range(0.75..=1.0))
}
