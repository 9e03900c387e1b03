//! `/jobs/{jobId}/cancel`: whether a job is really to be ended early, and why.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use maud::html;
use order_store::Job;
use serde_json::{Map, json};
use service_kit::Problem;

use super::{
    act::{open_job, ours},
    confirm::needed_reason,
    fields::{Errors, Field},
    frame::Place,
    jobs::{numbers, title},
    links, parts,
    visit::{Page, Visit, see},
};
use crate::api::{
    Api,
    asked::{self, limits},
    jobs::{JobId, end},
    views::JobView,
};

pub(super) async fn open(State(api): State<Arc<Api>>, visit: Visit, id: JobId) -> Response {
    match open_job(&api, &visit, id).await {
        Ok(job) if is_settled(&job) => see(&links::job(job.id)),
        Ok(job) => visit.answer(Ok(page(&visit, job, &Typed::default(), &Errors::default()))),
        Err(problem) => visit.answer(Err(problem)),
    }
}

pub(super) async fn submit(
    State(api): State<Arc<Api>>,
    visit: Visit,
    id: JobId,
    request: Request,
) -> Response {
    match try_submit(&api, &visit, id, request).await {
        Ok(Ok(job)) => see(&links::job(job.id)),
        Ok(Err(page)) => visit.answer(Ok(*page)),
        Err(problem) => visit.answer(Err(problem)),
    }
}

/// Whether there is nothing to ask for any more.
fn is_settled(job: &Job) -> bool {
    job.finished_at.is_some() || job.cancelled_by.is_some()
}

/// What was typed.
#[derive(Default)]
struct Typed {
    why: String,
    who: String,
}

async fn try_submit(
    api: &Api,
    visit: &Visit,
    id: JobId,
    request: Request,
) -> Result<Result<Job, Box<Page>>, Problem> {
    let sent = ours(api, visit, request).await?;
    let job = open_job(api, visit, id).await?;
    if is_settled(&job) {
        return Ok(Ok(job));
    }
    let text = |name: &str| sent.field(name).unwrap_or_default().to_owned();
    let typed = Typed { why: text("reason"), who: text("by") };
    let said = [("reason", &typed.why), ("by", &typed.who)];
    let said = said.into_iter().filter(|(_, text)| !text.is_empty());
    let object: Map<_, _> = said.map(|(name, text)| (name.to_owned(), json!(text))).collect();
    let mut errors = Errors::default();
    if typed.why.is_empty() {
        errors.note("reason", "is missing: why is the job ended?");
    }
    match asked::cancel(object) {
        Ok((who, why)) if errors.is_empty() => {
            end(api, job.id, who.as_deref(), &why, &visit.caller).await.map(Ok)
        }
        Ok(_) => Ok(Err(Box::new(again(visit, job, &typed, &errors)))),
        Err(problem) => Ok(Err(Box::new(again(visit, job, &typed, &Errors::of(&problem))))),
    }
}

fn again(visit: &Visit, job: Job, typed: &Typed, errors: &Errors) -> Page {
    page(visit, job, typed, errors).with_status(StatusCode::BAD_REQUEST)
}

fn page(visit: &Visit, job: Job, typed: &Typed, errors: &Errors) -> Page {
    let job = JobView::from(job);
    let content = html! {
        p .eyebrow { (job.queue) }
        h1 { "Cancel: " (title(&job).to_lowercase()) }
        (errors.summary())
        section .panel {
            p { (parts::state(job.state)) " " (numbers(&job)) " are dealt with." }
            p {
                "What was begun is finished, and nothing more is begun. What was redriven or discarded \
                 stays so."
            }
        }
        form #cancel-form .panel .form method="post" action={ (links::job(job.id)) "/cancel" } {
            (visit.form_token())
            (needed_reason(&typed.why, errors))
            (Field {
                value: &typed.who,
                longest: Some(limits::WHO),
                hint: "Kept in the audit log, beside how you are logged in.",
                autocomplete: Some("name"),
                ..Field::new("by", "Your name")
            }.show(errors))
            p .actions {
                button .danger type="submit" { "End the job" }
                a .button .quiet href=(links::job(job.id)) { "Let it go on" }
            }
        }
    };
    Page::new(format!("Cancel: {}", title(&job).to_lowercase()), Place::Jobs, content)
}
