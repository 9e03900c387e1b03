//! SQLite in trouble.

use std::path::Path;

use futures_util::{FutureExt, future::join_all};
use order_events::DeliveryStatus::{Delivered, Pending};
use order_store::{DatabaseUrl, Health, Store, StoreError};
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

use crate::support::{PATIENCE, TempStore, eventually, record};

async fn run(connection: &mut SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(connection).await.expect(sql);
}

#[tokio::test]
async fn a_failing_database_fails_every_caller_and_is_used_again_when_it_works() {
    let temp = TempStore::open().await;
    let store = &temp.store;
    let mut other = temp.another_process().await;
    run(&mut other, "ALTER TABLE attempts RENAME TO lost").await;
    let orders: Vec<Uuid> = (0..10).map(|_| Uuid::new_v4()).collect();
    let fates = join_all(orders.iter().map(|id| store.write(record(*id, 1, Delivered)))).await;
    assert!(fates.iter().all(|fate| matches!(fate, Err(StoreError::Unavailable(_)))), "{fates:?}");
    assert!(matches!(*store.health().borrow(), Health::Failing(_)));
    for order in &orders {
        assert_eq!(store.status(*order).await, Ok(None), "no half of a record is kept");
    }
    run(&mut other, "ALTER TABLE lost RENAME TO attempts").await;
    for order in &orders {
        assert_eq!(store.write(record(*order, 1, Delivered)).await, Ok(()));
    }
    assert_eq!(*store.health().borrow(), Health::Serving);
    assert_eq!(store.counts().await.unwrap().delivered, 10);
}

#[tokio::test]
async fn a_store_that_failed_becomes_healthy_without_anyone_writing() {
    let temp = TempStore::open().await;
    let mut other = temp.another_process().await;
    run(&mut other, "ALTER TABLE attempts RENAME TO lost").await;
    let fate = temp.store.write(record(Uuid::new_v4(), 1, Pending)).await;
    assert!(matches!(fate, Err(StoreError::Unavailable(_))), "{fate:?}");
    run(&mut other, "ALTER TABLE lost RENAME TO attempts").await;
    let health = temp.store.health();
    eventually("the store is healthy", || async {
        (*health.borrow() == Health::Serving).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_store_that_is_only_read_fails_and_becomes_healthy_without_anyone_writing() {
    let temp = TempStore::open().await;
    let order = Uuid::new_v4();
    assert_eq!(temp.store.write(record(order, 1, Pending)).await, Ok(()));
    let mut other = temp.another_process().await;
    run(&mut other, "ALTER TABLE deliveries RENAME TO lost").await;
    let health = temp.store.health();
    assert!(temp.store.status(order).now_or_never().is_none(), "it is given up");
    eventually("the store fails", || async {
        matches!(*health.borrow(), Health::Failing(_)).then_some(())
    })
    .await;
    assert!(matches!(temp.store.status(order).await, Err(StoreError::Unavailable(_))));
    run(&mut other, "ALTER TABLE lost RENAME TO deliveries").await;
    eventually("the store is healthy", || async {
        (*health.borrow() == Health::Serving).then_some(())
    })
    .await;
    assert_eq!(temp.store.status(order).await, Ok(Some(Pending)));
}

#[tokio::test]
async fn a_write_waits_for_another_process_that_holds_the_lock() {
    let temp = TempStore::open().await;
    let mut other = temp.another_process().await;
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let order = Uuid::new_v4();
    let mut write = Box::pin(temp.store.write(record(order, 1, Delivered)));
    assert!(write.as_mut().now_or_never().is_none());
    // Readers do not wait for writers.
    assert_eq!(temp.store.status(order).await, Ok(None));
    held.rollback().await.unwrap();
    let written = tokio::time::timeout(PATIENCE, write).await.expect("it does not wait for ever");
    assert_eq!(written, Ok(()));
}

#[tokio::test]
async fn a_worker_starts_while_another_process_holds_the_lock() {
    let temp = TempStore::open().await;
    let order = Uuid::new_v4();
    let mut other = temp.another_process().await;
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let store = open(&temp.directory.path().join("deliveries.db"))
        .await
        .expect("there is nothing to migrate");
    assert_eq!(store.status(order).await, Ok(None));
    held.rollback().await.unwrap();
    assert_eq!(store.write(record(order, 1, Delivered)).await, Ok(()));
}

async fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(&DatabaseUrl::Sqlite(path.to_owned())).await
}

#[tokio::test]
async fn a_file_that_cannot_be_a_database_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let garbage = directory.path().join("garbage.db");
    std::fs::write(
        &garbage,
        "this is not a database, and long enough to be taken for one".repeat(100),
    )
    .unwrap();
    for path in [garbage.clone(), garbage.join("below/a/file.db"), directory.path().to_owned()] {
        let Err(error) = open(&path).await else { panic!("{} opened", path.display()) };
        assert!(error.to_string().contains(&*directory.path().to_string_lossy()), "{error}");
    }
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused_with_both_versions() {
    let temp = TempStore::open().await;
    temp.store.close().await;
    run(&mut temp.another_process().await, crate::support::A_NEWER_PROGRAM).await;
    let path = temp.directory.path().join("deliveries.db");
    let Err(error) = open(&path).await else { panic!("it opens") };
    let error = error.to_string();
    assert!(error.contains("version 99") && error.contains("newer program"), "{error}");
}

/// What SQLite has besides to change a line, and the line that would stand in the way of all others.
const REPLACEMENTS: [&str; 4] = [
    "INSERT OR REPLACE INTO dlq_audit
        SELECT id, at_ms, 'nobody', action, queue, job_id, why, request FROM dlq_audit",
    "REPLACE INTO dlq_audit
        SELECT id, at_ms, requested_by, action, queue, job_id, 'another', request FROM dlq_audit",
    "UPDATE OR REPLACE dlq_audit SET why = 'another'",
    "INSERT INTO dlq_audit
        SELECT -1, at_ms, requested_by, action, queue, job_id, why, request FROM dlq_audit",
];

#[tokio::test]
async fn the_audit_log_cannot_be_changed_by_anybody() {
    let temp = TempStore::open().await;
    let mut other = temp.another_process().await;
    run(&mut other, crate::support::AN_AUDIT_ENTRY).await;
    for sql in crate::support::CHANGES_OF_THE_AUDIT.into_iter().chain(REPLACEMENTS) {
        let error = sqlx::query(sql).execute(&mut other).await.expect_err(sql).to_string();
        assert!(error.contains("the audit log is only added to"), "{sql}: {error}");
    }
    let audit = temp.store.audit_page(None, 10).await.expect("a page");
    assert_eq!((audit.len(), audit[0].requested_by.as_str()), (1, "somebody"));
    run(&mut other, crate::support::AN_AUDIT_ENTRY).await;
    assert_eq!(temp.store.audit_page(None, 10).await.map(|page| page.len()), Ok(2), "it goes on");
}

#[tokio::test]
async fn the_file_is_whole_after_a_close() {
    let temp = TempStore::open().await;
    temp.store.write(record(Uuid::new_v4(), 1, Delivered)).await.unwrap();
    temp.store.counts().await.unwrap();
    temp.store.close().await;
    let files: Vec<_> = std::fs::read_dir(temp.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, ["deliveries.db"], "nothing is left in a write-ahead log");
}
