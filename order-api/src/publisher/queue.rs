//! One queue's orders: a task that owns the batcher and lets it make its calls.

use super::{
    Outcomes, PublishError,
    batcher::{Answer, Batcher, Bounds, Entry, Fate, Outgoing},
    buffer::Admitted,
    fate::Teller,
    send::{Message, Sender},
};
use crate::{metrics::Metrics, settings::PublishSettings};
use rand::rngs::SmallRng;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::Instant,
};

/// Orders taken in from the callers in one go.
const MOST_AT_ONCE: usize = 256;

/// An order on its way, and who waits for it.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) message: Message,
    /// None where the order of a group does not count.
    pub(super) group: Option<Arc<str>>,
    pub(super) teller: Teller,
    /// Its key was known, or may have been: it may have been sent before.
    pub(super) is_repeated: bool,
    /// Its place in the buffer.
    pub(super) _admitted: Admitted,
}

impl Outgoing for Submitted {
    fn group(&self) -> Option<&Arc<str>> {
        self.group.as_ref()
    }

    fn size(&self) -> usize {
        self.message.size()
    }

    fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    fn take(&self, now: Instant) -> bool {
        self.teller.take(now)
    }
}

/// What the calls of a queue need.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) sender: Sender,
    pub(super) outcomes: Arc<Outcomes>,
    pub(super) metrics: Metrics,
}

type Ended = (Vec<Entry<Submitted>>, Answer);

/// Sends what is submitted, until nobody can submit any more and everything has its fate.
pub(super) async fn run(
    calls: Arc<Calls>,
    settings: PublishSettings,
    mut submissions: mpsc::UnboundedReceiver<Submitted>,
) {
    let random: SmallRng = rand::make_rng();
    let PublishSettings { concurrency: calls_at_once, batch, linger, .. } = settings;
    let bounds = Bounds { calls: calls_at_once, batch, linger };
    let mut batcher = Batcher::new(bounds, random);
    let mut under_way: JoinSet<Ended> = JoinSet::new();
    let mut arrived = Vec::with_capacity(MOST_AT_ONCE);
    let mut open = true;
    loop {
        while let Some(entries) = batcher.next_call(Instant::now()) {
            under_way.spawn(call(Arc::clone(&calls), entries));
        }
        let wakeup = batcher.next_wakeup();
        tokio::select! {
            biased;
            Some(ended) = under_way.join_next() => tell(&mut batcher, ended),
            count = submissions.recv_many(&mut arrived, MOST_AT_ONCE), if open => {
                open = count > 0;
                let now = Instant::now();
                for submitted in arrived.drain(..) {
                    batcher.push(now, submitted);
                }
            }
            () = tokio::time::sleep_until(wakeup.unwrap_or_else(Instant::now)), if wakeup.is_some() => {}
            else => return,
        }
    }
}

fn tell(batcher: &mut Batcher<Submitted>, ended: Result<Ended, JoinError>) {
    let (entries, answer) = match ended {
        Ok(ended) => ended,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => unreachable!("calls are not cancelled"),
    };
    let fates: Vec<Fate<Submitted>> = batcher.ended(Instant::now(), entries, answer);
    for (submitted, fate) in fates {
        submitted.teller.tell(fate);
    }
}

async fn call(calls: Arc<Calls>, entries: Vec<Entry<Submitted>>) -> Ended {
    // The last of them decides: what SQS confirms until then somebody waits for.
    let deadline = entries.iter().map(|entry| entry.order.teller.deadline()).max();
    let messages: Vec<&Message> = entries.iter().map(|entry| &entry.order.message).collect();
    let started = Instant::now();
    // Boxed: the SDK's future takes several kilobytes.
    let sending = Box::pin(calls.sender.send(&messages));
    let answer = match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, sending)
            .await
            .unwrap_or(Answer::Failed(PublishError::Unconfirmed)),
        None => sending.await,
    };
    calls.note(messages.len(), &answer, started.elapsed());
    (entries, answer)
}

impl Calls {
    fn note(&self, messages: usize, answer: &Answer, took: Duration) {
        let destination = self.sender.destination();
        let (mut confirmed, mut troubled) = (0, false);
        let mut failed = |error: &PublishError, count: usize| {
            troubled |= error.is_about_the_queue();
            self.metrics.sent(destination, error.kind(), count);
        };
        let error_type = match answer {
            Answer::Failed(error) => {
                failed(error, messages);
                error.kind()
            }
            Answer::Each(results) => {
                for result in results {
                    match result {
                        Ok(_) => confirmed += 1,
                        Err(error) => failed(error, 1),
                    }
                }
                ""
            }
        };
        if confirmed > 0 {
            self.metrics.sent(destination, "", confirmed);
            self.outcomes.succeeded.notify_waiters();
        }
        self.metrics.called(destination, error_type, messages, took);
        // No permit is kept for later: a look that follows knows better.
        if troubled {
            self.outcomes.failed.notify_waiters();
        }
    }
}
