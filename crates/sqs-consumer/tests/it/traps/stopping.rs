//! Traps 17 to 19 and 27: a worker that is told to stop, and one that is killed.

use std::{collections::BTreeMap, time::Duration};

use sqs_consumer::{
    QueueError, Settings,
    scheduler::{Answer, Config, Ended, Fate, Timing},
};
use tokio::time::sleep;

use crate::{
    fixture::{AT_ONCE, Call, Fixture, SECOND, fifo, standard},
    modelled::{FIFO, Fault, Modelled, Operation, SHAPES, Shape, What, steady},
    rig::{Diary, Doing, Rig, STANDARD, quick, until},
};

#[test]
fn trap_17_a_long_poll_is_never_dropped_and_its_messages_go_back() {
    let mut f = Fixture::new(standard());
    f.drain();
    assert!(!f.is_drained());
    f.receive(&["m", "n"]);
    assert_eq!(f.started(), [""; 0]);
    f.answer_all(Answer::Ok);
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Released), ("n".to_owned(), Fate::Released)]);
    assert!(f.is_drained());
    assert!(f.polls().is_empty());
}

#[tokio::test]
async fn trap_17b_messages_that_arrive_for_the_last_poll_are_given_back() {
    let rig = Rig::start().await;
    let diary = Diary::new(|_, _| Doing::Succeed(AT_ONCE));
    let consumer = rig.consume(STANDARD, &diary, quick());
    until("a poll is waiting", || rig.server.waiting_receives() == 1).await;
    let stopping = tokio::spawn(consumer.stop());
    // Lets the consumer see the stop while its poll is outstanding.
    tokio::task::yield_now().await;
    rig.send(STANDARD, ["m/1".to_owned()]).await;
    let drained = stopping.await.unwrap();
    assert_eq!(drained.stranded, 0);
    let (visible, in_flight) = rig.counts(STANDARD);
    assert_eq!((visible as usize + diary.effects().len(), in_flight), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn trap_17c_whenever_it_is_stopped_while_messages_arrive_none_stays_in_flight() {
    for shape in SHAPES {
        for step in 0..40 {
            let queue = Modelled::new(shape);
            queue.faults(|ask| {
                let receive = ask.is(Operation::Receive);
                if receive { Fault::slow_answer(SECOND / 3) } else { Fault::default() }
            });
            let arriving = queue.clone();
            let sender = tokio::spawn(async move {
                for number in 1.. {
                    arriving.send([format!("{}/{number}", number % 7)]);
                    sleep(SECOND / 30).await;
                }
            });
            let settings = Settings { concurrency: 4, ..steady() };
            let worker = queue.work(settings, |_, _| Doing::Succeed(SECOND / 5));
            sleep(SECOND + step * SECOND / 20).await;
            let drained = worker.stop().await;
            sender.abort();
            assert_eq!(drained.stranded, 0, "{shape:?}, step {step}");
            let (visible, in_flight) = queue.counts();
            assert_eq!(in_flight, 0, "{shape:?}, step {step}");
            assert!(visible > 0, "messages were arriving");
            let effects = queue.effects().len();
            assert_eq!(visible as usize + effects, queue.sent(), "nothing is lost");
            assert!(effects > 0);
            queue.assert_in_order_if_fifo();
        }
    }
}

#[test]
fn trap_18_nothing_is_released_while_a_poll_of_ours_could_take_it_again() {
    let mut f = Fixture::new(Config { concurrency: 1, ..fifo() });
    f.receive(&["a/1", "a/2"]);
    f.done("a/1");
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    f.drain();
    f.done("a/2");
    f.answer_all(Answer::Ok);
    assert!(!f.is_drained() && f.polls().len() == 1);
    f.receive(&["b/1"]);
    assert_eq!(f.calls(), [Call::Return(vec![("b/1".to_owned(), AT_ONCE)])]);
}

#[test]
fn trap_18c_what_waits_at_the_stop_is_released_only_when_the_last_poll_has_ended() {
    for config in [standard(), fifo()] {
        let mut f = Fixture::new(config);
        f.receive(&["a/1", "b/1"]);
        assert_eq!(f.polls().len(), 1, "it may bring more");
        for name in f.started() {
            f.finish(&name, Ended::Unavailable);
        }
        f.drain();
        f.pass(SECOND);
        assert_eq!(f.calls(), [], "our own poll could take them again");
        f.receive(&["c/1"]);
        let Call::Return(mut entries) = f.answer(Answer::Ok) else { panic!("a return") };
        entries.sort();
        assert_eq!(entries, ["a/1", "b/1", "c/1"].map(|name| (name.to_owned(), AT_ONCE)));
        assert!(f.is_drained());
    }
}

#[tokio::test(start_paused = true)]
async fn trap_18b_a_stop_awaits_every_poll_and_then_releases_each_message_once() {
    const LATE: Duration = Duration::from_secs(2);
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        let sent: Vec<String> = (0..120).map(|number| format!("{number}/1")).collect();
        queue.send(&sent);
        queue.faults(|ask| {
            let receive = ask.is(Operation::Receive);
            if receive { Fault::slow_answer(LATE) } else { Fault::default() }
        });
        let settings = Settings { concurrency: 30, ..steady() };
        let worker = queue.work(settings, |_, _| Doing::Succeed(SECOND / 10));
        sleep(5 * SECOND + SECOND / 2).await;
        let stopped_at = queue.now();
        let drained = worker.stop().await;
        assert_eq!((drained.stranded, queue.counts().1), (0, 0));
        assert!(drained.released > 0, "something was on its way");
        let timeline = queue.timeline();
        let answered = |what: &What| matches!(what, What::Received(_));
        let last = timeline.iter().rfind(|told| answered(&told.what)).unwrap().at + LATE;
        assert!(last > stopped_at, "a poll was outstanding");
        let returns = queue.asked(Operation::ChangeVisibility);
        assert!(returns.iter().all(|at| *at >= last), "{returns:?} before {last:?}");
        assert!(sent.iter().all(|body| queue.receives(body) <= 1), "nothing was taken again");
        let changed = timeline.iter().filter_map(|told| match &told.what {
            What::Changed(changes) => Some(changes.iter().map(|(body, _)| body)),
            _ => None,
        });
        let mut returned: Vec<_> = changed.flatten().collect();
        let returns = returned.len();
        returned.sort();
        returned.dedup();
        assert_eq!(returned.len(), returns, "each is released once");
        assert!(queue.asked(Operation::Receive).iter().all(|at| *at <= stopped_at));
    }
}

#[test]
fn trap_18d_what_is_here_on_its_last_receive_is_attempted_instead_of_being_released() {
    let config = Config { concurrency: 1, retry_backoff: SECOND, ..standard() };
    let mut f = Fixture::new(config);
    f.drain();
    f.receive_each(&[("m", 1), ("n", 3), ("o", 2), ("p", 3)]);
    let Call::Return(released) = f.answer(Answer::Ok) else { panic!("a return") };
    assert_eq!(released, [("m".to_owned(), AT_ONCE), ("o".to_owned(), AT_ONCE)]);
    assert_eq!(f.started(), ["n"]);
    f.done("n");
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["n".to_owned()]));
    // This one has had its attempt: SQS's redrive policy is told to end it.
    assert_eq!(f.started(), ["p"]);
    f.fail("p");
    assert_eq!(f.answer(Answer::Ok), Call::Return(vec![("p".to_owned(), AT_ONCE)]));
    assert!(f.is_drained());
}

#[test]
fn trap_18e_a_lane_goes_on_to_its_message_on_the_last_receive_and_then_goes_back() {
    let mut f = Fixture::new(Config { concurrency: 10, ..fifo() });
    f.drain();
    f.receive_each(&[("a/1", 1), ("a/2", 3), ("a/3", 1), ("b/1", 1)]);
    assert_eq!(f.answer(Answer::Ok), Call::Return(vec![("b/1".to_owned(), AT_ONCE)]));
    assert_eq!(f.started(), ["a/1"]);
    f.done("a/1");
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["a/1".to_owned()]));
    assert_eq!(f.started(), ["a/2"]);
    f.done("a/2");
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["a/2".to_owned()]));
    assert_eq!(f.answer(Answer::Ok), Call::Return(vec![("a/3".to_owned(), AT_ONCE)]));
    assert_eq!(f.started(), [""; 0]);
    assert!(f.is_drained());
}

#[test]
fn trap_18g_a_copy_that_fails_in_a_drain_gives_back_neither_its_lane_nor_under_own_polls() {
    let mut f = Fixture::new(fifo());
    f.receive_each(&[("a/1", 1), ("a/2", 3)]);
    f.finish("a/1", Ended::DeadLetter);
    f.drain();
    assert_eq!(f.answer(Answer::Failed), Call::DeadLetter("a/1".to_owned()));
    assert_eq!(f.calls(), [], "a poll is outstanding");
    f.receive(&[]);
    f.pass(2 * SECOND);
    assert_eq!(f.answer(Answer::Ok), Call::DeadLetter("a/1".to_owned()));
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["a/1".to_owned()]));
    assert_eq!(f.started(), ["a/1", "a/2"], "its next receive would be its end");
    f.done("a/2");
    f.answer_all(Answer::Ok);
    assert!(f.is_drained());
}

#[test]
fn trap_18h_an_attempt_that_does_not_count_is_repeated_in_a_drain_if_it_was_the_last_receive() {
    for config in [standard(), fifo()] {
        let mut f = Fixture::new(config);
        f.receive_each(&[("a/1", 3)]);
        f.drain();
        f.receive(&[]);
        f.finish("a/1", Ended::Unavailable);
        assert_eq!(f.calls(), []);
        f.pass(2 * SECOND);
        assert_eq!(f.started(), ["a/1", "a/1"]);
        f.done("a/1");
        f.answer_all(Answer::Ok);
        assert_eq!(f.ended(), [("a/1".to_owned(), Fate::Deleted)]);
        assert!(f.is_drained());
    }
}

#[tokio::test(start_paused = true)]
async fn trap_18f_workers_that_stop_together_do_not_pass_a_message_on_until_it_is_dead() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        let workers: Vec<_> =
            (0..6).map(|_| queue.work(steady(), |_, _| Doing::Succeed(SECOND / 10))).collect();
        // Each has a receive outstanding when the message comes and all have been told to stop.
        queue.until("all poll", |queue| queue.asked(Operation::Receive).len() >= 6).await;
        let stopping: Vec<_> = workers.into_iter().map(|w| tokio::spawn(w.stop())).collect();
        // The clock is paused: it goes on once all have seen the stop.
        sleep(SECOND / 10).await;
        queue.send(["g/1"]);
        for stop in stopping {
            assert_eq!(stop.await.unwrap().stranded, 0);
        }
        assert_eq!(queue.dead(), Vec::<String>::new(), "{shape:?}");
        assert_eq!((queue.effects().len(), queue.counts()), (1, (0, 0)), "{shape:?}");
    }
}

#[test]
fn trap_19_buffered_acknowledgements_are_flushed_at_the_stop() {
    for finished in 1..=9 {
        let mut f = Fixture::new(Config { concurrency: 10, ..standard() });
        let names: Vec<String> = (0..finished).map(|i| i.to_string()).collect();
        f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for name in &names {
            f.done(name);
        }
        assert_eq!(f.calls(), [], "they wait for company");
        f.drain();
        assert_eq!(f.calls(), [Call::Delete(names)]);
    }
}

#[tokio::test(start_paused = true)]
async fn trap_19b_a_stop_with_one_to_nine_buffered_deletes_leads_to_no_redelivery() {
    for shape in SHAPES {
        for finished in 1..=9 {
            let queue = Modelled::new(shape);
            // The flush itself needs a second try.
            let mut deletes = 0;
            queue.faults(move |ask| {
                deletes += u32::from(ask.is(Operation::Delete));
                let first = ask.is(Operation::Delete) && deletes == 1;
                let throttled = || QueueError::Throttled("injected".to_owned());
                if first { Fault::refused(throttled()) } else { Fault::default() }
            });
            queue.send((0..finished).map(|group| format!("{group}/1")));
            let (acknowledge_linger, urgent_linger) = (60 * SECOND, 60 * SECOND);
            let timing = Timing { acknowledge_linger, urgent_linger, ..Timing::default() };
            let worker =
                queue.work(Settings { timing, ..steady() }, |_, _| Doing::Succeed(AT_ONCE));
            queue.until("all is done", |queue| queue.effects().len() == finished).await;
            assert!(queue.asked(Operation::Delete).is_empty(), "they wait for company");
            let drained = worker.stop().await;
            assert_eq!((drained.released, drained.stranded), (0, 0));
            assert_eq!(queue.counts(), (0, 0), "{shape:?}, {finished}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trap_27_a_killed_workers_messages_are_all_delivered_by_others_and_groups_stay_in_order() {
    for shape in SHAPES {
        for step in 0..40 {
            let queue = Modelled::new(shape);
            for group in ["a", "b", "c", "d", "e", "f"] {
                queue.send((1..=10).map(|number| format!("{group}/{number}")));
            }
            let settings = Settings { concurrency: 4, ..steady() };
            let rule = |_: &str, _| Doing::Succeed(SECOND / 3);
            let killed = queue.work(settings.clone(), rule);
            queue.work(settings, rule);
            sleep(step * SECOND / 10).await;
            killed.kill();
            let killed_at = queue.now();
            queue.until_empty().await;
            assert_eq!((queue.effects().len(), queue.dead()), (60, vec![]), "{shape:?}, {step}");
            queue.assert_in_order_if_fifo();
            // What it held comes at the timeout, and what it held up comes after that. A group of which a
            // receive has taken a part gives out the rest when that part is deleted.
            let mut again = BTreeMap::<String, Duration>::new();
            for told in queue.timeline() {
                let What::Received(got) = told.what else { continue };
                for (message, _) in got.iter().filter(|(_, count)| *count > 1) {
                    let group = message.split('/').next().unwrap_or_default();
                    let held_back_by = if shape.fifo { group } else { message };
                    again.entry(held_back_by.to_owned()).or_insert(told.at);
                }
            }
            for (what, at) in again {
                let bound = killed_at + shape.visibility + SECOND;
                assert!(at <= bound, "{what} at {at:?}, killed at {killed_at:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trap_27c_workers_that_die_one_after_another_cost_a_waiting_group_no_message() {
    for (receives, dead) in [(10, 0), (3, 10)] {
        let queue = Modelled::new(Shape { max_receive_count: Some(receives), ..FIFO });
        queue.send((1..=10).map(|number| format!("g/{number}")));
        let settings = Settings { max_attempts: Some(3), ..steady() };
        for deaths in 1..=5 {
            let rule = |_: &str, _| Doing::Succeed(10 * SECOND);
            let killed = queue.work(settings.clone(), rule);
            let begun = |queue: &Modelled| queue.started().len() == deaths;
            if deaths <= receives as usize {
                queue.until("the head is attempted", begun).await;
            } else {
                sleep(60 * SECOND).await;
            }
            killed.kill();
        }
        queue.work(settings, |_, _| Doing::Succeed(10 * SECOND));
        queue.until_empty().await;
        assert_eq!((queue.effects().len(), queue.dead().len()), (10 - dead, dead), "{receives}");
        queue.assert_in_order();
    }
}

#[tokio::test(start_paused = true)]
async fn trap_27b_a_worker_dies_with_every_call_of_its_life_unanswered() {
    for operation in [Operation::Receive, Operation::Delete, Operation::ChangeVisibility] {
        for shape in SHAPES {
            let queue = Modelled::new(shape);
            queue.faults(move |ask| Fault {
                answer_hangs: ask.is(operation) && ask.worker == 0,
                ..Fault::default()
            });
            queue.send((1..=10).map(|number| format!("g/{number}")));
            let killed = queue.work(steady(), |_, _| Doing::Succeed(7 * SECOND));
            sleep(25 * SECOND).await;
            killed.kill();
            queue.work(steady(), |_, _| Doing::Succeed(SECOND));
            queue.until_empty().await;
            assert_eq!((queue.effects().len(), queue.dead()), (10, vec![]), "{operation:?}");
            queue.assert_in_order_if_fifo();
        }
    }
}
