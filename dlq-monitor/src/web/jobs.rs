//! `/jobs`: what was asked for, and how far it is.

use std::sync::Arc;

use axum::{extract::State, http::Uri, response::Response};
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value;
use service_kit::Problem;

use super::{
    frame::Place,
    links::{self, said, with_query},
    parts::{self, bdi, cell, number, row_head, time},
    visit::{Page, Visit},
};
use crate::{
    api::{Api, jobs::page as job_page, query::Jobs, views::JobView},
    jobs::request::JobRequest,
};

pub(super) async fn show(State(api): State<Arc<Api>>, visit: Visit, uri: Uri) -> Response {
    visit.answer(page(&api, uri.query().unwrap_or_default()).await)
}

async fn page(api: &Api, query: &str) -> Result<Page, Problem> {
    let asked = said(query);
    let pairs = || asked.iter().map(|(name, value)| (&**name, &**value));
    let read = Jobs::read(with_query("", pairs()).trim_start_matches('?'))?;
    let found = job_page(api, &read).await?;
    let next = found.next_cursor.as_deref().map(|cursor| {
        let same = pairs().filter(|(name, _)| *name != "cursor");
        with_query("/jobs", same.chain([("cursor", cursor)]))
    });
    let content = html! {
        h1 { "Jobs" }
        @if found.items.is_empty() {
            (parts::empty("still", "No jobs", &html! {
                p { "Redriving and discarding are jobs; they are listed here once somebody asks for one." }
            }))
        } @else {
            (table(&found.items, "Jobs, newest first", Timestamp::now()))
        }
        (parts::pager(next.as_deref()))
    };
    Ok(Page::new("Jobs", Place::Jobs, content))
}

/// Jobs with how far they are.
pub(super) fn table(jobs: &[JobView], caption: &str, now: Timestamp) -> Markup {
    let heads = ["Job", "State", "Progress", "Asked for by", "When"];
    let body = html! {
        tbody role="rowgroup" {
            @for job in jobs {
                tr role="row" {
                    (row_head("Job", &html! {
                        a href=(links::job(job.id)) { (title(job)) }
                        p .sub { (job.queue) }
                    }))
                    (cell("State", &state(job)))
                    (cell("Progress", &html! { (bar(job)) p .sub { (numbers(job)) } }))
                    (cell("Asked for by", &html! {
                        (bdi(&job.requested_by))
                        @if !job.why.is_empty() { p .detail { (bdi(&job.why)) } }
                    }))
                    (cell("When", &time(job.created_at, now)))
                }
            }
        }
    };
    parts::table("jobs", caption, &heads, &body)
}

/// What a job is.
pub(super) fn title(job: &JobView) -> String {
    let verb = if job.kind == "discard" { "Discard" } else { "Redrive" };
    format!("{verb} {}", meant(job.selected, &job.queue, &job.request))
}

/// How many messages a job was about at first. Of the whole of a FIFO queue, whose name ends with `.fifo`
/// (AWS, SQS quotas), these are only the ones in sight.
pub(super) fn meant(selected: u64, queue: &str, asked: &Value) -> String {
    let request = serde_json::from_value::<JobRequest>(asked.clone());
    let messages = parts::messages(selected);
    if request.is_ok_and(|request| request.goes_behind(queue.ends_with(".fifo"))) {
        let these = if selected == 1 { "it" } else { "them" };
        format!("{messages} in sight and those behind {these}")
    } else {
        messages
    }
}

/// How far a job is, as a chip: one that came to its end is not called good that has left messages.
pub(super) fn state(job: &JobView) -> Markup {
    // What others dealt with is not its own doing. More may be done than was selected: what stays is left
    // all the same.
    let stays = job.refused + job.failed + job.not_found + job.undeleted;
    let left = stays.max(job.selected.saturating_sub(job.done));
    match (job.state, job.done) {
        ("completed", 0) if left > 0 => parts::chip("state-partly", "nothing done"),
        ("completed", _) if left > 0 => parts::chip("state-partly", "completed in part"),
        _ => parts::state(job.state),
    }
}

/// Messages that a job is done with, whatever it came to.
pub(super) fn dealt_with(job: &JobView) -> u64 {
    job.done + job.refused + job.failed + job.not_found
}

/// How far a job is.
pub(super) fn bar(job: &JobView) -> Markup {
    html! {
        progress max=(job.selected.max(1)) value=(dealt_with(job).min(job.selected.max(1)))
            aria-label={ "Progress: " (numbers(job)) } {}
    }
}

pub(super) fn numbers(job: &JobView) -> String {
    format!("{} of {}", number(dealt_with(job)), number(job.selected.max(dealt_with(job))))
}

/// What exactly was asked for, in words.
pub(super) fn what(asked: &Value) -> Markup {
    let Ok(request) = serde_json::from_value::<JobRequest>(asked.clone()) else {
        return html! { code .wrap { (bdi(&asked.to_string())) } };
    };
    let filter = request.filter.unwrap_or_default();
    let times = [("first seen from", filter.from), ("first seen before", filter.to)];
    let times = times.map(|(name, at)| (name, at.map(|at| at.to_string())));
    let texts =
        [("reason", filter.reason), ("customer", filter.customer_id), ("text", filter.text)];
    let narrowed: Vec<_> =
        texts.into_iter().chain(times).filter_map(|(name, text)| Some((name, text?))).collect();
    html! {
        @if let Some(ids) = &request.ids { (parts::messages(ids.len() as u64)) " chosen one by one" }
        @else if narrowed.is_empty() { "the whole queue" }
        @else {
            @for (position, (name, text)) in narrowed.iter().enumerate() {
                @if position > 0 { ", " } (name) " " strong { (bdi(text)) }
            }
        }
        @if let Some(rate) = request.rate { "; at most " (rate) " per second" }
        @if let Some(canary) = request.canary { "; " (canary) " first" }
        @if request.allow_reorder { "; the order within a group may break" }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(selected: u64, progress: [u64; 5]) -> JobView {
        let [done, refused, failed, not_found, undeleted] = progress;
        JobView {
            id: uuid::Uuid::nil(),
            kind: "redrive",
            method: "messages",
            queue: "dlq.fifo".to_owned(),
            state: "completed",
            request: json!({ "queue": "dlq.fifo" }),
            requested_by: "me".to_owned(),
            why: String::new(),
            cancelled_by: None,
            selected,
            done,
            refused,
            failed,
            not_found,
            undeleted,
            canary_passed: false,
            note: None,
            created_at: Timestamp::UNIX_EPOCH,
            started_at: None,
            updated_at: Timestamp::UNIX_EPOCH,
            finished_at: None,
        }
    }

    #[test]
    fn a_job_that_has_left_messages_is_not_called_good_though_it_has_done_as_many_as_were_meant() {
        for (progress, word) in [
            ([10, 0, 0, 0, 0], "state-completed"),
            ([25, 0, 0, 0, 0], "state-completed"),
            ([10, 3, 0, 0, 0], "completed in part"),
            ([12, 0, 1, 0, 0], "completed in part"),
            ([12, 0, 0, 1, 0], "completed in part"),
            ([10, 0, 0, 0, 1], "completed in part"),
            ([9, 0, 0, 0, 0], "completed in part"),
            ([0, 10, 0, 0, 0], "nothing done"),
            ([0, 0, 0, 0, 0], "nothing done"),
        ] {
            let shown = state(&job(10, progress)).into_string();
            assert!(shown.contains(word), "{progress:?}: {shown}");
        }
    }

    #[test]
    fn the_whole_of_a_fifo_queue_is_more_than_what_was_in_sight() {
        let all = json!({ "queue": "x" });
        let some = json!({ "queue": "x", "ids": ["a", "b"] });
        for (selected, queue, asked, expected) in [
            (2, "dlq.fifo", &all, "2 messages in sight and those behind them"),
            (1, "dlq.fifo", &all, "1 message in sight and those behind it"),
            (2, "dlq.fifo", &some, "2 messages"),
            (2, "dlq", &all, "2 messages"),
            (2, "dlq.fifo", &json!("nonsense"), "2 messages"),
        ] {
            assert_eq!(meant(selected, queue, asked), expected);
        }
        assert_eq!(title(&job(2, [0; 5])), "Redrive 2 messages in sight and those behind them");
    }
}
