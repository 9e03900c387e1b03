//! The kinds of problems that the worker's API answers with, and a page for each, to which its
//! `type` leads (RFC 9457, section 3.1.1). Plain text: who reads them runs the fleet.

use std::fmt::Write;

use axum::{
    extract::{Path, rejection::PathRejection},
    http::StatusCode,
};
use service_kit::{BAD_REQUEST, METHOD_NOT_ALLOWED, NOT_FOUND, Problem, ProblemKind};

pub(super) const INVALID_QUERY: ProblemKind =
    ProblemKind::new(StatusCode::BAD_REQUEST, "invalid-query", "The query is invalid");
pub(super) const INVALID_ORDER_ID: ProblemKind =
    ProblemKind::new(StatusCode::BAD_REQUEST, "invalid-order-id", "Invalid order id");
pub(super) const UNKNOWN_ORDER: ProblemKind =
    ProblemKind::new(StatusCode::NOT_FOUND, "unknown-order", "Unknown order");
pub(super) const UNREADABLE_ORDER: ProblemKind =
    ProblemKind::new(StatusCode::GONE, "unreadable-order", "The order cannot be read");
pub(super) const STORE_UNAVAILABLE: ProblemKind = ProblemKind::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "store-unavailable",
    "The store is unavailable",
);

/// What there is to say of a kind.
struct Page {
    kind: ProblemKind,
    means: &'static str,
    remedy: &'static str,
}

static PAGES: [Page; 8] = [
    Page {
        kind: BAD_REQUEST,
        means: "The request's head could be read in two ways, so nothing was done.",
        remedy: "Send one Host header, and of transfer codings chunked alone or none.",
    },
    Page {
        kind: INVALID_QUERY,
        means: "Parameters of the query are unknown, wrong or repeated. The answer lists them; of \
                very many it lists the first, and its last entry says how many it leaves out.",
        remedy: "Mend each parameter that is listed. The same request will fail again.",
    },
    Page {
        kind: INVALID_ORDER_ID,
        means: "The last part of the path is not a UUID, as every order's id is.",
        remedy: "Take the orderId of the answer that accepted the order.",
    },
    Page {
        kind: UNKNOWN_ORDER,
        means: "No attempt at the order is recorded. It may still wait in its queue.",
        remedy: "Ask again later if the order was accepted. Otherwise check the id.",
    },
    Page {
        kind: UNREADABLE_ORDER,
        means: "A message with the order's id was attempted, but is otherwise no order. The answer \
                says what is wrong with it. It goes to the dead-letter queue, and nothing is \
                delivered.",
        remedy: "Look at the message in the dead-letter queue, and at who sent it. The order has \
                 to be sent anew; until then the answer stays as it is.",
    },
    Page {
        kind: NOT_FOUND,
        means: "There is nothing at the request's path.",
        remedy: "Check the path.",
    },
    Page {
        kind: METHOD_NOT_ALLOWED,
        means: "There is something at this path, but it does not take the request's method.",
        remedy: "Use one of the methods that the Allow header lists.",
    },
    Page {
        kind: STORE_UNAVAILABLE,
        means: "The database that keeps the deliveries does not answer in time: it is down, too \
                many ask at once, or the list that was asked for passes over too much. While it is \
                down no order is delivered, and none is lost or given up. Questions hold up no \
                delivery.",
        remedy: "Try again after the seconds that the Retry-After header says, and narrow a list \
                 down by from and to. The worker's log has the database's own words, and /readyz \
                 of its admin listener says whether it works.",
    },
];

/// `GET /problems`.
pub(super) async fn index() -> String {
    PAGES.iter().fold(String::new(), |mut index, Page { kind, .. }| {
        _ = writeln!(index, "{}  {}", kind.uri(), kind.title);
        index
    })
}

/// `GET /problems/{slug}`.
pub(super) async fn page(slug: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let page = slug.ok().and_then(|Path(slug)| PAGES.iter().find(|page| page.kind.slug == slug));
    let Page { kind, means, remedy } = page.ok_or_else(|| {
        Problem::of(NOT_FOUND).detail("there is no such kind of problem; /problems lists them")
    })?;
    let (uri, title, status) = (kind.uri(), kind.title, kind.status.as_u16());
    Ok(format!("{title}\n{uri}, status {status}\n\n{means}\n\nWhat to do: {remedy}\n"))
}
