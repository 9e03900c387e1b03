//! What is known of a job beside its counts: it is kept as the job's `task`, and told in its note.

use order_store::Job;

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

/// The note of a job: behind what is known of it, what holds it up or why it ended.
pub(super) fn note(job: &Job, note: Option<String>) -> Option<String> {
    let first = about_move(job).or_else(|| about_source(job));
    match (first, note) {
        (Some(first), Some(note)) => Some(format!("{first}; {note}")),
        (first, note) => first.or(note),
    }
}

fn about_move(job: &Job) -> Option<String> {
    let (moved, selected) = (moved_of(job)?, job.selected);
    Some(format!("SQS moved {moved} of {selected} messages, the others go message by message"))
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
