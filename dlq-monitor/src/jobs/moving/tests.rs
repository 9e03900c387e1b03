use std::time::Duration;

use super::*;

const AT: i64 = 1_700_000_000_000;

fn at(seconds: u64) -> Time {
    Time::new(Duration::from_secs(seconds))
}

fn task(status: MoveStatus, moved: u64) -> MoveTask {
    MoveTask { handle: Some("handle".to_owned()), status, moved, started_at_ms: AT }
}

fn saved(cancelled: bool) -> MoveEvent {
    MoveEvent::Saved(Ok((Saved::Yes { cancelled }, Some(AT))))
}

fn listed(tasks: &[MoveTask]) -> MoveEvent {
    MoveEvent::Listed(Ok(tasks.to_vec()))
}

/// A job whose task is started.
fn following() -> Moving {
    let mut job = Moving::new(Timing::DEFAULT, 5, None, 0, at(0));
    assert_eq!(job.next(at(0)), MoveAction::List);
    job.done(at(0), at(0), listed(&[task(MoveStatus::Completed, 7)]));
    assert!(matches!(job.next(at(0)), MoveAction::Write { asking: true, keep: true, .. }));
    job.done(at(0), at(0), saved(false));
    assert_eq!(job.next(at(0)), MoveAction::Start);
    job.done(at(0), at(0), MoveEvent::Started(Ok(())));
    job
}

/// Tells how many messages are in the queue when the task is done.
fn counts(job: &mut Moving, now: u64, count: u64) {
    assert_eq!(job.next(at(now)), MoveAction::Count);
    job.done(at(now), at(now), MoveEvent::Counted(Ok(count)));
}

fn ends(job: &mut Moving, now: u64) -> (JobState, Option<String>) {
    let MoveAction::Write { state, note, keep: false, .. } = job.next(at(now)) else {
        panic!("it ends");
    };
    job.done(at(now), at(now), saved(false));
    assert_eq!(job.next(at(now)), MoveAction::Stop);
    (state, note)
}

#[test]
fn a_task_is_started_when_that_is_written_down_and_followed_to_its_end() {
    let mut job = following();
    assert_eq!(job.next(at(0)), MoveAction::List);
    job.done(at(0), at(0), listed(&[task(MoveStatus::Running, 3)]));
    assert!(matches!(job.next(at(1)), MoveAction::Write { moved: 3, keep: true, .. }));
    job.done(at(1), at(1), saved(false));
    assert_eq!(job.next(at(1)), MoveAction::Wait { until: at(2) });
    job.done(at(1), at(2), MoveEvent::Woke);
    assert_eq!(job.next(at(2)), MoveAction::List);
    job.done(at(2), at(2), listed(&[task(MoveStatus::Completed, 5)]));
    assert_eq!(job.moved(), 5);
    assert!(matches!(job.next(at(2)), MoveAction::Write { moved: 5, keep: true, .. }));
    job.done(at(2), at(2), saved(false));
    counts(&mut job, 2, 0);
    assert_eq!(ends(&mut job, 2), (JobState::Completed, None));
}

#[test]
fn what_a_task_leaves_behind_is_done_message_by_message() {
    for moved in [0, 3] {
        let mut job = following();
        job.next(at(0));
        job.done(at(0), at(0), listed(&[task(MoveStatus::Completed, moved)]));
        let why = format!("its task moved {moved} of 5 messages");
        let otherwise = MoveAction::DoItOtherwise { why, moved: Some(moved) };
        assert_eq!(job.next(at(0)), otherwise);
        // Also when the process is to end, or the job: who goes on with it sees to that.
        job.stop();
        job.cancel();
        assert_eq!(job.next(at(0)), otherwise);
        assert_eq!(job.next(at(30)), MoveAction::Stop, "the lease is over");
    }
    // Whoever takes the job over before that is written down finds the same.
    let mut job = Moving::new(Timing::DEFAULT, 5, Some(AT), 2, at(0));
    job.next(at(0));
    job.done(at(0), at(0), listed(&[task(MoveStatus::Completed, 3)]));
    assert!(matches!(job.next(at(0)), MoveAction::DoItOtherwise { moved: Some(3), .. }));
}

#[test]
fn a_task_that_moved_enough_is_not_taken_for_one_that_moved_all() {
    let mut job = following();
    job.next(at(0));
    job.done(at(0), at(0), listed(&[task(MoveStatus::Completed, 5)]));
    job.next(at(0));
    job.done(at(0), at(0), saved(false));
    // SQS's numbers lag behind.
    counts(&mut job, 0, 2);
    assert_eq!(job.next(at(0)), MoveAction::Wait { until: at(2) });
    job.done(at(0), at(10), MoveEvent::Woke);
    assert!(matches!(job.next(at(10)), MoveAction::Write { keep: true, .. }), "it is renewed");
    job.done(at(10), at(10), saved(false));
    counts(&mut job, 10, 2);
    job.next(at(10));
    job.done(at(10), at(15), MoveEvent::Woke);
    counts(&mut job, 15, 2);
    let why = "its task is done, and about 2 messages are in the queue".to_owned();
    assert_eq!(job.next(at(15)), MoveAction::DoItOtherwise { why, moved: Some(5) });
    // One that took more along says so.
    let mut job = following();
    job.next(at(0));
    job.done(at(0), at(0), listed(&[task(MoveStatus::Completed, 7)]));
    job.next(at(0));
    job.done(at(0), at(0), saved(false));
    counts(&mut job, 0, 0);
    let note = "2 more than were meant went along: they arrived meanwhile".to_owned();
    assert_eq!(ends(&mut job, 0), (JobState::Completed, Some(note)));
}

#[test]
fn what_a_later_task_of_somebody_else_moves_is_not_counted() {
    let mut job = following();
    job.next(at(0));
    job.done(at(0), at(0), listed(&[task(MoveStatus::Running, 0)]));
    job.done(at(0), at(2), MoveEvent::Woke);
    assert_eq!(job.next(at(2)), MoveAction::List);
    let later = MoveTask { started_at_ms: AT + 1_000, ..task(MoveStatus::Running, 90) };
    job.done(at(2), at(2), listed(&[later, task(MoveStatus::Completed, 5)]));
    assert_eq!(job.moved(), 5);
}

#[test]
fn who_takes_the_job_over_finds_the_task_or_starts_it() {
    let mut job = Moving::new(Timing::DEFAULT, 5, Some(AT + 500), 0, at(0));
    assert_eq!(job.next(at(0)), MoveAction::List);
    job.done(at(0), at(0), listed(&[task(MoveStatus::Completed, 5)]));
    assert!(matches!(job.next(at(0)), MoveAction::Write { moved: 5, keep: true, .. }));
    job.done(at(0), at(0), saved(false));
    counts(&mut job, 0, 0);
    assert_eq!(ends(&mut job, 0), (JobState::Completed, None));
    let mut job = Moving::new(Timing::DEFAULT, 5, Some(AT + 60_000), 0, at(0));
    job.next(at(0));
    job.done(at(0), at(0), listed(&[task(MoveStatus::Completed, 5)]));
    assert_eq!(job.next(at(0)), MoveAction::Start, "that one was before");
    // The answer got lost.
    let lost = MoveEvent::Started(Err(StartError::Unknown("no answer".to_owned())));
    job.done(at(0), at(0), lost);
    assert_eq!(job.next(at(0)), MoveAction::Wait { until: at(1) });
    assert_eq!(job.next(at(1)), MoveAction::List);
}

#[test]
fn a_cancelled_job_ends_the_task_and_waits_for_that() {
    let mut job = following();
    job.cancel();
    job.next(at(0));
    job.done(at(0), at(0), listed(&[task(MoveStatus::Running, 0)]));
    assert_eq!(job.next(at(0)), MoveAction::Cancel { handle: "handle".to_owned() });
    job.done(at(0), at(0), MoveEvent::Cancelled);
    assert_eq!(job.next(at(2)), MoveAction::List);
    job.done(at(2), at(2), listed(&[task(MoveStatus::Cancelled, 0)]));
    assert_eq!(ends(&mut job, 2).0, JobState::Cancelled);
    // One that is not begun is only ended.
    let mut job = Moving::new(Timing::DEFAULT, 5, None, 0, at(0));
    job.cancel();
    assert_eq!(ends(&mut job, 0).0, JobState::Cancelled);
}

#[test]
fn what_sqs_does_not_move_is_done_otherwise_and_another_task_is_not_taken_for_ones_own() {
    let mut job = Moving::new(Timing::DEFAULT, 5, None, 0, at(0));
    job.next(at(0));
    job.done(at(0), at(0), listed(&[task(MoveStatus::Running, 1)]));
    assert_eq!(ends(&mut job, 0).0, JobState::Failed);
    let mut job = Moving::new(Timing::DEFAULT, 5, Some(AT), 0, at(0));
    job.next(at(0));
    job.done(at(0), at(0), listed(&[]));
    assert_eq!(job.next(at(0)), MoveAction::Start);
    let refused = StartError::Refused("not a dead-letter queue".to_owned());
    job.done(at(0), at(0), MoveEvent::Started(Err(refused)));
    let why = "not a dead-letter queue".to_owned();
    assert_eq!(job.next(at(0)), MoveAction::DoItOtherwise { why, moved: None });
}

#[test]
fn nothing_is_done_when_the_lease_is_over_or_the_job_is_anothers() {
    let mut job = following();
    assert_eq!(job.next(at(30)), MoveAction::Stop);
    let mut job = following();
    assert!(matches!(job.next(at(10)), MoveAction::Write { .. }), "it is renewed");
    job.done(at(10), at(10), MoveEvent::Saved(Ok((Saved::Lost, None))));
    assert_eq!(job.next(at(10)), MoveAction::Stop);
    let mut job = following();
    job.stop();
    assert!(matches!(job.next(at(1)), MoveAction::Write { keep: false, .. }));
    job.done(at(1), at(1), saved(false));
    assert_eq!(job.next(at(1)), MoveAction::Stop);
}
