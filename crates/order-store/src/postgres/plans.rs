//! No question goes through a table: asked of PostgreSQL itself, with statistics of filled ones.

use jiff::Timestamp;
use order_events::DeliveryStatus;
use uuid::Uuid;

use super::{DIALECT, Postgres};
use crate::{
    DatabaseUrl, DeliveryFilter, Position, StoreError,
    backend::{Backend, Pool, Value},
    dead_letters, listing, reads,
    sweep::{Dust, Sweep},
};

const FILL: [&str; 5] = [
    "INSERT INTO deliveries
    SELECT gen_random_uuid(), gen_random_uuid(), 'customer-' || i % 100, 'address',
        (ARRAY['PENDING', 'IN_TRANSIT', 'DELIVERED', 'FAILED'])[i % 4 + 1], 'queue-' || i / 7 % 2, i, i
    FROM generate_series(1, 50000) AS i",
    "INSERT INTO attempts (message_id, order_id, queue, message_group, attempt, outcome, worker,
        started_at_ms, finished_at_ms)
    SELECT 'message-' || i, ('00000000-0000-0000-0000-' || lpad((i % 500)::text, 12, '0'))::uuid,
        'queue', 'customer', 1, 'failed', 'worker', i, i
    FROM generate_series(1, 50000) AS i",
    "INSERT INTO keyed_requests
    SELECT sha256(convert_to(i::text, 'UTF8')), sha256('order'), convert_to(repeat('a', 200), 'UTF8'), i
    FROM generate_series(1, 50000) AS i",
    "INSERT INTO dead_letters (queue, message_id, identity, reason, search, sent_at_ms, seen_at_ms,
        last_seen_ms, state)
    SELECT 'queue', i, i, 'forced', '', i, i, i,
        (ARRAY['dead', 'sent', 'archived', 'redriven'])[i % 4 + 1]
    FROM generate_series(1, 50000) AS i",
    "ANALYZE deliveries, attempts, keyed_requests, dead_letters",
];

async fn filled(server: &local_postgres::Server) -> Postgres {
    let url = server.create_database().expect("a database").parse().expect("a URL");
    let DatabaseUrl::Postgres(url) = url else { panic!("it is PostgreSQL's") };
    let (database, mut writer) = Postgres::open(&url).await.expect("it opens");
    for sql in FILL {
        let connection = writer.connection().expect("a connection");
        sqlx::query(sql).execute(connection).await.expect(sql);
    }
    database
}

async fn explained(
    database: &Postgres,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<String>, StoreError> {
    let rows = database.select(Pool::Questions, format!("EXPLAIN {sql}"), values).await?;
    rows.iter().map(|row| Ok(row.text("QUERY PLAN")?.unwrap_or_default())).collect()
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn no_list_goes_through_the_table() {
    let server = local_postgres::Server::shared().expect("PostgreSQL starts");
    let database = filled(&server).await;
    let time = |millisecond| Timestamp::from_millisecond(millisecond).expect("a time");
    let position = Position { created_at: time(30_000), order_id: Uuid::from_u128(1) };
    for which in 0..64_u32 {
        let has = |bit: u32| which & (1 << bit) != 0;
        let filter = DeliveryFilter {
            status: has(0).then_some(DeliveryStatus::Failed),
            customer_id: has(1).then(|| "customer-7".to_owned()),
            queue: has(2).then(|| "queue-1".to_owned()),
            from: has(3).then(|| time(10_000)),
            to: has(4).then(|| time(40_000)),
        };
        let after = has(5).then_some(position);
        let (sql, values) = listing::page(&filter, after, 50, &DIALECT);
        let plan = explained(&database, &sql, values).await.expect("a plan");
        let reads: Vec<_> = plan.iter().filter(|step| step.contains("Scan")).collect();
        assert!(reads.iter().any(|step| step.contains("deliveries_by_")), "{filter:?}: {plan:?}");
        assert!(!reads.iter().any(|step| step.contains("Seq Scan")), "{filter:?}: {plan:?}");
    }
    database.close().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_attempts_at_an_order_are_its_range_of_an_index() {
    let server = local_postgres::Server::shared().expect("PostgreSQL starts");
    let database = filled(&server).await;
    let (sql, values) = reads::newest_attempts(Uuid::from_u128(1), 10, &DIALECT);
    let plan = explained(&database, &sql, values).await.expect("a plan");
    let reads = plan.iter().filter(|step| step.contains("attempts_by_order")).count();
    assert_eq!(reads, 2, "those that are listed, and their number: {plan:?}");
    for detour in ["Seq Scan", "Sort", "attempts_pkey"] {
        assert!(!plan.iter().any(|step| step.contains(detour)), "{plan:?}");
    }
    database.close().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn what_is_old_is_found_from_the_old_end_of_an_index() {
    let server = local_postgres::Server::shared().expect("PostgreSQL starts");
    let database = filled(&server).await;
    for (of, table) in [(Dust::Attempts, "attempts"), (Dust::Requests, "keyed_requests")] {
        let before = Timestamp::from_millisecond(25_000).expect("a time");
        // The same part of this table as a step is of a large one.
        let sweep = Sweep { of, before, at_most: 50, turn: None };
        let (sql, values) = sweep.delete(&DIALECT);
        let plan = explained(&database, &sql, values).await.expect("a plan");
        for index in [format!("{table}_by_time"), format!("{table}_pkey")] {
            assert!(plan.iter().any(|step| step.contains(&index)), "{index}: {plan:?}");
        }
        for detour in ["Seq Scan", "Bitmap"] {
            assert!(!plan.iter().any(|step| step.contains(detour)), "{plan:?}");
        }
    }
    database.close().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_oldest_dead_letter_is_at_the_old_end_of_an_index() {
    let server = local_postgres::Server::shared().expect("PostgreSQL starts");
    let database = filled(&server).await;
    let after = Timestamp::from_millisecond(25_000).expect("a time");
    let (sql, values) = dead_letters::left::oldest("queue", after, &DIALECT);
    let plan = explained(&database, &sql, values).await.expect("a plan");
    let reads = plan.iter().filter(|step| step.contains("dead_letters_by_age")).count();
    assert_eq!(reads, 3, "each state's oldest: {plan:?}");
    // A merge of sorted parts has a "Sort Key", and sorts nothing.
    let sorts = |step: &String| {
        let node = step.trim_start().trim_start_matches("->").trim_start();
        node.starts_with("Sort ") || node.starts_with("Incremental Sort ")
    };
    assert!(!plan.iter().any(|step| step.contains("Seq Scan")), "{plan:?}");
    assert!(!plan.iter().any(|step| sorts(step) && step.contains("cost=")), "{plan:?}");
    database.close().await;
}
