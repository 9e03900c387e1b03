//! Traps 20, 21 and 28: calls that hang, calls that fail, and what is down.

use std::{collections::BTreeMap, time::Duration};

use prometheus::Registry;
use sqs_consumer::{
    Queue, QueueError, ReceiveRequest, Settings,
    aws::{CallMetrics, Connection, Options},
    scheduler::{Answer, Config, Ended, Fate},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{Instant, sleep},
};

use crate::{
    fixture::{Call, Fixture, SECOND, fifo, standard},
    modelled::{self, Fault, Modelled, Operation, SHAPES, What, steady},
    rig::Doing,
};

const DONE_AT_ONCE: Doing = Doing::Succeed(Duration::ZERO);

#[tokio::test(start_paused = true)]
async fn trap_20_a_receive_that_hangs_is_over_within_its_wait_and_a_margin_and_the_next_one_works()
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        // The first connection is a black hole: it takes the request and never answers.
        let (black_hole, _) = listener.accept().await.unwrap();
        let (mut answering, _) = listener.accept().await.unwrap();
        _ = answering.read(&mut [0; 4_096]).await.unwrap();
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\n\
                      content-length: 2\r\n\r\n{}";
        answering.write_all(answer.as_bytes()).await.unwrap();
        drop(black_hole);
    });
    let url = format!("{endpoint}/000000000000/orders");
    let calls = CallMetrics::register(&Registry::new());
    let connection = Connection::open(Options::default(), Some(&url), calls).await;
    let queue = connection.queue(&url, None);
    let wait = 20 * SECOND;
    let request = ReceiveRequest { max_messages: 10, wait, visibility: 30 * SECOND };
    let asked_at = Instant::now();
    let error = queue.receive(request).await.unwrap_err();
    assert!(matches!(error, QueueError::Unavailable(_)), "{error}");
    let took = asked_at.elapsed();
    assert!(took >= wait, "a long poll has its full time: {took:?}");
    assert!(took <= wait + 10 * SECOND, "{took:?}");
    assert_eq!(queue.receive(request).await, Ok(vec![]));
}

#[tokio::test(start_paused = true)]
async fn trap_20b_receives_that_hang_for_their_whole_time_strand_nothing_and_are_repeated() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        // Nothing comes back for 26 s, though the queue has handed messages out.
        queue.faults(|ask| {
            let hangs = ask.is(Operation::Receive) && ask.at < 30 * SECOND;
            let (answer_takes, answered_with) = (26 * SECOND, Some(modelled::unavailable()));
            let lost = Fault { answer_takes, answered_with, ..Fault::default() };
            if hangs { lost } else { Fault::default() }
        });
        queue.send((1..=5).map(|number| format!("g/{number}")));
        queue.work(steady(), |_, _| DONE_AT_ONCE);
        queue.until("all took effect", |queue| queue.effects().len() == 5).await;
        assert!(queue.now() < 180 * SECOND, "{:?}", queue.now());
        queue.assert_in_order_if_fifo();
        assert_eq!(queue.dead(), [""; 0]);
    }
}

#[test]
fn trap_21_a_minute_of_errors_costs_few_receives_with_growing_pauses() {
    let mut f = Fixture::new(standard());
    let mut receives = 0;
    for _ in 0..600 {
        while !f.polls().is_empty() {
            f.fail_receive();
            receives += 1;
            assert!(receives < 1_000, "a hot loop");
        }
        f.pass(SECOND / 10);
    }
    assert!((5..=15).contains(&receives), "{receives} receives in a minute");
    f.pass(30 * SECOND);
    f.receive(&["m"]);
    assert_eq!(f.started(), ["m"], "it recovers");
}

#[tokio::test(start_paused = true)]
async fn trap_21b_a_minute_of_refusals_costs_few_jittered_calls_drops_readiness_and_is_survived() {
    let refusals: [fn(String) -> QueueError; 4] = [
        QueueError::AccessDenied,
        QueueError::Throttled,
        QueueError::NoSuchQueue,
        QueueError::Unavailable,
    ];
    for operation in [Operation::Attributes, Operation::Receive] {
        for refusal in refusals {
            let queue = Modelled::new(modelled::STANDARD);
            queue.faults(move |ask| {
                let refused = ask.is(operation) && ask.at < 60 * SECOND;
                let refused = refused.then(|| Fault::refused(refusal("injected".to_owned())));
                refused.unwrap_or_default()
            });
            let workers = [1, 2].map(|seed| {
                queue.work(Settings { seed: Some(seed), ..steady() }, |_, _| DONE_AT_ONCE)
            });
            queue.send(["m/1"]);
            sleep(59 * SECOND).await;
            let mut calls = BTreeMap::<usize, Vec<Duration>>::new();
            for told in queue.timeline() {
                if told.what == What::Asked(operation) {
                    calls.entry(told.worker).or_default().push(told.at);
                }
            }
            for at in calls.values() {
                assert!((4..=15).contains(&at.len()), "{operation:?}: {at:?}");
                let pauses: Vec<_> = at.windows(2).map(|pair| pair[1].abs_diff(pair[0])).collect();
                let last = pauses.last().unwrap();
                assert!(*last >= 4 * pauses[0], "they grow: {pauses:?}");
            }
            assert_ne!(calls[&0], calls[&1], "two workers do not call in step");
            assert!(workers.iter().all(|worker| worker.is_failing() && worker.is_running()));
            sleep(60 * SECOND).await;
            assert_eq!(queue.effects(), ["m/1"]);
            assert!(workers.iter().all(|worker| !worker.is_failing()), "it recovers");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trap_21c_a_minute_of_refused_settling_costs_few_calls_and_drops_readiness() {
    let refusals: [fn(String) -> QueueError; 2] = [QueueError::Throttled, QueueError::Rejected];
    for operation in [Operation::Delete, Operation::ChangeVisibility, Operation::DeadLetter] {
        for (shape, refusal) in SHAPES.into_iter().flat_map(|s| refusals.map(|r| (s, r))) {
            let queue = Modelled::new(shape);
            queue.faults(move |ask| {
                let refused = ask.is(operation) && ask.at < 60 * SECOND;
                let refused = refused.then(|| Fault::refused(refusal("injected".to_owned())));
                refused.unwrap_or_default()
            });
            queue.send((0..50).map(|group| format!("{group}/1")));
            let settings = Settings { handler_timeout: 30 * SECOND, ..steady() };
            let worker = queue.work(settings, |body, attempt| match body.len() % 3 {
                0 => Doing::Reject,
                1 if attempt.number == 1 => Doing::Fail,
                // Long enough to be extended.
                _ => Doing::Succeed(25 * SECOND),
            });
            let mut failing = 0;
            for _ in 0..60 {
                sleep(SECOND).await;
                failing += u32::from(worker.is_failing());
            }
            // A lease that SQS refuses for good to extend is not asked for again, and these handlers end in
            // time: of a lane, which makes its retries in place, nothing else is asked.
            let needs_nothing = operation == Operation::ChangeVisibility
                && shape.fifo
                && matches!(refusal(String::new()), QueueError::Rejected(_));
            assert!(
                failing >= 5 || needs_nothing,
                "{operation:?}, {shape:?}: not ready for {failing} s"
            );
            let calls = queue.asked(operation).len();
            // Ten are copied to the dead-letter queue, each in calls of its own; other calls are shared.
            let most = if operation == Operation::DeadLetter { 10 * 15 } else { 100 };
            assert!((1..=most).contains(&calls), "{operation:?}, {shape:?}: {calls}");
            let receives = queue.asked(Operation::Receive).len();
            assert!(receives <= 70, "{operation:?}, {shape:?}: {receives} receives");
            sleep(120 * SECOND).await;
            assert!(!worker.is_failing(), "it recovers: {operation:?}, {shape:?}");
        }
    }
}

#[test]
fn trap_21d_answers_that_come_too_late_to_be_of_use_are_paced_like_failed_receives() {
    let mut f = Fixture::new(standard());
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let mut pause = 0;
        while f.polls().is_empty() {
            f.pass(SECOND / 10);
            pause += 1;
        }
        pauses.push(pause);
        f.pause_process(31 * SECOND);
        f.receive(&["m"]);
    }
    assert!(pauses[5] >= 50, "tenths of seconds between receives: {pauses:?}");
}

#[test]
fn trap_28_while_the_store_is_down_nothing_is_acknowledged_and_no_receive_is_burnt() {
    for config in [fifo(), standard()] {
        let mut f = Fixture::new(config);
        f.receive(&["a/1", "a/2", "b/1"]);
        f.started();
        f.finish("a/1", Ended::Unavailable);
        assert!(f.stats().breaker_open);
        let mut attempts = 0;
        for _ in 0..600 {
            f.pass(SECOND);
            while let Some(Call::Extend(_)) = f.call() {
                f.answer(Answer::Ok);
            }
            for (name, attempt) in f.started_attempts() {
                assert_eq!(attempt, 1, "an attempt without the store does not count");
                attempts += 1;
                f.finish(&name, Ended::Unavailable);
            }
        }
        assert!((10..60).contains(&attempts), "{attempts} probes in ten minutes");
        assert_eq!((f.calls(), f.ended()), (vec![], vec![]), "all stay leased");
        assert!(f.polls().len() <= 1, "no further receives");
    }
}

#[tokio::test(start_paused = true)]
async fn trap_28b_ten_minutes_without_the_store_acknowledge_nothing_and_kill_no_message() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        for group in ["a", "b", "c", "d"] {
            queue.send((1..=10).map(|number| format!("{group}/{number}")));
        }
        let clock = queue.clone();
        let worker = queue.work(steady(), move |_, _| {
            if clock.now() < 600 * SECOND { Doing::Unavailable } else { DONE_AT_ONCE }
        });
        sleep(599 * SECOND).await;
        assert!(queue.asked(Operation::Delete).is_empty(), "nothing is acknowledged");
        assert!(worker.is_failing() && worker.is_running(), "not ready, but alive");
        let receives = queue.asked(Operation::Receive).len();
        assert!(receives <= 30, "{shape:?}: {receives} receives");
        let attempts = queue.started().len();
        assert!((15..=100).contains(&attempts), "{shape:?}: {attempts} attempts");
        queue.until_empty().await;
        let most = queue.effects().iter().map(|body| queue.receives(body)).max();
        assert_eq!(most, Some(1), "no message was given back and taken again");
        assert_eq!((queue.effects().len(), queue.dead()), (40, vec![]));
        queue.assert_in_order_if_fifo();
        assert!(!worker.is_failing());
    }
}

#[tokio::test(start_paused = true)]
async fn trap_28c_ten_minutes_without_the_carrier_kill_no_message_either() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        // Enough groups that each worker sees several fail: one alone may fail by itself.
        queue.send((0..20).flat_map(|group| [format!("g{group}/1"), format!("g{group}/2")]));
        let rule = |clock: Modelled| {
            move |_: &str, _| {
                let down = clock.now() < 600 * SECOND;
                if down { Doing::FailShared } else { DONE_AT_ONCE }
            }
        };
        let workers = [0, 1].map(|_| queue.work(steady(), rule(queue.clone())));
        sleep(599 * SECOND).await;
        assert!(queue.asked(Operation::Delete).is_empty());
        assert_eq!(queue.dead(), [""; 0], "{shape:?}: an outage alone kills nothing");
        let (attempts, receives) = (queue.started().len(), queue.asked(Operation::Receive).len());
        assert!(attempts <= 200, "{shape:?}: {attempts} attempts");
        assert!(receives <= 150, "{shape:?}: {receives} receives");
        assert!(workers.iter().all(|worker| worker.is_failing() && worker.is_running()));
        queue.until_empty().await;
        assert_eq!((queue.effects().len(), queue.dead()), (40, vec![]), "{shape:?}");
        queue.assert_in_order_if_fifo();
    }
}

#[test]
fn trap_28d_a_message_that_fails_so_while_others_succeed_dies_of_its_own() {
    let mut f = Fixture::new(fifo());
    f.receive(&["bad/1", "good/1", "good/2", "good/3", "good/4", "good/5", "good/6"]);
    let mut attempts = Vec::new();
    for _ in 0..120 {
        for (name, attempt) in f.started_attempts() {
            if name == "bad/1" {
                attempts.push(attempt);
                f.finish(&name, Ended::Retry { not_before: None, shared: true });
            } else {
                f.done(&name);
            }
        }
        f.pass(SECOND);
        f.answer_all(Answer::Ok);
        if !f.polls().is_empty() && attempts.len() < 3 {
            let name = format!("good/{}", 100 + attempts.len());
            f.receive(&[&name]);
        }
    }
    assert_eq!(attempts, [1, 2, 3]);
    assert!(f.ended().contains(&("bad/1".to_owned(), Fate::DeadLettered)));
    assert!(!f.stats().breaker_open);
}

#[test]
fn trap_28e_the_fifth_failure_in_a_row_that_may_be_everyones_pauses_all_and_a_success_resets_them()
{
    let shared = Ended::Retry { not_before: None, shared: true };
    let mut f = Fixture::new(Config { concurrency: 20, ..fifo() });
    f.receive(&["a/1", "b/1", "c/1", "d/1", "e/1", "f/1", "g/1", "h/1", "i/1"]);
    for name in ["a/1", "b/1", "c/1", "d/1"] {
        f.finish(name, shared);
    }
    f.done("e/1");
    for name in ["f/1", "g/1", "h/1"] {
        f.finish(name, shared);
    }
    assert!(!f.stats().breaker_open, "four, a success, three");
    f.finish("i/1", shared);
    f.started();
    f.pass(3 * SECOND);
    let again = f.started();
    assert!(!again.is_empty() && !f.stats().breaker_open, "four in a row are not enough");
    f.finish(&again[0], shared);
    assert!(f.stats().breaker_open, "the fifth is");
}

#[test]
fn trap_28f_one_message_that_fails_so_pauses_nobody_else_and_is_not_given_up_alone() {
    let mut f = Fixture::new(fifo());
    f.receive(&["bad/1"]);
    for _ in 0..600 {
        if f.started().is_empty() {
            f.pass(SECOND);
            f.answer_all(Answer::Ok);
        } else {
            f.finish("bad/1", Ended::Retry { not_before: None, shared: true });
        }
        assert!(!f.stats().breaker_open);
    }
    assert_eq!(f.ended(), [], "nothing has shown that it is its own fault");
    // The poll has waited all the time; the next one is a young one.
    f.receive(&[]);
    f.pass(2 * SECOND);
    f.receive(&["good/1"]);
    assert!(f.started().contains(&"good/1".to_owned()));
}

#[test]
fn trap_28g_a_handler_that_was_stopped_says_too_that_the_store_is_down() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    // SQS extends the lease no further: the handler is stopped in time.
    f.pass(20 * SECOND);
    f.answer_each(|_| Answer::Refused);
    f.pass(9 * SECOND);
    assert_eq!(f.cancelled(), ["m"]);
    assert!(matches!(f.call(), Some(Call::Return(_))), "it is still held");
    // It had ended when it was to be stopped.
    f.finish("m", Ended::Unavailable);
    assert!(f.stats().breaker_open);
}

#[test]
fn trap_28h_an_earlier_success_of_others_does_not_make_an_outage_a_messages_own_fault() {
    let mut f = Fixture::new(Config { max_attempts: 3, ..fifo() });
    let shared = Ended::Retry { not_before: None, shared: true };
    f.receive(&["a/1", "b/1"]);
    f.finish("a/1", shared);
    f.pass(SECOND / 10);
    f.done("b/1");
    f.answer_all(Answer::Ok);
    for _ in 0..2 {
        f.started();
        while f.started().is_empty() {
            f.pass(SECOND);
            f.answer_all(Answer::Ok);
        }
        f.finish("a/1", shared);
    }
    assert!(!f.calls().contains(&Call::DeadLetter("a/1".to_owned())), "nobody succeeds now");
}
