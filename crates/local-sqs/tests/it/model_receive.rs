use std::time::Duration;

use local_sqs::model::api::{MessageAttributeValue, ReceiveMessageRequest, SendMessageRequest};
use local_sqs::model::{ErrorKind, Limits, ModelSettings};

use crate::rig::{FIFO, QUEUE, Rig, bodies, receive_all, refusal, url};

#[test]
fn numbers_out_of_range_are_refused() {
    let mut rig = Rig::standard();
    let base = || receive_all(QUEUE, 1);
    for request in [
        receive_all(QUEUE, 0),
        receive_all(QUEUE, 11),
        ReceiveMessageRequest { wait_time_seconds: Some(21), ..base() },
        ReceiveMessageRequest { wait_time_seconds: Some(-1), ..base() },
        ReceiveMessageRequest { visibility_timeout: Some(43_201), ..base() },
    ] {
        assert_eq!(refusal(rig.receive_request(&request)), ErrorKind::InvalidParameterValue);
    }
}

#[test]
fn one_message_is_received_unless_more_are_asked_for() {
    let mut rig = Rig::standard();
    rig.send("one");
    rig.send("two");
    let request = ReceiveMessageRequest { queue_url: url(QUEUE), ..Default::default() };
    assert_eq!(rig.receive_request(&request).unwrap().len(), 1);
}

#[test]
fn receives_are_counted_and_timed() {
    let mut rig = Rig::standard();
    let sent = rig.now;
    rig.send("one");
    rig.wait(7);
    let first = rig.now;
    rig.receive(QUEUE, 1);
    rig.wait(30);
    let again = rig.receive(QUEUE, 1);
    let attributes = &again[0].attributes;
    assert_eq!(attributes["SentTimestamp"], sent.0.to_string());
    assert_eq!(attributes["ApproximateFirstReceiveTimestamp"], first.0.to_string());
    assert_eq!(attributes["ApproximateReceiveCount"], "2");
}

#[test]
fn only_the_attributes_that_are_asked_for_are_returned() {
    let mut rig = Rig::standard();
    let attribute = |value: &str| MessageAttributeValue {
        data_type: "String".to_owned(),
        string_value: Some(value.to_owned()),
        ..Default::default()
    };
    let names = ["trace.id", "trace.span", "tenant"];
    rig.send_request(SendMessageRequest {
        queue_url: url(QUEUE),
        message_body: "body".to_owned(),
        message_attributes: names.map(|name| (name.to_owned(), attribute(name))).into(),
        ..Default::default()
    })
    .unwrap();
    let mut receive = |wanted: &[&str], system: &[&str]| {
        let message = rig
            .receive_request(&ReceiveMessageRequest {
                queue_url: url(QUEUE),
                visibility_timeout: Some(0),
                message_attribute_names: wanted.iter().map(|name| (*name).to_owned()).collect(),
                message_system_attribute_names: system.iter().map(|n| (*n).to_owned()).collect(),
                ..Default::default()
            })
            .unwrap()
            .remove(0);
        let digest = message.md5_of_message_attributes.is_some();
        let attributes: Vec<String> = message.message_attributes.into_keys().collect();
        let system: Vec<String> = message.attributes.into_keys().collect();
        (attributes, digest, system)
    };
    let strings = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    assert_eq!(receive(&[], &[]), (vec![], false, vec![]));
    let sent = (strings(&["tenant"]), true, strings(&["SentTimestamp"]));
    assert_eq!(receive(&["tenant", "absent"], &["SentTimestamp"]), sent);
    assert_eq!(receive(&["trace.*"], &[]).0, ["trace.id", "trace.span"]);
    assert_eq!(receive(&["All"], &[]).0, ["tenant", "trace.id", "trace.span"]);
    assert_eq!(receive(&[".*"], &[]).0.len(), 3);
    assert_eq!(
        receive(&[], &["All"]).2,
        [
            "ApproximateFirstReceiveTimestamp",
            "ApproximateReceiveCount",
            "SenderId",
            "SentTimestamp"
        ]
    );
}

#[test]
fn an_unknown_system_attribute_is_refused() {
    let mut rig = Rig::standard();
    let request = ReceiveMessageRequest {
        attribute_names: vec!["Nonsense".to_owned()],
        ..receive_all(QUEUE, 1)
    };
    assert_eq!(refusal(rig.receive_request(&request)), ErrorKind::InvalidAttributeName);
}

#[test]
fn a_receive_s_own_visibility_timeout_goes_before_the_queue_s() {
    let mut rig = Rig::standard();
    rig.send("one");
    let request = ReceiveMessageRequest { visibility_timeout: Some(5), ..receive_all(QUEUE, 1) };
    rig.receive_request(&request).unwrap();
    rig.wait(5);
    assert_eq!(rig.receive(QUEUE, 1).len(), 1);
    rig.wait(5);
    assert!(rig.receive(QUEUE, 1).is_empty(), "the change is not remembered");
}

#[test]
fn counts_are_exact_without_a_receive_in_between() {
    let mut rig = Rig::standard();
    for n in 0..5 {
        rig.send(&n.to_string());
    }
    rig.receive(QUEUE, 3);
    assert_eq!(rig.counts(QUEUE), (2, 3, 0));
    rig.wait(30);
    assert_eq!(rig.counts(QUEUE), (5, 0, 0));
    assert_eq!(rig.attribute(QUEUE, "ApproximateNumberOfMessages").unwrap(), "5");
}

#[test]
fn messages_older_than_the_retention_period_are_gone_even_in_flight() {
    let mut rig = Rig::standard();
    rig.set(QUEUE, "MessageRetentionPeriod", "60").unwrap();
    rig.set(QUEUE, "VisibilityTimeout", "600").unwrap();
    rig.send("in flight");
    rig.receive(QUEUE, 1);
    rig.wait(1);
    rig.send("later");
    rig.wait(59);
    assert_eq!(rig.counts(QUEUE), (1, 0, 0));
    rig.wait(1);
    assert_eq!(rig.counts(QUEUE), (0, 0, 0));
}

#[test]
fn a_noisy_message_group_of_a_standard_queue_lets_quiet_ones_go_first() {
    let mut rig = Rig::standard();
    let send = |rig: &mut Rig, group: &str| {
        rig.send_request(SendMessageRequest {
            queue_url: url(QUEUE),
            message_body: group.to_owned(),
            message_group_id: Some(group.to_owned()),
            ..Default::default()
        })
        .unwrap();
    };
    for _ in 0..100 {
        send(&mut rig, "noisy");
    }
    rig.receive(QUEUE, 10);
    rig.receive(QUEUE, 10);
    send(&mut rig, "quiet");
    assert_eq!(bodies(&rig.receive(QUEUE, 1)), ["noisy"], "thirty in flight make it noisy");
    rig.receive(QUEUE, 9);
    let next = rig.receive(QUEUE, 1);
    assert_eq!(bodies(&next), ["quiet"]);
    assert_eq!(next[0].attributes["MessageGroupId"], "quiet");
    assert_eq!(rig.receive(QUEUE, 10).len(), 10, "a noisy group is served when nobody else waits");
}

fn with_two_in_flight_at_most() -> Rig {
    let limits = Limits { in_flight: 2, ..Limits::default() };
    let mut rig = Rig::with_settings(ModelSettings { limits, ..ModelSettings::default() });
    rig.create(QUEUE, &[]).unwrap();
    rig.create(FIFO, &[("FifoQueue", "true"), ("ContentBasedDeduplication", "true")]).unwrap();
    rig
}

#[test]
fn a_standard_queue_answers_over_limit_to_short_polls_when_too_much_is_in_flight() {
    let mut rig = with_two_in_flight_at_most();
    for n in 0..3 {
        rig.send(&n.to_string());
    }
    assert_eq!(rig.receive(QUEUE, 10).len(), 2);
    assert_eq!(refusal(rig.receive_request(&receive_all(QUEUE, 1))), ErrorKind::OverLimit);
    let long = ReceiveMessageRequest { wait_time_seconds: Some(1), ..receive_all(QUEUE, 1) };
    assert_eq!(rig.receive_request(&long).unwrap(), []);
}

#[test]
fn a_queue_at_its_in_flight_limit_is_awakened_when_a_message_leaves_flight() {
    let mut rig = with_two_in_flight_at_most();
    for n in 0..3 {
        rig.send(&n.to_string());
    }
    let held = rig.receive(QUEUE, 10);
    let long = ReceiveMessageRequest { wait_time_seconds: Some(20), ..receive_all(QUEUE, 1) };
    assert_eq!(rig.receive_request(&long).unwrap(), []);
    rig.sqs.take_awakened();
    rig.delete(QUEUE, &held[0].receipt_handle).unwrap();
    assert_eq!(rig.sqs.take_awakened().len(), 1);
    assert_eq!(bodies(&rig.receive_request(&long).unwrap()), ["2"]);
}

#[test]
fn a_fifo_queue_answers_nothing_when_too_much_is_in_flight() {
    let mut rig = with_two_in_flight_at_most();
    for group in ["a", "b", "c"] {
        rig.send_to_group(group, group);
    }
    assert_eq!(rig.receive(FIFO, 10).len(), 2);
    assert!(rig.receive(FIFO, 10).is_empty());
}

#[test]
fn a_receive_that_is_given_back_leaves_no_trace() {
    let mut rig = Rig::standard();
    for body in ["one", "two", "three"] {
        rig.send(body);
    }
    let received = rig.sqs.receive_message(rig.now, &receive_all(QUEUE, 2)).unwrap();
    rig.sqs.give_back(rig.now, received.lease);
    assert_eq!(rig.counts(QUEUE), (3, 0, 0));
    let again = rig.receive(QUEUE, 3);
    assert_eq!(bodies(&again), ["one", "two", "three"], "each has its turn again");
    assert!(again.iter().all(|message| message.attributes["ApproximateReceiveCount"] == "1"));
}

#[test]
fn the_next_deadline_is_the_first_moment_at_which_something_changes() {
    let mut rig = Rig::standard();
    let retention = Duration::from_hours(96);
    assert_eq!(rig.sqs.next_deadline(), None);
    rig.send("one");
    let sent = rig.now;
    assert_eq!(rig.sqs.next_deadline(), Some(sent + retention));
    let received = rig.receive(QUEUE, 1);
    assert_eq!(rig.sqs.next_deadline(), Some(sent + Duration::from_secs(30)));
    rig.delete(QUEUE, &received[0].receipt_handle).unwrap();
    assert_eq!(rig.sqs.next_deadline(), None);
}

#[test]
fn queues_are_awakened_by_arrival_release_expiry_and_unblocking() {
    let mut rig = Rig::fifo();
    let awakened = |rig: &mut Rig| !rig.sqs.take_awakened().is_empty();
    rig.send_to_group("a", "a1");
    assert!(awakened(&mut rig), "arrival");
    let a1 = rig.receive(FIFO, 1);
    rig.send_to_group("a", "a2");
    assert!(!awakened(&mut rig), "its group is blocked");
    rig.change(FIFO, &a1[0].receipt_handle, 0).unwrap();
    assert!(awakened(&mut rig), "release");
    rig.receive(FIFO, 1);
    rig.wait(30);
    assert!(awakened(&mut rig), "expiry");
    let a1 = rig.receive(FIFO, 1);
    rig.delete(FIFO, &a1[0].receipt_handle).unwrap();
    assert!(awakened(&mut rig), "unblocking");
}
