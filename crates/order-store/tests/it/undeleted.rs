//! What every database behind the store must do with messages that are copied and not deleted.

use order_store::{
    Archived, Checkpoint, DeadLetterFilter, DeadLetterState, JobKind, JobState, Left, Marked,
    Store, Undeleted,
};

use crate::{
    dead_letters::{DLQ, at, one},
    dlq_jobs::{checkpoint, claimed, mark, new_job, with_letters},
    support::{TestDatabase, on_both},
};

/// Three letters of which one is sent and one is archived, by jobs that ended with that.
async fn left_behind(database: &impl TestDatabase) -> Store {
    let store = with_letters(database, 3).await;
    let archived = Archived { group: None, body: "{}".to_owned(), attributes: "{}".to_owned() };
    let marks = [Marked::Sent, Marked::Archived(archived)];
    for (number, (kind, what)) in
        (0..).zip([JobKind::Redrive, JobKind::Discard].into_iter().zip(marks))
    {
        store.create_job(&new_job(number, kind)).await.expect("it is kept");
        let job = claimed(&store, "a", at(10)).await.expect("a job");
        let last = Checkpoint {
            marks: vec![mark(number, what)],
            state: JobState::Cancelled,
            ..checkpoint(&job, at(11))
        };
        store.write_checkpoint(&last).await.expect("an answer").expect("it is written");
    }
    store
}

async fn states(store: &Store) -> [DeadLetterState; 3] {
    [one(store, "message-0").await, one(store, "message-1").await, one(store, "message-2").await]
        .map(|letter| letter.state)
}

async fn what_is_undeleted_is_counted_and_deleted_for_good(database: &impl TestDatabase) {
    use DeadLetterState::{Archived, Dead, Discarded, Redriven, Sent};
    let store = left_behind(database).await;
    assert_eq!(states(&store).await, [Sent, Archived, Dead]);
    assert_eq!(store.undeleted(DLQ).await, Ok(Undeleted { sent: 1, archived: 1 }));
    assert_eq!(store.undeleted("another").await, Ok(Undeleted::default()));
    assert_eq!(
        store.count_dead_letters(DLQ, &DeadLetterFilter::default()).await.map(|c| c.letters),
        Ok(1)
    );
    for (job, kind) in [(0, JobKind::Redrive), (1, JobKind::Discard), (7, JobKind::Discard)] {
        let left = store.count_undeleted(new_job(job, kind).id).await;
        assert_eq!(left, Ok(u64::from(job < 7)), "{job}");
    }
    let ids = ["message-0", "message-1", "message-2"];
    store.delete_dead_letters(DLQ, &ids).await.expect("it is written");
    assert_eq!(states(&store).await, [Redriven, Discarded, Dead], "what is dead stays so");
    assert_eq!(store.undeleted(DLQ).await.map(Undeleted::total), Ok(0));
    // Met again, they are to be deleted once more, and are not dead.
    store.see_dead_letters(DLQ, &ids, at(500), at(400)).await.expect("it is noted");
    assert_eq!(states(&store).await, [Sent, Archived, Dead]);
    for id in ids {
        let letter = one(&store, id).await;
        assert_eq!(letter.when_seen_again(), letter.state);
        assert_eq!(letter.settled_at.is_some(), id != "message-2", "{id}");
    }
}

async fn what_sqs_moved_as_a_whole_and_is_met_again_is_dead(database: &impl TestDatabase) {
    let store = left_behind(database).await;
    store.create_job(&new_job(7, JobKind::Redrive)).await.expect("it is kept");
    let job = claimed(&store, "a", at(20)).await.expect("a job");
    let moved = Checkpoint { all_moved: true, ..checkpoint(&job, at(21)) };
    store.write_checkpoint(&moved).await.expect("an answer").expect("it is written");
    let letter = one(&store, "message-2").await;
    assert_eq!((letter.state, letter.copied), (DeadLetterState::Redriven, false));
    assert_eq!(letter.when_seen_again(), DeadLetterState::Dead);
    store.see_dead_letters(DLQ, &["message-2"], at(500), at(400)).await.expect("it is noted");
    let letter = one(&store, "message-2").await;
    assert_eq!((letter.state, letter.settled_at), (DeadLetterState::Dead, None));
}

async fn a_job_may_mean_what_died_by_a_time_whenever_it_was_met(database: &impl TestDatabase) {
    let store = with_letters(database, 3).await;
    let letters = [one(&store, "message-0").await, one(&store, "message-2").await];
    let job = new_job(1, JobKind::Discard).id;
    for (sent_by, expected) in [(None, 1), (letters[1].sent_at, 3), (Some(at(-1_000)), 1)] {
        let left = Left { through: letters[0].id, sent_by, job };
        let counted = store.count_left(DLQ, &DeadLetterFilter::default(), &left).await;
        assert_eq!(counted, Ok(expected), "{sent_by:?}");
        assert!(left.has(&letters[0]));
        assert_eq!(left.has(&letters[1]), expected == 3);
    }
}

async fn the_oldest_that_may_be_there_is_no_longer_one_that_went(database: &impl TestDatabase) {
    let store = left_behind(database).await;
    let sent_at = one(&store, "message-0").await.sent_at;
    assert_eq!(store.oldest_dead_letter(DLQ, at(-1_000)).await, Ok(sent_at));
    assert_eq!(store.oldest_dead_letter(DLQ, at(0)).await, Ok(None), "what is older has expired");
    assert_eq!(store.oldest_dead_letter("another", at(-1_000)).await, Ok(None));
    store.see_dead_letters(DLQ, &["message-1"], at(500), at(0)).await.expect("it is noted");
    store.settle_unseen_dead_letters(DLQ, at(400), at(501)).await.expect("it is settled");
    let left = one(&store, "message-1").await;
    assert_eq!(store.oldest_dead_letter(DLQ, at(-1_000)).await, Ok(left.sent_at));
    store.delete_dead_letters(DLQ, &["message-1"]).await.expect("it is written");
    assert_eq!(store.oldest_dead_letter(DLQ, at(-1_000)).await, Ok(None));
}

async fn what_has_expired_is_settled_though_nobody_looked_for_it(database: &impl TestDatabase) {
    use DeadLetterState::{Archived, Dead, Discarded, Redriven, Sent};
    let store = left_behind(database).await;
    let sent_at = one(&store, "message-0").await.sent_at.expect("a time");
    for (queue, before, settled) in [("another", at(0), 0), (DLQ, sent_at, 0), (DLQ, at(0), 2)] {
        assert_eq!(states(&store).await, [Sent, Archived, Dead]);
        let found = store.settle_expired_dead_letters(queue, before, at(500)).await;
        assert_eq!(found, Ok(settled), "{queue} {before}");
    }
    assert_eq!(states(&store).await, [Redriven, Discarded, Dead], "what is dead is another matter");
    assert_eq!(one(&store, "message-0").await.settled_at, Some(at(11)), "that was before");
    assert_eq!(store.undeleted(DLQ).await.map(Undeleted::total), Ok(0));
}

on_both! {
    what_has_expired_is_settled_though_nobody_looked_for_it,
    what_is_undeleted_is_counted_and_deleted_for_good,
    what_sqs_moved_as_a_whole_and_is_met_again_is_dead,
    a_job_may_mean_what_died_by_a_time_whenever_it_was_met,
    the_oldest_that_may_be_there_is_no_longer_one_that_went,
}
