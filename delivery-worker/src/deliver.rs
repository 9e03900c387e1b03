//! What the worker does with one message.
//!
//! An attempt has three steps, and only what is committed counts: find out whether the order is
//! delivered already, hand it to the carrier, record the attempt together with what it makes of the
//! delivery. The verdict is given after the commit, so a message is never deleted on the strength of
//! something that a crash could undo. Where the store fails, or does not answer while the handler
//! still has time to say so, the verdict is [`Verdict::Unavailable`]: the message stays in the queue
//! and the attempt does not count.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use order_events::{DeliveryStatus, OrderEvent};
use serde::Deserialize;
use service_kit::telemetry;
use sqs_consumer::{DeadLetter, Handler, Message, Verdict};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument, Span, field, info, warn};
use uuid::Uuid;

use crate::{
    carrier::{Carrier, Failure, rest},
    figures::Rates,
    metrics::QueueMetrics,
    orders_in_hand::{InHand, OrdersInHand},
    spans::{self, UnderWay},
    store::{Attempt, DeliveryChange, Outcome, Reason, Record, Store, StoreError},
};

/// A product whose name contains this makes its order fail, see [`Deliver::fail_test_products`].
pub const TEST_PRODUCT: &str = "실패테스트";

/// How long an attempt at an order may take.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimits {
    /// The whole attempt: the consumer's handler timeout.
    pub attempt: Duration,
    /// The carrier's part of it, at most three quarters.
    pub carrier: Duration,
}

impl TimeLimits {
    /// How long the attempt waits for others than the carrier: a little less than the consumer lets
    /// it run, since a handler that is stopped cannot say whose fault it was.
    fn patience(&self) -> Duration {
        self.attempt.mul_f64(0.95)
    }

    /// What of that is not the carrier's.
    fn time_to_begin(&self) -> Duration {
        self.patience().saturating_sub(self.whole_carrier())
    }

    /// For the carrier to answer, and for the words of its refusal to arrive.
    fn whole_carrier(&self) -> Duration {
        self.carrier + rest(self.carrier)
    }
}

/// Delivers the orders of every queue; [`Deliver::for_queue`] gives the handler of one.
#[derive(Clone)]
pub struct Deliver {
    /// Where attempts and deliveries are recorded.
    pub store: Store,
    /// Who delivers.
    pub carrier: Arc<dyn Carrier>,
    /// How long an attempt and its parts may take.
    pub limits: TimeLimits,
    /// Orders with a [`TEST_PRODUCT`] fail every attempt, to show and test the way to the
    /// dead-letter queue.
    pub fail_test_products: bool,
    /// Names this worker in the records.
    pub worker: String,
    orders: OrdersInHand,
    rates: Arc<Rates>,
}

impl Deliver {
    /// Delivers with this store and carrier.
    pub fn new(
        store: Store,
        carrier: Arc<dyn Carrier>,
        limits: TimeLimits,
        fail_test_products: bool,
        worker: String,
    ) -> Self {
        let (orders, rates) = (OrdersInHand::default(), Arc::default());
        Self { store, carrier, limits, fail_test_products, worker, orders, rates }
    }

    /// The handler of one queue's messages. An order that comes by two queues at once is still
    /// attempted by one handler at a time.
    pub fn for_queue(&self, queue: &str, fifo: bool, metrics: QueueMetrics) -> DeliverFrom {
        DeliverFrom { deliver: self.clone(), queue: queue.to_owned(), fifo, metrics }
    }

    /// How many orders it delivers, from all queues.
    pub(crate) fn rates(&self) -> Arc<Rates> {
        Arc::clone(&self.rates)
    }

    /// One try; `Ok` when the carrier has the order.
    async fn hand_over(&self, order: &OrderEvent) -> Result<(), Failed> {
        let is_test = |name: &str| name.contains(TEST_PRODUCT);
        if self.fail_test_products && order.items.iter().any(|item| is_test(&item.product_name)) {
            let error = format!("a product's name contains {TEST_PRODUCT}, so the order fails");
            return Err(Failed::for_now(Reason::Forced, error));
        }
        let answer = timeout(self.limits.whole_carrier(), self.carrier.deliver(order)).await;
        let failure = match answer {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::TimedOut(self.limits.carrier),
        };
        let error = failure.to_string();
        Err(match failure {
            Failure::Unavailable { retry_after, .. } => Failed {
                not_before: retry_after,
                shared: true,
                ..Failed::for_now(Reason::CarrierUnavailable, error)
            },
            Failure::TimedOut(_) => {
                Failed { shared: true, ..Failed::for_now(Reason::Timeout, error) }
            }
            Failure::Rejected { .. } => Failed::for_good(Reason::CarrierRejected, error),
        })
    }
}

/// A failed attempt.
struct Failed {
    reason: Reason,
    error: String,
    for_good: bool,
    not_before: Option<Duration>,
    /// The carrier may be down for every order.
    shared: bool,
}

impl Failed {
    fn for_now(reason: Reason, error: String) -> Self {
        Self { reason, error, for_good: false, not_before: None, shared: false }
    }

    fn for_good(reason: Reason, error: String) -> Self {
        Self { reason, error, for_good: true, not_before: None, shared: false }
    }

    /// What the failure makes of the delivery. After a timeout the carrier may have the order, so
    /// it counts as on its way. Whether the consumer gives a message up after its last attempt, or
    /// keeps it since everything fails, is not known yet.
    fn status(&self, attempt: sqs_consumer::Attempt) -> DeliveryStatus {
        match self.reason {
            _ if self.for_good || attempt.is_last() => DeliveryStatus::Failed,
            Reason::Timeout | Reason::Crash => DeliveryStatus::InTransit,
            _ => DeliveryStatus::Pending,
        }
    }
}

/// The handler of one queue's messages.
pub struct DeliverFrom {
    deliver: Deliver,
    queue: String,
    fifo: bool,
    metrics: QueueMetrics,
}

impl Handler for DeliverFrom {
    async fn handle(&self, message: &Message, attempt: sqs_consumer::Attempt) -> Verdict {
        let span = spans::process(&self.queue, message, attempt);
        let under_way = UnderWay::new(span.clone());
        let attempt = self.attempt(message, attempt);
        let attempt = telemetry::passing(attempt, spans::traceparent(message));
        let verdict = attempt.instrument(span).await;
        under_way.ended(&verdict);
        verdict
    }

    async fn interrupted(
        &self,
        message: &Message,
        attempt: sqs_consumer::Attempt,
        took: Duration,
        letter: DeadLetter,
    ) -> Verdict {
        let order = OrderEvent::from_json(&message.body).ok();
        let order_id = order.as_ref().map(|order| order.order_id);
        let span = spans::interrupted(&self.queue, message, &letter, order_id);
        let now = Timestamp::now();
        let started_at = now.checked_sub(took).unwrap_or(now);
        let this = This { message, attempt, started_at, until: self.until() };
        let reason = Reason::parse(letter.reason).unwrap_or(Reason::Crash);
        let failed = Failed::for_now(reason, letter.detail);
        self.failed(&this, order.as_ref(), failed, None).instrument(span).await
    }

    fn dead_letter_span(&self, queue: &str, message: &Message, letter: &DeadLetter) -> Span {
        spans::dead_letter(queue, message, letter, salvage_order_id(&message.body))
    }

    fn received(&self, receive: &Span, message: &Message) {
        spans::received(receive, message);
    }
}

/// The message, which attempt it is, since when, and until when it can wait for the store.
struct This<'a> {
    message: &'a Message,
    attempt: sqs_consumer::Attempt,
    started_at: Timestamp,
    until: Instant,
}

impl DeliverFrom {
    fn until(&self) -> Instant {
        Instant::now() + self.deliver.limits.patience()
    }

    async fn attempt(&self, message: &Message, attempt: sqs_consumer::Attempt) -> Verdict {
        let mut this = This { message, attempt, started_at: Timestamp::now(), until: self.until() };
        let order = match OrderEvent::from_json(&message.body) {
            Ok(order) => order,
            Err(error) => {
                let failed = Failed::for_good(Reason::Unparseable, error.to_string());
                return self.failed(&this, None, failed, None).await;
            }
        };
        if let Some(contradiction) = order.contradiction() {
            let failed = Failed::for_good(Reason::Invalid, contradiction.to_owned());
            return self.failed(&this, Some(&order), failed, None).await;
        }
        let (order_id, store) = (order.order_id, &self.deliver.store);
        Span::current().record("order_id", field::display(order_id));
        // The carrier's time is left after both of these.
        let time_to_begin = self.deliver.limits.time_to_begin();
        let taken = timeout(time_to_begin / 2, self.deliver.orders.take(order_id)).await;
        let Ok(in_hand) = taken else {
            let why = "another attempt at the same order, or its record, is under way";
            return Verdict::NotYet(why.to_owned());
        };
        let status = in_time(Instant::now() + time_to_begin / 2, store.status(order_id));
        match spans::database(store, "read", status).await {
            Ok(Some(DeliveryStatus::Delivered)) => {
                self.metrics.suppressed();
                let message_id = &message.message_id;
                info!(%order_id, message_id, queue = self.queue, attempt = attempt.number, "already delivered, nothing to do");
                return Verdict::AlreadyDone;
            }
            Ok(_) => {}
            Err(error) => return Verdict::Unavailable(error.to_string()),
        }
        this.started_at = Timestamp::now();
        info!(
            %order_id, message_id = message.message_id, queue = self.queue, group = message.group_id,
            attempt = attempt.number, max = attempt.max, "delivery started"
        );
        match self.deliver.hand_over(&order).await {
            Ok(()) => self.delivered(&this, &order, in_hand).await,
            Err(failed) => self.failed(&this, Some(&order), failed, Some(in_hand)).await,
        }
    }

    /// Commits the record. The order stays in hand until that is done or has failed, even when this
    /// attempt is over before: the next one must see what the record makes of the order.
    async fn commit(
        &self,
        this: &This<'_>,
        record: Record,
        in_hand: Option<InHand>,
    ) -> Result<(), StoreError> {
        let written = self.deliver.store.write_holding(record, in_hand);
        spans::database(&self.deliver.store, "write", in_time(this.until, written)).await
    }

    async fn delivered(&self, this: &This<'_>, order: &OrderEvent, in_hand: InHand) -> Verdict {
        let finished_at = Timestamp::now();
        let attempt = self.record(this, Outcome::Delivered, Some(order.order_id), finished_at);
        let delivery = Some(DeliveryChange::new(order, DeliveryStatus::Delivered));
        match self.commit(this, Record { attempt, delivery }, Some(in_hand)).await {
            Ok(()) => {}
            Err(error) => return store_failed(&error),
        }
        self.metrics.attempted(Outcome::Delivered);
        self.deliver.rates.delivered.count();
        let age = finished_at.duration_since(order.timestamp).as_secs_f64();
        // A producer's clock may be ahead of this one.
        self.metrics.delivered_after(age.max(0.0));
        let text = if self.fifo { "delivered, in its group's order" } else { "delivered" };
        info!(
            order_id = %order.order_id, message_id = this.message.message_id, queue = self.queue,
            group = this.message.group_id, attempt = this.attempt.number, "{text}"
        );
        Verdict::Done
    }

    async fn failed(
        &self,
        this: &This<'_>,
        order: Option<&OrderEvent>,
        failed: Failed,
        in_hand: Option<InHand>,
    ) -> Verdict {
        let outcome = if failed.for_good { Outcome::Rejected } else { Outcome::Failed };
        let order_id =
            order.map(|order| order.order_id).or_else(|| salvage_order_id(&this.message.body));
        let mut attempt = self.record(this, outcome, order_id, Timestamp::now());
        attempt.reason = Some(failed.reason);
        attempt.error = Some(failed.error.clone());
        let status = failed.status(this.attempt);
        let delivery = order.map(|order| DeliveryChange::new(order, status));
        match self.commit(this, Record { attempt, delivery }, in_hand).await {
            Ok(()) => {}
            Err(error) => return store_failed(&error),
        }
        self.metrics.attempted(outcome);
        self.deliver.rates.failed.count();
        let next = match (failed.for_good, this.attempt.is_last()) {
            (true, _) => "it will not be tried again",
            // The consumer keeps it while no other succeeds.
            (false, true) if failed.shared => {
                "its attempts are used up; it is given up if others succeed"
            }
            (false, true) => "that was the last attempt",
            (false, false) => "it will be tried again",
        };
        warn!(
            order_id = order_id.map(field::display),
            message_id = this.message.message_id,
            queue = self.queue,
            group = this.message.group_id,
            attempt = this.attempt.number,
            max = this.attempt.max,
            reason = failed.reason.as_str(),
            error = failed.error,
            "delivery failed, attempt {} of {}: {next}",
            this.attempt.number,
            this.attempt.max
        );
        let letter = DeadLetter { reason: failed.reason.as_str(), detail: failed.error };
        if failed.for_good {
            Verdict::DeadLetter(letter)
        } else {
            Verdict::Retry { letter, not_before: failed.not_before, shared: failed.shared }
        }
    }

    fn record(
        &self,
        this: &This<'_>,
        outcome: Outcome,
        order_id: Option<Uuid>,
        finished_at: Timestamp,
    ) -> Attempt {
        Attempt {
            message_id: this.message.message_id.clone(),
            order_id,
            queue: self.queue.clone(),
            group: this.message.group_id.clone(),
            number: this.attempt.number,
            outcome,
            reason: None,
            error: None,
            worker: self.deliver.worker.clone(),
            started_at: this.started_at,
            finished_at,
        }
    }
}

/// The store's answer, or that there was none.
async fn in_time<T>(
    until: Instant,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let silent = |_| Err(StoreError::Unavailable("it did not answer in time".to_owned()));
    timeout_at(until, call).await.unwrap_or_else(silent)
}

/// A store that fails stops everything; a record that it refuses is its own order's failure. The
/// carrier may have that order, and hands it over once however often it is tried.
fn store_failed(error: &StoreError) -> Verdict {
    match error {
        StoreError::Unavailable(_) => Verdict::Unavailable(error.to_string()),
        StoreError::Refused(_) => {
            warn!(%error, "the attempt cannot be recorded");
            let letter = DeadLetter { reason: Reason::Invalid.as_str(), detail: error.to_string() };
            Verdict::Retry { letter, not_before: None, shared: false }
        }
    }
}

/// The order id of a body that is otherwise no order, so that its attempts can be found.
fn salvage_order_id(body: &str) -> Option<Uuid> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Identity {
        order_id: Uuid,
    }
    serde_json::from_str::<Identity>(body).ok().map(|identity| identity.order_id)
}
