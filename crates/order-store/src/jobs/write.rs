//! What is written of jobs, the same for each database. A job's row is taken before its letters'.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use uuid::Uuid;

use super::{Archived, Checkpoint, JobAction, JobKind, Mark, Marked, NewJob, Progress, columns};
use crate::{
    backend::{Change, Dialect, Parameters, Statement, Value},
    dead_letters::{
        filter::by_message,
        left::delete,
        write::{these, without_nul},
    },
    record::bounded,
};

pub(super) fn create(job: &NewJob, dialect: &Dialect) -> Change {
    let mut parameters = Parameters::default();
    let (as_uuid, columns) = (dialect.as_uuid, columns(dialect));
    let id = parameters.text(&job.id.to_string());
    let words = [job.kind.as_str(), job.method.as_str()].map(|word| parameters.text(word));
    let queue = parameters.text(&job.queue);
    let request = parameters.bind(Value::Text(without_nul(&job.request)));
    let through = parameters.number(job.through);
    let texts = [&job.requested_by, &job.why].map(|text| parameters.text(text));
    let selected = parameters.number(job.selected.cast_signed());
    let at = parameters.number(job.at.as_millisecond());
    let insert = format!(
        "INSERT INTO dlq_jobs (id, kind, method, queue, request, through, requested_by, why, state,
            selected, created_at_ms, updated_at_ms)
         VALUES ({id}{as_uuid}, {}, {queue}, {request}, {through}, {}, 'queued', {selected}, {at}, {at})
         ON CONFLICT (id) DO NOTHING RETURNING {columns}",
        words.join(", "),
        texts.join(", ")
    );
    let action = match job.kind {
        JobKind::Redrive => JobAction::Redrive,
        JobKind::Discard => JobAction::Discard,
    };
    let entry = audit(job.at, &job.requested_by, action, job.id, &job.why, dialect);
    Change { guarded: true, statements: vec![(insert, parameters.0), entry] }
}

/// A line of the audit log, with the queue and the request of the job, which is there by then.
fn audit(
    at: Timestamp,
    requested_by: &str,
    action: JobAction,
    job: Uuid,
    why: &str,
    dialect: &Dialect,
) -> Statement {
    let mut parameters = Parameters::default();
    let at = parameters.number(at.as_millisecond());
    let by = parameters.text(requested_by);
    let (why, job) = (parameters.text(why), parameters.text(&job.to_string()));
    let (action, as_uuid) = (action.as_str(), dialect.as_uuid);
    let sql = format!(
        "INSERT INTO dlq_audit (at_ms, requested_by, action, queue, job_id, why, request)
         SELECT {at}, {by}, '{action}', queue, id, {why}, request
         FROM dlq_jobs WHERE id = {job}{as_uuid}"
    );
    (sql, parameters.0)
}

pub(super) fn claim(
    queue: &str,
    holder: &str,
    now: Timestamp,
    lease: Duration,
    dialect: &Dialect,
) -> Change {
    let mut parameters = Parameters::default();
    let (queue, holder) = (parameters.text(queue), parameters.text(holder));
    let until = parameters.number(end(now, lease));
    let now = parameters.number(now.as_millisecond());
    let columns = columns(dialect);
    // One that was asked for earlier may be written later: the one in hand is done first all the same.
    // The row's own columns are compared too: of two claims at once the second one waits for the first, and then
    // PostgreSQL looks again at the row alone.
    let sql = format!(
        "UPDATE dlq_jobs SET holder = {holder}, until_ms = {until}, step = step + 1,
            state = CASE state WHEN 'queued' THEN 'running' ELSE state END,
            started_at_ms = COALESCE(started_at_ms, {now}), updated_at_ms = {now}
         WHERE id = (SELECT id FROM dlq_jobs WHERE queue = {queue} AND finished_at_ms IS NULL
                ORDER BY created_at_ms, id LIMIT 1)
            AND finished_at_ms IS NULL
            AND (holder IN ('', {holder}) OR until_ms <= {now})
            AND NOT EXISTS (SELECT 1 FROM dlq_jobs AS other WHERE other.queue = {queue}
                AND other.finished_at_ms IS NULL AND other.holder NOT IN ('', {holder})
                AND other.until_ms > {now})
         RETURNING {columns}"
    );
    Change { guarded: true, statements: vec![(sql, parameters.0)] }
}

pub(super) fn cancel(
    id: Uuid,
    requested_by: &str,
    why: &str,
    now: Timestamp,
    dialect: &Dialect,
) -> Change {
    let mut parameters = Parameters::default();
    let (job, by) = (parameters.text(&id.to_string()), parameters.text(requested_by));
    let at = parameters.number(now.as_millisecond());
    let (as_uuid, columns) = (dialect.as_uuid, columns(dialect));
    let sql = format!(
        "UPDATE dlq_jobs SET cancelled_by = COALESCE(cancelled_by, {by}), updated_at_ms = {at}
         WHERE id = {job}{as_uuid} AND finished_at_ms IS NULL RETURNING {columns}"
    );
    let entry = audit(now, requested_by, JobAction::Cancel, id, why, dialect);
    Change { guarded: true, statements: vec![(sql, parameters.0), entry] }
}

pub(crate) fn checkpoint(checkpoint: &Checkpoint, dialect: &Dialect) -> Change {
    let mut statements = vec![job(checkpoint, dialect)];
    let marks = &checkpoint.marks;
    let archived: Vec<(&str, &Archived)> = marks
        .iter()
        .filter_map(|mark| match &mark.what {
            Marked::Archived(archived) => Some((mark.message_id.as_str(), archived)),
            _ => None,
        })
        .collect();
    if !archived.is_empty() {
        statements.push(archive(checkpoint, &archived, dialect));
    }
    // By what they came to, since a statement writes one of these.
    let mut by_outcome: BTreeMap<(&str, &str, Option<&str>), Vec<&str>> = BTreeMap::new();
    for Mark { message_id, what } in marks {
        let outcome = match what {
            Marked::Sent => ("sent", "redriven", None),
            Marked::Archived(_) => ("archived", "discarded", None),
            Marked::Refused(why) => ("dead", "refused", Some(why.as_str())),
            Marked::Failed(why) => ("dead", "failed", Some(why.as_str())),
        };
        by_outcome.entry(outcome).or_default().push(message_id);
    }
    for ((state, outcome, detail), message_ids) in by_outcome {
        statements.push(mark(checkpoint, state, outcome, detail, &message_ids, dialect));
    }
    if !checkpoint.deleted.is_empty() {
        let deleted: Vec<&str> = checkpoint.deleted.iter().map(String::as_str).collect();
        statements.push(delete(&checkpoint.queue, &deleted, dialect));
    }
    if checkpoint.all_moved {
        statements.push(all_moved(checkpoint, dialect));
    }
    Change { guarded: true, statements }
}

/// The job's own row: the guard of the whole.
fn job(checkpoint: &Checkpoint, dialect: &Dialect) -> Statement {
    let mut parameters = Parameters::default();
    let (as_uuid, columns) = (dialect.as_uuid, columns(dialect));
    let id = parameters.text(&checkpoint.job.to_string());
    let holder = parameters.text(&checkpoint.holder);
    let step = parameters.number(checkpoint.step);
    let (state, method) = (checkpoint.state.as_str(), checkpoint.method.as_str());
    let now = parameters.number(checkpoint.now.as_millisecond());
    let until = parameters.number(end(checkpoint.now, checkpoint.lease));
    let Progress { done, refused, failed, not_found, undeleted } = checkpoint.progress;
    let [done, refused, failed, not_found, undeleted] =
        [done, refused, failed, not_found, undeleted]
            .map(|count| parameters.number(count.cast_signed()));
    let canary_passed = parameters.number(i64::from(checkpoint.canary_passed));
    let [task, note] = [&checkpoint.task, &checkpoint.note]
        .map(|text| parameters.bind(Value::from(text.as_deref().map(bounded))));
    let ends = checkpoint.state.is_end();
    let finished = if ends { now.as_str() } else { "finished_at_ms" };
    let keeps = !ends && !checkpoint.lease.is_zero();
    let stays = if keeps { "holder" } else { "''" };
    let sql = format!(
        "UPDATE dlq_jobs SET step = step + 1, state = '{state}', method = '{method}', done = {done},
            refused = {refused}, failed = {failed}, not_found = {not_found},
            undeleted = {undeleted}, canary_passed = {canary_passed}, task = {task}, note = {note}, holder = {stays},
            until_ms = {until}, updated_at_ms = {now}, finished_at_ms = {finished}
         WHERE id = {id}{as_uuid} AND holder = {holder} AND step = {step} AND finished_at_ms IS NULL
         RETURNING {columns}"
    );
    (sql, parameters.0)
}

fn archive(
    checkpoint: &Checkpoint,
    archived: &[(&str, &Archived)],
    dialect: &Dialect,
) -> Statement {
    let mut parameters = Parameters::default();
    let queue = parameters.text(&checkpoint.queue);
    let job = parameters.text(&checkpoint.job.to_string());
    let now = parameters.number(checkpoint.now.as_millisecond());
    let as_uuid = dialect.as_uuid;
    let row = |(message_id, archived): &(&str, &Archived)| {
        let id = parameters.text(message_id);
        let group = parameters.bind(Value::from(archived.group.as_deref().map(bounded)));
        let body = parameters.bind(Value::Bytes(archived.body.clone().into_bytes()));
        let attributes = parameters.bind(Value::Text(without_nul(&archived.attributes)));
        format!("({queue}, {id}, {job}{as_uuid}, {group}, {body}, {attributes}, {now})")
    };
    let rows = archived.iter().map(row).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "INSERT INTO dead_letter_archive
            (queue, message_id, job_id, message_group, body, attributes, archived_at_ms)
         VALUES {rows} ON CONFLICT (queue, message_id) DO NOTHING"
    );
    (sql, parameters.0)
}

fn mark(
    checkpoint: &Checkpoint,
    state: &str,
    outcome: &str,
    detail: Option<&str>,
    message_ids: &[&str],
    dialect: &Dialect,
) -> Statement {
    let mut parameters = Parameters::default();
    let job = parameters.text(&checkpoint.job.to_string());
    let detail = parameters.bind(Value::from(detail.map(bounded)));
    let settled = if state == "dead" {
        "settled_at_ms".to_owned()
    } else {
        parameters.number(checkpoint.now.as_millisecond())
    };
    let these = these(&checkpoint.queue, message_ids, &mut parameters);
    let copied = if state == "sent" { "1" } else { "copied" };
    let (as_uuid, index) = (dialect.as_uuid, by_message(dialect));
    let sql = format!(
        "UPDATE dead_letters{index} SET state = '{state}', settled_at_ms = {settled}, job_id = {job}{as_uuid},
            job_outcome = '{outcome}', job_detail = {detail}, copied = {copied}
         WHERE {these} AND state = 'dead'"
    );
    (sql, parameters.0)
}

/// What SQS itself has moved: everything that was part of the job and is not dealt with otherwise.
fn all_moved(checkpoint: &Checkpoint, dialect: &Dialect) -> Statement {
    let mut parameters = Parameters::default();
    let job = parameters.text(&checkpoint.job.to_string());
    let queue = parameters.text(&checkpoint.queue);
    let now = parameters.number(checkpoint.now.as_millisecond());
    let as_uuid = dialect.as_uuid;
    let sql = format!(
        "UPDATE dead_letters SET state = 'redriven', settled_at_ms = {now}, job_id = {job}{as_uuid},
            job_outcome = 'redriven', job_detail = NULL, copied = 0
         WHERE queue = {queue} AND state = 'dead' AND (job_id IS NULL OR job_id <> {job}{as_uuid})
            AND id <= (SELECT through FROM dlq_jobs WHERE id = {job}{as_uuid})"
    );
    (sql, parameters.0)
}

fn end(now: Timestamp, lease: Duration) -> i64 {
    let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
    now.as_millisecond().saturating_add(lease)
}
