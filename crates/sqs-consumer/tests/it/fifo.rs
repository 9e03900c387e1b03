//! Lanes: order within a group, freedom between groups.

use sqs_consumer::scheduler::{Answer, Ended, Fate};

use crate::fixture::{AT_ONCE, Call, Fixture, SECOND, fifo};

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
fn the_tail_stays_leased_while_the_head_waits_for_its_retry() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.finish("a/1", Ended::Retry { not_before: Some(45 * SECOND), shared: false });
    f.pass(21 * SECOND);
    let names = vec![("a/1".to_owned(), 30 * SECOND), ("a/2".to_owned(), 30 * SECOND)];
    assert_eq!(f.answer(Answer::Ok), Call::Extend(names));
    f.pass(20 * SECOND);
    f.answer_all(Answer::Ok);
    f.started();
    f.pass(10 * SECOND);
    assert_eq!(f.started(), ["a/1"], "Retry-After is a lower bound");
    assert_eq!(f.ended(), []);
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
fn without_a_dead_letter_queue_the_head_goes_back_before_its_tail() {
    let mut f =
        Fixture::new(sqs_consumer::scheduler::Config { dead_letter_queue: false, ..fifo() });
    f.receive(&["a/1", "a/2", "a/3"]);
    f.finish("a/1", Ended::DeadLetter);
    let Some(Call::Return(entries)) = f.call() else { panic!("{:?}", f.calls()) };
    assert_eq!(entries[0].0, "a/1");
    assert_eq!((entries.len(), f.calls().len()), (1, 1), "the tail waits for the head's answer");
    f.answer(Answer::Ok);
    let tail = vec![("a/2".to_owned(), AT_ONCE), ("a/3".to_owned(), AT_ONCE)];
    assert_eq!(f.answer(Answer::Ok), Call::Return(tail));
}

#[test]
fn one_slow_group_does_not_hold_up_the_others() {
    let mut f = Fixture::new(fifo());
    f.receive(&["slow/1", "slow/2", "b/1", "c/1", "d/1"]);
    for group in ["b", "c", "d"] {
        f.done(&format!("{group}/1"));
    }
    for round in 0..20 {
        f.pass(SECOND);
        f.answer_all(Answer::Ok);
        f.started();
        let name = format!("e/{round}");
        f.receive(&[&name]);
        assert_eq!(f.started(), [name.as_str()]);
        f.done(&name);
    }
    assert_eq!(f.stats().running, 1);
}

#[test]
fn a_failed_delete_is_repeated_and_effects_stay_in_order() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.done("a/1");
    f.pass(SECOND);
    assert_eq!(f.answer(Answer::Failed), Call::Delete(vec!["a/1".to_owned()]));
    f.done("a/2");
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    let mut ended = f.ended();
    ended.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(ended, [("a/1".to_owned(), Fate::Deleted), ("a/2".to_owned(), Fate::Deleted)]);
    assert_eq!(f.started(), ["a/1", "a/2"]);
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
    assert_eq!(f.ended(), [("a/1".to_owned(), Fate::Lost)]);
    assert_eq!(f.started(), ["a/1", "a/2"]);
    assert_eq!(f.cancelled(), [""; 0]);
}

#[test]
fn when_no_delete_gets_through_the_lost_lease_is_reported_and_the_lane_stops() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2", "a/3"]);
    f.done("a/1");
    for _ in 0..29 {
        f.pass(SECOND);
        // Only the deletes are lost; the others' leases are extended.
        while let Some(call) = f.call() {
            let mine = matches!(&call, Call::Extend(entries) if entries[0].0 != "a/1");
            f.answer(if mine { Answer::Ok } else { Answer::Failed });
        }
    }
    let (started, ended) = (f.started(), f.ended());
    assert_eq!((started.len(), ended), (2, vec![]));
    f.pass(3 * SECOND);
    assert!(f.ended().contains(&("a/1".to_owned(), Fate::Lost)));
    assert_eq!(f.cancelled(), ["a/2"], "m1 will come back before it");
    assert_eq!(f.started(), [""; 0]);
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
