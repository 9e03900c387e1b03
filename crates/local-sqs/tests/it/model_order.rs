use local_sqs::model::api::{
    MessageAttributes, ReceivedMessage, SendMessageRequest, StartMessageMoveTaskRequest,
};

use crate::rig::{
    FIFO, QUEUE, Rig, arn, attribute, bodies, fifo_message, message, redrive_to, url,
};

const DLQ: &str = "dlq";

/// Sends a number of messages of a group, whose bodies are the group's name.
fn send_of(rig: &mut Rig, group: Option<&str>, number: usize) {
    for _ in 0..number {
        let request = SendMessageRequest {
            message_group_id: group.map(str::to_owned),
            ..message(group.unwrap_or("none"))
        };
        rig.send_request(request).unwrap();
    }
}

fn receive_number(rig: &mut Rig, number: usize) -> Vec<ReceivedMessage> {
    let mut received = Vec::new();
    while received.len() < number {
        let more = rig.receive(QUEUE, 10.min(number - received.len()) as i64);
        assert!(!more.is_empty(), "{} of {number}", received.len());
        received.extend(more);
    }
    received
}

/// Brings a number of messages of a group into flight.
fn take_of(rig: &mut Rig, group: Option<&str>, number: usize) -> Vec<ReceivedMessage> {
    send_of(rig, group, number);
    receive_number(rig, number)
}

#[test]
fn an_expired_message_of_a_standard_queue_comes_back_in_its_old_place() {
    let mut rig = Rig::standard();
    for body in ["one", "two", "three", "four"] {
        rig.send(body);
    }
    rig.receive(QUEUE, 2);
    rig.wait(30);
    assert_eq!(bodies(&rig.receive(QUEUE, 10)), ["one", "two", "three", "four"]);
}

#[test]
fn a_released_message_of_a_standard_queue_goes_to_the_end() {
    let mut rig = Rig::standard();
    for body in ["one", "two", "three"] {
        rig.send(body);
    }
    let one = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    rig.change(QUEUE, &one, 0).unwrap();
    assert_eq!(bodies(&rig.receive(QUEUE, 10)), ["two", "three", "one"]);
}

#[test]
fn a_changed_visibility_holds_for_that_receive_only() {
    let mut rig = Rig::standard();
    rig.send("one");
    let handle = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    rig.change(QUEUE, &handle, 5).unwrap();
    rig.wait(5);
    assert_eq!(rig.receive(QUEUE, 1).len(), 1);
    rig.wait(29);
    assert_eq!(rig.counts(QUEUE), (0, 1, 0));
    rig.wait(1);
    assert_eq!(rig.counts(QUEUE), (1, 0, 0));
}

#[test]
fn a_shorter_retention_period_holds_for_the_messages_that_are_there() {
    let mut rig = Rig::standard();
    rig.send("old");
    rig.wait(60);
    rig.send("new");
    rig.set(QUEUE, "MessageRetentionPeriod", "60").unwrap();
    assert_eq!(bodies(&rig.receive(QUEUE, 10)), ["new"]);
}

#[test]
fn a_purge_takes_delayed_messages_too() {
    let mut rig = Rig::standard();
    rig.send_request(SendMessageRequest { delay_seconds: Some(5), ..message("late") }).unwrap();
    rig.sqs.purge_queue(rig.now, &url(QUEUE)).unwrap();
    rig.wait(5);
    assert!(rig.receive(QUEUE, 10).is_empty());
}

#[test]
fn a_purge_forgets_deduplication() {
    let mut rig = Rig::fifo();
    let first = rig.send_to_group("a", "body");
    rig.sqs.purge_queue(rig.now, &url(FIFO)).unwrap();
    let second = rig.send_to_group("a", "body");
    assert_ne!(first.message_id, second.message_id);
    assert!(first.sequence_number < second.sequence_number, "numbers are not used again");
    assert_eq!(rig.receive(FIFO, 10).len(), 1);
}

#[test]
fn sequence_numbers_grow_over_all_groups_and_are_told_alike_to_sender_and_receiver() {
    let mut rig = Rig::fifo();
    let sent: Vec<String> = ["a", "b", "a", "c", "b"]
        .into_iter()
        .enumerate()
        .map(|(n, group)| rig.send_to_group(group, &n.to_string()).sequence_number.unwrap())
        .collect();
    assert!(sent.is_sorted_by(|one, next| one < next), "{sent:?}");
    for received in rig.receive(FIFO, 10) {
        let n: usize = received.body.parse().unwrap();
        assert_eq!(received.attributes["SequenceNumber"], sent[n]);
    }
}

#[test]
fn a_standard_queue_knows_no_sequence_numbers() {
    let mut rig = Rig::standard();
    assert_eq!(rig.send("body").sequence_number, None);
    assert!(!rig.receive(QUEUE, 1)[0].attributes.contains_key("SequenceNumber"));
}

#[test]
fn a_fifo_message_without_a_delay_of_its_own_takes_the_queue_s() {
    for delay_seconds in [None, Some(0)] {
        let mut rig = Rig::fifo();
        rig.set(FIFO, "DelaySeconds", "10").unwrap();
        let request = SendMessageRequest { delay_seconds, ..fifo_message("a", "body") };
        rig.send_request(request).unwrap();
        assert!(rig.receive(FIFO, 1).is_empty(), "{delay_seconds:?}");
        rig.wait(10);
        assert_eq!(rig.receive(FIFO, 1).len(), 1, "{delay_seconds:?}");
    }
}

#[test]
fn a_dead_letter_keeps_its_attributes_and_its_trace_header() {
    let mut rig = Rig::standard();
    rig.create(DLQ, &[]).unwrap();
    rig.set(QUEUE, "RedrivePolicy", &redrive_to(DLQ, 1)).unwrap();
    let one = |name: &str, value| -> MessageAttributes {
        [(name.to_owned(), attribute("String", value))].into()
    };
    let request = SendMessageRequest {
        message_attributes: one("MyAttribute", "foobar"),
        message_system_attributes: one("AWSTraceHeader", "Root=1-5759e988"),
        ..message("order")
    };
    rig.send_request(request.clone()).unwrap();
    rig.receive(QUEUE, 1);
    rig.wait(30);
    rig.receive(QUEUE, 1);
    let dead = rig.receive(DLQ, 1).remove(0);
    assert_eq!(dead.message_attributes, request.message_attributes);
    assert_eq!(dead.attributes["AWSTraceHeader"], "Root=1-5759e988");
    assert_eq!(dead.attributes["ApproximateReceiveCount"], "2");
}

#[test]
fn a_queue_can_be_its_own_dead_letter_queue() {
    let mut rig = Rig::standard();
    rig.set(QUEUE, "RedrivePolicy", &redrive_to(QUEUE, 1)).unwrap();
    rig.send("order");
    rig.receive(QUEUE, 1);
    rig.wait(30);
    assert!(rig.receive(QUEUE, 10).is_empty(), "this receive moves it");
    assert_eq!(rig.counts(QUEUE), (1, 0, 0));
    let back = rig.receive(QUEUE, 10);
    assert_eq!(bodies(&back), ["order"]);
    assert_eq!(back[0].attributes["DeadLetterQueueSourceArn"], arn(QUEUE));
}

#[test]
fn a_move_task_s_messages_are_delayed_as_its_destination_delays_what_is_sent() {
    let mut rig = Rig::standard();
    rig.create("source", &[("RedrivePolicy", &redrive_to(QUEUE, 1))]).unwrap();
    rig.create("slow", &[("DelaySeconds", "60")]).unwrap();
    rig.send("order");
    let request = StartMessageMoveTaskRequest {
        source_arn: arn(QUEUE),
        destination_arn: Some(arn("slow")),
        ..Default::default()
    };
    rig.sqs.start_message_move_task(rig.now, request).unwrap();
    rig.wait(0);
    assert_eq!((rig.counts(QUEUE), rig.counts("slow")), ((0, 0, 0), (0, 0, 1)));
    rig.wait(60);
    assert_eq!(rig.counts("slow"), (1, 0, 0));
}

#[test]
fn a_group_is_noisy_with_more_than_a_tenth_of_what_is_in_flight() {
    for (others, first) in [(270, "a"), (269, "quiet")] {
        let mut rig = Rig::standard();
        take_of(&mut rig, None, others);
        take_of(&mut rig, Some("a"), 30);
        send_of(&mut rig, Some("a"), 1);
        send_of(&mut rig, Some("quiet"), 1);
        assert_eq!(bodies(&rig.receive(QUEUE, 1)), [first], "30 of {}", others + 30);
    }
}

#[test]
fn a_group_is_noisy_with_thirty_messages_in_flight_and_not_with_29() {
    for (number, first) in [(29, "a"), (30, "quiet")] {
        let mut rig = Rig::standard();
        take_of(&mut rig, Some("a"), number);
        send_of(&mut rig, Some("a"), 1);
        send_of(&mut rig, Some("quiet"), 1);
        assert_eq!(bodies(&rig.receive(QUEUE, 1)), [first], "{number} in flight");
    }
}

#[test]
fn messages_without_a_group_are_never_noisy() {
    let mut rig = Rig::standard();
    take_of(&mut rig, None, 100);
    send_of(&mut rig, None, 2);
    send_of(&mut rig, Some("quiet"), 1);
    assert_eq!(bodies(&rig.receive(QUEUE, 10)), ["none", "none", "quiet"]);
}

#[test]
fn of_several_noisy_groups_the_one_with_the_fewest_messages_in_flight_goes_first() {
    let mut rig = Rig::standard();
    take_of(&mut rig, Some("a"), 32);
    take_of(&mut rig, Some("b"), 30);
    send_of(&mut rig, Some("a"), 2);
    send_of(&mut rig, Some("b"), 4);
    send_of(&mut rig, Some("quiet"), 1);
    let order = ["quiet", "b", "b", "a", "b", "a", "b"];
    assert_eq!(bodies(&receive_number(&mut rig, 7)), order);
}

#[test]
fn a_group_is_quiet_again_when_its_messages_leave_flight() {
    let mut rig = Rig::standard();
    let taken = take_of(&mut rig, Some("a"), 30);
    send_of(&mut rig, Some("a"), 1);
    send_of(&mut rig, Some("quiet"), 1);
    rig.delete(QUEUE, &taken[0].receipt_handle).unwrap();
    assert_eq!(bodies(&rig.receive(QUEUE, 10)), ["a", "quiet"]);
}

#[test]
fn quiet_groups_are_served_in_the_order_of_arrival() {
    let mut rig = Rig::standard();
    for group in ["c", "a", "c", "b", "a"] {
        send_of(&mut rig, Some(group), 1);
    }
    assert_eq!(bodies(&rig.receive(QUEUE, 10)), ["c", "a", "c", "b", "a"]);
}

#[test]
fn a_quiet_message_far_behind_a_noisy_backlog_is_found_within_a_few_receives() {
    let mut rig = Rig::standard();
    let send = |rig: &mut Rig, group: &str, body: &str| {
        let request = SendMessageRequest {
            message_group_id: Some(group.to_owned()),
            ..crate::rig::message(body)
        };
        rig.send_request(request).unwrap();
    };
    for n in 0..1_030 {
        send(&mut rig, "noisy", &n.to_string());
    }
    for _ in 0..3 {
        rig.receive(QUEUE, 10);
    }
    send(&mut rig, "quiet", "quiet");
    let received: Vec<String> = (0..1_001).map(|_| rig.receive(QUEUE, 1).remove(0).body).collect();
    let place = received.iter().position(|body| body == "quiet").unwrap();
    assert!(place < 6, "{place}");
    let noisy = received.iter().filter(|body| *body != "quiet");
    assert!(noisy.eq((30..1_030).map(|n| n.to_string()).collect::<Vec<_>>().iter()));
    assert_eq!(rig.counts(QUEUE), (0, 1_031, 0));
}
