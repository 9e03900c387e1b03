//! What the handler decides on each message, and what it leaves in the store.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use delivery_worker::{
    Carrier, Deliver, DeliverFrom, Failure, Metrics, Reason, Simulated, SimulatedTime, TimeLimits,
    store::{Attempt as Recorded, Outcome},
};
use futures_util::{FutureExt, future::BoxFuture};
use order_events::{DeliveryStatus, OrderEvent};
use prometheus::Registry;
use sqlx::Connection;
use sqs_consumer::{Attempt, DeadLetter, Handler, Verdict};

use crate::support::{PATIENCE, TempStore, eventually, message, order_of};

/// Answers every order alike and counts.
struct Fixed {
    answer: Result<(), Failure>,
    calls: AtomicUsize,
}

impl Carrier for Fixed {
    fn deliver<'a>(&'a self, _order: &'a OrderEvent) -> BoxFuture<'a, Result<(), Failure>> {
        async {
            self.calls.fetch_add(1, Ordering::Relaxed);
            // Others get a turn, as with a carrier that has to be waited for.
            tokio::task::yield_now().await;
            self.answer.clone()
        }
        .boxed()
    }
}

/// Never answers.
struct Silent;

impl Carrier for Silent {
    fn deliver<'a>(&'a self, _order: &'a OrderEvent) -> BoxFuture<'a, Result<(), Failure>> {
        pending().boxed()
    }
}

struct Fixture {
    temp: TempStore,
    handler: DeliverFrom,
    registry: Registry,
}

impl Fixture {
    async fn with(carrier: Arc<dyn Carrier>) -> Self {
        let limits = TimeLimits { attempt: PATIENCE, carrier: Duration::from_millis(50) };
        Self::limited(carrier, limits).await
    }

    async fn limited(carrier: Arc<dyn Carrier>, limits: TimeLimits) -> Self {
        let temp = TempStore::open().await;
        let registry = Registry::new();
        let deliver = Deliver::new(temp.store.clone(), carrier, limits, true, "w-1".to_owned());
        let handler =
            deliver.for_queue("orders", false, Metrics::register(&registry).for_queue("orders"));
        Self { temp, handler, registry }
    }

    async fn handle(&self, order: &OrderEvent, number: u32) -> Verdict {
        self.handler.handle(&message(&order.to_json()), Attempt { number, max: 3 }).await
    }

    async fn story(&self, order: &OrderEvent) -> (Option<DeliveryStatus>, Vec<Recorded>) {
        let store = &self.temp.store;
        let status = store.status(order.order_id).await.unwrap();
        (status, store.attempts(order.order_id, 10).await.unwrap().newest)
    }

    fn metric(&self, line: &str) -> bool {
        let families = self.registry.gather();
        let text = prometheus::TextEncoder::new().encode_to_string(&families).unwrap();
        text.lines().any(|found| found == line)
    }
}

fn fixed(answer: Result<(), Failure>) -> Arc<Fixed> {
    Arc::new(Fixed { answer, calls: AtomicUsize::new(0) })
}

fn immediate() -> Arc<Simulated> {
    Arc::new(Simulated::new(SimulatedTime::Constant(Duration::ZERO)))
}

#[track_caller]
fn retried(verdict: &Verdict) -> (&'static str, Option<Duration>) {
    match verdict {
        Verdict::Retry { letter, not_before, shared } => {
            // Only the carrier can be down for every order. That a handler ran out of time may be its
            // own doing, and then nobody says that it was the carrier.
            let may_be_the_carrier = matches!(letter.reason, "carrier_unavailable" | "timeout");
            assert!(may_be_the_carrier || !shared, "{verdict:?}");
            (letter.reason, *not_before)
        }
        other => panic!("not a retry: {other:?}"),
    }
}

#[tokio::test]
async fn a_delivered_order_is_recorded_before_its_message_is_done() {
    let fixture = Fixture::with(immediate()).await;
    let order = order_of("상품1");
    assert_eq!(fixture.handle(&order, 1).await, Verdict::Done);
    let (status, attempts) = fixture.story(&order).await;
    assert_eq!(status, Some(DeliveryStatus::Delivered));
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].outcome, attempts[0].reason), (Outcome::Delivered, None));
    assert!(fixture.metric(r#"delivery_attempts_total{outcome="delivered",queue="orders"} 1"#));
    assert!(fixture.metric(r#"delivery_end_to_end_seconds_count{queue="orders"} 1"#));
}

#[tokio::test]
async fn an_order_that_comes_again_has_one_effect() {
    let carrier = fixed(Ok(()));
    let fixture = Fixture::with(carrier.clone()).await;
    let order = order_of("상품1");
    let both = tokio::join!(fixture.handle(&order, 1), fixture.handle(&order, 1));
    assert_eq!(both, (Verdict::Done, Verdict::AlreadyDone));
    assert_eq!(fixture.handle(&order, 2).await, Verdict::AlreadyDone);
    assert_eq!(carrier.calls.load(Ordering::Relaxed), 1);
    assert_eq!(fixture.story(&order).await.1.len(), 1);
    assert!(fixture.metric(r#"delivery_duplicates_suppressed_total{queue="orders"} 2"#));
}

#[tokio::test]
async fn a_test_product_fails_every_attempt_and_then_the_order_has_failed() {
    let fixture = Fixture::with(immediate()).await;
    let order = order_of("FIFO-실패테스트-1");
    let expected = [DeliveryStatus::Pending, DeliveryStatus::Pending, DeliveryStatus::Failed];
    for (number, expected) in (1..).zip(expected) {
        let verdict = fixture.handle(&order, number).await;
        assert_eq!(retried(&verdict), ("forced", None));
        assert_eq!(fixture.story(&order).await.0, Some(expected));
    }
    let attempts = fixture.story(&order).await.1;
    let told: Vec<_> = attempts.iter().map(|a| (a.number, a.outcome, a.reason)).collect();
    let failed = |number| (number, Outcome::Failed, Some(Reason::Forced));
    assert_eq!(told, [failed(1), failed(2), failed(3)]);
}

#[tokio::test]
async fn a_carrier_that_is_away_is_tried_again_not_before_it_asked_for() {
    let wait = Some(Duration::from_secs(7));
    let failure = Failure::Unavailable { detail: "busy".to_owned(), retry_after: wait };
    let fixture = Fixture::with(fixed(Err(failure))).await;
    let order = order_of("상품1");
    let verdict = fixture.handle(&order, 1).await;
    assert_eq!(retried(&verdict), ("carrier_unavailable", wait));
    assert!(matches!(verdict, Verdict::Retry { shared: true, .. }), "it may be down for all");
    assert_eq!(fixture.story(&order).await.0, Some(DeliveryStatus::Pending));
}

#[tokio::test]
async fn an_order_whose_carrier_does_not_answer_counts_as_on_its_way() {
    let fixture = Fixture::with(Arc::new(Silent)).await;
    let order = order_of("상품1");
    let verdict = fixture.handle(&order, 2).await;
    assert_eq!(retried(&verdict), ("timeout", None));
    assert!(matches!(verdict, Verdict::Retry { shared: true, .. }), "it may be silent for all");
    assert_eq!(fixture.story(&order).await.0, Some(DeliveryStatus::InTransit));
    assert_eq!(retried(&fixture.handle(&order, 3).await), ("timeout", None));
    assert_eq!(fixture.story(&order).await.0, Some(DeliveryStatus::Failed));
}

#[tokio::test]
async fn an_order_that_the_carrier_refuses_is_dead_lettered_at_once() {
    let failure = Failure::Rejected { status: 422, answer: "no such street".to_owned() };
    let fixture = Fixture::with(fixed(Err(failure))).await;
    let order = order_of("상품1");
    let Verdict::DeadLetter(letter) = fixture.handle(&order, 1).await else { panic!("kept") };
    assert_eq!(letter.reason, "carrier_rejected");
    assert!(letter.detail.contains("422") && letter.detail.contains("no such street"));
    let (status, attempts) = fixture.story(&order).await;
    assert_eq!(status, Some(DeliveryStatus::Failed));
    assert_eq!(attempts[0].outcome, Outcome::Rejected);
    assert!(fixture.metric(r#"delivery_attempts_total{outcome="rejected",queue="orders"} 1"#));
}

#[tokio::test]
async fn a_body_that_is_no_order_is_dead_lettered_with_its_reason() {
    let fixture = Fixture::with(immediate()).await;
    let id = uuid::Uuid::new_v4();
    let no_order = format!(r#"{{"orderId":"{id}","customerId":7}}"#);
    for (body, reason) in [
        ("{garbage", "unparseable"),
        ("\u{1}", "unparseable"),
        ("[]", "unparseable"),
        (&no_order, "unparseable"),
    ] {
        let message = message(body);
        let verdict = fixture.handler.handle(&message, Attempt { number: 1, max: 3 }).await;
        let Verdict::DeadLetter(letter) = verdict else { panic!("{verdict:?}") };
        assert_eq!(letter.reason, reason, "{body}");
        let attempts = if body == no_order {
            fixture.temp.store.attempts(id, 10).await.unwrap().newest
        } else {
            fixture.temp.store.attempts_without_order(&message.message_id).await.unwrap()
        };
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].reason.map(Reason::as_str), Some(reason));
    }
}

#[tokio::test]
async fn while_the_store_is_down_nothing_is_acknowledged_nor_given_up() {
    let carrier = fixed(Ok(()));
    let fixture = Fixture::with(carrier.clone()).await;
    fixture.temp.store.close().await;
    for body in
        [order_of("상품1").to_json(), order_of("실패테스트").to_json(), "garbage".to_owned()]
    {
        let verdict = fixture.handler.handle(&message(&body), Attempt { number: 3, max: 3 }).await;
        assert!(matches!(verdict, Verdict::Unavailable(_)), "{verdict:?}");
    }
    assert_eq!(carrier.calls.load(Ordering::Relaxed), 0, "the carrier is not even asked");
}

#[tokio::test]
async fn an_attempt_that_was_interrupted_is_recorded_too() {
    let fixture = Fixture::with(immediate()).await;
    let order = order_of("상품1");
    for (number, reason) in [(1, Reason::Crash), (2, Reason::Timeout)] {
        let letter = DeadLetter { reason: reason.as_str(), detail: "interrupted".to_owned() };
        let attempt = Attempt { number, max: 3 };
        let (message, took) = (message(&order.to_json()), Duration::from_secs(7));
        let verdict = fixture.handler.interrupted(&message, attempt, took, letter).await;
        assert_eq!(retried(&verdict), (reason.as_str(), None));
        let (status, attempts) = fixture.story(&order).await;
        assert_eq!(status, Some(DeliveryStatus::InTransit));
        let last = attempts.last().unwrap();
        assert_eq!(last.reason, Some(reason));
        let length = last.finished_at.duration_since(last.started_at);
        assert!(length >= took.try_into().unwrap(), "it began when its handler did: {length:?}");
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_in_time_is_to_blame_and_not_the_order() {
    let carrier = fixed(Ok(()));
    let [attempt, most] = [400, 50].map(Duration::from_millis);
    let fixture = Fixture::limited(carrier.clone(), TimeLimits { attempt, carrier: most }).await;
    let mut other = fixture.temp.another_process().await;
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let (order, failing) = (order_of("상품1"), order_of("실패테스트"));
    let first = Attempt { number: 1, max: 3 };
    let garbage = message("{");
    let verdicts = tokio::join!(
        fixture.handle(&order, 1),
        fixture.handle(&failing, 3),
        fixture.handler.handle(&garbage, first),
    );
    for verdict in <[Verdict; 3]>::from(verdicts) {
        assert!(matches!(verdict, Verdict::Unavailable(_)), "{verdict:?}");
    }
    // The record is still under way, and the next attempt waits for what it makes of the order.
    assert!(fixture.handle(&order, 1).now_or_never().is_none());
    held.rollback().await.unwrap();
    eventually("the order is known to be delivered", || async {
        (fixture.handle(&order, 1).await == Verdict::AlreadyDone).then_some(())
    })
    .await;
    assert_eq!(carrier.calls.load(Ordering::Relaxed), 1);
    let (status, attempts) = fixture.story(&order).await;
    assert_eq!((status, attempts.len()), (Some(DeliveryStatus::Delivered), 1));
}

#[tokio::test]
async fn a_copy_that_waits_for_an_attempt_at_its_order_blames_nobody() {
    let [attempt, most] = [4, 3].map(Duration::from_secs);
    let limits = TimeLimits { attempt, carrier: most };
    let fixture = Fixture::limited(Arc::new(Silent), limits).await;
    let order = order_of("상품1");
    let verdicts = tokio::join!(
        fixture.handle(&order, 3),
        fixture.handle(&order, 3),
        fixture.handle(&order, 3)
    );
    let [first, second, third] = verdicts.into();
    assert!(matches!(first, Verdict::Retry { shared: true, .. }), "{first:?}");
    for waited in [second, third] {
        assert!(matches!(waited, Verdict::NotYet(_)), "{waited:?}");
    }
    assert_eq!(fixture.story(&order).await.1.len(), 1, "one attempt was made");
}
