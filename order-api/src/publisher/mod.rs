//! From an order to SQS's confirmation of it.
//!
//! [`Publisher::publish`] is the whole seam: it is given one order and answers with its fate. What
//! happens in between (a call per order, or several orders in one) is nobody else's business.
//!
//! Two bounds hold: so many calls are under way at once, and so many orders wait for one; the next is
//! turned away at once. Each send is a task of its own, so that a client which goes away, and takes
//! its request's future with it, does not stop a call half way.
//!
//! Orders of one customer go to a FIFO queue in the order in which they were admitted: the next one is
//! sent when the one before it is confirmed or has finally failed. That holds within one replica; a
//! client that needs an order across replicas sends its next order when the last one is answered.

mod lanes;
mod send;
mod watch;

pub(crate) use watch::watch;

use crate::{metrics::Metrics, settings::PublishSettings};
use lanes::{Lanes, Place};
use send::Sender;
use service_kit::settings::QueueUrls;
use sqs_consumer::{QueueError, aws::Connection};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tracing::{Instrument, Span};
use uuid::Uuid;

/// Which of the two order queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueType {
    /// At least once, in no particular order.
    Standard,
    /// In order for each customer.
    Fifo,
}

impl QueueType {
    pub(crate) const ALL: [Self; 2] = [Self::Standard, Self::Fifo];

    /// The spelling of the API's parameter and of the metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Fifo => "fifo",
        }
    }
}

/// An order that is ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct PreparedOrder {
    /// Also the deduplication id on FIFO.
    pub(crate) order_id: Uuid,
    /// Where to.
    pub(crate) queue: QueueType,
    /// The message group: the customer.
    pub(crate) group_id: String,
    /// The message's body.
    pub(crate) body: String,
}

/// SQS has the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Confirmed {
    /// The id that SQS gave it.
    pub(crate) message_id: String,
}

/// Why an order is not known to be in the queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PublishError {
    /// The queue has no URL.
    #[error("no queue URL is set for queueType {}", .0.as_str())]
    NotConfigured(QueueType),
    /// As many orders wait as may wait.
    #[error("too many orders are waiting to be sent")]
    Overloaded,
    /// The message is larger than SQS takes.
    #[error("the message is larger than SQS takes")]
    TooLarge,
    /// The call failed.
    #[error(transparent)]
    Refused(QueueError),
    /// No answer before the deadline; the message may be in the queue or not.
    #[error("SQS did not confirm the message in time")]
    Unconfirmed,
}

impl PublishError {
    /// A name for metrics, from a closed list.
    fn kind(&self) -> &'static str {
        match self {
            Self::NotConfigured(_) => "not_configured",
            Self::Overloaded => "overloaded",
            Self::TooLarge => "too_large",
            Self::Refused(error) => error.kind(),
            Self::Unconfirmed => "timeout",
        }
    }
}

/// Sends orders, within bounds. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    standard: Option<Arc<Sender>>,
    fifo: Option<Arc<Sender>>,
    /// The FIFO queue's message groups.
    lanes: Lanes,
    bounds: Bounds,
    outcomes: Arc<Outcomes>,
    metrics: Metrics,
}

#[derive(Clone, Debug)]
struct Bounds {
    /// Calls under way.
    calls: Arc<Semaphore>,
    /// Orders under way or waiting for a call.
    admitted: Arc<Semaphore>,
    most_admitted: u32,
    timeout: Duration,
}

/// What sends tell the watch over the queues.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// A send failed in a way that says something of the queue.
    failed: Notify,
    /// A send succeeded.
    succeeded: Notify,
}

impl Publisher {
    pub(crate) fn new(
        connection: &Connection,
        queues: &QueueUrls,
        settings: PublishSettings,
        metrics: Metrics,
    ) -> Self {
        let sender = |url: &Option<String>, queue| {
            url.as_deref()
                .map(|url| Arc::new(Sender::new(connection.sending().clone(), url, queue)))
        };
        let most_admitted = settings.concurrency + settings.waiting;
        Self {
            standard: sender(&queues.standard, QueueType::Standard),
            fifo: sender(&queues.fifo, QueueType::Fifo),
            lanes: Lanes::default(),
            bounds: Bounds {
                calls: Arc::new(Semaphore::new(settings.concurrency)),
                admitted: Arc::new(Semaphore::new(most_admitted)),
                most_admitted: most_admitted as u32,
                timeout: settings.timeout,
            },
            outcomes: Arc::default(),
            metrics,
        }
    }

    /// Sends the order and returns once SQS has confirmed it, or says why that is not known.
    ///
    /// Dropping the future does not stop the send.
    pub(crate) async fn publish(&self, order: PreparedOrder) -> Result<Confirmed, PublishError> {
        let sender = match order.queue {
            QueueType::Standard => &self.standard,
            QueueType::Fifo => &self.fifo,
        };
        let sender = sender.as_ref().ok_or(PublishError::NotConfigured(order.queue))?;
        let admitted = Arc::clone(&self.bounds.admitted)
            .try_acquire_owned()
            .map_err(|_| PublishError::Overloaded)?;
        // Here and not in the task, since tasks begin in any order.
        let place =
            (order.queue == QueueType::Fifo).then(|| self.lanes.take_place(&order.group_id));
        let sending = self.clone().send(Arc::clone(sender), order, place, admitted);
        let sent = tokio::spawn(sending.instrument(Span::current())).await;
        // The task neither panics nor is cancelled but with the whole runtime.
        sent.unwrap_or(Err(PublishError::Unconfirmed))
    }

    async fn send(
        self,
        sender: Arc<Sender>,
        order: PreparedOrder,
        place: Option<Place>,
        _admitted: OwnedSemaphorePermit,
    ) -> Result<Confirmed, PublishError> {
        let deadline = Instant::now() + self.bounds.timeout;
        let leave = async {
            // The turn comes first: a call's permit is not held while waiting for another order.
            let turn = match place {
                Some(place) => Some(place.turn().await),
                None => None,
            };
            (turn, self.bounds.calls.acquire().await)
        };
        let Ok((_turn, Ok(_call))) = tokio::time::timeout_at(deadline, leave).await else {
            return Err(PublishError::Overloaded);
        };
        let started = Instant::now();
        // Boxed: the SDK's future takes several kilobytes.
        let call = Box::pin(sender.send(&order));
        let sent = match tokio::time::timeout_at(deadline, call).await {
            Ok(sent) => sent,
            Err(_) => Err(PublishError::Unconfirmed),
        };
        let error_type = sent.as_ref().err().map_or("", PublishError::kind);
        self.metrics.sent(sender.destination(), error_type, started.elapsed());
        match &sent {
            Ok(_) => self.outcomes.succeeded.notify_waiters(),
            Err(PublishError::Refused(error)) if !error.is_transient() => {}
            Err(PublishError::TooLarge) => {}
            // No permit is kept for later: a look that follows knows better.
            Err(_) => self.outcomes.failed.notify_waiters(),
        }
        sent
    }

    /// Waits, within the limit, until nothing is under way any more; to be called once no further
    /// order can come. Returns how many orders are left.
    pub(crate) async fn drained(&self, limit: Duration) -> usize {
        let all = self.bounds.admitted.acquire_many(self.bounds.most_admitted);
        match tokio::time::timeout(limit, all).await {
            Ok(_) => 0,
            Err(_) => self.bounds.most_admitted as usize - self.bounds.admitted.available_permits(),
        }
    }

    pub(crate) fn outcomes(&self) -> Arc<Outcomes> {
        Arc::clone(&self.outcomes)
    }
}
