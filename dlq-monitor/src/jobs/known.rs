//! What is known of a job beside its counts: it is kept as the job's `task`, and told in its note.

use order_store::{Job, Progress};

/// A move task has ended and left messages behind; this, and how many it moved.
const MOVED: &str = "moved ";
/// This, and about how many messages were in the source queue when a job that keeps order began; not how
/// many when that could not be read.
const IN_SOURCE: &str = "in source ";

/// How many messages of a job SQS has moved whose others are done message by message.
pub(super) fn moved_of(job: &Job) -> Option<u64> {
    job.task.as_deref()?.strip_prefix(MOVED)?.parse().ok()
}

/// That SQS has moved so many.
pub(super) fn moved(count: u64) -> String {
    format!("{MOVED}{count}")
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
pub(super) fn note(
    job: &Job,
    progress: Progress,
    ends: bool,
    note: Option<String>,
) -> Option<String> {
    let first = about_move(job).or_else(|| about_source(job));
    let Progress { done, refused, failed, not_found } = progress;
    let more = (done + refused + failed + not_found).saturating_sub(job.selected);
    let last = (ends && more > 0).then(|| arrived(more));
    let parts: Vec<String> = [first, note, last].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
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
