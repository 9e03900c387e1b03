//! Lists of jobs and of who asked for them.

use jiff::Timestamp;
use uuid::Uuid;

use super::{AuditEntry, Job, JobAction, JobMethod, JobState, columns, read};
use crate::{
    Store, StoreError,
    backend::{Columns, Parameters},
    reads::{needed, odd, read_time, read_uuid},
};

/// A place in the list of jobs: behind the one that was asked for at this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobPosition {
    /// When it was asked for, to the millisecond.
    pub created_at: Timestamp,
    /// Its id.
    pub id: Uuid,
}

impl Job {
    /// The place behind this job.
    pub fn position(&self) -> JobPosition {
        JobPosition { created_at: self.created_at, id: self.id }
    }
}

fn read_audit(row: &dyn Columns) -> Result<AuditEntry, StoreError> {
    let action = needed(row, "action")?;
    Ok(AuditEntry {
        id: row.number("id")?,
        at: read_time(row, "at_ms")?,
        requested_by: needed(row, "requested_by")?,
        action: JobAction::parse(&action).ok_or_else(|| odd("action", &action))?,
        queue: needed(row, "queue")?,
        job_id: read_uuid("job_id", &needed(row, "job_id")?)?,
        why: needed(row, "why")?,
        request: needed(row, "request")?,
        selected: row.optional_number("selected")?.map(i64::cast_unsigned),
    })
}

impl Store {
    /// A job.
    pub async fn find_job(&self, id: Uuid) -> Result<Option<Job>, StoreError> {
        let dialect = self.backend.dialect();
        let mut parameters = Parameters::default();
        let id = parameters.text(&id.to_string());
        let (columns, as_uuid) = (columns(dialect), dialect.as_uuid);
        let sql = format!("SELECT {columns} FROM dlq_jobs WHERE id = {id}{as_uuid}");
        let rows = self.rows_by_key(sql, parameters).await?;
        rows.first().map(|row| read(&**row)).transpose()
    }

    /// Whether this queue is to be left alone by this holder: somebody else has a job of it in hand, or
    /// SQS may be moving its messages for a job, whoever has that one in hand, and also while nobody has.
    pub async fn is_to_be_left_alone(
        &self,
        queue: &str,
        holder: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut parameters = Parameters::default();
        let (queue, holder) = (parameters.text(queue), parameters.text(holder));
        let now = parameters.number(now.as_millisecond());
        let (task, running) = (JobMethod::MoveTask.as_str(), JobState::Running.as_str());
        let sql = format!(
            "SELECT 1 AS job FROM dlq_jobs WHERE queue = {queue} AND finished_at_ms IS NULL
                AND ((holder NOT IN ('', {holder}) AND until_ms > {now})
                    OR (method = '{task}' AND state = '{running}')) LIMIT 1"
        );
        Ok(!self.rows_by_key(sql, parameters).await?.is_empty())
    }

    /// The jobs that are not over, oldest first, so many at most.
    pub async fn open_jobs(&self, at_most: u32) -> Result<Vec<Job>, StoreError> {
        let columns = columns(self.backend.dialect());
        let mut parameters = Parameters::default();
        let limit = parameters.number(i64::from(at_most));
        let sql = format!(
            "SELECT {columns} FROM dlq_jobs AS job WHERE finished_at_ms IS NULL
             ORDER BY job.created_at_ms, job.id LIMIT {limit}"
        );
        let rows = self.rows(sql, parameters).await?;
        rows.iter().map(|row| read(&**row)).collect()
    }

    /// A page of jobs, those that were asked for last in front, so many at most: of this queue, in this
    /// state, where that is said.
    pub async fn job_page(
        &self,
        queue: Option<&str>,
        state: Option<JobState>,
        after: Option<JobPosition>,
        at_most: u32,
    ) -> Result<Vec<Job>, StoreError> {
        let dialect = self.backend.dialect();
        let (columns, as_uuid) = (columns(dialect), dialect.as_uuid);
        let mut parameters = Parameters::default();
        let mut conditions = vec!["TRUE".to_owned()];
        if let Some(queue) = queue {
            conditions.push(format!("queue = {}", parameters.text(queue)));
        }
        if let Some(state) = state {
            conditions.push(format!("state = '{}'", state.as_str()));
        }
        if let Some(JobPosition { created_at, id }) = after {
            let (time, id) =
                (parameters.number(created_at.as_millisecond()), parameters.text(&id.to_string()));
            conditions.push(format!("(created_at_ms, id) < ({time}, {id}{as_uuid})"));
        }
        let (conditions, limit) = (conditions.join(" AND "), parameters.number(i64::from(at_most)));
        let sql = format!(
            "SELECT {columns} FROM dlq_jobs AS job WHERE {conditions}
             ORDER BY job.created_at_ms DESC, job.id DESC LIMIT {limit}"
        );
        let rows = self.rows(sql, parameters).await?;
        rows.iter().map(|row| read(&**row)).collect()
    }

    /// A page of the audit log, the newest lines in front, those before this id, so many at most.
    pub async fn audit_page(
        &self,
        before: Option<i64>,
        at_most: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let as_text = self.backend.dialect().as_text;
        let mut parameters = Parameters::default();
        let before = parameters.number(before.unwrap_or(i64::MAX));
        let limit = parameters.number(i64::from(at_most));
        let sql = format!(
            "SELECT id, at_ms, requested_by, action, queue, job_id{as_text} AS job_id, why, request,
                (SELECT selected FROM dlq_jobs WHERE dlq_jobs.id = dlq_audit.job_id) AS selected
             FROM dlq_audit WHERE id < {before} ORDER BY dlq_audit.id DESC LIMIT {limit}"
        );
        let rows = self.rows(sql, parameters).await?;
        rows.iter().map(|row| read_audit(&**row)).collect()
    }
}
