//! Redriving and discarding: what was asked for, by whom, how far it is, and who has it in hand.

mod list;
mod types;
pub(crate) mod write;

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

pub use list::JobPosition;
pub use types::{
    Archived, AuditEntry, CanaryCount, Checkpoint, Job, JobAction, JobKind, JobMethod, JobState,
    Mark, Marked, NewJob, Progress,
};

use crate::{
    Store, StoreError,
    backend::{Changed, Columns, Dialect, Parameters},
    dead_letters::optional_time,
    reads::{needed, odd, read_time, read_uuid},
};

/// The columns of a [`Job`].
pub(crate) fn columns(Dialect { as_text, .. }: &Dialect) -> String {
    format!(
        "id{as_text} AS id, kind, method, queue, request, through, requested_by, why, state,
            cancelled_by, selected, done, refused, failed, not_found, undeleted,
            canary_passed, task, note, step,
            holder, until_ms, created_at_ms, started_at_ms, updated_at_ms, finished_at_ms"
    )
}

pub(crate) fn read(row: &dyn Columns) -> Result<Job, StoreError> {
    let word = |column: &str| needed(row, column);
    let (kind, method, state) = (word("kind")?, word("method")?, word("state")?);
    let count = |column: &str| row.number(column).map(i64::cast_unsigned);
    Ok(Job {
        id: read_uuid("id", &word("id")?)?,
        kind: JobKind::parse(&kind).ok_or_else(|| odd("kind", &kind))?,
        method: JobMethod::parse(&method).ok_or_else(|| odd("method", &method))?,
        queue: word("queue")?,
        request: word("request")?,
        through: row.number("through")?,
        requested_by: word("requested_by")?,
        why: word("why")?,
        state: JobState::parse(&state).ok_or_else(|| odd("state", &state))?,
        cancelled_by: row.text("cancelled_by")?,
        selected: count("selected")?,
        progress: Progress {
            done: count("done")?,
            refused: count("refused")?,
            failed: count("failed")?,
            not_found: count("not_found")?,
            undeleted: count("undeleted")?,
        },
        canary_passed: row.number("canary_passed")? != 0,
        task: row.text("task")?,
        note: row.text("note")?,
        step: row.number("step")?,
        holder: word("holder")?,
        until: read_time(row, "until_ms")?,
        created_at: read_time(row, "created_at_ms")?,
        started_at: optional_time(row, "started_at_ms")?,
        updated_at: read_time(row, "updated_at_ms")?,
        finished_at: optional_time(row, "finished_at_ms")?,
    })
}

/// The job that the first statement of a change returned.
fn first_job(changed: &Changed) -> Result<Option<Job>, StoreError> {
    let row = changed.as_ref().and_then(|rows| rows.first()?.first());
    row.map(|row| read(&**row)).transpose()
}

/// Jobs and their audit log.
impl Store {
    /// Keeps a job that is to be done, and with it who asked for it and why. Where there is a job of
    /// this id already, that one is given and nothing is written: asking twice makes one job.
    pub async fn create_job(&self, job: &NewJob) -> Result<Job, StoreError> {
        let changed = self.change(write::create(job, self.backend.dialect())).await?;
        match first_job(&changed)? {
            Some(kept) => Ok(kept),
            None => self.find_job(job.id).await?.ok_or_else(|| odd("id", "nothing")),
        }
    }

    /// Takes the oldest job of this queue that is not finished, if nobody else has one of this queue in
    /// hand: they are done one after another. It is this holder's until the lease is over; each checkpoint renews that.
    pub async fn claim_job(
        &self,
        queue: &str,
        holder: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Job>, StoreError> {
        let dialect = self.backend.dialect();
        let changed = self.change(write::claim(queue, holder, now, lease, dialect)).await?;
        first_job(&changed)
    }

    /// Writes how far a job is, with what was done at messages, and renews the lease. None: it is
    /// another's by now, or this was written already, which [`Job::step`] tells.
    pub async fn write_checkpoint(
        &self,
        checkpoint: &Checkpoint,
    ) -> Result<Option<Job>, StoreError> {
        let change = write::checkpoint(checkpoint, self.backend.dialect());
        first_job(&self.change(change).await?)
    }

    /// Asks for a job to be ended early. None: there is no such job, or it is finished.
    pub async fn cancel_job(
        &self,
        id: Uuid,
        requested_by: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<Option<Job>, StoreError> {
        let change = write::cancel(id, requested_by, why, now, self.backend.dialect());
        first_job(&self.change(change).await?)
    }

    /// What became of the orders that a job has redriven, so far.
    pub async fn canary_count(&self, job: Uuid) -> Result<CanaryCount, StoreError> {
        let as_uuid = self.backend.dialect().as_uuid;
        let mut parameters = Parameters::default();
        let job = parameters.text(&job.to_string());
        // Whether it died again is asked by identity: its copy has another message id.
        let sql = format!(
            "SELECT l.settled_at_ms AS sent_at_ms, d.status AS status, d.updated_at_ms AS updated_at_ms,
                (SELECT COUNT(*) FROM dead_letters AS again
                 WHERE again.identity = l.identity AND again.id > l.id) AS deaths
             FROM dead_letters AS l LEFT JOIN deliveries AS d ON d.order_id = l.order_id
             WHERE l.job_id = {job}{as_uuid} AND l.job_outcome = 'redriven'"
        );
        let mut count = CanaryCount::default();
        for row in self.rows(sql, parameters).await? {
            let (status, sent_at) = (row.text("status")?, row.optional_number("sent_at_ms")?);
            let updated_at = row.optional_number("updated_at_ms")?;
            match status.as_deref() {
                Some("DELIVERED") => count.delivered += 1,
                _ if row.number("deaths")? > 0 => count.failed += 1,
                Some("FAILED") if updated_at > sent_at => count.failed += 1,
                _ => count.waiting += 1,
            }
        }
        Ok(count)
    }
}
