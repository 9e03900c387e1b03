//! The `Retry-After` header (RFC 9110, section 10.2.3).

use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, fmt::rfc2822, tz::TimeZone};

/// SQS hides a message for 12 hours at most, so a longer wait cannot be kept.
const LONGEST: Duration = Duration::from_hours(12);

/// The wait that the value asks for, in seconds or until an HTTP date; none when it is neither.
pub(super) fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        http_date(value)?.duration_since(now).try_into().unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST))
}

/// The three forms of a date that a recipient must accept (RFC 9110, section 5.6.7).
fn http_date(value: &str) -> Option<Timestamp> {
    // The present form is one of RFC 2822's.
    if let Ok(date) = rfc2822::parse(value) {
        return Some(date.timestamp());
    }
    let date = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| DateTime::strptime(form, value).ok())?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood_and_nonsense_is_ignored() {
        let now: Timestamp = "2015-10-21T07:27:00Z".parse().unwrap();
        for (value, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("Wednesday, 21-Oct-15 07:28:00 GMT", Some(60)),
            ("Wed Oct 21 07:28:00 2015", Some(60)),
            ("Wed, 01 Dec 9999 00:00:00 GMT", Some(43_200)),
            ("99999999999999999999999", Some(43_200)),
            ("soon", None),
            ("-5", None),
            ("1.5", None),
            ("Wed, 32 Oct 2015 07:28:00 GMT", None),
            ("", None),
        ] {
            assert_eq!(parse(value, now), seconds.map(Duration::from_secs), "{value:?}");
        }
    }
}
