//! What is answered, in JSON.

use jiff::{SignedDuration, Timestamp};
use order_events::DeliveryStatus;
use order_store::{Attempt, AuditEntry, DeadLetter, Job};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// A dead letter, as lists have it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LetterView {
    pub(crate) message_id: String,
    pub(crate) queue: String,
    pub(crate) state: &'static str,
    pub(crate) group_id: Option<String>,
    pub(crate) order_id: Option<Uuid>,
    pub(crate) customer_id: Option<String>,
    pub(crate) reason: String,
    pub(crate) detail: Option<String>,
    /// Null: unknown.
    pub(crate) attempts: Option<u32>,
    /// When SQS took it.
    pub(crate) sent_at: Option<Timestamp>,
    /// When SQS deletes it.
    pub(crate) expires_at: Option<Timestamp>,
    /// When it was first met.
    pub(crate) seen_at: Timestamp,
    /// When it came to this state; null while it is dead.
    pub(crate) settled_at: Option<Timestamp>,
    /// The last job that dealt with it.
    pub(crate) job: Option<MarkView>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MarkView {
    pub(crate) id: Uuid,
    pub(crate) outcome: String,
    pub(crate) detail: Option<String>,
}

impl LetterView {
    /// `retention_seconds`: how long its queue keeps it.
    pub(crate) fn new(letter: DeadLetter, retention_seconds: Option<u64>) -> Self {
        let expires_at = letter.sent_at.zip(retention_seconds).and_then(|(sent_at, seconds)| {
            let kept = SignedDuration::from_secs(i64::try_from(seconds).ok()?);
            sent_at.checked_add(kept).ok()
        });
        Self {
            message_id: letter.message_id,
            queue: letter.queue,
            state: letter.state.as_str(),
            group_id: letter.group,
            order_id: letter.order_id,
            customer_id: letter.customer_id,
            reason: letter.reason,
            detail: letter.detail,
            attempts: letter.attempts,
            sent_at: letter.sent_at,
            expires_at: expires_at.filter(|_| letter.settled_at.is_none()),
            seen_at: letter.seen_at,
            settled_at: letter.settled_at,
            job: letter.job.map(|mark| MarkView {
                id: mark.job_id,
                outcome: mark.outcome,
                detail: mark.detail,
            }),
        }
    }
}

/// A dead letter with everything that is known of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WholeLetterView {
    #[serde(flatten)]
    pub(crate) letter: LetterView,
    pub(crate) body: String,
    pub(crate) body_bytes: usize,
    /// By name, each with its type and its value, bytes as base64.
    pub(crate) attributes: Value,
    /// What the deliveries store has of its order; null: nothing.
    pub(crate) delivery_status: Option<DeliveryStatus>,
    /// How many attempts are kept, told or not.
    pub(crate) attempt_count: u64,
    /// The newest, in their order.
    pub(crate) delivery_attempts: Vec<AttemptView>,
    pub(crate) trace_id: Option<String>,
    pub(crate) trace_url: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttemptView {
    pub(crate) attempt: u32,
    pub(crate) message_id: String,
    pub(crate) queue: String,
    pub(crate) outcome: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) error: Option<String>,
    pub(crate) worker: String,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Timestamp,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        Self {
            attempt: attempt.number,
            message_id: attempt.message_id,
            queue: attempt.queue,
            outcome: attempt.outcome.as_str(),
            reason: attempt.reason.map(order_store::Reason::as_str),
            error: attempt.error,
            worker: attempt.worker,
            started_at: attempt.started_at,
            finished_at: attempt.finished_at,
        }
    }
}

/// A job.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobView {
    pub(crate) id: Uuid,
    pub(crate) kind: &'static str,
    pub(crate) method: &'static str,
    pub(crate) queue: String,
    pub(crate) state: &'static str,
    /// What exactly was asked for.
    pub(crate) request: Value,
    pub(crate) requested_by: String,
    pub(crate) why: String,
    pub(crate) cancelled_by: Option<String>,
    pub(crate) selected: u64,
    pub(crate) done: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) not_found: u64,
    pub(crate) undeleted: u64,
    pub(crate) canary_passed: bool,
    /// What holds it up, or why it ended as it did.
    pub(crate) note: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) updated_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            id: job.id,
            kind: job.kind.as_str(),
            method: job.method.as_str(),
            queue: job.queue,
            state: job.state.as_str(),
            request: parsed(&job.request),
            requested_by: job.requested_by,
            why: job.why,
            cancelled_by: job.cancelled_by,
            selected: job.selected,
            done: job.progress.done,
            refused: job.progress.refused,
            failed: job.progress.failed,
            not_found: job.progress.not_found,
            undeleted: job.progress.undeleted,
            canary_passed: job.canary_passed,
            note: job.note,
            created_at: job.created_at,
            started_at: job.started_at,
            updated_at: job.updated_at,
            finished_at: job.finished_at,
        }
    }
}

/// A line of the audit log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditView {
    pub(crate) at: Timestamp,
    pub(crate) requested_by: String,
    pub(crate) action: &'static str,
    pub(crate) queue: String,
    pub(crate) job_id: Uuid,
    pub(crate) why: String,
    pub(crate) request: Value,
    /// Null: the job is not kept any more.
    pub(crate) selected: Option<u64>,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            at: entry.at,
            requested_by: entry.requested_by,
            action: entry.action.as_str(),
            queue: entry.queue,
            job_id: entry.job_id,
            why: entry.why,
            request: parsed(&entry.request),
            selected: entry.selected,
        }
    }
}

/// A part of a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Brings the next page; null: this is the last.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The first of these, of which there is one more than asked for where there are more.
    pub(crate) fn cut<S>(
        mut found: Vec<S>,
        limit: u32,
        cursor: impl FnOnce(&S) -> String,
        view: impl FnMut(S) -> T,
    ) -> Self {
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next_cursor = found.last().filter(|_| more).map(cursor);
        Self { items: found.into_iter().map(view).collect(), next_cursor }
    }
}

/// JSON that was kept as a text.
pub(crate) fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}
