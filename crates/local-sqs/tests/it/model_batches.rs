use local_sqs::model::api::{
    ChangeMessageVisibilityBatchRequest, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequest, DeleteMessageBatchRequestEntry, SendMessageBatchRequest,
    SendMessageBatchRequestEntry,
};
use local_sqs::model::{ApiError, ErrorKind};

use crate::rig::{QUEUE, Rig, attribute, refusal_in_words, url};

const MEBIBYTE: usize = 1_048_576;

fn send_batch(rig: &mut Rig, bodies: &[String]) -> Result<Vec<(String, String)>, ApiError> {
    let entries = bodies.iter().enumerate().map(|(n, body)| SendMessageBatchRequestEntry {
        id: n.to_string(),
        message_body: body.clone(),
        message_attributes: [("k".to_owned(), attribute("String", "x"))].into(),
        ..Default::default()
    });
    let request = SendMessageBatchRequest { queue_url: url(QUEUE), entries: entries.collect() };
    let result = rig.sqs.send_message_batch(rig.now, request)?;
    Ok(result.failed.into_iter().map(|failed| (failed.id, failed.message)).collect())
}

#[test]
fn the_messages_of_a_batch_have_one_mebibyte_together() {
    let mut rig = Rig::standard();
    let attributes = 3 * "kStringx".len();
    let third = (MEBIBYTE - attributes) / 3;
    let fits =
        ["x".repeat(third), "y".repeat(third), "z".repeat(MEBIBYTE - attributes - 2 * third)];
    assert_eq!(send_batch(&mut rig, &fits), Ok(vec![]));
    let [x, y, z] = fits;
    let text = "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.";
    let refused = send_batch(&mut rig, &[x, y, z + "z"]);
    assert_eq!(refusal_in_words(refused), (ErrorKind::BatchRequestTooLong, text.to_owned()));
    assert_eq!(rig.counts(QUEUE), (3, 0, 0));
}

#[test]
fn the_queue_s_maximum_size_holds_for_each_message_of_a_batch() {
    let mut rig = Rig::standard();
    rig.set(QUEUE, "MaximumMessageSize", "1024").unwrap();
    let fits = 1024 - "kStringx".len();
    let failed = send_batch(&mut rig, &["x".repeat(fits), "x".repeat(fits + 1), "x".repeat(fits)]);
    let text = "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes.";
    assert_eq!(failed.unwrap(), [("1".to_owned(), text.to_owned())]);
}

/// Sends, deletes and changes in batches with these ids, and tells how each ended.
fn batches(ids: &[&str]) -> [Result<(), ApiError>; 3] {
    let mut rig = Rig::standard();
    let ids = || ids.iter().map(|id| (*id).to_owned());
    let (queue_url, handle) = (url(QUEUE), "handle".to_owned());
    let sent = ids().map(|id| SendMessageBatchRequestEntry {
        id,
        message_body: "body".to_owned(),
        ..Default::default()
    });
    let deleted =
        ids().map(|id| DeleteMessageBatchRequestEntry { id, receipt_handle: handle.clone() });
    let changed = ids().map(|id| ChangeMessageVisibilityBatchRequestEntry {
        id,
        receipt_handle: handle.clone(),
        visibility_timeout: Some(0),
    });
    let send = SendMessageBatchRequest { queue_url: queue_url.clone(), entries: sent.collect() };
    let delete =
        DeleteMessageBatchRequest { queue_url: queue_url.clone(), entries: deleted.collect() };
    let change = ChangeMessageVisibilityBatchRequest { queue_url, entries: changed.collect() };
    [
        rig.sqs.send_message_batch(rig.now, send).map(drop),
        rig.sqs.delete_message_batch(rig.now, delete).map(drop),
        rig.sqs.change_message_visibility_batch(rig.now, change).map(drop),
    ]
}

#[test]
fn a_batch_has_from_one_entry_to_ten() {
    let ids: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(batches(&ids[..1]), [Ok(()), Ok(()), Ok(())]);
    assert_eq!(batches(&ids[..10]), [Ok(()), Ok(()), Ok(())]);
    let too_many = "Maximum number of entries per request are 10. You have sent 11.".to_owned();
    let too_many = (ErrorKind::TooManyEntriesInBatchRequest, too_many);
    assert_eq!(batches(&ids).map(refusal_in_words), [too_many.clone(), too_many.clone(), too_many]);
    let none = ["SendMessage", "DeleteMessage", "ChangeMessageVisibility"].map(|operation| {
        let text =
            format!("There should be at least one {operation}BatchRequestEntry in the request.");
        (ErrorKind::EmptyBatchRequest, text)
    });
    assert_eq!(batches(&[]).map(refusal_in_words), none);
}

#[test]
fn the_id_of_a_batch_entry_has_up_to_80_letters_digits_hyphens_and_underscores() {
    let (longest, longer) = ("i".repeat(80), "i".repeat(81));
    for good in ["a", "Under_score-9", &longest] {
        assert_eq!(batches(&[good]), [Ok(()), Ok(()), Ok(())], "{good}");
    }
    let text = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.";
    for bad in ["", "a.b", "a b", "invalid:id", "ü", &longer] {
        for refused in batches(&["good", bad]).map(refusal_in_words) {
            assert_eq!(refused, (ErrorKind::InvalidBatchEntryId, text.to_owned()), "{bad}");
        }
    }
}

#[test]
fn the_first_repeated_id_of_a_batch_is_named() {
    for refused in batches(&["a", "b", "b", "a"]).map(refusal_in_words) {
        assert_eq!(refused, (ErrorKind::BatchEntryIdsNotDistinct, "Id b repeated.".to_owned()));
    }
}
