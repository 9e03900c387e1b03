//! Trap 13: the clock of a lease is the server's, and answers come late.

use std::{cell::Cell, time::Duration};

use sqs_consumer::{
    Settings,
    scheduler::{Answer, Config, Ended, Fate},
};

use crate::{
    fixture::{Call, Fixture, SECOND, fifo, standard},
    modelled::{Fault, Modelled, Operation, SHAPES, Shape, steady},
    rig::Doing,
    traps::leases::ten,
};

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn trap_13_the_answer_is_five_seconds_late_and_deadlines_count_from_the_request() {
    for config in [standard(), fifo()] {
        let mut f = Fixture::new(Config { visibility: 8 * SECOND, ..config });
        f.pause_process(5 * SECOND);
        f.receive(&["m/1"]);
        assert_eq!(f.started(), ["m/1"], "three seconds are left");
        f.pass(SECOND / 2);
        assert!(matches!(f.answer(Answer::Failed), Call::Extend(_)), "due since 5.33 s");
        f.pass(2 * SECOND + 499 * MILLISECOND);
        while f.call().is_some() {
            f.answer(Answer::Failed);
        }
        assert_eq!(f.ended(), [], "7.999 s after the request");
        f.pass(MILLISECOND);
        assert_eq!(f.ended(), [("m/1".to_owned(), Fate::Lost)], "8 s after the request");
    }
}

#[test]
fn trap_13b_the_answer_to_an_extension_is_five_seconds_late() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.pass(25 * SECOND);
    assert!(matches!(f.answer(Answer::Ok), Call::Extend(_)), "asked for at 20 s");
    f.pass(14 * SECOND + 999 * MILLISECOND);
    assert_eq!(f.calls(), []);
    f.pass(MILLISECOND);
    assert!(matches!(f.call(), Some(Call::Extend(_))), "40 s: a third before 20 s + 30 s");
}

#[tokio::test(start_paused = true)]
async fn trap_13c_every_answer_is_five_seconds_late_and_nothing_is_redelivered() {
    for shape in SHAPES {
        let queue = Modelled::new(Shape { visibility: 20 * SECOND, ..shape });
        queue.faults(|_| Fault::slow_answer(5 * SECOND));
        queue.send(ten());
        let workers = [0, 1].map(|_| {
            let settings = Settings { concurrency: 2, ..steady() };
            queue.work(settings, |_, _| Doing::Succeed(7 * SECOND))
        });
        queue.until_empty().await;
        assert_eq!(queue.effects().len(), 10);
        assert!(ten().iter().all(|body| queue.receives(body) == 1), "{:?}", queue.started());
        assert!(workers.iter().all(|worker| worker.counter("test_leases_lost_total", "") == 0));
    }
}

#[test]
fn trap_13d_an_answer_later_than_the_visibility_is_worth_nothing_on_a_standard_queue() {
    let mut f = Fixture::new(Config { visibility: 4 * SECOND, ..standard() });
    f.pause_process(5 * SECOND);
    f.receive(&["m"]);
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Lost)]);
    assert_eq!((f.started(), f.calls()), (vec![], vec![]), "and nothing is said to SQS");
}

#[test]
fn trap_13e_on_a_fifo_queue_such_a_message_starts_only_after_its_lease_is_confirmed() {
    let mut f = Fixture::new(Config { visibility: 4 * SECOND, ..fifo() });
    f.pause_process(5 * SECOND);
    f.receive(&["a/1", "a/2"]);
    assert_eq!(f.started(), [""; 0]);
    assert!(matches!(f.answer(Answer::Ok), Call::Extend(_)));
    assert_eq!(f.started(), ["a/1"]);
    f.finish("a/1", Ended::Done);
    assert_eq!(f.started(), ["a/2"]);
}

#[test]
fn trap_13f_a_late_answer_with_a_message_that_is_on_its_way_back_holds_up_those_behind_it() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.pass(20 * SECOND);
    let over = |name: &str| if name == "a/2" { Answer::LeaseOver } else { Answer::Ok };
    f.answer_each(over);
    f.pass(15 * SECOND);
    f.fail("a/1");
    assert!(matches!(f.call(), Some(Call::Return(_))), "its lane has lost the second one");
    // The queue has done that, and given both out anew; the answer took longer than the lease.
    f.receive_each(&[("a/1", 2), ("a/2", 2)]);
    f.answer(Answer::Ok);
    f.started();
    f.answer_each(|name| if name == "a/2" { Answer::Ok } else { Answer::Failed });
    f.answer_all(Answer::Ok);
    f.pass(5 * SECOND);
    assert!(!f.started().contains(&"a/2".to_owned()), "the first one is not settled");
}

#[test]
fn trap_13g_such_a_message_does_not_go_back_before_its_lease_is_confirmed() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.pass(20 * SECOND);
    f.answer_each(|name| if name == "a/2" { Answer::LeaseOver } else { Answer::Ok });
    f.pass(15 * SECOND);
    f.fail("a/1");
    f.receive_each(&[("a/1", 2), ("a/2", 2)]);
    assert!(matches!(f.calls()[..], [Call::Return(_), Call::Extend(_)]), "{:?}", f.calls());
    // The lane closes once more while the answer is out that makes way for the extension.
    f.answer_at(1, |_| Answer::LeaseOver);
    f.pass(SECOND / 10);
    f.answer(Answer::Ok);
    assert!(matches!(f.answer(Answer::Ok), Call::Extend(_)), "it is confirmed first");
    assert!(matches!(f.answer(Answer::Ok), Call::Return(_)), "then it goes back");
}

#[tokio::test(start_paused = true)]
async fn trap_13h_a_receive_answered_late_is_extended_in_time_for_its_true_end() {
    for shape in SHAPES {
        let queue = Modelled::new(Shape { visibility: 8 * SECOND, ..shape });
        let first = Cell::new(true);
        queue.faults(move |ask| {
            let late = ask.is(Operation::Receive) && first.replace(false);
            if late { Fault::slow_answer(6 * SECOND) } else { Fault::default() }
        });
        queue.send(["g/1"]);
        let settings = Settings { handler_timeout: 60 * SECOND, ..steady() };
        let worker = queue.work(settings, |_, _| Doing::Succeed(20 * SECOND));
        queue.until_empty().await;
        // Counted from the answer, the first extension would be due at 11 s, and it is over at 8 s.
        assert_eq!((queue.receives("g/1"), queue.attempts("g/1")), (1, vec![1]), "{shape:?}");
        assert_eq!(worker.counter("test_leases_lost_total", ""), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn trap_13i_an_extension_answered_late_is_repeated_in_time_for_its_true_end() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        let extensions = Cell::new(0);
        queue.faults(move |ask| {
            if !ask.extends(shape.visibility) {
                return Fault::default();
            }
            extensions.set(extensions.get() + 1);
            match extensions.get() {
                1 => Fault::slow_answer(9 * SECOND),
                _ => Fault::slow_request(2 * SECOND),
            }
        });
        queue.send(["g/1"]);
        let settings = Settings { handler_timeout: 90 * SECOND, ..steady() };
        let worker = queue.work(settings, |_, _| Doing::Succeed(60 * SECOND));
        queue.until_empty().await;
        // The first one is asked for at 20 s and holds until 50 s. Counted from its answer, the second
        // one would be sent at 49 s and arrive at 51 s.
        assert_eq!((queue.receives("g/1"), queue.attempts("g/1")), (1, vec![1]), "{shape:?}");
        assert_eq!(worker.counter("test_leases_lost_total", ""), 0);
    }
}
