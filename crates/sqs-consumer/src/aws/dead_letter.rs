//! What a worker writes on a message that it puts into the dead-letter queue.

use std::collections::BTreeMap;

use crate::queue::{AttributeValue, DeadLetter, Message};

/// The message attribute that tells why a message was dead-lettered by a worker.
pub const DEAD_LETTER_REASON: &str = "dead-letter-reason";
/// Free text beside [`DEAD_LETTER_REASON`].
pub const DEAD_LETTER_DETAIL: &str = "dead-letter-detail";
/// How many attempts the message had: SQS counts the copy's receives anew.
pub const DEAD_LETTER_ATTEMPTS: &str = "dead-letter-attempts";
/// The id that the message had in its source queue: SQS gives the copy a new one.
pub const DEAD_LETTER_SOURCE_ID: &str = "dead-letter-source-id";

/// SQS takes at most this many message attributes.
const MAX_ATTRIBUTES: usize = 10;
/// Bytes of a message, attributes included, that no queue goes beyond (AWS SQS quotas).
pub(super) const MAX_MESSAGE_BYTES: usize = 1_048_576;
const MAX_DETAIL_BYTES: usize = 1024;

/// The message's own attributes, and the reason as far as SQS's limits leave room: what the sender
/// wrote is never dropped for it, since the deliveries store knows the reason too. `largest` is the
/// dead-letter queue's own limit in bytes.
pub(super) fn dead_letter_attributes(
    message: &Message,
    letter: &DeadLetter,
    attempts: u32,
    largest: usize,
) -> BTreeMap<String, AttributeValue> {
    let mut attributes = message.attributes.clone();
    let mut bytes = message.body.len() + attributes.iter().map(attribute_bytes).sum::<usize>();
    let detail = cut(&letter.detail, MAX_DETAIL_BYTES);
    let attempts = attempts.to_string();
    for (name, value) in [
        (DEAD_LETTER_REASON, letter.reason),
        (DEAD_LETTER_SOURCE_ID, message.message_id.as_str()),
        (DEAD_LETTER_ATTEMPTS, attempts.as_str()),
        (DEAD_LETTER_DETAIL, detail.as_str()),
    ] {
        let entry = (name.to_owned(), AttributeValue::string(value));
        let size = attribute_bytes((&entry.0, &entry.1));
        // A redriven message that dies again already carries them: its newest reason counts.
        let known = attributes.contains_key(name);
        let room = known || attributes.len() < MAX_ATTRIBUTES;
        if !value.is_empty() && room && bytes + size <= largest.min(MAX_MESSAGE_BYTES) {
            bytes += size;
            attributes.insert(entry.0, entry.1);
        }
    }
    attributes
}

/// Name, type and value all count towards the message's size.
fn attribute_bytes((name, value): (&String, &AttributeValue)) -> usize {
    name.len()
        + match value {
            AttributeValue::Text { data_type, value } => data_type.len() + value.len(),
            AttributeValue::Binary { data_type, value } => data_type.len() + value.len(),
        }
}

/// At most `limit` bytes, cut between characters; characters that SQS refuses are replaced.
///
/// Allowed: `#x9 | #xA | #xD | #x20..#xD7FF | #xE000..#xFFFD | #x10000..#x10FFFF` (SendMessage).
fn cut(text: &str, limit: usize) -> String {
    let mut kept = String::new();
    for c in text.chars() {
        let c = match c {
            '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'.. => c,
            _ => char::REPLACEMENT_CHARACTER,
        };
        if kept.len() + c.len_utf8() > limit {
            break;
        }
        kept.push(c);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attributes: usize, body: usize) -> Message {
        Message {
            message_id: "m-1".to_owned(),
            receipt_handle: "h".into(),
            body: "x".repeat(body),
            attributes: (0..attributes)
                .map(|i| (format!("a{i}"), AttributeValue::string("v")))
                .collect(),
            group_id: None,
            receive_count: 1,
            sent_at_ms: None,
            trace_header: None,
        }
    }

    fn letter(detail: &str) -> DeadLetter {
        DeadLetter { reason: "unparseable", detail: detail.to_owned() }
    }

    #[test]
    fn the_reason_takes_the_last_free_attribute_and_none_of_the_senders() {
        let nine = dead_letter_attributes(&message(9, 1), &letter("why"), 1, MAX_MESSAGE_BYTES);
        assert_eq!(nine.len(), 10);
        assert!(nine.contains_key(DEAD_LETTER_REASON));
        let ten = dead_letter_attributes(&message(10, 1), &letter("why"), 1, MAX_MESSAGE_BYTES);
        assert_eq!(ten.len(), 10);
        assert!(!ten.contains_key(DEAD_LETTER_REASON));
    }

    #[test]
    fn a_message_of_the_full_size_is_dead_lettered_without_more_text() {
        let full = dead_letter_attributes(
            &message(0, MAX_MESSAGE_BYTES),
            &letter("why"),
            1,
            MAX_MESSAGE_BYTES,
        );
        assert!(full.is_empty());
    }

    #[test]
    fn a_copy_is_not_made_larger_than_its_queue_takes() {
        let limit = 262_144;
        let attributes = dead_letter_attributes(&message(0, limit - 40), &letter("why"), 1, limit);
        let names: Vec<_> = attributes.keys().map(String::as_str).collect();
        assert_eq!(names, [DEAD_LETTER_REASON], "18 bytes, 6 of the type, 11 of the value");
        assert!(dead_letter_attributes(&message(0, limit), &letter("why"), 1, limit).is_empty());
    }

    #[test]
    fn characters_that_sqs_refuses_are_replaced_in_the_detail() {
        assert_eq!(cut("a\0b\u{FFFE}c", 100), "a\u{FFFD}b\u{FFFD}c");
        assert_eq!(cut("상품", 4), "상");
    }
}
