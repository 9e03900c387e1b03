//! Traps 7 to 12: leases that run out, and what must not be done with them.

use std::{cell::Cell, time::Duration};

use sqs_consumer::{
    LONGEST_WORK, QueueError, Settings,
    scheduler::{Answer, Config, Ended, Fate},
};
use tokio::time::sleep;

use crate::{
    fixture::{Call, Fixture, SECOND, fifo, standard},
    modelled::{FIFO, Fault, Modelled, Operation, SHAPES, Shape, What, steady},
    rig::Doing,
};

pub(super) fn ten() -> Vec<String> {
    (1..=10).map(|number| format!("g/{number}")).collect()
}

#[test]
fn trap_07_the_head_expires_mid_tail_so_the_lane_stops_and_no_stale_handle_is_used() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.started();
    f.pause_process(40 * SECOND);
    f.done("a/1");
    assert_eq!(f.calls(), []);
    assert_eq!(f.started(), [""; 0]);
    let ended = f.ended();
    assert_eq!(ended.len(), 2);
    assert!(ended.iter().all(|(_, fate)| *fate == Fate::Lost));
}

#[test]
fn trap_07c_a_delete_that_waited_for_company_beyond_the_lease_is_not_sent() {
    for config in [standard(), fifo()] {
        let mut f = Fixture::new(config);
        f.receive(&["m/1"]);
        f.done("m/1");
        f.pause_process(31 * SECOND);
        f.advance();
        assert_eq!((f.calls(), f.ended()), (vec![], vec![("m/1".to_owned(), Fate::Lost)]));
    }
}

#[tokio::test(start_paused = true)]
async fn trap_07b_a_worker_that_was_paused_beyond_the_visibility_leaves_its_lane_to_others() {
    for pause_at in (0..30).map(|step| step * SECOND / 2) {
        let queue = Modelled::new(FIFO);
        queue.send(ten());
        let paused = queue.work(steady(), |_, _| Doing::Succeed(2 * SECOND));
        sleep(pause_at).await;
        paused.pause();
        queue.work(steady(), |_, _| Doing::Succeed(2 * SECOND));
        sleep(45 * SECOND).await;
        let resumed = queue.timeline().len();
        paused.resume();
        queue.until_empty().await;
        queue.assert_in_order();
        assert_eq!((queue.effects().len(), queue.dead()), (10, vec![]), "{pause_at:?}");
        // What it does after the pause, it does with what it has received after the pause.
        let mut fresh = Vec::new();
        for told in queue.timeline().split_off(resumed).into_iter().filter(|t| t.worker == 0) {
            match told.what {
                What::Received(got) => fresh.extend(got.into_iter().map(|(body, _)| body)),
                What::Started(body, _) => assert!(fresh.contains(&body), "{body} at {pause_at:?}"),
                What::Deleted(bodies) => {
                    assert!(bodies.iter().all(|b| fresh.contains(b)), "{bodies:?} {pause_at:?}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn trap_08_heartbeats_cover_the_messages_that_wait_in_a_lane() {
    let mut f = Fixture::new(Config { visibility: 8 * SECOND, ..fifo() });
    let names: Vec<String> = (1..=10).map(|i| format!("a/{i}")).collect();
    f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        for _ in 0..5 {
            f.pass(SECOND);
            f.answer_all(Answer::Ok);
        }
        f.done(name);
    }
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    assert!(f.ended().iter().all(|(_, fate)| *fate == Fate::Deleted));
    assert_eq!(f.started(), names);
}

#[tokio::test(start_paused = true)]
async fn trap_08b_ten_messages_of_five_seconds_in_one_lane_of_eight_are_not_redelivered() {
    let queue = Modelled::new(Shape { visibility: 8 * SECOND, ..FIFO });
    queue.send(ten());
    let workers = [0, 1].map(|_| queue.work(steady(), |_, _| Doing::Succeed(5 * SECOND)));
    queue.until_empty().await;
    assert_eq!(queue.effects(), ten());
    for body in ten() {
        assert_eq!((queue.receives(&body), queue.attempts(&body)), (1, vec![1]), "{body}");
    }
    assert!(workers.iter().all(|worker| worker.counter("test_leases_lost_total", "") == 0));
}

#[test]
fn trap_09_a_late_heartbeat_never_overwrites_a_backoff() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.pass(21 * SECOND);
    f.fail("m");
    assert_eq!(f.calls().len(), 1, "only the extension is under way");
    assert!(matches!(f.answer(Answer::Ok), Call::Extend(_)));
    assert!(matches!(f.answer(Answer::Ok), Call::Return(_)));
    assert_eq!(f.ended(), [("m".to_owned(), Fate::BackedOff)]);
}

#[test]
fn trap_09b_a_late_heartbeat_never_revives_a_deleted_message() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.pass(21 * SECOND);
    f.done("m");
    f.pass(SECOND);
    let calls = f.calls();
    assert!(matches!(&calls[..], [Call::Extend(_), Call::Delete(_)]), "{calls:?}");
    f.answer(Answer::LeaseOver);
    f.answer(Answer::Ok);
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Deleted)]);
}

#[tokio::test(start_paused = true)]
async fn trap_09c_a_heartbeat_that_is_slow_on_its_way_does_not_hide_a_failed_message_for_long() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        let first = Cell::new(true);
        queue.faults(move |ask| {
            let slow = ask.extends(shape.visibility) && first.replace(false);
            if slow { Fault::slow_request(3 * SECOND) } else { Fault::default() }
        });
        queue.send(["g/1"]);
        queue.work(Settings { handler_timeout: 21 * SECOND, ..steady() }, |_, attempt| {
            if attempt.number == 1 { Doing::Hang } else { Doing::Succeed(Duration::ZERO) }
        });
        queue.until_empty().await;
        // Extended at 20 s, failed at 21 s, the extension is there at 23 s, then the backoff.
        assert!(queue.now() < 26 * SECOND, "{shape:?}: {:?}", queue.now());
        assert_eq!(queue.attempts("g/1"), [1, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn trap_09d_a_heartbeat_that_arrives_after_the_delete_brings_nothing_back() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        queue.faults(move |ask| {
            let slow = ask.extends(shape.visibility);
            if slow { Fault::slow_request(3 * SECOND) } else { Fault::default() }
        });
        queue.send(["g/1"]);
        let settings = Settings { handler_timeout: 60 * SECOND, ..steady() };
        queue.work(settings, |_, _| Doing::Succeed(21 * SECOND));
        sleep(180 * SECOND).await;
        assert_eq!((queue.counts(), queue.receives("g/1")), ((0, 0), 1));
        assert_eq!((queue.attempts("g/1"), queue.dead()), (vec![1], vec![]));
    }
}

#[test]
fn trap_10_a_lost_lease_cancels_the_handler_and_acknowledges_nothing() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.pass(21 * SECOND);
    assert!(matches!(f.answer(Answer::LeaseOver), Call::Extend(_)));
    assert_eq!(f.cancelled(), ["m"]);
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Lost)]);
    assert_eq!(f.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn trap_10b_the_handler_of_a_lost_lease_is_dropped_before_its_effect() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        let first = Cell::new(true);
        queue.faults(move |ask| {
            let lost = ask.extends(shape.visibility) && first.replace(false);
            let over = || QueueError::LeaseOver("injected".to_owned());
            if lost { Fault::refused(over()) } else { Fault::default() }
        });
        queue.send(["g/1"]);
        let settings = Settings { handler_timeout: 60 * SECOND, ..steady() };
        let worker = queue.work(settings, |_, _| Doing::Succeed(25 * SECOND));
        sleep(29 * SECOND).await;
        assert_eq!(queue.effects(), [""; 0], "{shape:?}: lost at 20 s, it would end at 25 s");
        assert!(queue.asked(Operation::Delete).is_empty());
        assert_eq!(worker.counter("test_leases_lost_total", ""), 1);
        queue.until_empty().await;
        assert_eq!(queue.effects(), ["g/1"], "the next receive does it");
    }
}

#[test]
fn trap_10c_on_a_standard_queue_a_yes_after_the_end_of_the_lease_proves_nothing() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.pass(21 * SECOND);
    f.pause_process(20 * SECOND);
    // A standard queue says yes to an old handle too, and may have given the message to another.
    assert!(matches!(f.answer(Answer::Ok), Call::Extend(_)));
    assert_eq!(f.cancelled(), ["m"]);
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Lost)]);
    assert_eq!(f.calls(), []);
}

#[test]
fn trap_11_no_heartbeat_outlives_its_message() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "b/1", "c/1"]);
    f.done("a/1");
    f.finish("b/1", Ended::DeadLetter);
    f.answer_all(Answer::Ok);
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    f.pass(25 * SECOND);
    assert_eq!(f.calls(), [Call::Extend(vec![("c/1".to_owned(), 30 * SECOND)])]);
}

#[test]
fn trap_11c_a_message_on_its_way_back_is_not_extended_however_long_that_takes() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.pass(15 * SECOND);
    f.fail("m");
    for _ in 0..150 {
        while let Some(call) = f.call() {
            assert!(matches!(call, Call::Return(_)), "{call:?}");
            f.answer(Answer::Failed);
        }
        f.pass(SECOND / 10);
    }
    f.answer_all(Answer::Failed);
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Lost)]);
}

#[tokio::test(start_paused = true)]
async fn trap_11b_after_a_panic_a_duplicate_and_a_stop_no_lease_is_extended_any_more() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        queue.send(["panics/1", "twice/1", "fine/1"]);
        let settings = Settings { handler_timeout: 60 * SECOND, ..steady() };
        let worker = queue.work(settings, |body, _| {
            if body == "panics/1" { Doing::Panic } else { Doing::Succeed(25 * SECOND) }
        });
        sleep(SECOND).await;
        if !shape.fifo {
            queue.hand_out_again("twice/1");
        }
        queue.until_empty().await;
        assert_eq!(queue.dead(), ["panics/1"]);
        let settled = queue.asked(Operation::ChangeVisibility).len();
        assert!(settled > 0, "leases were extended");
        sleep(600 * SECOND).await;
        assert_eq!(queue.asked(Operation::ChangeVisibility).len(), settled);

        queue.send(["last/1"]);
        queue.until("it runs", |queue| !queue.attempts("last/1").is_empty()).await;
        worker.stop().await;
        let stopped = queue.timeline().len();
        sleep(600 * SECOND).await;
        assert_eq!(queue.timeline().len(), stopped, "a stopped consumer calls nothing");
    }
}

#[test]
fn trap_12_the_lease_clamps_at_twelve_hours_and_then_the_message_is_released() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    for _ in 0..(12 * 60 * 6) {
        f.pass(10 * SECOND);
        while let Some(Call::Extend(_)) = f.call() {
            f.answer(Answer::Ok);
        }
    }
    assert_eq!(f.cancelled(), ["m"]);
    f.answer_all(Answer::Ok);
    assert_eq!(f.ended().len(), 1);
}

#[test]
fn trap_12c_with_any_visibility_the_twelve_hours_are_used_almost_to_their_end() {
    for hours in [1, 5, 6, 9, 11, 12] {
        let mut f =
            Fixture::new(Config { visibility: hours * Duration::from_hours(1), ..standard() });
        f.receive(&["m"]);
        let mut passed = Duration::ZERO;
        while f.cancelled().is_empty() {
            f.pass(SECOND);
            passed += SECOND;
            while let Some(Call::Extend(_)) = f.call() {
                f.answer(Answer::Ok);
            }
            assert!(passed < 12 * Duration::from_hours(1), "visibility {hours} h: given up");
        }
        assert!(passed >= LONGEST_WORK, "visibility {hours} h: given up after {passed:?}");
        assert!(matches!(f.answer(Answer::Ok), Call::Return(_)));
        assert_eq!(f.ended().len(), 1, "while the lease still held");
    }
}

#[tokio::test(start_paused = true)]
async fn trap_12b_the_queue_never_has_to_refuse_an_extension_beyond_twelve_hours() {
    const HOUR: Duration = Duration::from_hours(1);
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        queue.send(["g/1", "g/2"]);
        // The second one waits for the first: its handler's time would go beyond the lease's.
        let settings = Settings {
            handler_timeout: LONGEST_WORK,
            concurrency: 2,
            group_concurrency: Some(1),
            ..steady()
        };
        let worker = queue.work(settings, |body, attempt| match (body, attempt.number) {
            ("g/1", _) => Doing::Succeed(600 * SECOND),
            ("g/2", 1) => Doing::Hang,
            _ => Doing::Succeed(SECOND),
        });
        sleep(12 * HOUR + 60 * SECOND).await;
        assert_eq!(queue.attempts("g/2"), [1, 2], "{shape:?}: stopped, released, taken again");
        let again =
            queue.timeline().into_iter().rfind(|told| matches!(told.what, What::Started(..)));
        assert!(again.is_some_and(|told| told.at < 12 * HOUR), "while the lease still held");
        let extended = |outcome| worker.counter("test_visibility_extensions_total", outcome);
        assert_eq!((extended("failed"), extended("lost")), (0, 0));
        assert!(extended("ok") > 2_000);
        queue.until_empty().await;
        assert_eq!((queue.effects().len(), queue.dead()), (2, vec![]));
    }
}
