//! What was received in vain before starts first: each worker that dies with a message uses up a
//! receive of it, and after the last one SQS dead-letters it, attempted or not.

use sqs_consumer::scheduler::Config;

use crate::fixture::{Fixture, fifo, standard};

/// In which order one handler has these messages, of which each was received so many times.
fn order<const N: usize>(config: Config, messages: [(&str, u32); N]) -> Vec<String> {
    let mut f = Fixture::new(Config { concurrency: 1, ..config });
    f.receive_each(&messages);
    let mut order = Vec::new();
    for _ in messages {
        let [name] = f.started().try_into().expect("one at a time");
        f.done(&name);
        order.push(name);
    }
    order
}

#[test]
fn a_group_whose_head_has_fewer_receives_left_starts_first() {
    let messages = [("a/1", 1), ("a/2", 1), ("b/1", 2), ("b/2", 2), ("c/1", 3), ("c/2", 3)];
    assert_eq!(order(fifo(), messages), ["c/1", "c/2", "b/1", "b/2", "a/1", "a/2"]);
}

#[test]
fn the_order_within_a_group_stays_whatever_its_later_ones_have_left() {
    assert_eq!(order(fifo(), [("a/1", 1), ("a/2", 3), ("b/1", 2)]), ["b/1", "a/1", "a/2"]);
}

#[test]
fn a_standard_message_on_its_last_receive_starts_before_the_others() {
    let messages = [("b/1", 1), ("c/1", 2), ("a/2", 3), ("b/2", 3)];
    assert_eq!(order(standard(), messages), ["a/2", "b/2", "b/1", "c/1"]);
}

#[test]
fn a_last_receive_does_not_lift_the_limit_of_its_group() {
    let mut f = Fixture::new(Config { concurrency: 2, group_concurrency: 1, ..standard() });
    f.receive(&["a/1"]);
    f.receive_each(&[("a/2", 3), ("a/3", 1), ("b/1", 1)]);
    assert_eq!(f.started(), ["a/1", "b/1"]);
    f.done("b/1");
    assert_eq!(f.started(), [""; 0]);
    f.done("a/1");
    assert_eq!(f.started(), ["a/2"]);
    f.done("a/2");
    assert_eq!(f.started(), ["a/3"]);
}

#[test]
fn a_queue_without_redrive_policy_gives_no_message_a_last_receive() {
    let config = Config { max_receive_count: None, ..fifo() };
    assert_eq!(order(config, [("a/1", 1), ("b/1", 9)]), ["a/1", "b/1"]);
}
