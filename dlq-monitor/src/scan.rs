//! Looking at the messages of a dead-letter queue without taking them out.

use std::time::Duration;

use service_kit::Shutdown;
use sqs_consumer::{MAX_BATCH, Message, Queue, QueueError, ReceiptHandle, ReceiveRequest};
use tokio::time::Instant;
use tracing::{debug, warn};

/// Bounds of a scan.
struct Limits {
    /// How long a message stays invisible if it cannot be made visible again. Longer than a scan,
    /// so that no message is shown twice in one.
    visibility: Duration,
    /// Long polls ask every one of SQS's servers; a receive that does not wait may miss messages.
    wait: Duration,
    /// Receiving ends after this time.
    time: Duration,
    /// Receiving ends after this many messages.
    messages: usize,
}

const LIMITS: Limits = Limits {
    visibility: Duration::from_secs(30),
    wait: Duration::from_secs(1),
    time: Duration::from_secs(15),
    messages: 5_000,
};

/// How a scan went.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// Whether it ended because nothing more came.
    pub(crate) exhausted: bool,
    /// Messages that could not be made visible again at once.
    pub(crate) not_released: u64,
}

/// Receives what there is, shows each message to `look`, and makes all of them visible again.
///
/// On an error, and when the shutdown is requested, what has been received is still released.
pub(crate) async fn scan<Q: Queue>(
    queue: &Q,
    shutdown: &Shutdown,
    mut look: impl FnMut(Message) + Send,
) -> Result<Scanned, QueueError> {
    let began = Instant::now();
    let request = ReceiveRequest {
        max_messages: MAX_BATCH,
        wait: LIMITS.wait,
        visibility: LIMITS.visibility,
    };
    let mut held = Vec::new();
    let ended = loop {
        let bounded = held.len() >= LIMITS.messages || began.elapsed() >= LIMITS.time;
        if bounded || shutdown.is_requested() {
            break Ok(false);
        }
        match queue.receive(request).await {
            Ok(messages) if messages.is_empty() => break Ok(true),
            Ok(messages) => {
                for message in messages {
                    held.push(message.receipt_handle.clone());
                    look(message);
                }
            }
            Err(error) => break Err(error),
        }
    };
    let not_released = release(queue, held).await;
    Ok(Scanned { exhausted: ended?, not_released })
}

/// Makes messages visible again, in the order in which they came: the head of a FIFO group first.
async fn release<Q: Queue>(queue: &Q, handles: Vec<ReceiptHandle>) -> u64 {
    let total = handles.len();
    let mut failed = 0;
    let mut last_error = None;
    for batch in handles.chunks(MAX_BATCH) {
        let entries = batch.iter().map(|handle| (handle.clone(), Duration::ZERO)).collect();
        for result in queue.change_visibility(entries).await {
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
