//! Queues with many dead letters.

use serde_json::json;

use crate::support::{Database, Monitor, STANDARD, STANDARD_DLQ, Sqs, eventually, text};

/// More than a job would pass over in one receive, or in a hundred.
const MANY: usize = 1_100;

#[tokio::test]
async fn what_one_job_leaves_alone_is_there_for_the_next_one_however_much_it_is() {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    let monitor = Monitor::on(sqs.addr, &database, &[]).await;
    for number in 0..MANY + 10 {
        let reason = if number < MANY { "timeout" } else { "forced" };
        let reason = [("dead-letter-reason", text(reason))];
        sqs.send(STANDARD_DLQ, &number.to_string(), &reason).await;
    }
    eventually("the dead letters are known", || async {
        let queues = monitor.json("/api/dlq/queues").await;
        (queues["queues"][1]["deadLetters"]["known"] == MANY + 10).then_some(())
    })
    .await;
    for (reason, count) in [("forced", 10), ("timeout", MANY)] {
        let body = json!({ "queue": STANDARD_DLQ, "filter": { "reason": reason } });
        let id = monitor.begin("redrive", body).await;
        // What stays invisible until its time is over would not be found within the wait.
        let job = monitor.ended(&id).await;
        assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &count.into()), "{job}");
    }
    assert_eq!((sqs.count(STANDARD), sqs.count(STANDARD_DLQ)), (MANY + 10, 0));
    monitor.stop().await;
}
