//! Handlers that misbehave: whatever they do, each message comes to one end and the consumer lives.

use std::{
    future::{Future, pending},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sqs_consumer::{Attempt, DeadLetter, Handler, Message, Settings, Verdict};

use crate::{
    fixture::SECOND,
    modelled::{Modelled, Operation, SHAPES, Worker, steady},
};

/// How a handler misbehaves with the messages of the group `bad`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    PanicsBeforeItsFuture,
    PanicsAtOnce,
    PanicsLater,
    Hangs,
    ReturnsAfterItsTimeout,
}

/// And then, when it is told that it was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Agrees,
    PanicsBeforeItsFuture,
    Panics,
    Hangs,
}

const TIMEOUT: Duration = Duration::from_secs(5);

struct Misbehaving {
    bad: Bad,
    then: Then,
    /// How often it was told of an interruption.
    told: Arc<AtomicU32>,
    /// Attempts that are interrupted; later ones succeed.
    until: u32,
}

impl Handler for Misbehaving {
    fn handle(&self, message: &Message, attempt: Attempt) -> impl Future<Output = Verdict> + Send {
        let misbehaves = message.body.starts_with("bad") && attempt.number <= self.until;
        let bad = misbehaves.then_some(self.bad);
        assert_ne!(bad, Some(Bad::PanicsBeforeItsFuture), "on purpose");
        async move {
            match bad {
                None | Some(Bad::PanicsBeforeItsFuture) => {}
                Some(Bad::PanicsAtOnce) => panic!("on purpose"),
                Some(Bad::PanicsLater) => {
                    tokio::time::sleep(SECOND).await;
                    panic!("on purpose");
                }
                Some(Bad::Hangs) => pending().await,
                Some(Bad::ReturnsAfterItsTimeout) => tokio::time::sleep(2 * TIMEOUT).await,
            }
            Verdict::Done
        }
    }

    fn interrupted(
        &self,
        _message: &Message,
        _attempt: Attempt,
        _took: Duration,
        letter: DeadLetter,
    ) -> impl Future<Output = Verdict> + Send {
        self.told.fetch_add(1, Ordering::Relaxed);
        let then = self.then;
        assert_ne!(then, Then::PanicsBeforeItsFuture, "on purpose");
        async move {
            match then {
                Then::Panics => panic!("on purpose"),
                Then::Hangs => pending().await,
                Then::Agrees | Then::PanicsBeforeItsFuture => {}
            }
            Verdict::Retry { letter, not_before: None, shared: false }
        }
    }
}

struct Case {
    queue: Modelled,
    worker: Worker,
    told: Arc<AtomicU32>,
}

impl Case {
    fn new(queue: Modelled, bad: Bad, then: Then, until: u32) -> Self {
        queue.send(["bad/1", "bad/2", "good/1", "good/2"]);
        let told = Arc::<AtomicU32>::default();
        let handler = Misbehaving { bad, then, told: told.clone(), until };
        let settings = Settings { handler_timeout: TIMEOUT, ..steady() };
        let worker = queue.work_with(settings, |_, _| handler);
        Self { queue, worker, told }
    }
}

const BAD: [Bad; 5] = [
    Bad::PanicsAtOnce,
    Bad::PanicsLater,
    Bad::Hangs,
    Bad::ReturnsAfterItsTimeout,
    Bad::PanicsBeforeItsFuture,
];

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_hangs_or_is_late_once_is_tried_again() {
    for shape in SHAPES {
        for bad in BAD {
            let case = Case::new(Modelled::new(shape), bad, Then::Agrees, 1);
            case.queue.until_empty().await;
            assert_eq!(case.queue.dead(), [""; 0], "{bad:?}");
            assert_eq!(case.told.load(Ordering::Relaxed), 2, "{bad:?}: one for each bad message");
            assert!(case.worker.is_running());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_always_does_so_costs_its_messages_their_attempts_and_nobody_else_anything()
{
    for shape in SHAPES {
        for bad in BAD {
            for then in [Then::Agrees, Then::Panics, Then::PanicsBeforeItsFuture] {
                let case = Case::new(Modelled::new(shape), bad, then, u32::MAX);
                let queue = &case.queue;
                queue.until("the good ones are gone", |queue| queue.counts() == (0, 2)).await;
                assert!(queue.now() < TIMEOUT, "{bad:?}, {then:?}: {:?}", queue.now());
                queue.until_empty().await;
                let mut dead = queue.dead();
                dead.sort();
                assert_eq!(dead, ["bad/1", "bad/2"], "{shape:?}, {bad:?}, {then:?}");
                assert_eq!(case.told.load(Ordering::Relaxed), 6, "{bad:?}: three attempts each");
                assert_eq!(queue.asked(Operation::DeadLetter).len(), usize::from(shape.fifo) * 2);
                assert!(case.worker.is_running());
                let ended = case.worker.stop().await;
                assert_eq!((ended.released, ended.stranded), (0, 0));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_even_remember_its_interruption_uses_up_no_attempt() {
    for shape in SHAPES {
        let case = Case::new(Modelled::new(shape), Bad::PanicsAtOnce, Then::Hangs, u32::MAX);
        tokio::time::sleep(600 * SECOND).await;
        assert_eq!(case.queue.dead(), [""; 0], "what remembers is down, not the message");
        assert!(case.worker.is_running() && case.worker.is_failing());
        let told = case.told.load(Ordering::Relaxed);
        assert!((5..=100).contains(&told), "{told} probes in ten minutes");
        assert!(case.queue.asked(Operation::Receive).len() <= 30);
        let ended = case.worker.stop().await;
        assert_eq!((ended.stranded, case.queue.counts().1), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlasts_the_drain_is_stopped_and_its_message_goes_back() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        queue.send(["bad/1"]);
        let told = Arc::<AtomicU32>::default();
        let handler =
            Misbehaving { bad: Bad::Hangs, then: Then::Agrees, told: told.clone(), until: 9 };
        let times = Settings { handler_timeout: 60 * SECOND, drain_timeout: TIMEOUT, ..steady() };
        let worker = queue.work_with(times, |_, _| handler);
        tokio::time::sleep(SECOND).await;
        let ended = worker.stop().await;
        assert_eq!((ended.released, ended.stranded), (1, 0));
        assert_eq!((queue.counts(), told.load(Ordering::Relaxed)), ((1, 0), 0));
    }
}

/// Panics when it is dropped before its end.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "on purpose");
    }
}

struct Untidy;

impl Handler for Untidy {
    async fn handle(&self, message: &Message, attempt: Attempt) -> Verdict {
        if message.body.starts_with("bad") && attempt.number == 1 {
            let _untidy = PanicsWhenDropped;
            pending::<()>().await;
        }
        Verdict::Done
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_while_it_is_stopped_at_its_timeout_has_failed() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        queue.send(["bad/1", "bad/2", "good/1"]);
        let settings = Settings { handler_timeout: TIMEOUT, concurrency: 1, ..steady() };
        let worker = queue.work_with(settings, |_, _| Untidy);
        queue.until_empty().await;
        assert_eq!(queue.dead(), [""; 0]);
        assert_eq!(worker.stop().await.stranded, 0);
    }
}
