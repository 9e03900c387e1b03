//! No list goes through the table: asked of SQLite itself.

use jiff::Timestamp;
use order_events::DeliveryStatus;
use uuid::Uuid;

use super::{DIALECT, Sqlite};
use crate::{
    Archived, Checkpoint, DeadLetterFilter, DeadLetterState, DeadOrder, DeliveryFilter, JobMethod,
    JobState, LetterPosition, Mark, Marked, Position, Progress, Turn,
    backend::{Backend, Pool, Value},
    dead_letters, jobs, listing, reads,
    sweep::{Dust, Sweep},
};

async fn plan(database: &Sqlite, sql: &str, values: Vec<Value>) -> Vec<String> {
    let sql = format!("EXPLAIN QUERY PLAN {sql}");
    let rows = database.select(Pool::Questions, sql, values).await.expect("a plan");
    rows.iter().map(|row| row.text("detail").expect("a text").unwrap_or_default()).collect()
}

#[tokio::test]
async fn every_list_is_ranges_of_an_index_in_its_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let (database, _writer) = Sqlite::open(&directory.path().join("d.db")).await.expect("it opens");
    let time = |second| Timestamp::from_second(second).expect("a time");
    let position = Position { created_at: time(5), order_id: Uuid::from_u128(1) };
    for which in 0..64_u32 {
        let has = |bit: u32| which & (1 << bit) != 0;
        let filter = DeliveryFilter {
            status: has(0).then_some(DeliveryStatus::Failed),
            customer_id: has(1).then(|| "customer".to_owned()),
            queue: has(2).then(|| "queue".to_owned()),
            from: has(3).then(|| time(1)),
            to: has(4).then(|| time(9)),
        };
        let after = has(5).then_some(position);
        let (sql, values) = listing::page(&filter, after, 50, &DIALECT);
        let plan = plan(&database, &sql, values).await;
        let index = match (has(1), has(2)) {
            (true, _) => "deliveries_by_customer (customer_id=? AND status=?",
            (false, true) => "deliveries_by_queue (queue=? AND status=?",
            (false, false) => "deliveries_by_status_and_time (status=?",
        };
        let reads: Vec<_> =
            plan.iter().filter(|step| step.contains("deliveries")).map(String::as_str).collect();
        assert_eq!(reads.len(), if has(0) { 1 } else { 4 }, "{filter:?}: {plan:?}");
        for read in reads {
            let expected = format!("SEARCH deliveries USING INDEX {index}");
            assert!(read.starts_with(&expected), "{filter:?}: {read}");
            // A range of time begins or ends within the index too.
            assert_eq!(read.contains("created_at_ms"), has(3) || has(4) || has(5), "{read}");
        }
        // The ranges are read in their order; sorted is only what is left of each, for the merge.
        let sorted = plan.windows(2).filter(|steps| steps[1].contains("TEMP B-TREE"));
        for steps in sorted {
            assert!(!has(0) && !steps[0].contains("deliveries"), "{filter:?}: {plan:?}");
        }
    }
}

#[tokio::test]
async fn every_list_of_dead_letters_is_a_range_of_an_index_for_each_queue() {
    let directory = tempfile::tempdir().expect("a directory");
    let (database, _writer) = Sqlite::open(&directory.path().join("d.db")).await.expect("it opens");
    let time = |second| Timestamp::from_second(second).expect("a time");
    for which in 0..32_u32 {
        let has = |bit: u32| which & (1 << bit) != 0;
        let filter = DeadLetterFilter {
            reason: has(0).then(|| "forced".to_owned()),
            customer_id: has(1).then(|| "customer".to_owned()),
            from: has(2).then(|| time(1)),
            to: has(3).then(|| time(9)),
            ..DeadLetterFilter::default()
        };
        let after = has(4).then(|| LetterPosition { seen_at: time(5), id: 7 });
        let (queues, dead) = (["a", "b"], DeadLetterState::Dead);
        let (sql, values) = dead_letters::list::page(&queues, dead, &filter, after, 50, &DIALECT);
        let plan = plan(&database, &sql, values).await;
        let index = match (has(0), has(1)) {
            (_, true) => "dead_letters_by_customer (queue=? AND state=? AND customer_id=?",
            (true, false) => "dead_letters_by_reason (queue=? AND state=? AND reason=?",
            (false, false) => "dead_letters_by_time (queue=? AND state=?",
        };
        let reads: Vec<_> = plan.iter().filter(|step| step.contains("dead_letters")).collect();
        assert_eq!(reads.len(), 2, "{filter:?}: {plan:?}");
        for read in reads {
            let expected = format!("SEARCH dead_letters USING INDEX {index}");
            assert!(read.starts_with(&expected), "{filter:?}: {read}");
            assert_eq!(read.contains("seen_at_ms"), has(2) || has(3) || has(4), "{read}");
        }
    }
}

#[tokio::test]
async fn the_oldest_dead_letter_and_what_has_expired_are_at_the_old_end_of_an_index() {
    let directory = tempfile::tempdir().expect("a directory");
    let (database, _writer) = Sqlite::open(&directory.path().join("d.db")).await.expect("it opens");
    let at = Timestamp::UNIX_EPOCH;
    let mut statements = vec![dead_letters::left::oldest("queue", at, &DIALECT)];
    statements.extend(dead_letters::write::settle_expired("queue", at, at).statements);
    for ((sql, values), ranges) in statements.into_iter().zip([3, 1, 1]) {
        let plan = plan(&database, &sql, values).await;
        let range = "INDEX dead_letters_by_age (queue=? AND state=? AND sent_at_ms";
        let found = plan.iter().filter(|step| step.contains(range)).count();
        assert_eq!(found, ranges, "{plan:?}");
        for detour in ["SCAN dead_letters", "TEMP B-TREE"] {
            assert!(!plan.iter().any(|step| step.contains(detour)), "{plan:?}");
        }
    }
}

/// Otherwise each batch of a job would cost as much as all that is dead in its queue.
#[tokio::test]
async fn letters_in_hand_are_found_by_their_ids_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let (database, _writer) = Sqlite::open(&directory.path().join("d.db")).await.expect("it opens");
    let ids: Vec<String> = (0..30).map(|id| id.to_string()).collect();
    let mark = |id: &String| {
        let archived = Archived { group: None, body: String::new(), attributes: String::new() };
        let why = || "for no reason".to_owned();
        let what = match id.bytes().map(usize::from).sum::<usize>() % 4 {
            1 => Marked::Sent,
            2 => Marked::Archived(archived),
            3 => Marked::Refused(why()),
            _ => Marked::Failed(why()),
        };
        Mark { message_id: id.clone(), what }
    };
    let checkpoint = Checkpoint {
        job: Uuid::from_u128(1),
        queue: "queue".to_owned(),
        holder: "holder".to_owned(),
        step: 1,
        state: JobState::Running,
        method: JobMethod::Messages,
        progress: Progress::default(),
        canary_passed: false,
        task: None,
        note: None,
        marks: ids.iter().map(mark).collect(),
        deleted: ids.clone(),
        all_moved: false,
        now: Timestamp::UNIX_EPOCH,
        lease: std::time::Duration::from_secs(30),
    };
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (now, before) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    let mut statements = jobs::write::checkpoint(&checkpoint, &DIALECT).statements;
    statements.extend(dead_letters::write::see("queue", &ids, now, before, &DIALECT).statements);
    statements.retain(|(sql, _)| sql.starts_with("UPDATE dead_letters"));
    assert_eq!(statements.len(), 7, "a kind of mark each, what is deleted, and what is seen");
    for (sql, values) in statements {
        let plan = plan(&database, &sql, values).await;
        let wanted = "USING INDEX sqlite_autoindex_dead_letters_1 (queue=? AND message_id=?)";
        assert_eq!(plan, [format!("SEARCH dead_letters {wanted}")], "{sql}");
    }
}

#[tokio::test]
async fn the_attempts_at_an_order_are_its_range_of_an_index() {
    let directory = tempfile::tempdir().expect("a directory");
    let (database, _writer) = Sqlite::open(&directory.path().join("d.db")).await.expect("it opens");
    let (sql, values) = reads::newest_attempts(Uuid::from_u128(1), 100, &DIALECT);
    let plan = plan(&database, &sql, values).await;
    let reads: Vec<_> = plan.iter().filter(|step| step.contains("attempts")).collect();
    assert_eq!(reads.len(), 2, "those that are listed, and their number: {plan:?}");
    for read in reads {
        assert!(read.starts_with("SEARCH attempts USING "), "{plan:?}");
        assert!(read.ends_with(" INDEX attempts_by_order (order_id=?)"), "{plan:?}");
    }
    assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
}

#[tokio::test]
async fn what_is_old_is_found_from_the_old_end_of_an_index() {
    let directory = tempfile::tempdir().expect("a directory");
    let (database, _writer) = Sqlite::open(&directory.path().join("d.db")).await.expect("it opens");
    for (of, index) in [
        (Dust::Attempts, "attempts_by_time (finished_at_ms<?)"),
        (Dust::Requests, "keyed_requests_by_time (at_ms<?)"),
    ] {
        let turn = None::<Turn>;
        let sweep = Sweep { of, before: Timestamp::UNIX_EPOCH, at_most: 5, turn };
        let (sql, values) = sweep.delete(&DIALECT);
        let plan = plan(&database, &sql, values).await;
        assert!(plan.iter().any(|step| step.contains(index)), "{plan:?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{plan:?}");
    }
}

#[tokio::test]
async fn newer_orders_of_a_customer_are_a_range_of_an_index_and_their_letters_found_by_identity() {
    let directory = tempfile::tempdir().expect("a directory");
    let (database, _writer) = Sqlite::open(&directory.path().join("d.db")).await.expect("it opens");
    let dead = DeadOrder {
        customer_id: "customer",
        source: "queue",
        order_id: Some(Uuid::from_u128(1)),
        otherwise: Timestamp::UNIX_EPOCH,
        place: (Timestamp::UNIX_EPOCH, 1),
        kept_since: Timestamp::UNIX_EPOCH,
    };
    let (delivered, first) = dead_letters::overtaking::delivered(&dead, &DIALECT);
    let (going_first, second) = dead_letters::overtaking::going_first(&dead, &DIALECT);
    for (sql, values) in [(delivered, first.0), (going_first, second.0)] {
        let plan = plan(&database, &sql, values).await;
        let range = "deliveries_by_customer (customer_id=? AND status=? AND created_at_ms>?)";
        assert!(plan.iter().any(|step| step.contains(range)), "{plan:?}");
        assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{plan:?}");
        let letters = plan.iter().filter(|step| step.contains("dead_letters"));
        for step in letters {
            assert!(step.contains("dead_letters_by_identity (identity=?)"), "{plan:?}");
        }
    }
}
