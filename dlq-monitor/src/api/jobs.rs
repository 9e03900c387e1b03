//! Jobs: lists, progress, the messages that they dealt with, and their end.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::Uri,
};
use jiff::Timestamp;
use order_store::Job;
use service_kit::Problem;
use uuid::Uuid;

use super::{
    Api,
    acts::requested_by,
    asked, body, kinds,
    query::{Jobs, job_cursor, numbered, numbered_cursor},
    store_failed,
    views::{JobView, LetterView, Page},
};
use crate::access::Caller;

/// `GET /api/dlq/jobs`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Json<Page<JobView>>, Problem> {
    let asked = Jobs::read(uri.query().unwrap_or_default())?;
    page(&api, &asked).await.map(Json)
}

/// A page of jobs.
pub(crate) async fn page(api: &Api, asked: &Jobs) -> Result<Page<JobView>, Problem> {
    let Jobs { queue, state, limit, after } = asked;
    let found = api.store.job_page(queue.as_deref(), *state, *after, limit + 1).await;
    let found = found.map_err(|error| store_failed(&error))?;
    let cursor = |job: &order_store::Job| job_cursor(job.position());
    Ok(Page::cut(found, *limit, cursor, JobView::from))
}

/// A job's id, as it stands in a path.
pub(crate) type JobId = Result<Path<Uuid>, PathRejection>;

/// The id, if it is one.
pub(crate) fn job_id(id: JobId) -> Result<Uuid, Problem> {
    id.map(|Path(id)| id).map_err(|_| kinds::UNKNOWN_JOB.problem().detail("the id is not a UUID"))
}

fn unknown(id: Uuid) -> Problem {
    kinds::UNKNOWN_JOB.problem().detail(format!("there is no job {id}"))
}

/// `GET /api/dlq/jobs/{jobId}`.
pub(super) async fn show(State(api): State<Arc<Api>>, id: JobId) -> Result<Json<JobView>, Problem> {
    Ok(Json(find(&api, job_id(id)?).await?.into()))
}

/// A job.
pub(crate) async fn find(api: &Api, id: Uuid) -> Result<Job, Problem> {
    let job = api.store.find_job(id).await.map_err(|error| store_failed(&error))?;
    job.ok_or_else(|| unknown(id))
}

/// `GET /api/dlq/jobs/{jobId}/messages`.
pub(super) async fn messages(
    State(api): State<Arc<Api>>,
    id: JobId,
    uri: Uri,
) -> Result<Json<Page<LetterView>>, Problem> {
    let id = job_id(id)?;
    let asked = numbered(uri.query().unwrap_or_default())?;
    find(&api, id).await?;
    messages_of(&api, id, asked).await.map(Json)
}

/// A page of what a job came to at each message: so many, behind this one.
pub(crate) async fn messages_of(
    api: &Api,
    id: Uuid,
    (limit, after): (u32, Option<i64>),
) -> Result<Page<LetterView>, Problem> {
    let found = api.store.dead_letters_of_job(id, after.unwrap_or(0), limit + 1).await;
    let found = found.map_err(|error| store_failed(&error))?;
    let cursor = |letter: &order_store::DeadLetter| numbered_cursor(letter.id);
    Ok(Page::cut(found, limit, cursor, |letter| api.view(letter)))
}

/// `POST /api/dlq/jobs/{jobId}/cancel`.
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    id: JobId,
    request: Request,
) -> Result<Json<JobView>, Problem> {
    let id = job_id(id)?;
    let (who, why) = asked::cancel(body::object(request).await?)?;
    end(&api, id, who.as_deref(), &why, &caller).await.map(|job| Json(job.into()))
}

/// Tells a job to end early.
pub(crate) async fn end(
    api: &Api,
    id: Uuid,
    who: Option<&str>,
    why: &str,
    caller: &Caller,
) -> Result<Job, Problem> {
    let by = requested_by(who, caller);
    let cancelled = api.store.cancel_job(id, &by, why, Timestamp::now()).await;
    if let Some(job) = cancelled.map_err(|error| store_failed(&error))? {
        if let Ok(queue) = api.queue(&job.queue) {
            queue.news.notify_one();
        }
        return Ok(job);
    }
    let job = find(api, id).await?;
    let detail = format!("the job is {}", job.state.as_str());
    Err(kinds::JOB_ENDED.problem().detail(detail))
}
