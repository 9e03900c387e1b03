//! Jobs: lists, progress, the messages that they dealt with, and their end.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::Uri,
};
use jiff::Timestamp;
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
    let Jobs { queue, state, limit, after } = Jobs::read(uri.query().unwrap_or_default())?;
    let found = api.store.job_page(queue.as_deref(), state, after, limit + 1).await;
    let found = found.map_err(|error| store_failed(&error))?;
    let cursor = |job: &order_store::Job| job_cursor(job.position());
    Ok(Json(Page::cut(found, limit, cursor, JobView::from)))
}

type JobId = Result<Path<Uuid>, PathRejection>;

fn job_id(id: JobId) -> Result<Uuid, Problem> {
    id.map(|Path(id)| id).map_err(|_| kinds::UNKNOWN_JOB.problem().detail("the id is not a UUID"))
}

fn unknown(id: Uuid) -> Problem {
    kinds::UNKNOWN_JOB.problem().detail(format!("there is no job {id}"))
}

/// `GET /api/dlq/jobs/{jobId}`.
pub(super) async fn show(State(api): State<Arc<Api>>, id: JobId) -> Result<Json<JobView>, Problem> {
    let id = job_id(id)?;
    let job = api.store.find_job(id).await.map_err(|error| store_failed(&error))?;
    Ok(Json(job.ok_or_else(|| unknown(id))?.into()))
}

/// `GET /api/dlq/jobs/{jobId}/messages`.
pub(super) async fn messages(
    State(api): State<Arc<Api>>,
    id: JobId,
    uri: Uri,
) -> Result<Json<Page<LetterView>>, Problem> {
    let id = job_id(id)?;
    let (limit, after) = numbered(uri.query().unwrap_or_default())?;
    let job = api.store.find_job(id).await.map_err(|error| store_failed(&error))?;
    job.ok_or_else(|| unknown(id))?;
    let found = api.store.dead_letters_of_job(id, after.unwrap_or(0), limit + 1).await;
    let found = found.map_err(|error| store_failed(&error))?;
    let cursor = |letter: &order_store::DeadLetter| numbered_cursor(letter.id);
    Ok(Json(Page::cut(found, limit, cursor, |letter| api.view(letter))))
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
    let by = requested_by(who.as_deref(), &caller);
    let cancelled = api.store.cancel_job(id, &by, &why, Timestamp::now()).await;
    if let Some(job) = cancelled.map_err(|error| store_failed(&error))? {
        if let Ok(queue) = api.queue(&job.queue) {
            queue.news.notify_one();
        }
        return Ok(Json(job.into()));
    }
    let found = api.store.find_job(id).await.map_err(|error| store_failed(&error))?;
    let job = found.ok_or_else(|| unknown(id))?;
    let detail = format!("the job is {}", job.state.as_str());
    Err(kinds::JOB_ENDED.problem().detail(detail))
}
