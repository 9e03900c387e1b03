//! One dead letter: what is in it, why it died, and how people are told.
//!
//! A dead letter can be anything: its body, its attributes and their sizes are what somebody sent.
//! Everything that is logged is bounded, and control characters are escaped.

use std::{collections::BTreeMap, fmt::Write};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use order_events::{EventError, OrderEvent};
use order_store::{Attempt, NewDeadLetter, Outcome, Reason, UNKNOWN_REASON};
use serde_json::json;
use service_kit::telemetry;
use sha2::{Digest, Sha256};
use sqs_consumer::{
    AttributeValue, Message,
    aws::{DEAD_LETTER_ATTEMPTS, DEAD_LETTER_DETAIL, DEAD_LETTER_REASON, DEAD_LETTER_SOURCE_ID},
};
use tracing::warn;

use crate::spans::traceparent;

/// Why messages die: the workers' closed list, and `unknown` for those of which neither the deliveries
/// store nor the message itself says so.
pub const REASONS: [&str; 8] = [
    "unparseable",
    "invalid",
    "carrier_rejected",
    "carrier_unavailable",
    "timeout",
    "crash",
    "forced",
    UNKNOWN_REASON,
];

/// What a worker writes on a message that it dead-letters itself. A redrive takes it off again: the
/// next death has reasons of its own.
pub(crate) const WRITTEN_BY_WORKERS: [&str; 4] =
    [DEAD_LETTER_REASON, DEAD_LETTER_DETAIL, DEAD_LETTER_ATTEMPTS, DEAD_LETTER_SOURCE_ID];

/// Bytes of one text that is shown, at most.
const SHOWN: usize = 1024;
/// Items of an order that are shown, at most.
const SHOWN_ITEMS: usize = 10;

/// A message of a dead-letter queue, read.
pub(crate) struct Letter<'a> {
    pub(crate) message: &'a Message,
    pub(crate) order: Result<OrderEvent, EventError>,
    reason: Option<Reason>,
    detail: Option<String>,
    attempts: Option<u32>,
}

impl<'a> Letter<'a> {
    /// What the message itself says.
    pub(crate) fn read(message: &'a Message) -> Self {
        let given = text(message, DEAD_LETTER_REASON);
        Self {
            message,
            order: OrderEvent::from_json(&message.body),
            reason: given.and_then(Reason::parse),
            detail: text(message, DEAD_LETTER_DETAIL).map(str::to_owned),
            attempts: attempts(message),
        }
    }

    /// What the store of deliveries says of the last attempt at it goes before that: a message may carry
    /// the words of an earlier death.
    pub(crate) fn knows(&mut self, attempt: &Attempt) {
        if attempt.outcome == Outcome::Delivered {
            return;
        }
        if let Some(reason) = attempt.reason {
            (self.reason, self.detail) = (Some(reason), attempt.error.clone());
        }
        self.attempts = Some(attempt.number);
    }

    /// Whether the message itself says why it died.
    pub(crate) fn has_reason(&self) -> bool {
        self.reason.is_some()
    }

    /// The reason's spelling.
    pub(crate) fn reason(&self) -> &'static str {
        self.reason.map_or(UNKNOWN_REASON, Reason::as_str)
    }

    /// The id by which a worker knew it.
    pub(crate) fn source_id(&self) -> &'a str {
        text(self.message, DEAD_LETTER_SOURCE_ID).unwrap_or(&self.message.message_id)
    }

    /// What makes two messages the same thing, whatever ids SQS gives them.
    pub(crate) fn identity(&self) -> String {
        if let Ok(order) = &self.order {
            return order.order_id.to_string();
        }
        let mut identity = "sha256:".to_owned();
        for byte in Sha256::digest(&self.message.body) {
            // Writing to a string does not fail.
            _ = write!(identity, "{byte:02x}");
        }
        identity
    }

    /// As it is kept.
    pub(crate) fn to_be_kept(&self, queue: &str, seen_at: Timestamp) -> NewDeadLetter {
        let message = self.message;
        let order = self.order.as_ref().ok();
        NewDeadLetter {
            queue: queue.to_owned(),
            message_id: message.message_id.clone(),
            group: message.group_id.clone(),
            identity: self.identity(),
            order_id: order.map(|order| order.order_id),
            customer_id: order.map(|order| order.customer_id.clone()),
            reason: self.reason,
            detail: self.detail.clone(),
            attempts: self.attempts,
            body: message.body.clone(),
            attributes: attributes_json(message),
            sent_at: sent_at(message),
            seen_at,
        }
    }

    /// Logs the message, once, for whoever has to deal with it.
    pub(crate) fn announce(&self, queue: &str, failed_again: bool) {
        const CALL: &str = "a message is dead: manual action is needed, redrive or discard it";
        let message_id = shown(&self.message.message_id);
        let reason = self.reason();
        let attempts = self.attempts.map_or(UNKNOWN_REASON.to_owned(), |count| count.to_string());
        let detail = shown(self.detail.as_deref().unwrap_or_default());
        let source_message_id = text(self.message, DEAD_LETTER_SOURCE_ID).map(shown);
        let trace_id = traceparent(self.message).and_then(telemetry::trace_id_of);
        match &self.order {
            Ok(order) => warn!(
                queue, message_id, source_message_id, trace_id, reason, detail, attempts, failed_again,
                order_id = %order.order_id,
                customer_id = shown(&order.customer_id),
                items = items(order),
                order_timestamp = %order.timestamp,
                "{CALL}"
            ),
            Err(error) => warn!(
                queue,
                message_id,
                source_message_id,
                trace_id,
                reason,
                detail,
                attempts,
                failed_again,
                problem = shown(&error.to_string()),
                body_bytes = self.message.body.len(),
                body = shown(&self.message.body),
                "{CALL}"
            ),
        }
    }
}

/// When SQS took the message.
pub(crate) fn sent_at(message: &Message) -> Option<Timestamp> {
    let ms = i64::try_from(message.sent_at_ms?).ok()?;
    Timestamp::from_millisecond(ms).ok()
}

/// The message's attributes by name, each with its type and its value.
pub(crate) fn attributes_json(message: &Message) -> String {
    let attribute = |value: &AttributeValue| match value {
        AttributeValue::Text { data_type, value } => json!({ "type": data_type, "value": value }),
        AttributeValue::Binary { data_type, value } => {
            json!({ "type": data_type, "base64": BASE64_STANDARD.encode(value) })
        }
    };
    let attributes = message.attributes.iter().map(|(name, value)| (name, attribute(value)));
    let attributes: BTreeMap<_, _> = attributes.collect();
    json!(attributes).to_string()
}

/// How many attempts the message had: as its worker wrote on the copy, whose own count begins anew,
/// else the receives before this peek.
fn attempts(message: &Message) -> Option<u32> {
    if let Some(written) = text(message, DEAD_LETTER_ATTEMPTS) {
        return written.parse().ok();
    }
    let is_copy = message.attributes.contains_key(DEAD_LETTER_REASON);
    let receives = message.receive_count.saturating_sub(1);
    (receives > 0 && !is_copy).then_some(receives)
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
pub(crate) fn shown(text: &str) -> String {
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
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
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
            trace_header: None,
        }
    }

    fn attempt(outcome: Outcome, reason: Option<Reason>) -> Attempt {
        Attempt {
            message_id: "1".to_owned(),
            order_id: None,
            queue: "orders".to_owned(),
            group: None,
            number: 7,
            outcome,
            reason,
            error: Some("the carrier is down".to_owned()),
            worker: "worker-1".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_reason_is_taken_from_the_closed_list_only() {
        let with = |value| message([(DEAD_LETTER_REASON.to_owned(), value)].into());
        let binary = AttributeValue::Binary { data_type: "Binary".to_owned(), value: vec![255] };
        for (value, reason) in [
            (AttributeValue::string("forced"), "forced"),
            (AttributeValue::string("Forced"), "unknown"),
            (binary, "unknown"),
        ] {
            assert_eq!(Letter::read(&with(value)).reason(), reason);
        }
        assert_eq!(Letter::read(&message(BTreeMap::new())).reason(), "unknown");
    }

    #[test]
    fn what_the_store_knows_of_the_last_attempt_goes_before_what_the_message_says() {
        let forced = [(DEAD_LETTER_REASON.to_owned(), AttributeValue::string("forced"))];
        let message = message(forced.into());
        let mut letter = Letter::read(&message);
        letter.knows(&attempt(Outcome::Delivered, None));
        assert_eq!((letter.reason(), letter.attempts), ("forced", None));
        letter.knows(&attempt(Outcome::Failed, Some(Reason::CarrierUnavailable)));
        assert_eq!((letter.reason(), letter.attempts), ("carrier_unavailable", Some(7)));
        assert_eq!(letter.detail.as_deref(), Some("the carrier is down"));
    }

    #[test]
    fn attempts_are_the_receives_before_the_peek_where_sqs_moved_the_message() {
        assert_eq!(attempts(&message(BTreeMap::new())), Some(3));
        let reason = (DEAD_LETTER_REASON.to_owned(), AttributeValue::string("forced"));
        assert_eq!(attempts(&message([reason].into())), None);
        let odd = (DEAD_LETTER_ATTEMPTS.to_owned(), AttributeValue::string("many"));
        assert_eq!(attempts(&message([odd].into())), None);
    }

    #[test]
    fn the_identity_is_the_orders_and_else_the_bodys() {
        let (mut one, mut other) = (message(BTreeMap::new()), message(BTreeMap::new()));
        (one.body, other.message_id) = ("garbage".to_owned(), "2".to_owned());
        other.body.clone_from(&one.body);
        assert_eq!(Letter::read(&one).identity(), Letter::read(&other).identity());
        other.body.push('!');
        assert_ne!(Letter::read(&one).identity(), Letter::read(&other).identity());
    }

    #[test]
    fn attributes_are_kept_with_their_types_and_bytes_as_base64() {
        let binary =
            AttributeValue::Binary { data_type: "Binary.png".to_owned(), value: vec![0, 255] };
        let attributes =
            [("a".to_owned(), AttributeValue::string("1")), ("b".to_owned(), binary)].into();
        let expected =
            r#"{"a":{"type":"String","value":"1"},"b":{"base64":"AP8=","type":"Binary.png"}}"#;
        assert_eq!(attributes_json(&message(attributes)), expected);
    }

    #[test]
    fn what_is_shown_is_bounded_and_cannot_steer_a_terminal() {
        assert_eq!(shown("상품 <script>"), "상품 <script>");
        assert_eq!(shown("a\u{1b}[31m\nb\u{202e}"), "a\\u{1b}[31m\\u{a}b\\u{202e}");
        let long = shown(&"상".repeat(1_000_000));
        assert!(long.len() <= SHOWN + 3 && long.ends_with('…'), "{}", long.len());
    }
}
