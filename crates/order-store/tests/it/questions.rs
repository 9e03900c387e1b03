//! Questions about deliveries that take for ever, and those who must not wait for them.

use futures_util::future::join_all;
use order_events::DeliveryStatus::Pending;
use order_store::{Store, StoreError};
use uuid::Uuid;

use crate::{
    postgres::waiting,
    support::{PostgresDatabase, TempStore, TestDatabase, eventually, open, record},
};

/// Of these, each takes for ever, and there are more of them than connections.
async fn hold_up_no_handler_and_end(store: &Store, order: Uuid) {
    let questions = join_all((0..16).map(|_| store.find(order)));
    let handlers = async {
        for _ in 0..100 {
            assert_eq!(store.status(order).await, Ok(Some(Pending)));
        }
    };
    let (answers, ()) = tokio::join!(questions, handlers);
    for answer in answers {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
}

#[tokio::test]
async fn questions_without_end_hold_up_no_handler_and_are_answered_in_sqlite() {
    let temp = TempStore::open().await;
    let (store, order) = (&temp.store, Uuid::new_v4());
    store.write(record(order, 1, Pending)).await.unwrap();
    let mut other = temp.another_process().await;
    // A handler does not read the address.
    let endless = "CREATE VIEW deliveries AS SELECT order_id, delivery_id, customer_id,
            (WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers)
             SELECT COUNT(*) FROM numbers) AS address,
            status, queue, created_at_ms, updated_at_ms
        FROM kept";
    for sql in ["ALTER TABLE deliveries RENAME TO kept", endless] {
        sqlx::query(sql).execute(&mut other).await.expect(sql);
    }
    hold_up_no_handler_and_end(store, order).await;
    for sql in ["DROP VIEW deliveries", "ALTER TABLE kept RENAME TO deliveries"] {
        sqlx::query(sql).execute(&mut other).await.expect(sql);
    }
    let found = store.find(order).await.expect("a connection is free again");
    assert_eq!(found.map(|delivery| delivery.status), Some(Pending));
}

/// Leaves a database in which whoever reads an address waits for an advisory lock, which is taken. A
/// handler does not.
const ADDRESSES_WAIT: [&str; 3] = [
    "ALTER TABLE deliveries RENAME TO kept",
    "CREATE VIEW deliveries AS SELECT * FROM kept WHERE current_query() NOT LIKE '%address%'
        OR EXISTS (SELECT FROM pg_advisory_xact_lock_shared(1))",
    "SELECT pg_advisory_lock(1)",
];

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn questions_without_end_hold_up_no_handler_and_are_answered_in_postgresql() {
    let database = PostgresDatabase::create();
    let (store, order) = (open(&database).await, Uuid::new_v4());
    store.write(record(order, 1, Pending)).await.unwrap();
    let mut other = database.another_process().await;
    for sql in ADDRESSES_WAIT {
        sqlx::query(sql).execute(&mut other).await.expect(sql);
    }
    hold_up_no_handler_and_end(&store, order).await;
    sqlx::query("SELECT pg_advisory_unlock(1)").execute(&mut other).await.expect("it is released");
    let found = store.find(order).await.expect("a connection is free again");
    assert_eq!(found.map(|delivery| delivery.status), Some(Pending));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_question_that_nobody_waits_for_any_more_ends_in_the_server() {
    let database = PostgresDatabase::create();
    let (store, order) = (open(&database).await, Uuid::new_v4());
    store.write(record(order, 1, Pending)).await.unwrap();
    let mut other = database.another_process().await;
    for sql in ADDRESSES_WAIT {
        sqlx::query(sql).execute(&mut other).await.expect(sql);
    }
    let asked = eventually("it waits", || async { (waiting(&database).await == 1).then_some(()) });
    tokio::select! {
        answer = store.find(order) => panic!("{answer:?}"),
        () = asked => {}
    }
    // The lock is still taken, so it has not come to its end.
    eventually("it is given up", || async { (waiting(&database).await == 0).then_some(()) }).await;
}
