//! `/jobs/{jobId}`: a job, its progress while it is under way, and what it came to at each message.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use service_kit::Problem;

use super::{
    frame::Place,
    jobs::{bar, numbers, state, title, what},
    letters::plain_table,
    links::{self, with_query},
    parts::{self, bdi, facts, number, sentence, time, time_or},
    visit::{Page, Visit},
};
use crate::api::{
    Api,
    jobs::{JobId, find, job_id, messages_of},
    query::numbered,
    views::JobView,
};

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    visit: Visit,
    id: JobId,
    uri: Uri,
) -> Response {
    visit.answer(page(&api, &visit, id, uri.query().unwrap_or_default()).await)
}

async fn page(api: &Api, visit: &Visit, id: JobId, query: &str) -> Result<Page, Problem> {
    let id = job_id(id)?;
    let asked = numbered(query)?;
    let job = JobView::from(find(api, id).await?);
    let messages = messages_of(api, id, asked).await?;
    let next = messages.next_cursor.as_deref();
    let next = next.map(|cursor| with_query(&links::job(id), [("cursor", cursor)]));
    let now = Timestamp::now();
    let content = html! {
        p .eyebrow { (job.queue) }
        h1 { (title(&job)) }
        section #job-live .panel aria-label="Progress" data-href={ (links::job(id)) "/progress" }
            data-ended[job.finished_at.is_some()] { (live(&job, visit.may_act, now)) }
        p #job-said .hidden role="status" aria-live="polite" {}
        (about(&job, now))
        section #job-messages aria-labelledby="messages-title" {
            h2 #messages-title { "What became of each message" }
            @if messages.items.is_empty() {
                p .faint {
                    "Nothing yet"
                    @if job.method == "move_task" { "; what SQS moves as a whole is listed when it is done" }
                    "."
                }
            } @else {
                (plain_table("dead-letters", "Messages of the job", &messages.items, now))
            }
            (parts::pager(next.as_deref()))
        }
    };
    Ok(Page::new(title(&job), Place::Jobs, content))
}

/// `GET /jobs/{jobId}/progress`: what of the page changes, for the script. It is not sent again as long
/// as it is what the script has.
pub(super) async fn progress(
    State(api): State<Arc<Api>>,
    visit: Visit,
    id: JobId,
    headers: HeaderMap,
) -> Response {
    let found = match job_id(id) {
        Ok(id) => find(&api, id).await,
        Err(problem) => Err(problem),
    };
    let job = match found {
        Ok(job) => job,
        Err(problem) => return problem.into_response(),
    };
    let tag = format!("\"{}-{}\"", job.step, job.cancelled_by.is_some());
    let Ok(tag) = HeaderValue::try_from(tag) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if headers.get(header::IF_NONE_MATCH) == Some(&tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let part = live(&job.into(), visit.may_act, Timestamp::now()).into_string();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    ([(header::CONTENT_TYPE, html), (header::ETAG, tag)], part).into_response()
}

/// What changes while a job is under way.
fn live(job: &JobView, may_act: bool, now: Timestamp) -> Markup {
    let over = job.finished_at.is_some();
    let counts = [
        (if job.kind == "discard" { "Discarded" } else { "Redriven" }, job.done, "good"),
        ("Refused", job.refused, "warn"),
        ("Failed", job.failed, "bad"),
        ("Not found", job.not_found, "still"),
        ("Deletion unknown", job.undeleted, "warn"),
    ];
    html! {
        p #job-state data-state=(job.state) data-ended=(over) {
            (state(job)) " " span .numbers { (numbers(job)) }
            @if job.cancelled_by.is_some() && !over { " " span .hint { "It is told to end." } }
        }
        div #job-progress { (bar(job)) }
        dl .counts {
            @for (name, count, class) in counts {
                div .(class) .none[count == 0] { dt { (name) } dd { (number(count)) } }
            }
        }
        @if job.state == "canary" {
            p { "The first messages are redriven. The others follow when all of these are delivered." }
        }
        @if let Some(note) = &job.note { p #job-note .note { (bdi(&sentence(note))) } }
        @if !over {
            p .actions {
                a .button .quiet .refresh href=(links::job(job.id)) { "Refresh" }
                @if may_act && job.cancelled_by.is_none() {
                    a #cancel .button .danger href={ (links::job(job.id)) "/cancel" } { "Cancel…" }
                }
            }
        } @else if job.failed + job.refused + job.not_found > 0 {
            p { a href=(links::messages(Some(&job.queue), None)) { "Look at what is still dead" } }
        }
        p .sub { "As of " (time(job.updated_at, now)) }
    }
}

/// What was asked for.
fn about(job: &JobView, now: Timestamp) -> Markup {
    let mut known = vec![
        ("Asked for by", bdi(&job.requested_by)),
        (
            "Why",
            if job.why.is_empty() {
                html! { span .faint { "not said" } }
            } else {
                bdi(&job.why)
            },
        ),
        ("What", what(&job.request)),
        (
            "How",
            html! {
                @if job.method == "move_task" { "SQS itself moves the queue" }
                @else { "message by message" }
            },
        ),
        ("Asked for", time(job.created_at, now)),
        ("Begun", time_or(job.started_at, now, "not yet")),
        ("Ended", time_or(job.finished_at, now, "not yet")),
    ];
    if let (Some(begun), Some(ended)) = (job.started_at, job.finished_at) {
        let took = ended.duration_since(begun).max(SignedDuration::ZERO);
        known.push(("Took", html! { (parts::lasting(took)) }));
    }
    if let Some(by) = &job.cancelled_by {
        known.push(("Cancelled by", bdi(by)));
    }
    known.push(("Id", html! { code .wrap { (job.id) } }));
    html! {
        section #job-about .panel aria-labelledby="about" {
            h2 #about { "What was asked for" }
            (facts(&known))
        }
    }
}
