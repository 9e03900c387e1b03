//! PostgreSQL in trouble.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use order_events::DeliveryStatus::{Delivered, Pending};
use order_store::{Health, Store, StoreError};
use sqlx::{Connection, PgConnection};
use tokio::task::{JoinSet, block_in_place};
use uuid::Uuid;

use crate::{
    proxy::Proxy,
    support::{PostgresDatabase, TestDatabase, eventually, open, record},
};

impl PostgresDatabase {
    /// A connection beside the store's.
    pub(crate) async fn another_process(&self) -> PgConnection {
        PgConnection::connect(self.text()).await.expect("it connects")
    }
}

/// How many others wait for locks of the database.
pub(crate) async fn waiting(database: &PostgresDatabase) -> i64 {
    const WAITING: &str = "SELECT COUNT(DISTINCT pid) FROM pg_locks WHERE NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let mut asking = database.another_process().await;
    sqlx::query_scalar::<_, i64>(WAITING).fetch_one(&mut asking).await.unwrap()
}

/// Waits until so many others wait for locks of the database.
async fn are_waiting(database: &PostgresDatabase, number: i64) {
    eventually("they wait for a lock", || async {
        (waiting(database).await >= number).then_some(())
    })
    .await;
}

async fn run(connection: &mut PgConnection, sql: &'static str) {
    sqlx::query(sql).execute(connection).await.expect(sql);
}

/// Ends every other connection to the database.
const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

async fn is_failing(store: &Store) {
    let mut health = store.health();
    let failing = health.wait_for(|health| matches!(health, Health::Failing(_)));
    tokio::time::timeout(crate::support::PATIENCE, failing)
        .await
        .expect("it fails")
        .expect("it is open");
}

async fn is_serving(store: &Store) {
    let mut health = store.health();
    let serving = health.wait_for(|health| *health == Health::Serving);
    tokio::time::timeout(crate::support::PATIENCE, serving)
        .await
        .expect("it works")
        .expect("it is open");
}

/// Writers that go on whatever happens, and remember what they were promised.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<Uuid>>>,
    writers: JoinSet<()>,
}

impl Load {
    fn start(store: &Store) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mut writers = JoinSet::new();
        for _ in 0..16 {
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            let acknowledged: Arc<Mutex<Vec<Uuid>>> = Arc::clone(&acknowledged);
            writers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let order = Uuid::new_v4();
                    match store.write(record(order, 1, Delivered)).await {
                        Ok(()) => acknowledged.lock().unwrap().push(order),
                        Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
                        Err(refused) => panic!("{refused}"),
                    }
                }
            });
        }
        Self { stop, acknowledged, writers }
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    async fn grows(&self) {
        let before = self.acknowledged();
        eventually("records are committed", || async {
            (self.acknowledged() > before + 100).then_some(())
        })
        .await;
    }

    async fn end(mut self) -> Vec<Uuid> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.writers.join_next().await {
            ended.expect("no writer panics");
        }
        std::mem::take(&mut self.acknowledged.lock().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn what_was_acknowledged_survives_the_server_and_writers_go_on_when_it_is_back() {
    let database = PostgresDatabase::with_a_server_of_its_own();
    let store = open(&database).await;
    let load = Load::start(&store);
    for immediate in [true, false] {
        load.grows().await;
        // Under load, in the midst of transactions: as a crash, and in order.
        block_in_place(|| database.server().stop(immediate)).expect("it stops");
        is_failing(&store).await;
        let status = store.status(Uuid::new_v4()).await;
        assert!(matches!(status, Err(StoreError::Unavailable(_))), "{status:?}");
        block_in_place(|| database.server().start_again()).expect("it starts");
        is_serving(&store).await;
        load.grows().await;
    }
    let acknowledged = load.end().await;
    for order in &acknowledged {
        assert_eq!(store.status(*order).await, Ok(Some(Delivered)), "{order}");
    }
    let kept = store.counts().await.unwrap().delivered;
    assert!(kept >= acknowledged.len() as u64, "{kept} of {}", acknowledged.len());
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_store_that_failed_becomes_healthy_without_anyone_writing() {
    let database = PostgresDatabase::with_a_server_of_its_own();
    let store = open(&database).await;
    database.server().stop(true).expect("it stops");
    let fate = store.write(record(Uuid::new_v4(), 1, Pending)).await;
    assert!(matches!(fate, Err(StoreError::Unavailable(_))), "{fate:?}");
    is_failing(&store).await;
    database.server().start_again().expect("it starts");
    is_serving(&store).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_store_that_is_only_read_fails_and_becomes_healthy_without_anyone_writing() {
    let database = PostgresDatabase::with_a_server_of_its_own();
    let store = open(&database).await;
    database.server().stop(true).expect("it stops");
    let status = store.status(Uuid::new_v4()).await;
    assert!(matches!(status, Err(StoreError::Unavailable(_))), "{status:?}");
    is_failing(&store).await;
    database.server().start_again().expect("it starts");
    is_serving(&store).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_read_that_is_given_up_while_the_server_hangs_lets_the_writer_find_out() {
    let database = PostgresDatabase::create();
    let proxy = Proxy::before(&database).await;
    let store = Store::open(&proxy.url()).await.expect("the store opens");
    let order = Uuid::new_v4();
    store.write(record(order, 1, Pending)).await.unwrap();
    assert_eq!(store.status(order).await, Ok(Some(Pending)));
    proxy.silence();
    assert!(store.status(order).now_or_never().is_none(), "there is no answer");
    is_failing(&store).await;
    // The host is back, and nobody writes.
    is_serving(&store).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn connections_that_were_ended_while_idle_are_replaced_without_a_failure() {
    let database = PostgresDatabase::create();
    let store = open(&database).await;
    let mut other = database.another_process().await;
    let order = Uuid::new_v4();
    for number in 1..=3 {
        assert_eq!(store.write(record(order, number, Pending)).await, Ok(()));
        assert_eq!(store.status(order).await, Ok(Some(Pending)));
        run(&mut other, TERMINATE).await;
        let forgotten = store.forget_requests_before(jiff::Timestamp::UNIX_EPOCH, 10).await;
        assert_eq!(forgotten, Ok(0));
        run(&mut other, TERMINATE).await;
    }
    assert_eq!(store.attempts(order, 10).await.unwrap().total, 3);
    assert_eq!(*store.health().borrow(), Health::Serving);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn connections_that_are_ended_under_load_lose_nothing_that_was_acknowledged() {
    let database = PostgresDatabase::create();
    let store = open(&database).await;
    let load = Load::start(&store);
    let mut other = database.another_process().await;
    for _ in 0..10 {
        load.grows().await;
        run(&mut other, TERMINATE).await;
    }
    load.grows().await;
    for order in load.end().await {
        assert_eq!(store.status(order).await, Ok(Some(Delivered)), "{order}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn readers_whose_server_vanished_without_a_word_give_their_places_to_others() {
    let database = PostgresDatabase::create();
    let proxy = Proxy::before(&database).await;
    let store = Store::open(&proxy.url()).await.expect("the store opens");
    let order = Uuid::new_v4();
    store.write(record(order, 1, Pending)).await.unwrap();
    let mut other = database.another_process().await;
    let mut held = other.begin().await.unwrap();
    run(&mut held, "LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE").await;
    // More questions than there are readers: when all readers are in the midst of one, silence.
    let questions = join_all((0..16).map(|_| store.status(order)));
    let silence = async {
        are_waiting(&database, 4).await;
        proxy.silence();
        held.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(questions, silence);
    for answer in answers {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    }
    // Nothing but the store itself ends the silent connections: their sockets stay open.
    let status = eventually("it can be read", || async { store.status(order).await.ok() }).await;
    assert_eq!(status, Some(Pending));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_database_that_becomes_read_only_fails_until_it_is_writable_again() {
    let database = PostgresDatabase::create();
    let store = open(&database).await;
    let mut other = database.another_process().await;
    let order = Uuid::new_v4();
    store.write(record(order, 1, Pending)).await.unwrap();
    set_default(&mut other, "default_transaction_read_only", "on").await;
    run(&mut other, TERMINATE).await;
    let fate = store.write(record(order, 2, Delivered)).await;
    assert!(matches!(fate, Err(StoreError::Unavailable(_))), "{fate:?}");
    is_failing(&store).await;
    assert_eq!(store.status(order).await, Ok(Some(Pending)), "it can still be read");
    set_default(&mut other, "default_transaction_read_only", "off").await;
    is_serving(&store).await;
    assert_eq!(store.write(record(order, 2, Delivered)).await, Ok(()));
}

/// What later connections to the database begin with; this one's own defaults are those of its beginning.
async fn set_default(connection: &mut PgConnection, setting: &str, value: &str) {
    let name: String =
        sqlx::query_scalar("SELECT current_database()").fetch_one(&mut *connection).await.unwrap();
    let sql = format!("ALTER DATABASE {name} SET {setting} = '{value}'");
    // All of it is the test's own.
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(connection).await.expect("it is altered");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_write_that_waits_for_anothers_lock_gives_up_and_the_next_one_succeeds() {
    let database = PostgresDatabase::create();
    let store = open(&database).await;
    let mut other = database.another_process().await;
    let mut held = other.begin().await.unwrap();
    run(&mut held, "LOCK TABLE attempts IN ACCESS EXCLUSIVE MODE").await;
    let order = Uuid::new_v4();
    let fate = store.write(record(order, 1, Delivered)).await;
    assert!(matches!(fate, Err(StoreError::Unavailable(_))), "{fate:?}");
    assert_eq!(store.status(order).await, Ok(None), "no half of a record is kept");
    held.rollback().await.unwrap();
    assert_eq!(store.write(record(order, 1, Delivered)).await, Ok(()));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn workers_start_at_once_whatever_isolation_the_database_has_by_default() {
    /// Of all advisory locks, the one that migrations take.
    const MIGRATION_LOCK: i64 = 0x6f72_6465_7273;
    for isolation in ["repeatable read", "serializable"] {
        let database = PostgresDatabase::create();
        let mut other = database.another_process().await;
        set_default(&mut other, "default_transaction_isolation", isolation).await;
        let mut held = other.begin().await.unwrap();
        let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK);
        lock.execute(&mut *held).await.unwrap();
        // Both have begun before either migrates.
        let begun = async {
            are_waiting(&database, 2).await;
            held.rollback().await.unwrap();
        };
        let (first, second, ()) = tokio::join!(open(&database), open(&database), begun);
        for store in [first, second] {
            assert_eq!(store.write(record(Uuid::new_v4(), 1, Delivered)).await, Ok(()));
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_database_of_a_newer_program_is_refused_with_both_versions() {
    let database = PostgresDatabase::create();
    open(&database).await.close().await;
    let mut other = database.another_process().await;
    run(&mut other, crate::support::A_NEWER_PROGRAM).await;
    let Err(error) = Store::open(&database.url()).await else { panic!("it opens") };
    let error = error.to_string();
    assert!(error.contains("version 99") && error.contains("newer program"), "{error}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn the_audit_log_cannot_be_changed_by_anybody() {
    let database = PostgresDatabase::create();
    let store = open(&database).await;
    let mut other = database.another_process().await;
    run(&mut other, crate::support::AN_AUDIT_ENTRY).await;
    for sql in crate::support::CHANGES_OF_THE_AUDIT {
        let error = sqlx::query(sql).execute(&mut other).await.expect_err(sql).to_string();
        assert!(error.contains("the audit log is only added to"), "{error}");
    }
    assert_eq!(store.audit_page(None, 10).await.map(|page| page.len()), Ok(1));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_store_without_a_server_is_opened_when_it_is_up() {
    let database = PostgresDatabase::with_a_server_of_its_own();
    database.server().stop(true).expect("it stops");
    let store = Store::open_when_up(&database.url()).await.expect("it waits");
    let failing = store.health().borrow().clone();
    let Health::Failing(reason) = failing else { panic!("it works") };
    assert!(reason.contains("cannot open postgres://"), "{reason}");
    let order = Uuid::new_v4();
    let fate = store.write(record(order, 1, Pending)).await;
    assert!(matches!(fate, Err(StoreError::Unavailable(_))), "{fate:?}");
    database.server().start_again().expect("it starts");
    is_serving(&store).await;
    // Its tables are there: nobody else has made them.
    assert_eq!(store.write(record(order, 1, Pending)).await, Ok(()));
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_database_that_does_not_exist_is_not_waited_for() {
    let database = PostgresDatabase::create();
    let (server, query) = database.text().split_once('?').unwrap();
    let server = server.rsplit_once('/').unwrap().0;
    let url = format!("{server}/nowhere?{query}").parse().unwrap();
    let Err(error) = Store::open_when_up(&url).await else { panic!("it waits") };
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_database_that_cannot_keep_every_text_is_refused() {
    let database = PostgresDatabase::create();
    let mut other = database.another_process().await;
    run(&mut other, "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0").await;
    let (server, query) = database.text().split_once('?').unwrap();
    let server = server.rsplit_once('/').unwrap().0;
    let url = format!("{server}/ascii?{query}").parse().unwrap();
    let Err(error) = Store::open(&url).await else { panic!("it opens") };
    assert!(error.to_string().contains("UTF8"), "{error}");
    run(&mut other, "DROP DATABASE ascii WITH (FORCE)").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_up_and_the_password_is_not_told() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgres://fleet:s3cret@127.0.0.1:{port}/deliveries");
    let url = url.parse().unwrap();
    let begun = tokio::time::Instant::now();
    let Err(error) = Store::open(&url).await else { panic!("it opens") };
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    let text = format!("{error} {error:?} {url:?}");
    assert!(text.contains(&format!("fleet@127.0.0.1:{port}/deliveries")), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}
