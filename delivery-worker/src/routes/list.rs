//! The list of deliveries: filters, pages and cursors.

use axum::{Json, extract::State, http::Uri};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use order_events::DeliveryStatus;
use serde::Serialize;
use service_kit::{FieldErrors, Problem, read_query};
use uuid::Uuid;

use super::{DeliveryView, Shown, problems::INVALID_QUERY, store_failed};
use crate::store::{Delivery, DeliveryFilter, Position};

/// Deliveries of a page, at most, and when nothing is said.
const LONGEST_PAGE: u32 = 200;
const PAGE: u32 = 50;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    deliveries: Vec<DeliveryView>,
    /// Brings the next page; none: this is the last.
    next_cursor: Option<String>,
}

pub(super) async fn orders(State(shown): State<Shown>, uri: Uri) -> Result<Json<Page>, Problem> {
    let Asked { filter, limit, after } = Asked::read(uri.query().unwrap_or_default())?;
    // One more than is shown tells whether there are more.
    let found = shown.store.page(&filter, after, limit + 1).await;
    let mut found = found.map_err(|error| store_failed(&error))?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = found.last().filter(|_| more).map(Delivery::position).map(cursor);
    let deliveries = found.into_iter().map(DeliveryView::from).collect();
    Ok(Json(Page { deliveries, next_cursor }))
}

/// What the query asks for.
#[derive(Debug, PartialEq)]
struct Asked {
    filter: DeliveryFilter,
    limit: u32,
    after: Option<Position>,
}

impl Asked {
    fn read(query: &str) -> Result<Self, Problem> {
        let mut asked = Self { filter: DeliveryFilter::default(), limit: PAGE, after: None };
        let mut errors: FieldErrors = read_query(query, |name, value| asked.take(name, value));
        if let (Some(from), Some(to)) = (asked.filter.from, asked.filter.to)
            && from >= to
        {
            errors.note("?to", "must be later than from");
        }
        if errors.is_empty() {
            Ok(asked)
        } else {
            Err(errors.listed_in(Problem::of(INVALID_QUERY)))
        }
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let filter = &mut self.filter;
        match name {
            "status" => filter.status = Some(status(value)?),
            "customerId" => filter.customer_id = Some(value.to_owned()),
            "queue" => filter.queue = Some(value.to_owned()),
            "from" => filter.from = Some(time(value)?),
            "to" => filter.to = Some(time(value)?),
            "limit" => self.limit = limit(value)?,
            "cursor" => self.after = Some(position(value)?),
            _ => {
                return Err(
                    "is unknown; known are status, customerId, queue, from, to, limit and cursor"
                        .into(),
                );
            }
        }
        Ok(())
    }
}

fn status(value: &str) -> Result<DeliveryStatus, String> {
    use DeliveryStatus::{Delivered, Failed, InTransit, Pending};
    let named = |status: &DeliveryStatus| status.as_str().eq_ignore_ascii_case(value);
    [Pending, InTransit, Delivered, Failed]
        .into_iter()
        .find(named)
        .ok_or_else(|| "must be PENDING, IN_TRANSIT, DELIVERED or FAILED".to_owned())
}

fn time(value: &str) -> Result<Timestamp, String> {
    let time = value.parse().map_err(|_| ());
    time.map_err(|()| "must be a time with its zone, such as 2025-09-30T14:10:38Z".to_owned())
}

fn limit(value: &str) -> Result<u32, String> {
    let limit = value.parse().ok().filter(|limit| (1..=LONGEST_PAGE).contains(limit));
    limit.ok_or_else(|| format!("must be a whole number from 1 to {LONGEST_PAGE}"))
}

/// Where the next page begins. Clients are to hand it back as it is.
fn cursor(Position { created_at, order_id }: Position) -> String {
    let mut bytes = created_at.as_millisecond().to_be_bytes().to_vec();
    bytes.extend(order_id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn position(cursor: &str) -> Result<Position, String> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (time, order_id) = bytes.split_at_checked(8)?;
        Some(Position {
            created_at: Timestamp::from_millisecond(i64::from_be_bytes(time.try_into().ok()?))
                .ok()?,
            order_id: Uuid::from_slice(order_id).ok()?,
        })
    };
    read().ok_or_else(|| "must be the nextCursor of another page, as it is".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_with_all_its_filters() {
        let position = Position {
            created_at: Timestamp::from_millisecond(1_700_000_000_123).unwrap(),
            order_id: Uuid::from_u128(42),
        };
        let query = format!(
            "status=in_transit&customerId=%EA%B3%A0%EA%B0%9D+1&queue=orders.fifo&limit=200\
             &from=2025-09-30T14:10:38%2B09:00&to=2025-09-30T14:10:38.5Z&cursor={}",
            cursor(position)
        );
        let asked = Asked::read(&query).unwrap();
        let filter = DeliveryFilter {
            status: Some(DeliveryStatus::InTransit),
            customer_id: Some("고객 1".to_owned()),
            queue: Some("orders.fifo".to_owned()),
            from: Some("2025-09-30T05:10:38Z".parse().unwrap()),
            to: Some("2025-09-30T14:10:38.5Z".parse().unwrap()),
        };
        assert_eq!(asked, Asked { filter, limit: 200, after: Some(position) });
        let nothing = Asked { filter: DeliveryFilter::default(), limit: 50, after: None };
        assert_eq!(Asked::read("").unwrap(), nothing);
    }

    #[test]
    fn everything_that_is_wrong_with_a_query_is_told_at_once() {
        let long = "x".repeat(1000);
        let query = format!(
            "status=lost&limit=0&from=yesterday&to=2025-09-30T14:10:38&cursor=!&customerId=a\
             &customerId=a&{long}=1"
        );
        let problem = Asked::read(&query).unwrap_err().to_json();
        for name in ["status", "limit", "from", "to", "cursor", "customerId"] {
            assert!(problem.contains(&format!("\"?{name}\"")), "{name}: {problem}");
        }
        assert!(problem.contains("is unknown") && !problem.contains(&long), "{problem}");
        for query in [
            "limit=201",
            "limit=-1",
            "limit=1.5",
            "limit=",
            "cursor=",
            "from=2025-01-01T00:00:00Z&to=2025-01-01T00:00:00Z",
        ] {
            assert!(Asked::read(query).is_err(), "{query}");
        }
    }

    #[test]
    fn of_very_many_mistakes_the_first_are_listed_and_the_others_counted() {
        let control = "%01".repeat(64);
        for (first, count) in [(String::new(), 10_000), (control, 101)] {
            let names = (0..count).map(|i| format!("{first}{i}"));
            let query = names.collect::<Vec<_>>().join("&");
            let problem = Asked::read(&query).unwrap_err().to_json();
            assert!(problem.len() < 64 * 1024, "{}", problem.len());
            let problem: serde_json::Value = serde_json::from_str(&problem).unwrap();
            let errors = problem["errors"].as_array().unwrap();
            assert_eq!(errors.len(), FieldErrors::LISTED + 1);
            let rest =
                format!("invalid parts that are not listed: {}", count - FieldErrors::LISTED);
            assert_eq!(
                (&errors[FieldErrors::LISTED]["pointer"], &errors[FieldErrors::LISTED]["detail"]),
                (&"#".into(), &rest.into())
            );
        }
    }
}
