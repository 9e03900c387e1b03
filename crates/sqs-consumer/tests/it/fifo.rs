//! Lanes: order within a group, freedom between groups.

use sqs_consumer::scheduler::{Answer, Ended, Fate};

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
    assert_eq!(f.ended(), [("a/1".to_owned(), Fate::Lost)]);
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
