//! From an order to SQS's confirmation of it.
//!
//! [`Publisher::admit`] and [`Publisher::publish`] are the whole seam: the one has a place for an
//! order, or says why there is none; the other is given the order and answers with its fate. What
//! happens in between (a call per order, or several orders in one) is the [`batcher`]'s business.
//!
//! The orders in hand are bounded, in number and in bytes; the next one is turned away at once. A
//! caller that goes away before its order's call begins takes the order with it; a call that has begun
//! goes on.
//!
//! Orders of one customer go to a FIFO queue in the order in which they are published here. That
//! holds within one replica; a client that needs an order across replicas sends its next order when
//! the last one is answered.

mod batcher;
mod buffer;
mod fate;
mod queue;
mod send;
mod watch;

pub(crate) use watch::{Watched, watch};

use crate::{metrics::Metrics, room::Reserved, settings::PublishSettings};
use buffer::{Admitted, Buffer};
use fate::{Told, Waiters};
use queue::{Calls, Submitted};
use send::{Message, Sender};
use service_kit::{settings::QueueUrls, telemetry};
use sqs_consumer::{QueueError, aws::Connection};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tracing::{Instrument, field};
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
#[derive(Debug)]
pub(crate) struct PreparedOrder {
    /// Also the deduplication id on FIFO.
    pub(crate) order_id: Uuid,
    /// The message group: the customer.
    pub(crate) group_id: String,
    /// Its key was known: it may have been sent before.
    pub(crate) is_repeated: bool,
    /// The message's body.
    pub(crate) body: String,
}

/// SQS has the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Confirmed {
    /// The id that SQS gave it.
    pub(crate) message_id: String,
    /// Its place in the order of a FIFO queue.
    pub(crate) sequence: Option<u128>,
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
    /// The message is larger than the queue takes.
    #[error("the message is larger than the {largest} bytes that the queue takes")]
    TooLarge {
        /// Bytes.
        largest: usize,
    },
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
            Self::TooLarge { .. } => "too_large",
            Self::Refused(error) => error.kind(),
            Self::Unconfirmed => "timeout",
        }
    }

    /// Whether it says that the queue is in trouble, and not only this message.
    fn is_about_the_queue(&self) -> bool {
        match self {
            Self::Refused(error) => error.is_transient(),
            Self::Unconfirmed => true,
            Self::NotConfigured(_) | Self::Overloaded | Self::TooLarge { .. } => false,
        }
    }
}

/// Sends orders, within bounds. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    standard: Option<Entrance>,
    fifo: Option<Entrance>,
    buffer: Buffer,
    outcomes: Arc<Outcomes>,
}

/// The way to one queue.
#[derive(Clone, Debug)]
struct Entrance {
    queue: QueueType,
    submissions: mpsc::UnboundedSender<Submitted>,
    waiters: Arc<Waiters>,
    destination: Arc<str>,
    watched: Watched,
}

impl Entrance {
    /// Whether the queue takes a message of so many bytes.
    fn takes(&self, size: usize) -> Result<(), PublishError> {
        let largest = self.watched.largest();
        if size > largest { Err(PublishError::TooLarge { largest }) } else { Ok(()) }
    }
}

/// A place among the orders in hand, for one that is to go to this queue. It is free again when it
/// is dropped, or when the fate of its order is known.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    entrance: &'a Entrance,
    admitted: Admitted,
    /// Of the request; that of the send, too, where no span is made for it.
    traceparent: Option<String>,
}

impl Place<'_> {
    /// Where to.
    pub(crate) fn queue(&self) -> QueueType {
        self.entrance.queue
    }
}

/// Somebody waits for an order's fate; dropped before it is known, the caller has gone away.
struct Waiting<'a> {
    metrics: &'a Metrics,
    answered: bool,
}

/// What sends tell the watch over the queues.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// A send failed in a way that says something of the queue.
    failed: Notify,
    /// A send succeeded.
    succeeded: Notify,
    /// What sends a queue's orders is gone.
    broke: Notify,
}

impl Outcomes {
    /// Returns when a queue's orders are not sent any more: this process can only refuse them.
    pub(crate) async fn broke(&self) {
        self.broke.notified().await;
    }
}

/// It ends with its orders; if it panics before, that must not go unnoticed. Returns whether it has.
async fn attend(sending: JoinHandle<()>, outcomes: Arc<Outcomes>) -> bool {
    let ended = sending.await;
    if let Err(error) = &ended {
        tracing::error!(%error, "what sends the orders of a queue broke");
        outcomes.broke.notify_one();
    }
    ended.is_err()
}

impl Publisher {
    /// To be called in a runtime, in which the calls are made from then on.
    pub(crate) fn new(
        connection: &Connection,
        queues: &QueueUrls,
        settings: PublishSettings,
        metrics: &Metrics,
    ) -> Self {
        let outcomes = Arc::new(Outcomes::default());
        let entrance = |url: &Option<String>, queue| {
            let url = url.as_deref()?;
            let watched = Watched::new(connection.queue(url, None));
            let sender = Sender::new(connection.sending().clone(), url, queue);
            let destination = sender.destination().into();
            let (submissions, receiver) = mpsc::unbounded_channel();
            let attended = Arc::clone(&outcomes);
            let (outcomes, metrics) = (Arc::clone(&outcomes), metrics.clone());
            let calls = Arc::new(Calls { sender, outcomes, metrics });
            let waiters = Arc::new(Waiters::new(settings.timeout));
            let timed = Arc::clone(&waiters);
            let sending = tokio::spawn(async move {
                tokio::select! {
                    // By then each order has its fate, so nobody is left to be timed out.
                    () = queue::run(calls, settings, receiver) => {}
                    never = timed.time_out() => match never {},
                }
            });
            let timed = Arc::clone(&waiters);
            tokio::spawn(async move {
                if attend(sending, attended).await {
                    // An order that was just being handed over may have nobody else to end its waiting.
                    timed.time_out().await;
                }
            });
            Some(Entrance { queue, submissions, waiters, destination, watched })
        };
        Self {
            standard: entrance(&queues.standard, QueueType::Standard),
            fifo: entrance(&queues.fifo, QueueType::Fifo),
            buffer: Buffer::new(settings.buffer_orders, metrics),
            outcomes,
        }
    }

    /// A place for an order with this body; the order's room is kept for as long. To be had before
    /// its key is noted or asked for: an order that finds no place leaves no trace and costs little.
    pub(crate) fn admit(
        &self,
        queue: QueueType,
        body: &str,
        reserved: &Arc<Reserved>,
    ) -> Result<Place<'_>, PublishError> {
        let entrance = match queue {
            QueueType::Standard => &self.standard,
            QueueType::Fifo => &self.fifo,
        };
        let entrance = entrance.as_ref().ok_or(PublishError::NotConfigured(queue))?;
        let traceparent = telemetry::current_traceparent();
        entrance.takes(send::size(body, traceparent.as_deref()))?;
        let admitted = self.buffer.admit(Arc::clone(reserved)).ok_or(PublishError::Overloaded)?;
        Ok(Place { entrance, admitted, traceparent })
    }

    /// Sends the order and returns once SQS has confirmed it, or says why that is not known.
    ///
    /// An order whose future is dropped is not sent, unless its call has begun.
    pub(crate) async fn publish(&self, mut place: Place<'_>, order: PreparedOrder) -> Told {
        let destination = &*place.entrance.destination;
        let span = tracing::info_span!(
            "send",
            otel.name = format_args!("send {destination}"),
            otel.kind = "producer",
            messaging.system = "aws_sqs",
            messaging.operation.name = "send",
            messaging.operation.type = "send",
            messaging.destination.name = destination,
            messaging.message.id = field::Empty,
            otel.status_code = field::Empty,
            error.type = field::Empty,
            order_id = %order.order_id,
        );
        if !span.is_disabled() {
            place.traceparent = span.in_scope(telemetry::current_traceparent);
        }
        let sent = self.send(place, order).instrument(span.clone()).await;
        match &sent {
            Ok(confirmed) => _ = span.record("messaging.message.id", &confirmed.message_id),
            Err(error) => telemetry::fail(&span, error.kind()),
        }
        sent
    }

    async fn send(
        &self,
        Place { entrance, admitted, traceparent }: Place<'_>,
        order: PreparedOrder,
    ) -> Told {
        let group_id: Arc<str> = order.group_id.into();
        let group = (entrance.queue == QueueType::Fifo).then(|| Arc::clone(&group_id));
        let message = Message { order_id: order.order_id, group_id, body: order.body, traceparent };
        // The time in it may have become another one, of more digits, since it was admitted.
        entrance.takes(message.size())?;
        let (teller, fate) = entrance.waiters.begin();
        let is_repeated = order.is_repeated;
        let submitted = Submitted { message, group, teller, is_repeated, _admitted: admitted };
        let mut waiting = Waiting { metrics: &self.buffer.metrics, answered: false };
        // Where nobody takes it any more, it is dropped at once, and its fate with it.
        _ = entrance.submissions.send(submitted);
        let told = fate.await;
        waiting.answered = true;
        told
    }

    /// Waits, within the limit, until nothing is under way any more; to be called once no further
    /// order can come. Returns how many orders are left.
    pub(crate) async fn drained(&self, limit: Duration) -> usize {
        self.buffer.drained(limit).await
    }

    /// The queues, where there are any, to be looked at.
    pub(crate) fn watched(&self) -> [Option<Watched>; 2] {
        let watched = |entrance: &Entrance| entrance.watched.clone();
        [self.standard.as_ref().map(watched), self.fifo.as_ref().map(watched)]
    }

    pub(crate) fn outcomes(&self) -> Arc<Outcomes> {
        Arc::clone(&self.outcomes)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.metrics.abandoned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_told_when_what_sends_a_queues_orders_breaks_but_not_when_it_ends() {
        let outcomes = Arc::new(Outcomes::default());
        assert!(!attend(tokio::spawn(async {}), Arc::clone(&outcomes)).await);
        let broke = tokio::time::timeout(Duration::ZERO, outcomes.broke()).await;
        assert!(broke.is_err());
        let panicking = tokio::spawn(async { panic!("injected") });
        assert!(attend(panicking, Arc::clone(&outcomes)).await);
        outcomes.broke().await;
    }
}
