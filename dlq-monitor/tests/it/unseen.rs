//! What is in a queue and was never met: how much of it there is, and whether it goes along.

use local_sqs::{FaultRule, Faults};
use serde_json::{Value, json};

use crate::{
    console::browser::Browser,
    support::{Database, FIFO_DLQ, Monitor, STANDARD, STANDARD_DLQ, Sqs, eventually},
};

/// An SQS with so many dead messages, and a monitor that has looked once, and looks no more.
async fn looked_once(count: usize) -> (Sqs, Database, Monitor, Vec<Value>) {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    for body in 0..count {
        sqs.send(STANDARD_DLQ, &body.to_string(), &[]).await;
    }
    let monitor = Monitor::on(sqs.addr, &database, &[("MONITOR_INTERVAL", "1h")]).await;
    let letters = monitor.letters(STANDARD_DLQ, count).await;
    (sqs, database, monitor, letters)
}

async fn thought(monitor: &Monitor) -> Value {
    let body = json!({ "queue": STANDARD_DLQ, "all": true, "dryRun": true });
    monitor.post("/api/dlq/redrive", body).await.json()
}

#[tokio::test]
async fn what_nobody_has_met_goes_along_where_sqs_moves_the_queue_and_stays_otherwise() {
    let (sqs, _database, monitor, _) = looked_once(4).await;
    sqs.send(STANDARD_DLQ, "new", &[]).await;
    let dry_run = thought(&monitor).await;
    assert_eq!(
        (&dry_run["method"], &dry_run["selected"], &dry_run["unseen"]),
        (&"move_task".into(), &4.into(), &1.into()),
        "{dry_run}"
    );
    let browser = Browser::new(monitor.api);
    let whole = browser.page(&format!("/redrive?queue={STANDARD_DLQ}")).await;
    let part = browser.page(&format!("/redrive?queue={STANDARD_DLQ}&reason=unknown")).await;
    for page in [&whole, &part] {
        assert!(page.contains("About 1 more is in the queue"), "{page}");
    }
    let goes = "SQS moves the whole queue, and takes them along";
    let stays = "They are not among these, and stay";
    assert_eq!((whole.contains(goes), whole.contains(stays)), (true, false), "{whole}");
    assert_eq!((part.contains(goes), part.contains(stays)), (false, true), "{part}");
    let id = monitor.begin("redrive", json!({ "queue": STANDARD_DLQ, "all": true })).await;
    let job = monitor.ended(&id).await;
    assert_eq!((&job["method"], &job["done"]), (&"move_task".into(), &5.into()), "{job}");
    assert_eq!((sqs.count(STANDARD), sqs.count(STANDARD_DLQ)), (5, 0));
    monitor.stop().await;
}

#[tokio::test]
async fn what_a_job_has_dealt_with_since_the_last_look_is_not_taken_for_unseen() {
    let (sqs, _database, monitor, letters) = looked_once(3).await;
    let ids: Vec<&Value> = letters[..2].iter().map(|letter| &letter["messageId"]).collect();
    let id = monitor.begin("redrive", json!({ "queue": STANDARD_DLQ, "ids": ids })).await;
    assert_eq!(monitor.ended(&id).await["done"], 2);
    let dry_run = thought(&monitor).await;
    assert_eq!((&dry_run["selected"], &dry_run["unseen"]), (&1.into(), &0.into()), "{dry_run}");
    sqs.send(STANDARD_DLQ, "new", &[]).await;
    assert_eq!(thought(&monitor).await["unseen"], 1);
    monitor.stop().await;
}

/// From now on SQS does not tell how many messages a queue has.
fn uncounted(sqs: &Sqs) {
    let operation = Some("GetQueueAttributes".to_owned());
    let rule = FaultRule { operation, error_rate: 1.0, ..FaultRule::default() };
    sqs.handle.set_faults(Faults { seed: 1, rules: vec![rule] });
}

#[tokio::test]
async fn where_sqs_does_not_tell_what_else_there_is_a_preview_says_that() {
    let (sqs, database, monitor, _) = looked_once(1).await;
    sqs.send(FIFO_DLQ, "x", &[]).await;
    monitor.stop().await;
    let monitor = Monitor::on(sqs.addr, &database, &[]).await;
    monitor.letters(FIFO_DLQ, 1).await;
    let browser = Browser::new(monitor.api);
    let (standard, fifo) =
        (format!("/redrive?queue={STANDARD_DLQ}"), format!("/redrive?queue={FIFO_DLQ}"));
    let (in_queue, in_source) = ("id=\"out-of-sight\"", "id=\"unseen\"");
    for path in [&standard, &fifo] {
        let page = browser.page(path).await;
        assert!(!page.contains(in_queue) && !page.contains(in_source), "nothing more: {page}");
    }
    uncounted(&sqs);
    let dry_run = thought(&monitor).await;
    assert_eq!((&dry_run["selected"], &dry_run["unseen"]), (&1.into(), &Value::Null), "{dry_run}");
    let whole = browser.page(&standard).await;
    assert!(whole.contains("SQS does not tell how many more are in the queue"), "{whole}");
    assert!(whole.contains("SQS moves the whole queue, and takes them along"), "{whole}");
    assert!(!whole.contains(in_source), "a standard queue has no order: {whole}");
    let not_known = "How many messages are in the source queue is not known";
    eventually("the source cannot be looked at", || async {
        browser.page(&fifo).await.contains(not_known).then_some(())
    })
    .await;
    let discard = browser.page(&format!("/discard?queue={FIFO_DLQ}&reason=unknown")).await;
    assert!(discard.contains("They are not among these, and stay"), "{discard}");
    assert!(!discard.contains(in_source), "nothing goes to the source: {discard}");
    monitor.stop().await;
}
