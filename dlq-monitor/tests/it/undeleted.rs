//! Messages that a job has copied or archived, and that are still in the dead-letter queue when it ends:
//! they are counted, deleted when they are met, and neither sent again nor delivered.

use std::time::Duration;

use jiff::Timestamp;
use local_sqs::{FaultRule, Faults};
use order_store::{
    Archived, Checkpoint, JobKind, JobMethod, JobState, Mark, Marked, NewJob, Progress, Store,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    Database, FIFO, FIFO_DLQ, Monitor, STANDARD, STANDARD_DLQ, Sqs, eventually, started,
};

/// From now on SQS deletes nothing.
fn deletes_fail(sqs: &Sqs) {
    let rule = FaultRule {
        operation: Some("DeleteMessageBatch".to_owned()),
        error_rate: 1.0,
        ..FaultRule::default()
    };
    sqs.handle.set_faults(Faults { seed: 1, rules: vec![rule] });
}

/// What is told of a dead-letter queue's messages.
async fn told_of(monitor: &Monitor, queue: &str) -> Value {
    let queues = monitor.json("/api/dlq/queues").await;
    let queues = queues["queues"].as_array().expect("a list").iter();
    let found = queues.into_iter().find(|told| told["queue"] == queue);
    found.expect("it is watched")["deadLetters"].clone()
}

async fn in_state(monitor: &Monitor, state: &str) -> usize {
    let page = monitor.json(&format!("/api/dlq/messages?limit=200&state={state}")).await;
    page["items"].as_array().map_or(0, Vec::len)
}

/// A job whose deletions fail is ended; what it has left behind is deleted once SQS works again.
async fn ended_with_undeleted(kind: &str, fifo: bool) {
    let what = format!("{kind}, fifo {fifo}");
    let (sqs, _database, monitor) = started().await;
    let (source, dead) = if fifo { (FIFO, FIFO_DLQ) } else { (STANDARD, STANDARD_DLQ) };
    for i in 0..6 {
        sqs.send_in_group(dead, &format!("g-{}", i % 2), &i.to_string(), &[]).await;
    }
    monitor.letters(dead, 6).await;
    deletes_fail(&sqs);
    let body = json!({
        "queue": dead, "filter": { "reason": "unknown" }, "reason": "never deliver these",
    });
    let id = monitor.begin(kind, body).await;
    // Of a FIFO group the next message goes back when the one before is deleted.
    let done = if kind == "redrive" && fifo { 2 } else { 6 };
    let path = format!("/api/dlq/jobs/{id}");
    eventually("they are copied", || async {
        (monitor.json(&path).await["done"] == done).then_some(())
    })
    .await;
    let answer = monitor.post(&format!("{path}/cancel"), json!({ "reason": "a test" })).await;
    assert_eq!(answer.status, 200, "{what}: {answer:?}");
    let job = monitor.ended(&id).await;
    assert_eq!(
        (&job["state"], &job["undeleted"]),
        (&"cancelled".into(), &done.into()),
        "{what}: {job}"
    );
    assert_eq!(job["notFound"], 0, "{what}: {job}");
    let note = job["note"].as_str().expect("a note");
    assert!(note.contains("were not deleted from the dead-letter queue"), "{what}: {note}");
    assert!(!note.contains("arrived meanwhile"), "{what}: {note}");
    let told = told_of(&monitor, dead).await;
    assert_eq!(
        (&told["undeleted"], &told["known"]),
        (&done.into(), &(6 - done).into()),
        "{what}: {told}"
    );
    let thought = json!({ "queue": dead, "all": true, "dryRun": true });
    let thought = monitor.post("/api/dlq/redrive", thought).await.json();
    assert_eq!(
        (&thought["method"], &thought["undeleted"]),
        (&"messages".into(), &done.into()),
        "{what}"
    );
    if done == 6 {
        let state = if kind == "redrive" { "sent" } else { "archived" };
        let listed = monitor.json(&format!("/api/dlq/messages?state={state}")).await;
        let again = json!({ "queue": dead, "ids": [listed["items"][0]["messageId"]] });
        let answer = monitor.post("/api/dlq/redrive", again).await;
        assert_eq!(answer.problem(), "count-differs", "{what}");
        assert!(format!("{answer:?}").contains("deleted when the monitor meets it"), "{answer:?}");
    }
    sqs.handle.set_faults(Faults::default());
    let left = 6 - usize::try_from(done).expect("it is small");
    eventually("they are deleted", || async { (sqs.count(dead) == left).then_some(()) }).await;
    let over = if kind == "redrive" { "redriven" } else { "discarded" };
    eventually("that is written down", || async {
        (in_state(&monitor, over).await == 6 - left).then_some(())
    })
    .await;
    assert_eq!(told_of(&monitor, dead).await["undeleted"], 0, "{what}");
    monitor.letters(dead, left).await;
    let copies = if kind == "redrive" { 6 - left } else { 0 };
    assert_eq!(
        sqs.count(source),
        copies,
        "{what}: none is sent again, and none that was discarded"
    );
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cancelled_job_has_not_deleted_is_told_and_deleted_later() {
    let mut running = tokio::task::JoinSet::new();
    for kind in ["redrive", "discard"] {
        for fifo in [true, false] {
            running.spawn(ended_with_undeleted(kind, fifo));
        }
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("it holds");
    }
}

/// Writes down that somebody discarded, or redrove, these messages, and was killed before he deleted them.
async fn left_behind(store: &Store, letters: &[Value], kind: JobKind) {
    let job = new_job(kind, JobMethod::Messages, letters.len() as u64);
    store.create_job(&job).await.expect("it is kept");
    let lease = Duration::from_secs(1);
    let claimed = store.claim_job(STANDARD_DLQ, "the killed", job.at, lease).await;
    let claimed = claimed.expect("an answer").expect("the job");
    let what = |letter: &Value| match kind {
        JobKind::Redrive => Marked::Sent,
        JobKind::Discard => Marked::Archived(Archived {
            group: None,
            body: format!("{}", letter["messageId"]),
            attributes: "{}".to_owned(),
        }),
    };
    let mark = |letter: &Value| Mark {
        message_id: letter["messageId"].as_str().expect("an id").to_owned(),
        what: what(letter),
    };
    let written = store
        .write_checkpoint(&Checkpoint {
            job: claimed.id,
            queue: claimed.queue,
            holder: "the killed".to_owned(),
            step: claimed.step,
            state: JobState::Cancelled,
            method: claimed.method,
            progress: Progress { done: letters.len() as u64, ..Progress::default() },
            canary_passed: false,
            task: None,
            note: None,
            marks: letters.iter().map(mark).collect(),
            deleted: Vec::new(),
            all_moved: false,
            now: job.at,
            lease,
        })
        .await;
    written.expect("an answer").expect("it is written");
}

fn new_job(kind: JobKind, method: JobMethod, selected: u64) -> NewJob {
    NewJob {
        id: Uuid::now_v7(),
        kind,
        method,
        queue: STANDARD_DLQ.to_owned(),
        request: json!({ "queue": STANDARD_DLQ }).to_string(),
        through: i64::MAX,
        requested_by: "a test".to_owned(),
        why: "a test".to_owned(),
        selected,
        at: Timestamp::now(),
    }
}

#[tokio::test]
async fn sqs_does_not_move_a_queue_that_has_what_is_only_to_be_deleted() {
    for kind in [JobKind::Redrive, JobKind::Discard] {
        let (sqs, database) = (Sqs::anywhere().await, Database::create());
        let monitor = Monitor::on(sqs.addr, &database, &[]).await;
        for body in ["0", "1"] {
            sqs.send(STANDARD_DLQ, body, &[]).await;
        }
        let letters = monitor.letters(STANDARD_DLQ, 2).await;
        sqs.send(STANDARD_DLQ, "new", &[]).await;
        monitor.letters(STANDARD_DLQ, 3).await;
        monitor.stop().await;
        let store = database.open().await;
        left_behind(&store, &letters, kind).await;
        // Asked for before anybody knew that.
        let whole = new_job(JobKind::Redrive, JobMethod::MoveTask, 1);
        store.create_job(&whole).await.expect("it is kept");
        let monitor = Monitor::on(sqs.addr, &database, &[]).await;
        let job = monitor.ended(&whole.id.to_string()).await;
        assert_eq!(
            (&job["state"], &job["method"]),
            (&"completed".into(), &"messages".into()),
            "{job}"
        );
        assert_eq!((&job["done"], &job["undeleted"]), (&1.into(), &0.into()), "{job}");
        let note = job["note"].as_str().expect("a note");
        assert!(note.starts_with("SQS does not move the queue"), "{note}");
        eventually("the others are deleted", || async {
            (sqs.count(STANDARD_DLQ) == 0).then_some(())
        })
        .await;
        assert_eq!(sqs.bodies(STANDARD), ["new"], "{kind:?}");
        monitor.stop().await;
    }
}
