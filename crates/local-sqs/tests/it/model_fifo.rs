use local_sqs::model::ErrorKind;
use local_sqs::model::api::{
    ReceiveMessageRequest, SendMessageBatchRequest, SendMessageBatchRequestEntry,
    SendMessageRequest,
};

use crate::rig::{FIFO, Rig, bodies, fifo_message, receive_all, refusal, url};

#[test]
fn several_messages_of_a_group_come_in_one_receive_then_other_groups() {
    let mut rig = Rig::fifo();
    for body in ["a1", "b1", "a2", "b2", "a3"] {
        rig.send_to_group(&body[..1], body);
    }
    assert_eq!(bodies(&rig.receive(FIFO, 4)), ["a1", "a2", "a3", "b1"]);
}

#[test]
fn a_group_in_flight_is_blocked_while_other_groups_are_served() {
    let mut rig = Rig::fifo();
    for body in ["a1", "a2", "b1"] {
        rig.send_to_group(&body[..1], body);
    }
    let a1 = rig.receive(FIFO, 1);
    assert_eq!(bodies(&a1), ["a1"]);
    assert_eq!(bodies(&rig.receive(FIFO, 10)), ["b1"]);
    rig.delete(FIFO, &a1[0].receipt_handle).unwrap();
    assert_eq!(bodies(&rig.receive(FIFO, 10)), ["a2"]);
}

#[test]
fn order_is_kept_after_expiry() {
    let mut rig = Rig::fifo();
    for body in ["a1", "a2", "a3"] {
        rig.send_to_group("a", body);
    }
    rig.receive(FIFO, 10);
    rig.wait(30);
    assert_eq!(bodies(&rig.receive(FIFO, 10)), ["a1", "a2", "a3"]);
}

#[test]
fn order_is_kept_after_release_in_any_order_of_calls() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut rig = Rig::fifo();
        for body in ["a1", "a2", "a3"] {
            rig.send_to_group("a", body);
        }
        let received = rig.receive(FIFO, 10);
        for index in order {
            rig.change(FIFO, &received[index].receipt_handle, 0).unwrap();
        }
        assert_eq!(bodies(&rig.receive(FIFO, 10)), ["a1", "a2", "a3"], "released as {order:?}");
    }
}

#[test]
fn a_visible_message_behind_an_invisible_one_of_its_group_is_not_returned() {
    let mut rig = Rig::fifo();
    for body in ["a1", "a2", "a3"] {
        rig.send_to_group("a", body);
    }
    let received = rig.receive(FIFO, 10);
    rig.change(FIFO, &received[1].receipt_handle, 0).unwrap();
    rig.change(FIFO, &received[2].receipt_handle, 0).unwrap();
    assert_eq!(rig.counts(FIFO), (2, 1, 0));
    assert!(rig.receive(FIFO, 10).is_empty());
    rig.change(FIFO, &received[0].receipt_handle, 0).unwrap();
    assert_eq!(bodies(&rig.receive(FIFO, 10)), ["a1", "a2", "a3"]);
}

#[test]
fn a_group_is_returned_up_to_its_first_invisible_message() {
    let mut rig = Rig::fifo();
    for body in ["a1", "a2", "a3"] {
        rig.send_to_group("a", body);
    }
    let received = rig.receive(FIFO, 10);
    rig.change(FIFO, &received[0].receipt_handle, 0).unwrap();
    rig.change(FIFO, &received[2].receipt_handle, 0).unwrap();
    assert_eq!(bodies(&rig.receive(FIFO, 10)), ["a1"]);
}

#[test]
fn a_long_group_does_not_starve_later_groups() {
    let mut rig = Rig::fifo();
    for n in 0..100 {
        rig.send_to_group("long", &format!("long-{n}"));
    }
    rig.send_to_group("short", "short-0");
    for _ in 0..2 {
        for message in rig.receive(FIFO, 10) {
            if message.body == "short-0" {
                return;
            }
            rig.delete(FIFO, &message.receipt_handle).unwrap();
        }
    }
    panic!("the short group was not served in two receives");
}

#[test]
fn a_message_without_group_is_refused() {
    let mut rig = Rig::fifo();
    let request = SendMessageRequest { message_group_id: None, ..fifo_message("a", "a1") };
    assert_eq!(refusal(rig.send_request(request)), ErrorKind::MissingParameter);
}

#[test]
fn a_message_without_deduplication_id_is_refused_unless_content_gives_one() {
    let mut rig = Rig::empty();
    rig.create(FIFO, &[("FifoQueue", "true")]).unwrap();
    assert_eq!(
        refusal(rig.send_request(fifo_message("a", "a1"))),
        ErrorKind::InvalidParameterValue
    );
    rig.set(FIFO, "ContentBasedDeduplication", "true").unwrap();
    rig.send_request(fifo_message("a", "a1")).unwrap();
}

#[test]
fn a_batch_whose_entry_lacks_an_id_is_refused_whole() {
    let mut rig = Rig::empty();
    rig.create(FIFO, &[("FifoQueue", "true")]).unwrap();
    let entry = |id: &str, deduplication_id: Option<&str>| SendMessageBatchRequestEntry {
        id: id.to_owned(),
        message_body: id.to_owned(),
        message_group_id: Some("a".to_owned()),
        message_deduplication_id: deduplication_id.map(str::to_owned),
        ..Default::default()
    };
    let entries = vec![entry("one", Some("1")), entry("two", None)];
    let request = SendMessageBatchRequest { queue_url: url(FIFO), entries };
    let refused = rig.sqs.send_message_batch(rig.now, request);
    assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue);
    assert_eq!(rig.counts(FIFO), (0, 0, 0));
}

#[test]
fn a_repeated_send_is_answered_with_the_first_ids_and_sends_nothing() {
    let mut rig = Rig::fifo();
    let first = rig.send_to_group("a", "same");
    rig.wait(299);
    let again = rig.send_to_group("b", "same");
    assert_eq!(again.message_id, first.message_id);
    assert_eq!(again.sequence_number, first.sequence_number);
    assert_eq!(rig.counts(FIFO), (1, 0, 0));
}

#[test]
fn deduplication_holds_after_the_message_was_deleted() {
    let mut rig = Rig::fifo();
    let first = rig.send_to_group("a", "same");
    let received = rig.receive(FIFO, 1);
    rig.delete(FIFO, &received[0].receipt_handle).unwrap();
    assert_eq!(rig.send_to_group("a", "same").message_id, first.message_id);
    assert_eq!(rig.counts(FIFO), (0, 0, 0));
}

#[test]
fn deduplication_ends_after_five_minutes_from_the_first_send() {
    let mut rig = Rig::fifo();
    let first = rig.send_to_group("a", "same");
    rig.wait(200);
    rig.send_to_group("a", "same");
    rig.wait(100);
    assert_ne!(rig.send_to_group("a", "same").message_id, first.message_id);
    assert_eq!(rig.counts(FIFO), (2, 0, 0));
}

#[test]
fn deduplication_per_message_group_lets_other_groups_send_the_same() {
    let per_group = [
        ("FifoQueue", "true"),
        ("ContentBasedDeduplication", "true"),
        ("DeduplicationScope", "messageGroup"),
    ];
    let mut rig = Rig::empty();
    rig.create(FIFO, &per_group).unwrap();
    let first = rig.send_to_group("a", "same");
    assert_ne!(rig.send_to_group("b", "same").message_id, first.message_id);
    assert_eq!(rig.send_to_group("a", "same").message_id, first.message_id);
}

#[test]
fn a_changed_deduplication_scope_holds_after_a_minute() {
    let mut rig = Rig::fifo();
    rig.set(FIFO, "DeduplicationScope", "messageGroup").unwrap();
    let first = rig.send_to_group("a", "same");
    assert_eq!(rig.send_to_group("b", "same").message_id, first.message_id);
    rig.wait(60);
    assert_ne!(rig.send_to_group("b", "same").message_id, first.message_id);
}

#[test]
fn an_explicit_deduplication_id_goes_before_the_content() {
    let mut rig = Rig::fifo();
    let with_id = |body: &str, id: &str| SendMessageRequest {
        message_deduplication_id: Some(id.to_owned()),
        ..fifo_message("a", body)
    };
    let first = rig.send_request(with_id("one", "id")).unwrap();
    assert_eq!(rig.send_request(with_id("two", "id")).unwrap().message_id, first.message_id);
    assert_ne!(rig.send_request(with_id("one", "other")).unwrap().message_id, first.message_id);
}

#[test]
fn content_based_deduplication_ignores_attributes_and_tells_the_sha256_of_the_body() {
    let mut rig = Rig::fifo();
    rig.send_to_group("a", "body");
    let received = rig.receive(FIFO, 1);
    assert_eq!(
        received[0].attributes["MessageDeduplicationId"],
        "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"
    );
}

#[test]
fn sequence_numbers_increase() {
    let mut rig = Rig::fifo();
    let numbers: Vec<_> =
        (0..20).map(|n| rig.send_to_group("a", &n.to_string()).sequence_number.unwrap()).collect();
    assert!(numbers.is_sorted());
    assert!(numbers.iter().all(|number| number.len() == 20));
}

fn attempt(id: &str) -> ReceiveMessageRequest {
    ReceiveMessageRequest {
        receive_request_attempt_id: Some(id.to_owned()),
        ..receive_all(FIFO, 10)
    }
}

#[test]
fn a_repeated_receive_attempt_gives_the_same_messages_and_handles_and_renews_their_timeout() {
    let mut rig = Rig::fifo();
    rig.send_to_group("a", "a1");
    rig.send_to_group("a", "a2");
    let first = rig.receive_request(&attempt("try")).unwrap();
    rig.wait(20);
    assert_eq!(rig.receive_request(&attempt("try")).unwrap(), first);
    rig.wait(20);
    assert_eq!(rig.counts(FIFO), (0, 2, 0));
}

#[test]
fn a_receive_attempt_dies_once_one_of_its_messages_is_deleted() {
    let mut rig = Rig::fifo();
    rig.send_to_group("a", "a1");
    rig.send_to_group("b", "b1");
    let first = rig.receive_request(&attempt("try")).unwrap();
    rig.delete(FIFO, &first[0].receipt_handle).unwrap();
    let again = rig.receive_request(&attempt("try"));
    assert_eq!(refusal(again), ErrorKind::InvalidParameterValue);
    assert!(rig.receive_request(&attempt("another")).unwrap().is_empty());
}

#[test]
fn a_receive_attempt_dies_once_one_of_its_messages_has_its_visibility_changed() {
    let mut rig = Rig::fifo();
    rig.send_to_group("a", "a1");
    let first = rig.receive_request(&attempt("try")).unwrap();
    rig.change(FIFO, &first[0].receipt_handle, 60).unwrap();
    let again = rig.receive_request(&attempt("try"));
    assert_eq!(refusal(again), ErrorKind::InvalidParameterValue);
}

#[test]
fn a_receive_attempt_is_known_for_five_minutes() {
    let mut rig = Rig::fifo();
    rig.set(FIFO, "VisibilityTimeout", "3600").unwrap();
    rig.send_to_group("a", "a1");
    let first = rig.receive_request(&attempt("try")).unwrap();
    rig.wait(299);
    assert_eq!(rig.receive_request(&attempt("try")).unwrap(), first);
    rig.wait(1);
    assert!(rig.receive_request(&attempt("try")).unwrap().is_empty());
}

#[test]
fn a_fifo_queue_knows_only_its_own_delay() {
    let mut rig = Rig::fifo();
    let delayed = SendMessageRequest { delay_seconds: Some(5), ..fifo_message("a", "a1") };
    assert_eq!(refusal(rig.send_request(delayed)), ErrorKind::InvalidParameterValue);
    rig.set(FIFO, "DelaySeconds", "60").unwrap();
    rig.send_to_group("a", "a1");
    assert_eq!(rig.counts(FIFO), (0, 0, 1));
    rig.set(FIFO, "DelaySeconds", "10").unwrap();
    rig.wait(10);
    assert_eq!(bodies(&rig.receive(FIFO, 1)), ["a1"], "a changed delay holds for waiting messages");
}
