//! Looking at the messages of a dead-letter queue without taking them out.

mod finishing;

use std::{collections::HashSet, pin::pin, time::Duration};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use order_store::StoreError;
use service_kit::Shutdown;
use sqs_consumer::{MAX_BATCH, Message, Queue, QueueError, ReceiptHandle, ReceiveRequest};
use tokio::time::Instant;
use tracing::{debug, warn};

use self::finishing::Finishing;
use crate::{jobs::plan::cut_group, keeper::Keeper, queues::DeadLetterQueue};

/// Bounds of a scan.
struct Limits {
    /// How long a message stays invisible if it cannot be made visible again. Longer than a scan,
    /// so that no message is shown twice in one; it grows with the queue.
    visibility: Duration,
    /// The longest that it grows to.
    visibility_max: Duration,
    /// Long polls ask every one of SQS's servers; a receive that does not wait may miss messages.
    wait: Duration,
    /// Receiving ends after this many messages: a handle of each is kept, and SQS has no more than
    /// 120,000 messages of a queue in flight.
    messages: usize,
    /// While a job waits for the queue receiving ends after this time. So often it is asked whether
    /// another process does one, which cannot say that it waits.
    while_wanted: Duration,
    /// Messages that are noted together, and their bytes.
    noted: usize,
    noted_bytes: usize,
    /// Calls that make messages visible again, at once.
    releases: usize,
}

const LIMITS: Limits = Limits {
    visibility: Duration::from_secs(30),
    visibility_max: Duration::from_mins(10),
    wait: Duration::from_secs(1),
    messages: 110_000,
    while_wanted: Duration::from_secs(2),
    noted: 100,
    noted_bytes: 2 << 20,
    releases: 16,
};

/// How a scan went.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Whether it ended because nothing more came.
    pub(crate) exhausted: bool,
    /// Messages that it has seen.
    pub(crate) shown: u64,
    /// When the oldest of them was sent, in milliseconds since the epoch.
    pub(crate) oldest_ms: Option<u64>,
    /// Messages that could not be made visible again at once.
    pub(crate) not_released: u64,
    /// Whether some of the queue were only to be deleted when it began.
    pub(crate) had_undeleted: bool,
}

/// Why a scan was broken off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error("{0}")]
    Queue(#[from] QueueError),
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Receives what there is of a queue of about this size, notes each message, and makes all of them
/// visible again, but for those that a job has copied or archived and not deleted: these are deleted.
///
/// On an error, and when the shutdown is requested, what has been received is still released.
pub(crate) async fn scan(
    dead_letters: &DeadLetterQueue,
    keeper: &Keeper,
    counted: u64,
    shutdown: &Shutdown,
) -> Result<Scanned, ScanError> {
    let queue = &dead_letters.queue;
    let growth = Duration::from_millis(counted.saturating_mul(10));
    let visibility = (LIMITS.visibility + growth).min(LIMITS.visibility_max);
    let request = ReceiveRequest { max_messages: MAX_BATCH, wait: LIMITS.wait, visibility };
    let began = Instant::now();
    let (mut held, mut scanned, mut unnoted) = (Vec::new(), Scanned::default(), Vec::new());
    scanned.had_undeleted = keeper.store.undeleted(queue.name()).await?.total() > 0;
    let mut finishing = Finishing::new(queue, keeper, scanned.had_undeleted);
    // Noted, and made visible again at once.
    let mut shown = HashSet::new();
    let mut ask_at = LIMITS.while_wanted;
    let ended: Result<bool, ScanError> = loop {
        let took = began.elapsed();
        let mut wanted = dead_letters.is_wanted() && took >= LIMITS.while_wanted;
        if took >= ask_at {
            ask_at = took + LIMITS.while_wanted;
            match keeper.is_to_be_left_alone(queue.name()).await {
                Ok(left_alone) => wanted |= left_alone,
                Err(error) => break Err(error.into()),
            }
        }
        let bounded = held.len() >= LIMITS.messages || took >= visibility / 2;
        if bounded || wanted || shutdown.is_requested() {
            break Ok(false);
        }
        match queue.receive(request).await {
            Ok(messages) if messages.is_empty() => break Ok(true),
            Ok(messages) => {
                let groups = messages.iter().map(|message| message.group_id.as_deref());
                let cut = cut_group(groups).filter(|_| dead_letters.fifo).map(str::to_owned);
                let (done, failed) = match finishing.finish(&messages).await {
                    Ok(done) => (done, None),
                    Err(error) => (HashSet::new(), Some(error)),
                };
                let mut again = Vec::new();
                for message in messages {
                    if done.contains(&message.message_id) {
                        scanned.shown += u64::from(!shown.remove(&message.message_id));
                        continue;
                    }
                    let is_new = !shown.remove(&message.message_id);
                    if cut.is_some() && message.group_id == cut {
                        again.push(message.receipt_handle.clone());
                        shown.insert(message.message_id.clone());
                    } else {
                        held.push(message.receipt_handle.clone());
                    }
                    if is_new {
                        scanned.saw(&message);
                        unnoted.push(message);
                    }
                }
                scanned.not_released += release(queue, again).await;
                if let Some(error) = failed {
                    break Err(error.into());
                }
            }
            Err(error) => break Err(error.into()),
        }
        let bytes: usize = unnoted.iter().map(Message::bytes).sum();
        if unnoted.len() >= LIMITS.noted || bytes >= LIMITS.noted_bytes {
            let messages = std::mem::take(&mut unnoted);
            if let Err(error) = keeper.note(queue.name(), &messages, Timestamp::now()).await {
                break Err(error.into());
            }
        }
    };
    let noted = match &ended {
        Ok(_) => keeper.note(queue.name(), &unnoted, Timestamp::now()).await.map(drop),
        Err(_) => Ok(()),
    };
    drop(unnoted);
    finishing.tell();
    scanned.not_released += release(queue, held).await;
    scanned.exhausted = ended?;
    noted?;
    Ok(scanned)
}

impl Scanned {
    fn saw(&mut self, message: &Message) {
        self.shown += 1;
        self.oldest_ms = self.oldest_ms.into_iter().chain(message.sent_at_ms).min();
    }
}

/// Makes messages visible again, begun in the order in which they came: the head of a FIFO group first.
async fn release<Q: Queue>(queue: &Q, handles: Vec<ReceiptHandle>) -> u64 {
    let total = handles.len();
    if total == 0 {
        return 0;
    }
    let entry = |handle| (handle, Duration::ZERO);
    let calls = stream::iter(handles)
        .chunks(MAX_BATCH)
        .map(|batch| queue.change_visibility(batch.into_iter().map(entry).collect()))
        .buffered(LIMITS.releases);
    let mut calls = pin!(calls);
    let mut failed = 0;
    let mut last_error = None;
    while let Some(results) = calls.next().await {
        for result in results {
            match result {
                // It is visible already, or somebody discarded it.
                Ok(()) | Err(QueueError::LeaseOver(_)) => {}
                Err(error) => {
                    failed += 1;
                    last_error = Some(error);
                }
            }
        }
    }
    let queue = queue.name();
    if let Some(error) = last_error {
        warn!(queue, total, failed, %error, "peeked messages stay invisible for a while");
    } else {
        debug!(queue, total, "peeked messages are visible again");
    }
    failed
}
