//! Queries of lists.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use jiff::Timestamp;
use order_store::{DeadLetterFilter, DeadLetterState, JobPosition, JobState, LetterPosition};
use service_kit::{FieldErrors, Problem, read_query};
use uuid::Uuid;

use super::kinds;
use crate::letter::REASONS;

/// Entries of a page, at most, and when nothing is said.
pub(crate) const LONGEST_PAGE: u32 = 200;
const PAGE: u32 = 50;
/// Characters of a text that is searched for, at most.
pub(crate) const LONGEST_TEXT: usize = 200;
/// Bytes of a customer's id, at most: it is kept no longer.
pub(crate) const LONGEST_CUSTOMER: usize = 1024;

/// What a list of dead letters is asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Letters {
    pub(crate) queue: Option<String>,
    pub(crate) state: DeadLetterState,
    pub(crate) filter: DeadLetterFilter,
    pub(crate) limit: u32,
    pub(crate) after: Option<LetterPosition>,
}

impl Letters {
    /// So many of the newest dead letters of all queues.
    pub(crate) fn newest(limit: u32) -> Self {
        Self {
            queue: None,
            state: DeadLetterState::Dead,
            filter: DeadLetterFilter::default(),
            limit,
            after: None,
        }
    }

    pub(crate) fn read(query: &str) -> Result<Self, Problem> {
        let mut asked = Self::newest(PAGE);
        let mut errors = read_query(query, |name, value| {
            let filter = &mut asked.filter;
            match name {
                "queue" => asked.queue = Some(value.to_owned()),
                "state" => asked.state = state(value)?,
                "reason" => filter.reason = Some(reason(value)?),
                "customerId" => filter.customer_id = Some(customer(value)?),
                "text" => filter.text = Some(text(value)?),
                "from" => filter.from = Some(time(value)?),
                "to" => filter.to = Some(time(value)?),
                "limit" => asked.limit = limit(value)?,
                "cursor" => asked.after = Some(letter_position(value)?),
                _ => {
                    return Err(unknown(
                        "queue, state, reason, customerId, text, from, to, limit and cursor",
                    ));
                }
            }
            Ok(())
        });
        if let (Some(from), Some(to)) = (asked.filter.from, asked.filter.to)
            && from >= to
        {
            errors.note("?to", "must be later than from");
        }
        valid(asked, errors)
    }
}

/// What a list of jobs is asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Jobs {
    pub(crate) queue: Option<String>,
    pub(crate) state: Option<JobState>,
    pub(crate) limit: u32,
    pub(crate) after: Option<JobPosition>,
}

impl Jobs {
    pub(crate) fn read(query: &str) -> Result<Self, Problem> {
        let mut asked = Self { queue: None, state: None, limit: PAGE, after: None };
        let errors = read_query(query, |name, value| {
            match name {
                "queue" => asked.queue = Some(value.to_owned()),
                "state" => asked.state = Some(job_state(value)?),
                "limit" => asked.limit = limit(value)?,
                "cursor" => asked.after = Some(job_position(value)?),
                _ => return Err(unknown("queue, state, limit and cursor")),
            }
            Ok(())
        });
        valid(asked, errors)
    }
}

/// What a list of numbered entries is asked for: how many, and behind which.
pub(crate) fn numbered(query: &str) -> Result<(u32, Option<i64>), Problem> {
    let (mut most, mut after) = (PAGE, None);
    let errors = read_query(query, |name, value| {
        match name {
            "limit" => most = limit(value)?,
            "cursor" => after = Some(number(value)?),
            _ => return Err(unknown("limit and cursor")),
        }
        Ok(())
    });
    valid((most, after), errors)
}

fn valid<T>(asked: T, errors: FieldErrors) -> Result<T, Problem> {
    if errors.is_empty() {
        Ok(asked)
    } else {
        let detail = errors.summary();
        Err(errors.listed_in(kinds::INVALID_QUERY.problem().detail(detail)))
    }
}

fn unknown(known: &str) -> String {
    format!("is unknown; known are {known}")
}

fn state(value: &str) -> Result<DeadLetterState, String> {
    DeadLetterState::parse(value).ok_or_else(|| {
        let known = DeadLetterState::ALL.map(DeadLetterState::as_str);
        format!("must be one of {}", known.join(", "))
    })
}

fn job_state(value: &str) -> Result<JobState, String> {
    JobState::parse(value).ok_or_else(|| {
        let known: Vec<&str> = JobState::ALL.iter().map(|state| state.as_str()).collect();
        format!("must be one of {}", known.join(", "))
    })
}

pub(crate) fn reason(value: &str) -> Result<String, String> {
    let known = REASONS.contains(&value);
    known.then(|| value.to_owned()).ok_or_else(|| format!("must be one of {}", REASONS.join(", ")))
}

pub(crate) fn customer(value: &str) -> Result<String, String> {
    let fits = (1..=LONGEST_CUSTOMER).contains(&value.len());
    fits.then(|| value.to_owned()).ok_or_else(|| format!("must have 1 to {LONGEST_CUSTOMER} bytes"))
}

pub(crate) fn text(value: &str) -> Result<String, String> {
    let fits = (1..=LONGEST_TEXT).contains(&value.chars().count());
    fits.then(|| value.to_owned())
        .ok_or_else(|| format!("must have 1 to {LONGEST_TEXT} characters"))
}

pub(crate) fn time(value: &str) -> Result<Timestamp, String> {
    let time = value.parse().map_err(|_| ());
    time.map_err(|()| "must be a time with its zone, such as 2025-09-30T14:10:38Z".to_owned())
}

fn limit(value: &str) -> Result<u32, String> {
    let limit = value.parse().ok().filter(|limit| (1..=LONGEST_PAGE).contains(limit));
    limit.ok_or_else(|| format!("must be a whole number from 1 to {LONGEST_PAGE}"))
}

/// Where the next page begins: a time and something that tells apart what came then. Clients are to hand
/// it back as it is.
fn cursor(time: Timestamp, rest: &[u8]) -> String {
    let mut bytes = time.as_millisecond().to_be_bytes().to_vec();
    bytes.extend(rest);
    BASE64.encode(bytes)
}

pub(crate) fn letter_cursor(LetterPosition { seen_at, id }: LetterPosition) -> String {
    cursor(seen_at, &id.to_be_bytes())
}

pub(crate) fn job_cursor(JobPosition { created_at, id }: JobPosition) -> String {
    cursor(created_at, id.as_bytes())
}

pub(crate) fn numbered_cursor(id: i64) -> String {
    BASE64.encode(id.to_be_bytes())
}

fn parts(cursor: &str) -> Option<(Timestamp, Vec<u8>)> {
    let bytes = BASE64.decode(cursor).ok()?;
    let (time, rest) = bytes.split_at_checked(8)?;
    let time = i64::from_be_bytes(time.try_into().ok()?);
    Some((Timestamp::from_millisecond(time).ok()?, rest.to_vec()))
}

fn no_cursor() -> String {
    "must be the nextCursor of another page, as it is".to_owned()
}

fn letter_position(value: &str) -> Result<LetterPosition, String> {
    let read = || {
        let (seen_at, id) = parts(value)?;
        Some(LetterPosition { seen_at, id: i64::from_be_bytes(id.try_into().ok()?) })
    };
    read().ok_or_else(no_cursor)
}

fn job_position(value: &str) -> Result<JobPosition, String> {
    let read = || {
        let (created_at, id) = parts(value)?;
        Some(JobPosition { created_at, id: Uuid::from_slice(&id).ok()? })
    };
    read().ok_or_else(no_cursor)
}

fn number(value: &str) -> Result<i64, String> {
    let read = || Some(i64::from_be_bytes(BASE64.decode(value).ok()?.try_into().ok()?));
    read().ok_or_else(no_cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_with_all_its_filters() {
        let position = LetterPosition {
            seen_at: Timestamp::from_millisecond(1_700_000_000_123).expect("a time"),
            id: 42,
        };
        let query = format!(
            "queue=dlq&state=gone&reason=forced&customerId=%EA%B3%A0%EA%B0%9D+1&text=%EC%83%81\
             &from=2025-09-30T14:10:38%2B09:00&to=2025-09-30T14:10:38Z&limit=7&cursor={}",
            letter_cursor(position)
        );
        let asked = Letters::read(&query).expect("it is right");
        assert_eq!((asked.queue.as_deref(), asked.state), (Some("dlq"), DeadLetterState::Gone));
        assert_eq!((asked.limit, asked.after), (7, Some(position)));
        assert_eq!(asked.filter.customer_id.as_deref(), Some("고객 1"));
        assert_eq!(asked.filter.text.as_deref(), Some("상"));
        assert_eq!(asked.filter.from, Some("2025-09-30T05:10:38Z".parse().expect("a time")));
        let position = JobPosition { created_at: position.seen_at, id: Uuid::from_u128(7) };
        let query = format!("state=running&cursor={}", job_cursor(position));
        let asked = Jobs::read(&query).expect("it is right");
        assert_eq!((asked.state, asked.after), (Some(JobState::Running), Some(position)));
        let query = format!("limit=1&cursor={}", numbered_cursor(9));
        assert_eq!(numbered(&query).expect("it is right"), (1, Some(9)));
    }

    #[test]
    fn everything_that_is_wrong_with_a_query_is_told_at_once() {
        let query = "state=alive&reason=bored&limit=0&from=yesterday&to=2025-09-30T14:10:38&cursor=!\
                     &queue=a&queue=b&text=&customerId=&age=1";
        let problem = Letters::read(query).expect_err("much is wrong").to_json();
        for name in [
            "state",
            "reason",
            "limit",
            "from",
            "to",
            "cursor",
            "queue",
            "text",
            "customerId",
            "age",
        ] {
            assert!(problem.contains(&format!("\"?{name}\"")), "{name}: {problem}");
        }
        for query in ["limit=201", "cursor=AAAA", "state=lost"] {
            assert!(Jobs::read(query).is_err(), "{query}");
        }
    }
}
