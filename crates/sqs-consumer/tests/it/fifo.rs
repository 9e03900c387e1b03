//! Lanes: order within a group, freedom between groups.

use std::collections::VecDeque;

use sqs_consumer::scheduler::{Answer, Config, Ended, Fate};

use crate::fixture::{Call, Fixture, SECOND, fifo};

#[test]
fn messages_of_a_group_run_one_after_another_and_groups_run_side_by_side() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2", "b/1"]);
    assert_eq!(f.started(), ["a/1", "b/1"]);
    f.done("a/1");
    assert_eq!(f.started(), ["a/2"], "the lane does not wait for the delete's answer");
    f.done("b/1");
    assert_eq!(f.started(), [""; 0]);
}

#[test]
fn a_failed_head_is_retried_in_place_before_its_tail() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    assert_eq!(f.started_attempts(), [("a/1".to_owned(), 1)]);
    f.fail("a/1");
    assert_eq!(f.stats().groups_blocked, 1);
    f.pass(SECOND);
    assert_eq!(f.started_attempts(), [("a/1".to_owned(), 2)]);
    f.done("a/1");
    assert_eq!(f.started_attempts(), [("a/2".to_owned(), 1)]);
    assert_eq!(f.stats().groups_blocked, 0);
}

#[test]
fn a_head_whose_attempts_are_used_up_is_dead_lettered_then_deleted_then_the_lane_goes_on() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    for _ in 0..3 {
        f.started();
        f.fail("a/1");
        f.pass(5 * SECOND);
    }
    assert_eq!(f.started(), [""; 0], "the tail waits while the head is being disposed of");
    assert_eq!(f.answer(Answer::Ok), Call::DeadLetter("a/1".to_owned()));
    f.pass(SECOND);
    assert_eq!(f.started(), [""; 0], "should the delete fail, a/1 comes back");
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["a/1".to_owned()]));
    assert_eq!(f.started(), ["a/2"]);
    f.done("a/2");
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    assert_eq!(
        f.ended(),
        [("a/1".to_owned(), Fate::DeadLettered), ("a/2".to_owned(), Fate::Deleted)]
    );
}

#[test]
fn a_failing_dead_letter_send_keeps_the_tail_waiting_and_is_tried_again() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.finish("a/1", Ended::DeadLetter);
    f.started();
    f.answer(Answer::Failed);
    f.pass(5 * SECOND);
    assert_eq!(f.started(), [""; 0]);
    assert_eq!(f.answer(Answer::Ok), Call::DeadLetter("a/1".to_owned()));
    f.pass(SECOND);
    f.answer(Answer::Ok);
    assert_eq!(f.started(), ["a/2"]);
}

#[test]
fn a_delete_that_was_done_already_is_counted_and_the_lane_goes_on() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.done("a/1");
    f.pass(SECOND);
    f.answer(Answer::Failed);
    f.pass(SECOND);
    f.answer(Answer::LeaseOver);
    assert_eq!(f.ended(), [("a/1".to_owned(), Fate::Deleted)]);
    assert_eq!(f.started(), ["a/1", "a/2"]);
    assert_eq!(f.cancelled(), [""; 0]);
}

#[test]
fn a_redelivered_message_that_is_still_held_is_adopted_and_not_started_twice() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    assert_eq!(f.started(), ["a/1"]);
    f.pass(SECOND);
    f.receive_again(&["a/1"], 2);
    assert_eq!(f.started(), [""; 0]);
    assert_eq!(f.stats().held, 2);
}

#[test]
fn fifo_messages_that_come_without_a_group_are_kept_in_order_all_together() {
    let mut f = Fixture::new(fifo());
    f.receive(&["x", "y"]);
    assert_eq!(f.started(), ["x"]);
    f.done("x");
    assert_eq!(f.started(), ["y"]);
}

#[test]
fn no_group_waits_for_ever_behind_longer_ones_however_many_come() {
    const HANDLERS: usize = 12;
    // Each group that is ten messages longer may go first for ten rounds of as many starts as handlers.
    const LONGEST_FIRST: usize = 12 * HANDLERS;
    let config = Config { concurrency: HANDLERS, group_concurrency: HANDLERS, ..fifo() };
    let mut f = Fixture::new(config);
    let mut groups = 0;
    let mut long = || {
        groups += 1;
        (1..=10).map(|number| format!("{groups}/{number}")).collect::<Vec<_>>()
    };
    let mut running = VecDeque::new();
    // So many starts there were since it came.
    let mut short_waits = None;
    for _ in 0..10 * LONGEST_FIRST {
        f.pass(SECOND / 100);
        // Whenever there is room, another group of ten comes.
        while !f.polls().is_empty() {
            if f.stats().running == HANDLERS && short_waits.is_none() {
                f.receive(&["short/1"]);
                short_waits = Some(0);
            } else {
                let names = long();
                f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
        let started = f.started();
        if let Some(waits) = &mut short_waits {
            if started.contains(&"short/1".to_owned()) {
                assert!(*waits > HANDLERS, "longer ones that came a little later go first");
                return;
            }
            *waits += started.len();
            assert!(*waits < LONGEST_FIRST, "longer ones that came much later go first");
        }
        running.extend(started);
        if running.len() == HANDLERS {
            f.done(&running.pop_front().expect("twelve of them"));
        }
        f.answer_all(Answer::Ok);
    }
    panic!("it has neither started nor been overtaken by too many");
}

#[test]
fn a_message_done_with_that_may_come_again_stops_the_later_one_that_runs() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.done("a/1");
    assert_eq!(f.started(), ["a/1", "a/2"]);
    // No delete succeeds, and of the extensions only the later one's.
    let later_only = |name: &str| if name == "a/2" { Answer::Ok } else { Answer::Failed };
    for _ in 0..290 {
        while f.call().is_some() {
            f.answer_each(later_only);
        }
        f.pass(SECOND / 10);
    }
    assert_eq!((f.cancelled(), f.ended()), (vec![], vec![]), "29 s: the lease holds");
    while f.ended().is_empty() {
        while f.call().is_some() {
            f.answer_each(later_only);
        }
        f.pass(SECOND / 10);
    }
    assert_eq!(f.cancelled(), ["a/2"]);
    assert_eq!(f.started(), [""; 0], "a/1 comes again before it");
}

#[test]
fn a_delete_that_is_answered_after_the_end_of_the_lease_stops_the_later_one_that_runs() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.done("a/1");
    f.pass(SECOND);
    assert_eq!(f.calls(), [Call::Delete(vec!["a/1".to_owned()])]);
    f.pass(19 * SECOND);
    let extension = f.calls().len() - 1;
    let later_only = |name: &str| if name == "a/2" { Answer::Ok } else { Answer::Failed };
    assert!(matches!(f.answer_at(extension, later_only), Call::Extend(_)));
    f.pause_process(11 * SECOND);
    assert_eq!(f.started(), ["a/1", "a/2"]);
    assert!(matches!(f.answer(Answer::Failed), Call::Delete(_)));
    assert_eq!(f.cancelled(), ["a/2"]);
    assert_eq!(f.ended(), [("a/1".to_owned(), Fate::Lost)]);
    assert_eq!(f.started(), [""; 0]);
}
