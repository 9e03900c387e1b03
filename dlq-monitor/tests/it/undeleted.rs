//! Messages that a job has copied or archived, and that are still in the dead-letter queue when it ends:
//! they are counted, deleted when they are met, and neither sent again nor delivered.

use std::time::Duration;

use dlq_monitor::jobs::plan::Timing;
use jiff::Timestamp;
use local_sqs::{FaultRule, Faults};
use order_store::{
    Archived, Checkpoint, JobKind, JobMethod, JobState, Mark, Marked, NewDeadLetter, NewJob,
    Progress, Store,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    Database, FIFO, FIFO_DLQ, Logs, Monitor, STANDARD, STANDARD_DLQ, Sqs, environment, eventually,
    queue_url, started,
};

/// From now on SQS refuses these.
fn refused(sqs: &Sqs, operations: &[&str]) {
    let rule = |operation: &&str| FaultRule {
        operation: Some((*operation).to_owned()),
        error_rate: 1.0,
        ..FaultRule::default()
    };
    sqs.handle.set_faults(Faults { seed: 1, rules: operations.iter().map(rule).collect() });
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

/// What a job has in hand it tries to delete for a few seconds.
const SHORT: Timing = Timing { visibility: Duration::from_secs(15), ..Timing::DEFAULT };

/// A job whose deletions fail is ended; what it has left behind is deleted once SQS works again.
async fn ended_with_undeleted(kind: &str, fifo: bool) {
    let what = format!("{kind}, fifo {fifo}");
    let sqs = Sqs::anywhere().await;
    let monitor = Monitor::timed(environment(sqs.addr), SHORT).await;
    let (source, dead) = if fifo { (FIFO, FIFO_DLQ) } else { (STANDARD, STANDARD_DLQ) };
    for i in 0..6 {
        sqs.send_in_group(dead, &format!("g-{}", i % 2), &i.to_string(), &[]).await;
    }
    monitor.letters(dead, 6).await;
    // What is not deleted is told also where SQS does not count what is there.
    let blind = ["DeleteMessageBatch", "GetQueueAttributes"];
    refused(&sqs, if fifo { &blind } else { &blind[..1] });
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
    assert!(
        note.contains("are not known to be deleted from the dead-letter queue"),
        "{what}: {note}"
    );
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
    // What the job had in hand is in sight again.
    sqs.handle.skip(SHORT.visibility * 2);
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
async fn a_job_that_is_ended_early_ends_though_sqs_does_not_count_its_queue() {
    let (sqs, _database, monitor) = started().await;
    for i in 0..6 {
        sqs.send_in_group(FIFO_DLQ, "g", &i.to_string(), &[]).await;
    }
    monitor.letters(FIFO_DLQ, 6).await;
    let id = monitor.begin("redrive", json!({ "queue": FIFO_DLQ, "all": true, "rate": 1 })).await;
    let path = format!("/api/dlq/jobs/{id}");
    eventually("it has begun", || async {
        monitor.json(&path).await["done"].as_u64().filter(|done| *done > 0)
    })
    .await;
    refused(&sqs, &["GetQueueAttributes"]);
    let answer = monitor.post(&format!("{path}/cancel"), json!({ "reason": "a test" })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let job = monitor.ended(&id).await;
    assert_eq!((&job["state"], &job["undeleted"]), (&"cancelled".into(), &0.into()), "{job}");
    assert_eq!(job["done"], sqs.count(FIFO), "{job}");
    monitor.stop().await;
}

/// A standard queue with so many messages that somebody has redriven and not deleted.
async fn with_redriven(count: usize) -> (Sqs, Database) {
    let (sqs, database, monitor) = started().await;
    for body in 0..count {
        sqs.send(STANDARD_DLQ, &body.to_string(), &[]).await;
    }
    let letters = monitor.letters(STANDARD_DLQ, count).await;
    monitor.stop().await;
    left_behind(&database.open().await, &letters, JobKind::Redrive).await;
    (sqs, database)
}

#[tokio::test]
async fn a_scan_stops_deleting_once_sqs_refuses_and_says_so_once() {
    let logs = Logs::capture();
    let (sqs, database) = with_redriven(25).await;
    refused(&sqs, &["DeleteMessageBatch"]);
    let monitor = Monitor::on(sqs.addr, &database, &[("MONITOR_INTERVAL", "1h")]).await;
    let scan = eventually("it is looked at once", || async {
        Some(told_of(&monitor, STANDARD_DLQ).await["scan"].clone()).filter(Value::is_object)
    })
    .await;
    assert_eq!((&scan["seen"], &scan["complete"]), (&25.into(), &true.into()), "{scan}");
    let told = logs.telling("messages that are done with are not deleted");
    assert_eq!(told.len(), 1, "{told:?}");
    let tried = told[0]["messages"].as_u64().expect("a count");
    assert!((1..=10).contains(&tried), "of one receive: {told:?}");
    assert!(told[0]["error"].is_string(), "{told:?}");
    assert_eq!(sqs.count(STANDARD_DLQ), 25);
    monitor.stop().await;
}

#[tokio::test]
async fn what_has_expired_is_not_still_to_be_deleted_though_not_everything_is_seen() {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    sqs.send(STANDARD_DLQ, "somebody has it", &[]).await;
    let url = queue_url(sqs.addr, STANDARD_DLQ);
    let call = sqs.connection.receiving().receive_message().queue_url(url);
    let call = call.visibility_timeout(3_600).wait_time_seconds(1);
    let taken = call.send().await.expect("an answer");
    assert_eq!(taken.messages.map_or(0, |messages| messages.len()), 1);
    let store = database.open().await;
    let now = Timestamp::now();
    // The queue keeps messages for fourteen days.
    let ages = [("old", 15 * 24), ("young", 13 * 24)];
    let letters = ages.map(|(id, hours)| dead(id, now - Duration::from_hours(hours), now));
    store.keep_dead_letters(&letters).await.expect("they are kept");
    let ids = ages.map(|(id, _)| json!({ "messageId": id }));
    left_behind(&store, &ids, JobKind::Redrive).await;
    let monitor = Monitor::on(sqs.addr, &database, &[]).await;
    eventually("one of them is over", || async {
        (told_of(&monitor, STANDARD_DLQ).await["undeleted"] == 1).then_some(())
    })
    .await;
    let sent = monitor.json("/api/dlq/messages?state=sent").await;
    assert_eq!(sent["items"][0]["messageId"], "young", "{sent}");
    let complete = format!("dlq_scan_complete{{queue=\"{STANDARD_DLQ}\"}}");
    assert_eq!(monitor.metric(&complete).await, Some(0.0));
    monitor.stop().await;
}

/// A message that SQS took, and somebody met, at these times.
fn dead(message_id: &str, sent_at: Timestamp, seen_at: Timestamp) -> NewDeadLetter {
    NewDeadLetter {
        queue: STANDARD_DLQ.to_owned(),
        message_id: message_id.to_owned(),
        group: None,
        identity: message_id.to_owned(),
        order_id: None,
        customer_id: None,
        reason: None,
        detail: None,
        attempts: None,
        body: "x".to_owned(),
        attributes: "{}".to_owned(),
        sent_at: Some(sent_at),
        seen_at,
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
