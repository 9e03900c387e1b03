//! From a customer's id to an SQS message group id.

use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The longest `MessageGroupId` (AWS SQS API reference, `SendMessage`).
const MAX_LENGTH: usize = 128;
/// No id that passes through unchanged starts with this, so mapped ids never collide with them.
const MAPPED: char = '~';

/// The `MessageGroupId` of a customer: stable, and different for different customers.
///
/// SQS allows 1 to 128 ASCII letters, digits and punctuation (AWS SQS API reference, `SendMessage`).
/// An id of that form is its own group id, unless it starts with `~`. Every other id is mapped:
///
/// - to `~u~` and the id with each byte that is not allowed, and `%`, as `%XX`, when that fits;
/// - else to `~h~` and the SHA-256 of the id in hexadecimal.
///
/// ```
/// assert_eq!(order_events::message_group_id("customer-001"), "customer-001");
/// assert_eq!(order_events::message_group_id("two words"), "~u~two%20words");
/// ```
pub fn message_group_id(customer_id: &str) -> String {
    let allowed = customer_id.bytes().all(|byte| byte.is_ascii_graphic());
    if allowed && (1..=MAX_LENGTH).contains(&customer_id.len()) && !customer_id.starts_with(MAPPED)
    {
        return customer_id.to_owned();
    }
    let escaped = escape(customer_id);
    if escaped.len() <= MAX_LENGTH {
        return escaped;
    }
    let mut hashed = format!("{MAPPED}h{MAPPED}");
    for byte in Sha256::digest(customer_id) {
        let _ = write!(hashed, "{byte:02x}");
    }
    hashed
}

fn escape(id: &str) -> String {
    let mut escaped = format!("{MAPPED}u{MAPPED}");
    for byte in id.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
