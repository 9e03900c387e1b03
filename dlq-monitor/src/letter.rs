//! One dead letter, as people are told about it.
//!
//! A dead letter can be anything: its body, its attributes and their sizes are what somebody sent.
//! Everything that is shown is bounded, and control characters are escaped.

use std::fmt::Write;

use order_events::OrderEvent;
use sqs_consumer::{
    AttributeValue, Message,
    aws::{DEAD_LETTER_ATTEMPTS, DEAD_LETTER_DETAIL, DEAD_LETTER_REASON, DEAD_LETTER_SOURCE_ID},
};
use tracing::warn;

/// Why messages die: the workers' closed list, and `unknown` for those that SQS's own redrive policy
/// moved, which carry no reason.
pub const REASONS: [&str; 8] = [
    "unparseable",
    "invalid",
    "carrier_rejected",
    "carrier_unavailable",
    "timeout",
    "crash",
    "forced",
    UNKNOWN,
];

const UNKNOWN: &str = "unknown";

/// Bytes of one text that is shown, at most.
const SHOWN: usize = 1024;
/// Items of an order that are shown, at most.
const SHOWN_ITEMS: usize = 10;

/// The reason that a worker put on the message.
pub(crate) fn reason(message: &Message) -> &'static str {
    let given = text(message, DEAD_LETTER_REASON).unwrap_or(UNKNOWN);
    REASONS.into_iter().find(|reason| *reason == given).unwrap_or(UNKNOWN)
}

/// Logs the message, once, for whoever has to deal with it.
pub(crate) fn announce(queue: &str, message: &Message) {
    const CALL: &str = "a message is dead: manual action is needed, redrive or discard it";
    let message_id = shown(&message.message_id);
    let (reason, attempts) = (reason(message), attempts(message));
    let detail = shown(text(message, DEAD_LETTER_DETAIL).unwrap_or_default());
    let source_message_id = text(message, DEAD_LETTER_SOURCE_ID).map(shown);
    match OrderEvent::from_json(&message.body) {
        Ok(order) => warn!(
            queue, message_id, source_message_id, reason, detail, attempts,
            order_id = %order.order_id,
            customer_id = shown(&order.customer_id),
            items = items(&order),
            timestamp = %order.timestamp,
            "{CALL}"
        ),
        Err(error) => warn!(
            queue,
            message_id,
            source_message_id,
            reason,
            detail,
            attempts,
            problem = shown(&error.to_string()),
            body_bytes = message.body.len(),
            body = shown(&message.body),
            "{CALL}"
        ),
    }
}

/// How many attempts the message had: as its worker wrote on the copy, whose own count begins anew,
/// else the receives before this peek.
fn attempts(message: &Message) -> String {
    if let Some(written) = text(message, DEAD_LETTER_ATTEMPTS) {
        return shown(written);
    }
    let is_copy = message.attributes.contains_key(DEAD_LETTER_REASON);
    match message.receive_count.saturating_sub(1) {
        count if count > 0 && !is_copy => count.to_string(),
        _ => UNKNOWN.to_owned(),
    }
}

fn text<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.attributes.get(name).and_then(AttributeValue::as_str)
}

/// `상품1 x 2 at 10000, ...`
fn items(order: &OrderEvent) -> String {
    let mut text = String::new();
    for (i, item) in order.items.iter().take(SHOWN_ITEMS).enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        // Writing to a string does not fail.
        let _ =
            write!(text, "{separator}{} x {} at {}", item.product_name, item.quantity, item.price);
    }
    if order.items.len() > SHOWN_ITEMS {
        let _ = write!(text, " and {} more", order.items.len() - SHOWN_ITEMS);
    }
    shown(&text)
}

/// The beginning of a text, without characters that could confuse a terminal or a log's reader.
fn shown(text: &str) -> String {
    let kept = &text[..text.floor_char_boundary(SHOWN)];
    let mut shown = String::with_capacity(kept.len());
    for character in kept.chars() {
        if character.is_control() || is_invisible(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    if kept.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Characters that change the direction of text, separate lines or take no room.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn message(attributes: BTreeMap<String, AttributeValue>) -> Message {
        Message {
            message_id: "1".to_owned(),
            receipt_handle: "handle".into(),
            body: String::new(),
            attributes,
            group_id: None,
            receive_count: 4,
            sent_at_ms: None,
        }
    }

    #[test]
    fn a_reason_is_taken_from_the_closed_list_only() {
        let with = |value| message([(DEAD_LETTER_REASON.to_owned(), value)].into());
        assert_eq!(reason(&with(AttributeValue::string("forced"))), "forced");
        assert_eq!(reason(&with(AttributeValue::string("Forced"))), "unknown");
        let binary = AttributeValue::Binary { data_type: "Binary".to_owned(), value: vec![255] };
        assert_eq!(reason(&with(binary)), "unknown");
        assert_eq!(reason(&message(BTreeMap::new())), "unknown");
    }

    #[test]
    fn attempts_are_the_receives_before_the_peek_where_sqs_moved_the_message() {
        assert_eq!(attempts(&message(BTreeMap::new())), "3");
        let reason = (DEAD_LETTER_REASON.to_owned(), AttributeValue::string("forced"));
        assert_eq!(attempts(&message([reason].into())), "unknown");
    }

    #[test]
    fn what_is_shown_is_bounded_and_cannot_steer_a_terminal() {
        assert_eq!(shown("상품 <script>"), "상품 <script>");
        assert_eq!(shown("a\u{1b}[31m\nb\u{202e}"), "a\\u{1b}[31m\\u{a}b\\u{202e}");
        let long = shown(&"상".repeat(1_000_000));
        assert!(long.len() <= SHOWN + 3 && long.ends_with('…'), "{}", long.len());
    }
}
