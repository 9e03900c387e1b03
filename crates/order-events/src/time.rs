//! Timestamps: RFC 3339 UTC out; RFC 3339, or a date-time without zone, in.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serializer, de};

pub(crate) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| {
        de::Error::custom(
            "expected a date-time like 2025-09-30T14:10:38.830774Z, with or without zone",
        )
    })
}

fn parse(text: &str) -> Option<Timestamp> {
    // A date alone would be accepted as midnight by the civil parser; no producer means that.
    if !text.contains(['T', 't', ' ']) {
        return None;
    }
    text.parse::<Timestamp>().ok().or_else(|| {
        let local = text.parse::<DateTime>().ok()?;
        Some(TimeZone::UTC.to_ambiguous_zoned(local).compatible().ok()?.timestamp())
    })
}
