//! What every database behind the store must do with jobs and their audit log.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use order_events::DeliveryStatus::{Delivered, Failed, Pending};
use order_store::{
    Archived, CanaryCount, Checkpoint, DeadLetterFilter, DeadLetterState, Job, JobAction, JobKind,
    JobMethod, JobState, Left, Mark, Marked, NewDeadLetter, NewJob, Progress, Store,
};
use uuid::Uuid;

use crate::{
    dead_letters::{DLQ, at, letter, one},
    support::{TestDatabase, on_both, open, record},
};

const LEASE: Duration = Duration::from_secs(30);

pub(crate) fn new_job(number: u32, kind: JobKind) -> NewJob {
    NewJob {
        id: Uuid::from_u128(1000 + u128::from(number)),
        kind,
        method: JobMethod::Messages,
        queue: DLQ.to_owned(),
        request: "{\"all\":true}".to_owned(),
        through: i64::MAX,
        requested_by: "고객센터".to_owned(),
        why: "the rule is off".to_owned(),
        selected: 3,
        at: at(i64::from(number)),
    }
}

pub(crate) async fn claimed(store: &Store, holder: &str, now: Timestamp) -> Option<Job> {
    store.claim_job(DLQ, holder, now, LEASE).await.expect("the store answers")
}

pub(crate) fn checkpoint(job: &Job, now: Timestamp) -> Checkpoint {
    Checkpoint {
        job: job.id,
        queue: job.queue.clone(),
        holder: job.holder.clone(),
        step: job.step,
        state: job.state,
        method: job.method,
        progress: job.progress,
        canary_passed: job.canary_passed,
        task: None,
        note: None,
        marks: Vec::new(),
        deleted: Vec::new(),
        all_moved: false,
        now,
        lease: LEASE,
    }
}

pub(crate) fn mark(number: u32, what: Marked) -> Mark {
    Mark { message_id: format!("message-{number}"), what }
}

pub(crate) async fn with_letters(database: &impl TestDatabase, count: u32) -> Store {
    let store = open(database).await;
    let letters: Vec<_> = (0..count).map(|number| letter(number, 0)).collect();
    store.keep_dead_letters(&letters).await.expect("they are kept");
    store
}

async fn a_job_is_kept_together_with_who_asked_for_it_and_why(database: &impl TestDatabase) {
    let store = open(database).await;
    let job = store.create_job(&new_job(1, JobKind::Redrive)).await.expect("it is kept");
    assert_eq!((job.state, job.step), (JobState::Queued, 0));
    assert_eq!(store.find_job(job.id).await, Ok(Some(job.clone())));
    store.create_job(&new_job(2, JobKind::Discard)).await.expect("it is kept");
    let cancelled = store.cancel_job(job.id, "somebody else", "a mistake", at(9)).await;
    let cancelled = cancelled.expect("the store answers").expect("it is not finished");
    assert_eq!(cancelled.cancelled_by.as_deref(), Some("somebody else"));
    let audit = store.audit_page(None, 10).await.expect("a page");
    let actions: Vec<_> = audit.iter().map(|entry| entry.action).collect();
    assert_eq!(actions, [JobAction::Cancel, JobAction::Discard, JobAction::Redrive]);
    let first = &audit[2];
    assert_eq!((first.requested_by.as_str(), first.why.as_str()), ("고객센터", "the rule is off"));
    assert_eq!((first.queue.as_str(), first.job_id, first.at), (DLQ, job.id, at(1)));
    assert_eq!(first.request, "{\"all\":true}");
    assert_eq!((audit[0].why.as_str(), audit[0].at), ("a mistake", at(9)));
    assert!(
        audit.iter().all(|entry| entry.selected == Some(3)),
        "as many as each job has: {audit:?}"
    );
    let older = store.audit_page(Some(audit[1].id), 10).await.expect("a page");
    assert_eq!(older, audit[2..]);
    assert_eq!(store.cancel_job(Uuid::from_u128(7), "x", "y", at(9)).await, Ok(None));
}

async fn a_job_that_is_asked_for_twice_is_kept_once(database: &impl TestDatabase) {
    let (store, other) = (open(database).await, open(database).await);
    let asked = new_job(1, JobKind::Redrive);
    let again = NewJob { why: "another click".to_owned(), selected: 9, ..asked.clone() };
    let (first, second) = tokio::join!(store.create_job(&asked), other.create_job(&again));
    let first = first.expect("the store answers");
    assert_eq!(second, Ok(first.clone()), "whichever came first is both's");
    assert_eq!(store.create_job(&again).await, Ok(first.clone()));
    let audit = store.audit_page(None, 10).await.expect("a page");
    let whys: Vec<_> = audit.iter().map(|entry| &entry.why).collect();
    assert_eq!(whys, [&first.why]);
}

async fn the_jobs_that_are_not_over_are_listed_oldest_first(database: &impl TestDatabase) {
    let store = open(database).await;
    for number in [3, 1, 2] {
        store.create_job(&new_job(number, JobKind::Redrive)).await.expect("it is kept");
    }
    let ids = |jobs: Vec<Job>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
    let [one, two, three] = [1, 2, 3].map(|number| new_job(number, JobKind::Redrive).id);
    assert_eq!(ids(store.open_jobs(2).await.expect("a list")), [one, two]);
    let job = claimed(&store, "a", at(10)).await.expect("it is there");
    let over = Checkpoint { state: JobState::Completed, ..checkpoint(&job, at(11)) };
    store.write_checkpoint(&over).await.expect("it is written").expect("it is the holder's");
    assert_eq!(ids(store.open_jobs(9).await.expect("a list")), [two, three]);
}

async fn one_holder_at_a_time_has_the_oldest_job_of_a_queue(database: &impl TestDatabase) {
    let store = open(database).await;
    for number in [2, 1] {
        store.create_job(&new_job(number, JobKind::Redrive)).await.expect("it is kept");
    }
    let others = join_all((0..4).map(|_| open(database))).await;
    let holders = ["a", "b", "c", "d"];
    let claims = others.iter().zip(holders).map(|(store, holder)| claimed(store, holder, at(10)));
    let won: Vec<Job> = join_all(claims).await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "{won:?}");
    let job = &won[0];
    assert_eq!(job.id, new_job(1, JobKind::Redrive).id, "the older one");
    assert_eq!((job.state, job.started_at), (JobState::Running, Some(at(10))));
    // The holder may take it again; others when its time is over.
    assert!(claimed(&store, &job.holder, at(20)).await.is_some());
    assert_eq!(claimed(&store, "e", at(49)).await, None);
    let taken = claimed(&store, "e", at(50)).await.expect("the lease is over");
    assert_eq!((taken.id, taken.started_at), (job.id, Some(at(10))));
    // Who had it before writes nothing any more.
    assert_eq!(store.write_checkpoint(&checkpoint(job, at(51))).await, Ok(None));
    let mut ended = checkpoint(&taken, at(52));
    ended.state = JobState::Completed;
    let ended = store.write_checkpoint(&ended).await.expect("an answer").expect("it is written");
    assert_eq!((ended.state, ended.finished_at), (JobState::Completed, Some(at(52))));
    assert_eq!(store.cancel_job(ended.id, "x", "y", at(53)).await, Ok(None), "it is finished");
    let next = claimed(&store, "b", at(53)).await.expect("the other one");
    assert_eq!(next.id, new_job(2, JobKind::Redrive).id);
}

async fn an_older_job_that_is_kept_later_waits_for_the_one_in_hand(database: &impl TestDatabase) {
    let store = open(database).await;
    let in_other_hands = async |holder: &str, now| {
        store.is_to_be_left_alone(DLQ, holder, now).await.expect("the store answers")
    };
    store.create_job(&new_job(2, JobKind::Redrive)).await.expect("it is kept");
    assert!(!in_other_hands("a", at(10)).await, "nobody has it");
    let job = claimed(&store, "b", at(10)).await.expect("a job");
    store.create_job(&new_job(1, JobKind::Redrive)).await.expect("it is kept");
    assert_eq!(claimed(&store, "a", at(11)).await, None);
    assert!(in_other_hands("a", at(11)).await);
    assert!(!in_other_hands("b", at(11)).await, "its own hands");
    assert!(!in_other_hands("a", at(40)).await, "the lease is over");
    let mut ended = checkpoint(&job, at(12));
    ended.state = JobState::Completed;
    store.write_checkpoint(&ended).await.expect("an answer").expect("it is written");
    assert!(!in_other_hands("a", at(13)).await, "it is finished");
    let next = claimed(&store, "a", at(13)).await.expect("the older one");
    assert_eq!(next.id, new_job(1, JobKind::Redrive).id);
}

async fn a_queue_that_sqs_may_be_moving_is_left_alone_by_everybody(database: &impl TestDatabase) {
    let store = open(database).await;
    let left_alone = async |holder: &str, now| {
        store.is_to_be_left_alone(DLQ, holder, now).await.expect("the store answers")
    };
    let moving = NewJob { method: JobMethod::MoveTask, ..new_job(1, JobKind::Redrive) };
    store.create_job(&moving).await.expect("it is kept");
    assert!(!left_alone("a", at(10)).await, "nothing is begun");
    let job = claimed(&store, "b", at(10)).await.expect("a job");
    for (holder, now) in [("a", 11), ("b", 11), ("a", 90)] {
        assert!(left_alone(holder, at(now)).await, "{holder} at {now}");
    }
    let mut given_up = checkpoint(&job, at(12));
    (given_up.method, given_up.lease) = (JobMethod::MoveTask, Duration::ZERO);
    store.write_checkpoint(&given_up).await.expect("an answer").expect("it is written");
    assert!(left_alone("a", at(13)).await, "nobody has it, and SQS goes on");
    let job = claimed(&store, "a", at(14)).await.expect("the same");
    let otherwise = Checkpoint { method: JobMethod::Messages, ..checkpoint(&job, at(15)) };
    store.write_checkpoint(&otherwise).await.expect("an answer").expect("it is written");
    assert!(!left_alone("a", at(16)).await, "its own hands");
    assert!(left_alone("b", at(16)).await);
}

async fn a_checkpoint_is_written_once_with_everything_in_it(database: &impl TestDatabase) {
    let store = with_letters(database, 5).await;
    store.create_job(&new_job(1, JobKind::Redrive)).await.expect("it is kept");
    let job = claimed(&store, "a", at(10)).await.expect("a job");
    let mut sent = checkpoint(&job, at(11));
    sent.progress = Progress { done: 2, refused: 1, failed: 1, not_found: 3, undeleted: 4 };
    sent.marks = vec![
        mark(0, Marked::Sent),
        mark(1, Marked::Sent),
        mark(2, Marked::Refused("newer ones were delivered".to_owned())),
        mark(3, Marked::Failed("too large".to_owned())),
    ];
    sent.note = Some("SQS is slow".to_owned());
    let written = store.write_checkpoint(&sent).await.expect("an answer").expect("it is written");
    assert_eq!((written.step, written.progress), (job.step + 1, sent.progress));
    assert_eq!(written.note.as_deref(), Some("SQS is slow"));
    assert_eq!(written.until, at(41));
    // Whoever does not know whether it was written sees that from the step.
    assert_eq!(store.write_checkpoint(&sent).await, Ok(None));
    let found = store.find_job(job.id).await.expect("an answer").expect("it is there");
    assert_eq!((found.step, found.holder.as_str()), (job.step + 1, "a"));
    let letter = one(&store, "message-0").await;
    assert_eq!((letter.state, letter.settled_at), (DeadLetterState::Sent, Some(at(11))));
    assert_eq!(letter.job.map(|mark| mark.outcome), Some("redriven".to_owned()));
    for (number, outcome, why) in
        [(2, "refused", "newer ones were delivered"), (3, "failed", "too large")]
    {
        let letter = one(&store, &format!("message-{number}")).await;
        assert_eq!(letter.state, DeadLetterState::Dead);
        let mark = letter.job.expect("a mark");
        assert_eq!((mark.outcome.as_str(), mark.detail.as_deref()), (outcome, Some(why)));
    }
    let filter = DeadLetterFilter::default();
    let all = Left { through: i64::MAX, sent_by: None, job: job.id };
    let left = store.count_left(DLQ, &filter, &all).await;
    assert_eq!(left, Ok(1), "what the job has dealt with is not left");
    assert_eq!(store.count_undeleted(job.id).await, Ok(2));
    let mut deleted = checkpoint(&written, at(12));
    deleted.deleted = vec!["message-0".to_owned()];
    deleted.lease = Duration::ZERO;
    let given_up = store.write_checkpoint(&deleted).await.expect("an answer").expect("written");
    assert_eq!((given_up.holder.as_str(), given_up.state), ("", JobState::Running));
    assert_eq!(one(&store, "message-0").await.state, DeadLetterState::Redriven);
    assert_eq!(store.count_undeleted(job.id).await, Ok(1));
    let items = store.dead_letters_of_job(job.id, 0, 3).await.expect("a page");
    assert_eq!(items.len(), 3);
    let rest = store.dead_letters_of_job(job.id, items[2].id, 3).await.expect("a page");
    assert_eq!(rest.len(), 1);
    assert!(claimed(&store, "b", at(13)).await.is_some(), "it was given up");
}

async fn what_is_discarded_is_in_the_archive_with_the_same_commit(database: &impl TestDatabase) {
    let store = with_letters(database, 2).await;
    store.create_job(&new_job(1, JobKind::Discard)).await.expect("it is kept");
    let job = claimed(&store, "a", at(10)).await.expect("a job");
    let body = format!("\0{}", "x".repeat(1_000_000));
    let archived = Archived {
        group: None,
        body: body.clone(),
        attributes: "{\"reason\":\"forced\"}".to_owned(),
    };
    let mut first = checkpoint(&job, at(11));
    first.marks = vec![mark(0, Marked::Archived(archived.clone()))];
    let first = store.write_checkpoint(&first).await.expect("an answer").expect("it is written");
    assert_eq!(one(&store, "message-0").await.state, DeadLetterState::Archived);
    let mut last = checkpoint(&first, at(12));
    last.deleted = vec!["message-0".to_owned()];
    last.state = JobState::Completed;
    store.write_checkpoint(&last).await.expect("an answer").expect("it is written");
    assert_eq!(one(&store, "message-0").await.state, DeadLetterState::Discarded);
    // What a monitor kept of it is forgotten at some time; the archive stays.
    assert_eq!(store.forget_dead_letters_before(at(1_000_000), 500).await, Ok(0));
    let content = store.dead_letter_content(DLQ, "message-0").await.expect("an answer");
    assert!(content.is_some());
    // A message that was never kept otherwise.
    store.create_job(&new_job(2, JobKind::Discard)).await.expect("it is kept");
    let job = claimed(&store, "a", at(20)).await.expect("a job");
    let mut other = checkpoint(&job, at(21));
    other.marks = vec![mark(9, Marked::Archived(archived))];
    store.write_checkpoint(&other).await.expect("an answer").expect("it is written");
    let content = store.dead_letter_content(DLQ, "message-9").await.expect("an answer");
    let content = content.expect("it is in the archive");
    assert_eq!((content.body, content.attributes.as_str()), (body, "{\"reason\":\"forced\"}"));
}

async fn what_sqs_has_moved_is_redriven_as_a_whole(database: &impl TestDatabase) {
    let store = with_letters(database, 3).await;
    let through = one(&store, "message-1").await.id;
    let job = NewJob { through, method: JobMethod::MoveTask, ..new_job(1, JobKind::Redrive) };
    store.create_job(&job).await.expect("it is kept");
    let job = claimed(&store, "a", at(10)).await.expect("a job");
    let mut moved = checkpoint(&job, at(11));
    moved.all_moved = true;
    moved.task = Some("started".to_owned());
    let written = store.write_checkpoint(&moved).await.expect("an answer").expect("it is written");
    assert_eq!(written.task.as_deref(), Some("started"));
    let mut states = Vec::new();
    for number in 0..3 {
        states.push(one(&store, &format!("message-{number}")).await.state);
    }
    let redriven = DeadLetterState::Redriven;
    assert_eq!(states, [redriven, redriven, DeadLetterState::Dead], "the last one came later");
}

async fn what_sqs_has_moved_is_not_what_the_job_itself_has_left(database: &impl TestDatabase) {
    let store = with_letters(database, 2).await;
    store.create_job(&new_job(1, JobKind::Redrive)).await.expect("it is kept");
    let job = claimed(&store, "a", at(10)).await.expect("a job");
    let mut failed = checkpoint(&job, at(11));
    failed.marks = vec![mark(0, Marked::Failed("too large".to_owned()))];
    let job = store.write_checkpoint(&failed).await.expect("an answer").expect("it is written");
    let mut moved = checkpoint(&job, at(12));
    moved.all_moved = true;
    store.write_checkpoint(&moved).await.expect("an answer").expect("it is written");
    let left = one(&store, "message-0").await;
    let outcome = left.job.map(|mark| mark.outcome);
    assert_eq!((left.state, outcome.as_deref()), (DeadLetterState::Dead, Some("failed")));
    assert_eq!(one(&store, "message-1").await.state, DeadLetterState::Redriven);
}

async fn the_canary_is_what_became_of_the_redriven_orders(database: &impl TestDatabase) {
    let store = with_letters(database, 5).await;
    store.create_job(&new_job(1, JobKind::Redrive)).await.expect("it is kept");
    let job = claimed(&store, "a", at(-3)).await.expect("a job");
    let mut sent = checkpoint(&job, at(-2));
    sent.marks = (0..5).map(|number| mark(number, Marked::Sent)).collect();
    store.write_checkpoint(&sent).await.expect("an answer").expect("it is written");
    let count = |delivered, failed, waiting| Ok(CanaryCount { delivered, failed, waiting });
    assert_eq!(store.canary_count(job.id).await, count(0, 0, 5));
    // Attempts end some milliseconds after the second in which records begin, which is after that.
    store.write(record(Uuid::from_u128(0), 1, Delivered)).await.expect("it is written");
    store.write(record(Uuid::from_u128(1), 1, Failed)).await.expect("it is written");
    store.write(record(Uuid::from_u128(2), 1, Pending)).await.expect("it is written");
    // One that failed before it was redriven says nothing.
    let mut before = record(Uuid::from_u128(3), 1, Failed);
    before.attempt.finished_at = at(-100);
    store.write(before).await.expect("it is written");
    assert_eq!(store.canary_count(job.id).await, count(1, 1, 3));
    // Its copy died under another message id.
    let again = NewDeadLetter { message_id: "another".to_owned(), ..letter(4, 5) };
    store.keep_dead_letters(&[again]).await.expect("it is kept");
    assert_eq!(store.canary_count(job.id).await, count(1, 2, 2));
}

async fn jobs_are_listed_those_asked_for_last_in_front(database: &impl TestDatabase) {
    let store = open(database).await;
    for number in 0..5 {
        let queue = if number == 3 { "other" } else { DLQ };
        let job = NewJob { queue: queue.to_owned(), ..new_job(number, JobKind::Redrive) };
        store.create_job(&job).await.expect("it is kept");
    }
    let number = |job: &Job| job.created_at.as_second() - at(0).as_second();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = store.job_page(None, None, after, 2).await.expect("a page");
        let Some(last) = page.last() else { break };
        after = Some(last.position());
        listed.extend(page.iter().map(number));
    }
    assert_eq!(listed, [4, 3, 2, 1, 0]);
    let of_queue = store.job_page(Some("other"), None, None, 10).await.expect("a page");
    assert_eq!(of_queue.iter().map(number).collect::<Vec<_>>(), [3]);
    claimed(&store, "a", at(10)).await.expect("a job");
    let running = store.job_page(None, Some(JobState::Running), None, 10).await.expect("a page");
    assert_eq!(running.iter().map(number).collect::<Vec<_>>(), [0]);
}

on_both! {
    a_job_is_kept_together_with_who_asked_for_it_and_why,
    a_job_that_is_asked_for_twice_is_kept_once,
    the_jobs_that_are_not_over_are_listed_oldest_first,
    one_holder_at_a_time_has_the_oldest_job_of_a_queue,
    an_older_job_that_is_kept_later_waits_for_the_one_in_hand,
    a_queue_that_sqs_may_be_moving_is_left_alone_by_everybody,
    a_checkpoint_is_written_once_with_everything_in_it,
    what_is_discarded_is_in_the_archive_with_the_same_commit,
    what_sqs_has_moved_is_redriven_as_a_whole,
    what_sqs_has_moved_is_not_what_the_job_itself_has_left,
    the_canary_is_what_became_of_the_redriven_orders,
    jobs_are_listed_those_asked_for_last_in_front,
}
