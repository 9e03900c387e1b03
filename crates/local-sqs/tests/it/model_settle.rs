use local_sqs::model::ErrorKind;
use local_sqs::model::api::{
    ChangeMessageVisibilityBatchRequest, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequest, DeleteMessageBatchRequestEntry,
};

use crate::rig::{FIFO, QUEUE, Rig, refusal, url};

#[test]
fn each_receive_has_a_new_receipt_handle() {
    let mut rig = Rig::standard();
    rig.send("one");
    let first = rig.receive(QUEUE, 1);
    rig.wait(30);
    assert_ne!(rig.receive(QUEUE, 1)[0].receipt_handle, first[0].receipt_handle);
}

#[test]
fn a_message_can_be_deleted_twice() {
    for (mut rig, name) in [(Rig::standard(), QUEUE), (Rig::fifo(), FIFO)] {
        if name == FIFO {
            rig.send_to_group("a", "one");
        } else {
            rig.send("one");
        }
        let handle = rig.receive(name, 1).remove(0).receipt_handle;
        rig.delete(name, &handle).unwrap();
        rig.delete(name, &handle).unwrap();
        assert_eq!(rig.counts(name), (0, 0, 0));
    }
}

#[test]
fn a_standard_queue_deletes_by_the_newest_handle_even_after_expiry() {
    let mut rig = Rig::standard();
    rig.send("one");
    let handle = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    rig.wait(30);
    rig.delete(QUEUE, &handle).unwrap();
    assert_eq!(rig.counts(QUEUE), (0, 0, 0));
}

#[test]
fn a_standard_queue_says_yes_to_an_old_handle_and_deletes_nothing() {
    let mut rig = Rig::standard();
    rig.send("one");
    let old = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    rig.wait(30);
    rig.receive(QUEUE, 1);
    rig.delete(QUEUE, &old).unwrap();
    assert_eq!(rig.counts(QUEUE), (0, 1, 0));
}

#[test]
fn a_fifo_queue_refuses_a_handle_that_has_expired() {
    let mut rig = Rig::fifo();
    rig.send_to_group("a", "one");
    let handle = rig.receive(FIFO, 1).remove(0).receipt_handle;
    rig.wait(30);
    assert_eq!(refusal(rig.delete(FIFO, &handle)), ErrorKind::InvalidParameterValue);
    rig.receive(FIFO, 1);
    assert_eq!(refusal(rig.delete(FIFO, &handle)), ErrorKind::InvalidParameterValue);
    assert_eq!(refusal(rig.change(FIFO, &handle, 10)), ErrorKind::InvalidParameterValue);
    assert_eq!(rig.counts(FIFO), (0, 1, 0));
}

#[test]
fn a_garbage_handle_and_one_of_another_queue_are_refused() {
    let mut rig = Rig::standard();
    rig.create("other", &[]).unwrap();
    rig.send("one");
    let handle = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    for (name, handle) in [(QUEUE, "garbage"), (QUEUE, "AAAA"), ("other", handle.as_str())] {
        assert_eq!(refusal(rig.delete(name, handle)), ErrorKind::ReceiptHandleIsInvalid);
        assert_eq!(refusal(rig.change(name, handle, 1)), ErrorKind::ReceiptHandleIsInvalid);
    }
    assert_eq!(refusal(rig.delete(QUEUE, "")), ErrorKind::MissingParameter);
}

#[test]
fn the_visibility_timeout_counts_from_the_change() {
    let mut rig = Rig::standard();
    rig.send("one");
    let handle = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    rig.wait(20);
    rig.change(QUEUE, &handle, 60).unwrap();
    rig.wait(59);
    assert_eq!(rig.counts(QUEUE), (0, 1, 0));
    rig.wait(1);
    assert_eq!(rig.counts(QUEUE), (1, 0, 0));
}

#[test]
fn zero_makes_a_message_visible_at_once() {
    let mut rig = Rig::standard();
    rig.send("one");
    let handle = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    rig.change(QUEUE, &handle, 0).unwrap();
    assert_eq!(rig.receive(QUEUE, 1).len(), 1);
}

#[test]
fn more_than_twelve_hours_are_refused_in_one_change_or_in_total() {
    let mut rig = Rig::standard();
    rig.send("one");
    let handle = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    assert_eq!(refusal(rig.change(QUEUE, &handle, 43_201)), ErrorKind::InvalidParameterValue);
    rig.change(QUEUE, &handle, 43_200).unwrap();
    rig.wait(10);
    assert_eq!(refusal(rig.change(QUEUE, &handle, 43_200)), ErrorKind::InvalidParameterValue);
    rig.change(QUEUE, &handle, 43_190).unwrap();
}

#[test]
fn the_visibility_of_a_message_that_is_not_in_flight_cannot_be_changed() {
    let mut rig = Rig::standard();
    rig.send("one");
    let old = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    rig.change(QUEUE, &old, 0).unwrap();
    rig.change(QUEUE, &old, 0).unwrap();
    assert_eq!(refusal(rig.change(QUEUE, &old, 10)), ErrorKind::MessageNotInflight);
    let new = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    rig.delete(QUEUE, &new).unwrap();
    assert_eq!(refusal(rig.change(QUEUE, &old, 10)), ErrorKind::InvalidParameterValue);
    assert_eq!(refusal(rig.change(QUEUE, &new, 10)), ErrorKind::InvalidParameterValue);
}

#[test]
fn changing_the_visibility_after_the_timeout_of_a_standard_queue_is_accepted_without_effect() {
    let mut rig = Rig::standard();
    rig.send("one");
    let handle = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    rig.wait(30);
    rig.change(QUEUE, &handle, 10).unwrap();
    assert_eq!(rig.counts(QUEUE), (1, 0, 0));
}

#[test]
fn a_standard_queue_lets_an_older_handle_change_the_visibility_of_a_newer_receive() {
    let mut rig = Rig::standard();
    rig.send("one");
    let old = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    rig.wait(30);
    rig.receive(QUEUE, 1);
    rig.change(QUEUE, &old, 0).unwrap();
    assert_eq!(rig.counts(QUEUE), (1, 0, 0));
}

#[test]
fn a_fifo_queue_refuses_to_change_the_visibility_by_a_handle_that_has_expired() {
    let mut rig = Rig::fifo();
    rig.send_to_group("a", "a1");
    let old = rig.receive(FIFO, 1).remove(0).receipt_handle;
    rig.wait(30);
    assert_eq!(refusal(rig.change(FIFO, &old, 10)), ErrorKind::InvalidParameterValue);
    rig.receive(FIFO, 1);
    assert_eq!(refusal(rig.change(FIFO, &old, 10)), ErrorKind::InvalidParameterValue);
}

#[test]
fn each_entry_of_a_visibility_batch_has_its_own_fate() {
    let mut rig = Rig::standard();
    rig.send("one");
    rig.send("two");
    let received = rig.receive(QUEUE, 2);
    let entry = |id: &str, handle: &str, seconds: i64| ChangeMessageVisibilityBatchRequestEntry {
        id: id.to_owned(),
        receipt_handle: handle.to_owned(),
        visibility_timeout: Some(seconds),
    };
    let entries = vec![
        entry("released", &received[0].receipt_handle, 0),
        entry("garbage", "garbage", 0),
        entry("too-long", &received[1].receipt_handle, 43_201),
    ];
    let request = ChangeMessageVisibilityBatchRequest { queue_url: url(QUEUE), entries };
    let result = rig.sqs.change_message_visibility_batch(rig.now, request).unwrap();
    assert_eq!(result.successful.len(), 1);
    let codes: Vec<_> = result.failed.iter().map(|f| (f.id.as_str(), f.code.as_str())).collect();
    assert_eq!(
        codes,
        [("garbage", "ReceiptHandleIsInvalid"), ("too-long", "InvalidParameterValue")]
    );
    assert_eq!(rig.counts(QUEUE), (1, 1, 0));
}

#[test]
fn each_entry_of_a_delete_batch_has_its_own_fate() {
    let mut rig = Rig::standard();
    rig.send("one");
    let handle = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    let entry = |id: &str, handle: &str| DeleteMessageBatchRequestEntry {
        id: id.to_owned(),
        receipt_handle: handle.to_owned(),
    };
    let batch = |entries: Vec<DeleteMessageBatchRequestEntry>| DeleteMessageBatchRequest {
        queue_url: url(QUEUE),
        entries,
    };
    let refused = rig
        .sqs
        .delete_message_batch(rig.now, batch(vec![entry("a", &handle), entry("a", &handle)]));
    assert_eq!(refusal(refused), ErrorKind::BatchEntryIdsNotDistinct);
    assert_eq!(
        refusal(rig.sqs.delete_message_batch(rig.now, batch(vec![]))),
        ErrorKind::EmptyBatchRequest
    );
    let entries = vec![entry("a", &handle), entry("again", &handle), entry("garbage", "?")];
    let result = rig.sqs.delete_message_batch(rig.now, batch(entries)).unwrap();
    assert_eq!(result.successful.len(), 2, "the same message twice is no error");
    assert_eq!(result.failed.len(), 1);
    assert_eq!(rig.counts(QUEUE), (0, 0, 0));
}

#[test]
fn a_receive_that_is_given_back_leaves_a_released_message_released() {
    let mut rig = Rig::standard();
    rig.send("one");
    let handle = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    rig.change(QUEUE, &handle, 0).unwrap();
    let received = rig.sqs.receive_message(rig.now, &crate::rig::receive_all(QUEUE, 1)).unwrap();
    rig.sqs.give_back(rig.now, received.lease);
    assert_eq!(refusal(rig.change(QUEUE, &handle, 10)), ErrorKind::MessageNotInflight);
}
