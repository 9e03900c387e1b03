//! `/redrive` and `/discard`: what would be done, how, and then that it is meant.
//!
//! A form is sent twice. The first time it says how, and is answered with a page that shows again what
//! would be done and wants the number of messages typed. The second time it has that number, and becomes
//! a job. The id of the job is in the form from the start: however often it is sent, there is one job.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{StatusCode, Uri},
    response::Response,
};
use order_store::{Job, JobKind};
use service_kit::Problem;
use uuid::Uuid;

use super::{
    confirm,
    fields::Errors,
    links::{self, said},
    selection::{How, Selection, Sent},
    visit::{Page, Visit, see},
};
use crate::{
    access::acting_not_allowed,
    api::{
        Api,
        acts::{DryRun, Meant},
        asked::Asked,
        body, jobs, store_failed,
    },
    jobs::request::JobRequest,
};

/// What is said of a form that was changed after its job had begun.
const USED: &str = "this form has begun another job already: look at it in the list of jobs, or type \
                    the count again for these messages";

/// What a page about acting shows.
pub(super) struct Shown<'a> {
    pub(super) kind: JobKind,
    pub(super) fifo: bool,
    pub(super) selection: &'a Selection,
    pub(super) how: &'a How,
    pub(super) dry_run: &'a DryRun,
    pub(super) request_id: Uuid,
    pub(super) errors: Errors,
}

/// `GET`: the form.
pub(super) async fn open(
    kind: JobKind,
    State(api): State<Arc<Api>>,
    visit: Visit,
    uri: Uri,
) -> Response {
    visit.answer(form(kind, &api, &visit, uri.query().unwrap_or_default()).await)
}

async fn form(kind: JobKind, api: &Api, visit: &Visit, query: &str) -> Result<Page, Problem> {
    if !visit.may_act {
        return Err(acting_not_allowed());
    }
    let selection = Selection::of_query(said(query))?;
    let errors = Errors::default();
    first_page(kind, api, visit, &selection, &How::default(), Uuid::now_v7(), errors).await
}

/// The first form, with what was typed and what is wrong with it.
async fn first_page(
    kind: JobKind,
    api: &Api,
    visit: &Visit,
    selection: &Selection,
    how: &How,
    request_id: Uuid,
    errors: Errors,
) -> Result<Page, Problem> {
    let (dry_run, fifo) = preview(kind, api, selection).await?;
    let shown = Shown { kind, fifo, selection, how, dry_run: &dry_run, request_id, errors };
    Ok(confirm::first_page(visit, &shown))
}

/// What would be done, before it is said how and why.
async fn preview(
    kind: JobKind,
    api: &Api,
    selection: &Selection,
) -> Result<(DryRun, bool), Problem> {
    let mut object = How::default().to_json(selection);
    // A discard needs a reason, which is still to be given.
    object.entry("reason").or_insert_with(|| "not said yet".into());
    let meant = Meant::find(api, kind, Asked::read(kind, object)?).await?;
    let fifo = meant.queue.fifo;
    Ok((meant.think(api).await?, fifo))
}

/// `POST`: the form, sent.
pub(super) async fn submit(
    kind: JobKind,
    State(api): State<Arc<Api>>,
    visit: Visit,
    request: Request,
) -> Response {
    match try_submit(kind, &api, &visit, request).await {
        Ok(Outcome::Began(id)) => see(&links::job(id)),
        Ok(Outcome::Page(page)) => visit.answer(Ok(*page)),
        Err(problem) => visit.answer(Err(problem)),
    }
}

enum Outcome {
    /// There is a job of this id.
    Began(Uuid),
    Page(Box<Page>),
}

async fn try_submit(
    kind: JobKind,
    api: &Api,
    visit: &Visit,
    request: Request,
) -> Result<Outcome, Problem> {
    let sent = ours(api, visit, request).await?;
    let (selection, how) = (Selection::of_form(&sent)?, How::of_form(&sent));
    let request_id = sent.field("requestId").and_then(|id| id.parse().ok());
    let mut request_id = request_id.unwrap_or_else(Uuid::now_v7);
    let asked = match Asked::read(kind, how.to_json(&selection)) {
        Ok(asked) => asked,
        Err(problem) => {
            let errors = Errors::of(&problem);
            let page = first_page(kind, api, visit, &selection, &how, request_id, errors).await?;
            return Ok(Outcome::Page(Box::new(page.with_status(StatusCode::BAD_REQUEST))));
        }
    };
    let mut errors = Errors::default();
    if let Some(job) = begun(api, request_id).await? {
        if is_of(&job, kind, &asked.request) {
            return Ok(Outcome::Began(job.id));
        }
        errors.note("", USED);
        request_id = Uuid::now_v7();
    }
    let mut meant = Meant::find(api, kind, asked).await?;
    let (fifo, dry_run) = (meant.queue.fifo, meant.think(api).await?);
    if let Some(count) = sent.field("count").filter(|_| errors.is_empty()) {
        if typed(count) == Some(dry_run.selected) && dry_run.selected > 0 {
            meant.expect(dry_run.selected);
            let job = meant.begin(api, &visit.caller, request_id).await?;
            return Ok(Outcome::Began(job.id));
        }
        // The same form may have been sent a moment before, and its job be done by now.
        if let Some(job) = begun(api, request_id).await? {
            return Ok(Outcome::Began(job.id));
        }
        let field = if dry_run.selected > 0 { "count" } else { "" };
        errors.note(field, &confirm::wrong_count(count, dry_run.selected));
    }
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let shown = Shown {
        kind,
        fifo,
        selection: &selection,
        how: &how,
        dry_run: &dry_run,
        request_id,
        errors,
    };
    Ok(Outcome::Page(Box::new(confirm::second_page(visit, &shown).with_status(status))))
}

/// The fields of a form that is one of ours and was sent by who may act.
pub(super) async fn ours(api: &Api, visit: &Visit, request: Request) -> Result<Sent, Problem> {
    let (head, body) = request.into_parts();
    let sent = Sent(body::form(&head.headers, body).await?);
    let csrf = sent.field("csrfToken").unwrap_or_default();
    match api.access.refuses_form(&visit.caller, &head.headers, csrf) {
        Some(problem) => Err(problem),
        None => Ok(sent),
    }
}

/// The job of this id, if the form was sent before.
async fn begun(api: &Api, id: Uuid) -> Result<Option<Job>, Problem> {
    api.store.find_job(id).await.map_err(|error| store_failed(&error))
}

/// Whether the job is this very request's.
fn is_of(job: &Job, kind: JobKind, request: &JobRequest) -> bool {
    let kept = serde_json::from_str::<JobRequest>(&job.request);
    job.kind == kind && kept.is_ok_and(|kept| kept == *request)
}

/// A number as people type it.
fn typed(count: &str) -> Option<u64> {
    let digits: String = count.chars().filter(|digit| !matches!(digit, ',' | '.' | ' ')).collect();
    digits.parse().ok()
}

/// The job of a path, which somebody may end.
pub(super) async fn open_job(api: &Api, visit: &Visit, id: jobs::JobId) -> Result<Job, Problem> {
    if !visit.may_act {
        return Err(acting_not_allowed());
    }
    jobs::find(api, jobs::job_id(id)?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_may_be_typed_with_its_groups() {
        for (text, count) in [
            ("12", Some(12)),
            ("1,234", Some(1234)),
            ("1 234", Some(1234)),
            ("all", None),
            ("", None),
            ("-1", None),
        ] {
            assert_eq!(typed(text), count, "{text}");
        }
    }
}
