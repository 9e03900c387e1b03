//! `/audit`: who did what and why.

use std::sync::Arc;

use axum::{extract::State, http::Uri, response::Response};
use jiff::Timestamp;
use maud::html;
use service_kit::Problem;

use super::{
    frame::Place,
    jobs::{meant, what},
    links::{self, with_query},
    parts::{self, bdi, cell, row_head, time},
    visit::{Page, Visit},
};
use crate::api::{Api, audit};

pub(super) async fn show(State(api): State<Arc<Api>>, visit: Visit, uri: Uri) -> Response {
    visit.answer(page(&api, uri.query().unwrap_or_default()).await)
}

async fn page(api: &Api, query: &str) -> Result<Page, Problem> {
    let found = audit::page(api, query).await?;
    let next = found.next_cursor.as_deref();
    let next = next.map(|cursor| with_query("/audit", [("cursor", cursor)]));
    let now = Timestamp::now();
    let heads = ["When", "Who", "What", "Queue", "Why"];
    let body = html! {
        tbody role="rowgroup" {
            @for entry in &found.items {
                tr role="row" {
                    (row_head("When", &time(entry.at, now)))
                    (cell("Who", &bdi(&entry.requested_by)))
                    (cell("What", &html! {
                        (parts::chip(&format!("action-{}", entry.action), entry.action)) " "
                        a href=(links::job(entry.job_id)) { "job" span .hidden { " " (entry.job_id) } }
                        p .detail {
                            @if let Some(selected) = entry.selected {
                                (meant(selected, &entry.queue, &entry.request)) ": "
                            }
                            (what(&entry.request))
                        }
                    }))
                    (cell("Queue", &html! { (entry.queue) }))
                    (cell("Why", &html! {
                        @if entry.why.is_empty() { span .faint { "not said" } } @else { (bdi(&entry.why)) }
                    }))
                }
            }
        }
    };
    let content = html! {
        h1 { "Audit" }
        p .hint { "A line is written before anything is done, and is never changed." }
        @if found.items.is_empty() {
            (parts::empty("still", "Nothing was done yet", &html! {
                p { "Whoever redrives, discards or cancels is written down here, and why." }
            }))
        } @else {
            (parts::table("audit", "Who did what and why, newest first", &heads, &body))
        }
        (parts::pager(next.as_deref()))
    };
    Ok(Page::new("Audit", Place::Audit, content))
}
