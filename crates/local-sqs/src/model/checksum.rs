//! The MD5 checksums that SDKs verify.
//!
//! The attribute digest is documented under
//! [Calculating the MD5 message digest for message attributes](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html).

use md5::{Digest as _, Md5};

use super::api::MessageAttributes;

/// The digest of a body.
pub(super) fn of_body(body: &str) -> [u8; 16] {
    Md5::digest(body).into()
}

/// The digest of attributes, which are kept in the order of names; `None` when there are none.
pub(super) fn of_attributes(attributes: &MessageAttributes) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut digest = Md5::new();
    for (name, value) in attributes {
        update(&mut digest, name.as_bytes());
        update(&mut digest, value.data_type.as_bytes());
        if let Some(bytes) = &value.binary_value {
            digest.update([2]);
            update(&mut digest, &bytes.0);
        } else {
            let text = value.string_value.as_deref().unwrap_or_default();
            digest.update([1]);
            update(&mut digest, text.as_bytes());
        }
    }
    Some(hex(&digest.finalize()))
}

/// Each part is preceded by its length as a big-endian 32-bit number.
fn update(digest: &mut Md5, part: &[u8]) {
    digest.update((part.len() as u32).to_be_bytes());
    digest.update(part);
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
