//! What migrations make of what an older program has written.

use order_store::{JobKind, JobMethod, Marked, Store};

use crate::{
    dead_letters::{DLQ, at, one},
    dlq_jobs::{checkpoint, claimed, mark, new_job, with_letters},
    support::{PostgresDatabase, SqliteFile, TestDatabase, open},
};

/// Makes the tables those of the program before copies were noted of what was redriven by then.
const BEFORE_COPIES: [&str; 3] = [
    "UPDATE dead_letters SET copied = 0",
    "DROP INDEX dead_letters_by_age",
    "DELETE FROM _sqlx_migrations WHERE description = 'copies and ages'",
];

/// Redriven letters: by a job on messages, by one of which SQS moved a part, by one that SQS was not to
/// move, and by SQS itself.
async fn redriven(database: &impl TestDatabase) -> Store {
    let store = with_letters(database, 4).await;
    let tasks = [None, Some("moved 3"), Some("not moved for a reason"), Some("1700000000000")];
    for (number, task) in (0..).zip(tasks) {
        let mut job = new_job(number, JobKind::Redrive);
        if number == 3 {
            job.method = JobMethod::MoveTask;
        }
        store.create_job(&job).await.expect("it is kept");
        let job = claimed(&store, "a", at(10)).await.expect("a job");
        let mut last = checkpoint(&job, at(11));
        last.state = order_store::JobState::Completed;
        last.task = task.map(str::to_owned);
        let message_id = format!("message-{number}");
        if number == 3 {
            last.all_moved = true;
        } else {
            last.marks = vec![mark(number, Marked::Sent)];
            last.deleted = vec![message_id];
        }
        store.write_checkpoint(&last).await.expect("an answer").expect("it is written");
    }
    store
}

/// Whether the copy of each is known.
async fn copied(store: &Store) -> Vec<bool> {
    let mut copied = Vec::new();
    for number in 0..4 {
        let letter = one(store, &format!("message-{number}")).await;
        assert_eq!(letter.state, order_store::DeadLetterState::Redriven, "{number}");
        copied.push(letter.copied);
    }
    copied
}

/// What is redriven is looked at again once it is met again.
async fn copies_are_known(database: &impl TestDatabase) {
    let store = open(database).await;
    assert_eq!(copied(&store).await, [true, false, true, false]);
    assert_eq!(store.oldest_dead_letter(DLQ, at(-1_000)).await, Ok(None), "none is there");
    let ids = ["message-0", "message-1", "message-2", "message-3"];
    store.see_dead_letters(DLQ, &ids, at(500), at(400)).await.expect("it is noted");
    assert_eq!(store.undeleted(DLQ).await.map(|undeleted| undeleted.sent), Ok(2));
}

#[tokio::test]
async fn copies_of_what_was_redriven_before_they_were_noted_are_known_in_sqlite() {
    let database = SqliteFile::create();
    let store = redriven(&database).await;
    assert_eq!(copied(&store).await, [true, true, true, false]);
    store.close().await;
    let mut other = database.another_process().await;
    for sql in BEFORE_COPIES {
        sqlx::query(sql).execute(&mut other).await.expect(sql);
    }
    copies_are_known(&database).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn copies_of_what_was_redriven_before_they_were_noted_are_known_in_postgresql() {
    let database = PostgresDatabase::create();
    let store = redriven(&database).await;
    assert_eq!(copied(&store).await, [true, true, true, false]);
    store.close().await;
    let mut other = database.another_process().await;
    for sql in BEFORE_COPIES {
        sqlx::query(sql).execute(&mut other).await.expect(sql);
    }
    copies_are_known(&database).await;
}
