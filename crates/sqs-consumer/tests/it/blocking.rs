//! Handlers that block their thread, so that nothing can stop them before they end by themselves.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use aws_sdk_sqs::types::QueueAttributeName;
use local_sqs::{FaultRule, Faults};
use prometheus::Registry;
use sqs_consumer::{
    Attempt, Consumer, Drained, Handler, Health, Message, Metrics, Settings, Verdict,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

use crate::rig::{FIFO, Rig, STANDARD, Warnings, quick, until};

/// Blocks its thread at the first attempt of some messages until it is told to go on.
struct Blocking {
    blocked: mpsc::Sender<()>,
    go_on: Arc<Mutex<mpsc::Receiver<()>>>,
    running: Arc<AtomicU32>,
    overlapped: Arc<AtomicBool>,
    /// It awaits something first, so that a timer wakes it on the thread that then is blocked.
    awaits: Duration,
    /// What becomes of the others, and of the blocking ones when they go on; none: they wait for ever.
    verdict: Option<Verdict>,
}

impl Handler for Blocking {
    async fn handle(&self, message: &Message, attempt: Attempt) -> Verdict {
        if self.running.fetch_add(1, SeqCst) > 0 {
            self.overlapped.store(true, SeqCst);
        }
        if message.body == "block/1" && attempt.number == 1 {
            if !self.awaits.is_zero() {
                tokio::time::sleep(self.awaits).await;
            }
            self.blocked.send(()).expect("the test waits");
            _ = self.go_on.lock().expect("no panic").recv();
        }
        self.running.fetch_sub(1, SeqCst);
        match self.verdict.clone() {
            Some(verdict) => verdict,
            None => std::future::pending().await,
        }
    }
}

/// A consumer with such a handler.
pub(crate) struct Case {
    blocked: mpsc::Receiver<()>,
    pub(crate) go_on: mpsc::Sender<()>,
    pub(crate) health: watch::Receiver<Health>,
    overlapped: Arc<AtomicBool>,
    registry: Registry,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Drained>,
}

impl Case {
    pub(crate) fn start(
        rig: &Rig,
        queue: &str,
        settings: Settings,
        verdict: Option<Verdict>,
    ) -> Self {
        Self::start_after(Duration::ZERO, rig, queue, settings, verdict)
    }

    fn start_after(
        awaits: Duration,
        rig: &Rig,
        queue: &str,
        settings: Settings,
        verdict: Option<Verdict>,
    ) -> Self {
        let (blocked, told) = mpsc::channel();
        let (go_on, wait) = mpsc::channel();
        let overlapped = Arc::<AtomicBool>::default();
        let handler = Blocking {
            blocked,
            go_on: Arc::new(Mutex::new(wait)),
            running: Arc::default(),
            overlapped: overlapped.clone(),
            awaits,
            verdict,
        };
        let source = rig.connection.queue(&rig.url(queue), None);
        let settings = Settings { without_dead_letter_queue: true, ..settings };
        let registry = Registry::new();
        let metrics = Metrics::register(&registry, "test");
        let consumer = Consumer::new(source, handler, settings, metrics).expect("valid");
        let health = consumer.health();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(consumer.run(async {
            _ = stopped.await;
        }));
        Self { blocked: told, go_on, health, overlapped, registry, stop, running }
    }

    pub(crate) fn until_it_blocks(&self) {
        self.blocked.recv_timeout(Duration::from_mins(1)).expect("it blocks");
    }

    /// A counter's or a gauge's value, over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather().into_iter().filter(|family| family.name() == name);
        let values = families.map(|family| {
            let metrics = family.get_metric().iter();
            let value = |m: &prometheus::proto::Metric| {
                m.get_counter().get_value() + m.get_gauge().get_value()
            };
            metrics.map(value).sum::<f64>()
        });
        values.sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_blocks_keeps_only_its_own_message_from_going_back() {
    for queue in [STANDARD, FIFO] {
        let rig = Rig::start().await;
        rig.send(queue, ["block/1".to_owned()]).await;
        rig.send(queue, (0..9).map(|group| format!("g{group}/1"))).await;
        let settings = Settings { drain_timeout: Duration::from_millis(300), ..quick() };
        let case = Case::start(&rig, queue, settings, None);
        until("all are in flight", || rig.counts(queue).1 == 10).await;
        case.until_it_blocks();
        drop(case.stop);
        let drained = case.running.await.expect("no panic");
        // Those that an own receive has brought back go back again.
        assert!(drained.stranded == 1 && drained.released >= 9, "{queue}: {drained:?}");
        assert_eq!(rig.counts(queue), (9, 1), "the one that blocks was not shown to others");
        drop(case.go_on);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_message_goes_back_once_its_blocking_handler_has_stopped() {
    let rig = Rig::start().await;
    rig.send(STANDARD, ["block/1".to_owned()]).await;
    let settings = Settings { drain_timeout: Duration::from_millis(100), ..quick() };
    let case = Case::start(&rig, STANDARD, settings, None);
    case.until_it_blocks();
    drop(case.stop);
    // Longer than a call waits for a handler: it is asked for again.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(rig.counts(STANDARD), (0, 1), "not while it runs");
    case.go_on.send(()).expect("it blocks");
    assert_eq!(case.running.await.expect("no panic"), Drained { released: 1, stranded: 0 });
    assert_eq!(rig.counts(STANDARD), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn none_begins_beside_a_handler_of_its_message_or_group_that_blocks_beyond_the_lease() {
    for (queue, comes_back) in [(STANDARD, true), (FIFO, true), (FIFO, false)] {
        let rig = Rig::start().await;
        rig.set_attribute(queue, QueueAttributeName::VisibilityTimeout, "6").await;
        let rule = FaultRule {
            operation: Some("ChangeMessageVisibilityBatch".to_owned()),
            error_rate: 1.0,
            ..FaultRule::default()
        };
        rig.server.set_faults(Faults { seed: 1, rules: vec![rule] });
        rig.send(queue, ["block/1".to_owned()]).await;
        let settings = Settings { handler_timeout: Duration::from_secs(1), ..quick() };
        let case = Case::start(&rig, queue, settings, Some(Verdict::Done));
        case.until_it_blocks();
        if !comes_back {
            // The next one of its group comes instead.
            rig.purge(queue).await;
            until("it is lost", || case.metric("test_leases_lost_total") >= 1.0).await;
            rig.send(queue, ["block/2".to_owned()]).await;
        }
        until("it is lost, and the turn of what is received then has come", || {
            case.metric("messaging_client_consumed_messages_total") >= 2.0
                && case.metric("test_in_flight") >= 1.0
        })
        .await;
        case.go_on.send(()).expect("it blocks");
        rig.until_empty(queue).await;
        assert!(!case.overlapped.load(SeqCst), "{queue}: two handlers at once");
        drop(case.stop);
        case.running.await.expect("no panic");
    }
}

/// A runtime whose threads tell their warnings here.
fn runtime(threads: usize) -> (tokio::runtime::Runtime, Warnings) {
    let warnings = Warnings::default();
    let dispatch = tracing::Dispatch::new(warnings.subscriber());
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(threads).enable_all().on_thread_start(move || {
        // For as long as the thread lives.
        std::mem::forget(tracing::dispatcher::set_default(&dispatch));
    });
    (runtime.build().expect("a runtime"), warnings)
}

/// Waits without the runtime, whose timers may be what does not work.
#[expect(clippy::disallowed_methods, reason = "the thread is the test's own")]
fn until_outside(what: &str, condition: impl Fn() -> bool) {
    let pauses = (0..30_000).take_while(|_| !condition());
    pauses.for_each(|_| std::thread::sleep(Duration::from_millis(2)));
    assert!(condition(), "not reached: {what}");
}

#[test]
fn the_lease_of_a_handler_that_blocks_is_kept_and_it_is_told_of_while_it_does_and_when_it_comes_back()
 {
    for queue in [STANDARD, FIFO] {
        // Two threads, of which it blocks the one that waits for timers and sockets.
        let (runtime, warnings) = runtime(2);
        runtime.block_on(async {
            let rig = Rig::start().await;
            rig.set_attribute(queue, QueueAttributeName::VisibilityTimeout, "6").await;
            rig.send(queue, ["block/1".to_owned()]).await;
            let settings = Settings { handler_timeout: Duration::from_secs(1), ..quick() };
            let awaits = Duration::from_millis(50);
            let case = Case::start_after(awaits, &rig, queue, settings, Some(Verdict::Done));
            case.until_it_blocks();
            // The second one comes when the lease of the receive is over.
            until_outside("two extensions", || {
                case.metric("test_visibility_extensions_total") >= 2.0
            });
            let text = warnings.text();
            assert!(
                text.contains("has not come back") && text.contains("receives=1"),
                "{queue}: {text}"
            );
            assert!(!text.contains("came back after its time"), "{text}");
            case.go_on.send(()).expect("it blocks");
            rig.until_empty(queue).await;
            let text = warnings.text();
            assert!(text.contains("came back after its time"), "{text}");
            assert!(case.metric("messaging_client_consumed_messages_total") < 2.0);
            assert!(case.metric("test_leases_lost_total") < 1.0);
            drop(case.stop);
            assert_eq!(case.running.await.expect("no panic"), Drained::default());
        });
    }
}
