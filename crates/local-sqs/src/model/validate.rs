//! Checks of names, bodies, attributes and batches, with AWS's wording.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::api::MessageAttributes;
use super::error::{ApiError, ErrorKind};
use super::limits;

/// Checks a new queue's name: 1 to 80 characters, `.fifo` included, at the end of FIFO queues only.
pub(super) fn queue_name(name: &str, fifo: bool) -> Result<(), ApiError> {
    let stem = if fifo { name.strip_suffix(".fifo") } else { Some(name) };
    let good = |stem: &str| {
        !stem.is_empty()
            && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() <= 80 && stem.is_some_and(good) {
        return Ok(());
    }
    Err(ApiError::invalid_parameter(if fifo {
        "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length."
    } else {
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
    }))
}

/// Checks a message group id or a deduplication id.
pub(super) fn token(parameter: &str, value: &str) -> Result<(), ApiError> {
    let good = (1..=128).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic());
    if good {
        return Ok(());
    }
    Err(ApiError::invalid_value(
        value,
        parameter,
        format!(
            "{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length."
        ),
    ))
}

/// Checks an optional number against a range.
pub(super) fn within(
    parameter: &str,
    value: Option<i64>,
    range: &RangeInclusive<i64>,
) -> Result<Option<i64>, ApiError> {
    match value {
        Some(value) if !range.contains(&value) => Err(ApiError::invalid_value(
            value,
            parameter,
            format!("Must be >= {} and <= {}, if provided.", range.start(), range.end()),
        )),
        _ => Ok(value),
    }
}

/// Checks the ids of a batch's entries. `entry` is AWS's name of the entries' type.
pub(super) fn batch<'a>(
    entry: &str,
    ids: impl ExactSizeIterator<Item = &'a str> + Clone,
) -> Result<(), ApiError> {
    if ids.len() == 0 {
        return Err(ApiError::new(
            ErrorKind::EmptyBatchRequest,
            format!("There should be at least one {entry} in the request."),
        ));
    }
    if ids.len() > limits::BATCH_ENTRIES {
        return Err(ApiError::new(
            ErrorKind::TooManyEntriesInBatchRequest,
            format!(
                "Maximum number of entries per request are {}. You have sent {}.",
                limits::BATCH_ENTRIES,
                ids.len()
            ),
        ));
    }
    let good = |id: &str| {
        (1..=80).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if !ids.clone().all(good) {
        return Err(ApiError::new(
            ErrorKind::InvalidBatchEntryId,
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
        ));
    }
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(ApiError::new(
                ErrorKind::BatchEntryIdsNotDistinct,
                format!("Id {id} repeated."),
            ));
        }
    }
    Ok(())
}

/// The characters that a message may contain: those of XML 1.0.
pub(super) fn characters(text: &str) -> Result<(), ApiError> {
    let allowed = |c: char| match c {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        c => c >= ' ',
    };
    match text.chars().find(|c| !allowed(*c)) {
        None => Ok(()),
        Some(c) => Err(ApiError::new(
            ErrorKind::InvalidMessageContents,
            format!(
                "Invalid binary character '#x{:X}' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF].",
                u32::from(c)
            ),
        )),
    }
}

/// Checks the attributes that a sender puts on a message.
pub(super) fn message_attributes(attributes: &MessageAttributes) -> Result<(), ApiError> {
    if attributes.len() > limits::MESSAGE_ATTRIBUTES {
        return Err(ApiError::invalid_parameter(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{}].",
            attributes.len(),
            limits::MESSAGE_ATTRIBUTES
        )));
    }
    for (name, value) in attributes {
        attribute_name(name)?;
        if !value.string_list_values.is_empty() || !value.binary_list_values.is_empty() {
            return Err(ApiError::new(
                ErrorKind::UnsupportedOperation,
                "Message attribute list values in SendMessage operation are not supported.",
            ));
        }
        let data_type = value.data_type.as_str();
        if data_type.is_empty() {
            return Err(ApiError::invalid_parameter(format!(
                "The message (user) attribute '{name}' must contain a non-empty message attribute type."
            )));
        }
        if data_type.len() > 256 {
            return Err(ApiError::invalid_parameter(
                "Message (user) attribute types must be shorter than 256 Bytes",
            ));
        }
        let base = data_type.split_once('.').map_or(data_type, |(base, _)| base);
        if !matches!(base, "String" | "Number" | "Binary") {
            return Err(ApiError::invalid_parameter(format!(
                "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type prefixes: Binary, Number, String."
            )));
        }
        let empty = || {
            Err(ApiError::invalid_parameter(format!(
                "Message (user) attribute '{name}' must contain a non-empty value of type '{base}'."
            )))
        };
        if value.string_value.is_some() && value.binary_value.is_some() {
            return Err(ApiError::invalid_parameter(format!(
                "Message (user) attribute '{name}' must have a single value."
            )));
        }
        if base == "Binary" {
            if value.string_value.is_some()
                || value.binary_value.as_ref().is_none_or(|b| b.0.is_empty())
            {
                return empty();
            }
            continue;
        }
        let Some(text) = value.string_value.as_deref().filter(|text| !text.is_empty()) else {
            return empty();
        };
        if value.binary_value.is_some() {
            return empty();
        }
        // In a body the same is InvalidMessageContents.
        characters(text).map_err(|error| ApiError::invalid_parameter(error.message))?;
        if base == "Number" && !is_number(text) {
            return Err(ApiError::invalid_parameter(format!(
                "Can't cast the value of message (user) attribute '{name}' to a number."
            )));
        }
    }
    Ok(())
}

fn attribute_name(name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Err(ApiError::invalid_parameter(
            "The request must contain non-empty message (user) attribute names.",
        ));
    }
    if name.len() > 256 {
        return Err(ApiError::invalid_parameter(
            "Message (user) attribute names must be shorter than 256 Bytes",
        ));
    }
    let lower = name.to_ascii_lowercase();
    let reserved = lower.starts_with("aws.") || lower.starts_with("amazon.");
    if reserved || name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return Err(ApiError::invalid_parameter(
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for internal use. Additionally, they cannot start or end with '.', nor contain '..'.",
        ));
    }
    // AWS documents ASCII letters only, but takes those of Latin-1 and Latin Extended-A as well.
    let letter = |c: char| c.is_ascii_alphanumeric() || ('\u{c0}'..='\u{17f}').contains(&c);
    if name.chars().all(|c| letter(c) || matches!(c, '_' | '-' | '.')) {
        return Ok(());
    }
    Err(ApiError::invalid_parameter(
        "Message (user) attributes name can only contain upper and lower score characters, digits, periods, hyphens and underscores.",
    ))
}

/// Up to 38 significant digits, between 1e-128 and 1e126 in magnitude.
fn is_number(text: &str) -> bool {
    let Ok(value) = text.parse::<f64>() else {
        return false;
    };
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let significant = digits.trim_start_matches('0').trim_end_matches('0').len();
    let magnitude = value.abs();
    value.is_finite()
        && significant <= 38
        && magnitude <= 1e126
        && (magnitude == 0.0 || magnitude >= 1e-128)
}

/// The one system attribute that a sender may set: X-Ray's trace header.
pub(super) fn trace_header(attributes: &MessageAttributes) -> Result<Option<String>, ApiError> {
    let mut header = None;
    for (name, value) in attributes {
        if name != "AWSTraceHeader" {
            return Err(ApiError::invalid_parameter(format!(
                "Message system attribute name '{name}' is invalid. The only allowed value is 'AWSTraceHeader'."
            )));
        }
        match (value.data_type.as_str(), value.string_value.as_deref()) {
            ("String", Some(text)) if !text.is_empty() => {
                characters(text).map_err(|error| ApiError::invalid_parameter(error.message))?;
                header = Some(text.to_owned());
            }
            _ => {
                return Err(ApiError::invalid_parameter(format!(
                    "Message (system) attribute '{name}' must contain a non-empty value of type 'String'."
                )));
            }
        }
    }
    Ok(header)
}

/// The bytes that count against the size limits: body, and each attribute's name, type and value.
pub(super) fn message_bytes(body: &str, attributes: &MessageAttributes) -> usize {
    let attribute = |(name, value): (&String, &super::api::MessageAttributeValue)| {
        name.len()
            + value.data_type.len()
            + value.string_value.as_ref().map_or(0, String::len)
            + value.binary_value.as_ref().map_or(0, |bytes| bytes.0.len())
    };
    body.len() + attributes.iter().map(attribute).sum::<usize>()
}
