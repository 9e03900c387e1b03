//! What is known of a job beside its counts: it is kept as the job's `task`, and told in its note.

use order_store::{Job, JobKind, JobState, Progress};

/// A move task has ended and left messages behind; this, and how many it moved.
const MOVED: &str = "moved ";
/// This, and about how many messages were in the source queue when a job that keeps order began; not how
/// many when that could not be read.
const IN_SOURCE: &str = "in source ";

/// SQS is not to move the queue, or refused to; this, and why.
const NOT_MOVED: &str = "not moved ";

/// How many messages of a job SQS has moved whose others are done message by message.
pub(super) fn moved_of(job: &Job) -> Option<u64> {
    job.task.as_deref()?.strip_prefix(MOVED)?.parse().ok()
}

/// That SQS has moved so many.
pub(super) fn moved(count: u64) -> String {
    format!("{MOVED}{count}")
}

/// That SQS does not move the queue, and why.
pub(super) fn not_moved(why: &str) -> String {
    format!("{NOT_MOVED}{why}")
}

/// That about so many messages were in the source queue at first.
pub(super) fn in_source(count: Option<u64>) -> String {
    count.map_or_else(|| IN_SOURCE.to_owned(), |count| format!("{IN_SOURCE}{count}"))
}

/// How many messages of a job are left that SQS has moved a part of. `dead`: so many letters of it are not
/// dealt with as far as is known, those that SQS has moved among them. `in_queue`: about so many messages
/// are in the queue, hidden ones too, that may be of it. What SQS counts as moved may have arrived
/// meanwhile, so there may be more left than its count leaves open, and what is gone is in no queue.
pub(super) fn left_after_move(job: &Job, dead: u64, in_queue: u64) -> u64 {
    let Progress { done, refused, failed, .. } = job.progress;
    let open = job.selected.saturating_sub(done + refused + failed);
    dead.min(open.max(in_queue))
}

/// The note of a job that is so far: behind what is known of it, what holds it up or why it ended.
/// `behind`: what was not in sight when it was asked for is part of it.
pub(super) fn note(
    job: &Job,
    progress: Progress,
    state: JobState,
    behind: bool,
    note: Option<String>,
) -> Option<String> {
    let first = about_move(job).or_else(|| about_source(job)).or_else(|| about_no_move(job));
    let Progress { done, refused, failed, not_found, undeleted } = progress;
    let dealt_with = done + refused + failed + not_found;
    let ends = state.is_end();
    let more = dealt_with.saturating_sub(job.selected);
    let last = match (ends && more > 0, behind) {
        (false, _) => None,
        (true, true) => Some(format!(
            "{more} more than were in sight are counted: they stood behind those in their groups, and \
             were dead when the job was asked for"
        )),
        (true, false) => Some(arrived(more)),
    };
    let others = job.selected.saturating_sub(dealt_with);
    let is_complete = state == JobState::Completed && others > 0;
    let others = is_complete.then(|| {
        format!("{others} were dealt with by another job, or went away, before their turn came")
    });
    let undeleted = (ends && undeleted > 0).then(|| about_undeleted(job.kind, undeleted));
    let parts: Vec<String> = [first, note, undeleted, others, last].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What becomes of what is copied and not known to be deleted.
fn about_undeleted(kind: JobKind, undeleted: u64) -> String {
    let (place, never) = match kind {
        JobKind::Redrive => ("are back in the source queue", "not sent again"),
        JobKind::Discard => ("are in the archive", "not delivered"),
    };
    format!(
        "{undeleted} {place} and are not known to be deleted from the dead-letter queue: they are deleted \
         when the monitor meets them there, and {never}"
    )
}

/// That SQS has taken along so many messages more than were meant.
pub(super) fn arrived(more: u64) -> String {
    format!("{more} more than were meant went along: they arrived meanwhile")
}

fn about_move(job: &Job) -> Option<String> {
    let (moved, selected) = (moved_of(job)?, job.selected);
    Some(if moved < selected {
        format!("SQS moved {moved} of {selected} messages, the others go message by message")
    } else {
        format!(
            "SQS moved {moved} messages, not all of them of the {selected} that were meant: the others go \
             message by message"
        )
    })
}

fn about_no_move(job: &Job) -> Option<String> {
    let why = job.task.as_deref()?.strip_prefix(NOT_MOVED)?;
    Some(format!("SQS does not move the queue, they go message by message: {why}"))
}

fn about_source(job: &Job) -> Option<String> {
    let count = match job.task.as_deref()?.strip_prefix(IN_SOURCE)? {
        "0" => return None,
        "" => "how many is not known".to_owned(),
        count => format!("about {count}"),
    };
    Some(format!(
        "the source queue held messages when the job began ({count}): newer ones of the same groups among \
         them that no worker had attempted cannot be seen, and are delivered first"
    ))
}
