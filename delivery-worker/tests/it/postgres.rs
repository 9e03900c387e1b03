//! A worker whose PostgreSQL is stopped and started under load.

use std::collections::BTreeSet;

use delivery_worker::store::Store;
use futures_util::future::join_all;
use local_postgres::Server;
use sqlx::{Connection, PgConnection};
use tokio::task::block_in_place;

use crate::{
    rig::{FIFO, STANDARD, Sqs, Worker},
    support::{eventually, get, order_of},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn while_postgresql_is_down_nothing_is_acknowledged_and_receiving_pauses() {
    let server = Server::start().expect("PostgreSQL starts");
    let url = server.create_database().expect("a database");
    let sqs = Sqs::anywhere().await;
    let settings = [("DATABASE_URL", url.as_str()), ("CARRIER_SIMULATED_TIME", "5ms")];
    let worker = Worker::start(sqs.addr, &settings).await;
    worker.is_ready().await;
    let mut orders = BTreeSet::new();
    for i in 0..300 {
        let order = order_of("상품");
        let queue = if i % 2 == 0 { FIFO } else { STANDARD };
        let group = format!("customer-{}", i % 20);
        sqs.send(queue, &order.to_json(), Some(&group)).await;
        orders.insert(order.order_id);
        if i == 150 {
            block_in_place(|| server.stop(true)).expect("it stops");
        }
    }
    // The store's latch and both queues': their breakers are open, and only probes go on.
    eventually("receiving pauses", || async {
        let (_, why) = get(&format!("{}/readyz", worker.admin)).await;
        let unready: Vec<_> = why["unready"].as_array()?.iter().map(|one| &one["name"]).collect();
        let all = ["store", "standard queue", "fifo queue"];
        all.iter().all(|name| unready.iter().any(|latch| *latch == name)).then_some(())
    })
    .await;
    let left = sqs.messages(STANDARD) + sqs.messages(FIFO);
    assert!(left >= 149, "{left} are left of those that came while it was down");
    block_in_place(|| server.start_again()).expect("it starts");
    eventually("everything is delivered", || async {
        (sqs.messages(STANDARD) + sqs.messages(FIFO) == 0).then_some(())
    })
    .await;
    for queue in ["order-queue-standard-dlq", "order-queue-dlq.fifo"] {
        assert_eq!(sqs.messages(queue), 0, "nothing was given up in {queue}");
    }
    for order in orders {
        let (status, delivery) = get(&format!("{}/orders/{order}", worker.api)).await;
        assert_eq!((status, delivery["status"].as_str()), (200, Some("DELIVERED")), "{order}");
    }
    worker.is_ready().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_worker_starts_without_postgresql_and_consumes_when_it_appears() {
    let server = Server::start().expect("PostgreSQL starts");
    let url = server.create_database().expect("a database");
    block_in_place(|| server.stop(true)).expect("it stops");
    let sqs = Sqs::anywhere().await;
    let order = order_of("상품");
    sqs.send(STANDARD, &order.to_json(), None).await;
    let worker = Worker::start(sqs.addr, &[("DATABASE_URL", url.as_str())]).await;
    eventually("it says what it waits for", || async {
        let (_, why) = get(&format!("{}/readyz", worker.admin)).await;
        why.to_string().contains("cannot open postgres://").then_some(())
    })
    .await;
    assert_eq!(get(&format!("{}/livez", worker.admin)).await.0, 200);
    assert_eq!(get(&format!("{}/orders/{}", worker.api, order.order_id)).await.0, 503);
    let waiting = sqs.handle.queue_counts(STANDARD).expect("it exists");
    assert_eq!((waiting.visible, waiting.in_flight), (1, 0), "nothing is received");
    block_in_place(|| server.start_again()).expect("it starts");
    worker.is_ready().await;
    worker.delivery(&order, "DELIVERED").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_worker_that_still_waits_for_postgresql_can_be_stopped() {
    let server = Server::start().expect("PostgreSQL starts");
    let url = server.create_database().expect("a database");
    block_in_place(|| server.stop(true)).expect("it stops");
    let sqs = Sqs::anywhere().await;
    let worker = Worker::start(sqs.addr, &[("DATABASE_URL", url.as_str())]).await;
    worker.stop().await;
}

/// Leaves a database in which whoever counts deliveries waits for an advisory lock, which is taken.
const COUNTS_WAIT: [&str; 3] = [
    "ALTER TABLE deliveries RENAME TO kept",
    "CREATE VIEW deliveries AS SELECT * FROM kept WHERE current_query() NOT LIKE '%COUNT(%'
        OR EXISTS (SELECT FROM pg_advisory_xact_lock_shared(1))",
    "SELECT pg_advisory_lock(1)",
];

/// The same of whoever lists deliveries.
const LISTS_WAIT: [&str; 3] = [
    "ALTER TABLE deliveries RENAME TO kept",
    "CREATE VIEW deliveries AS SELECT * FROM kept WHERE current_query() NOT LIKE '%UNION ALL%'
        OR EXISTS (SELECT FROM pg_advisory_xact_lock_shared(1))",
    "SELECT pg_advisory_lock(1)",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn lists_that_take_long_hold_up_no_delivery_and_are_given_up() {
    let server = Server::shared().expect("PostgreSQL starts");
    let url = server.create_database().expect("a database");
    let store = Store::open(&url.parse().expect("a URL")).await.expect("it opens");
    store.close().await;
    let mut other = PgConnection::connect(&url).await.expect("it connects");
    for sql in LISTS_WAIT {
        sqlx::query(sql).execute(&mut other).await.expect(sql);
    }
    let sqs = Sqs::anywhere().await;
    let worker = Worker::start(sqs.addr, &[("DATABASE_URL", url.as_str())]).await;
    worker.is_ready().await;
    let list = format!("{}/orders", worker.api);
    let deliver = async || {
        sqs.send(STANDARD, &order_of("상품").to_json(), None).await;
        eventually("it is delivered", || async { (sqs.messages(STANDARD) == 0).then_some(()) })
            .await;
    };
    // Nobody waits in a table without a row.
    deliver().await;
    // More than there are connections to the database.
    let lists = join_all((0..16).map(|_| get(&list)));
    let deliveries = async {
        for _ in 0..20 {
            deliver().await;
        }
    };
    let (answers, ()) = tokio::join!(lists, deliveries);
    for (status, problem) in answers {
        assert_eq!((status, problem["type"].as_str()), (503, Some("/problems/store-unavailable")));
    }
    assert_eq!(sqs.messages("order-queue-standard-dlq"), 0);
    sqlx::query("SELECT pg_advisory_unlock(1)").execute(&mut other).await.expect("it is released");
    let (status, listed) = get(&list).await;
    assert_eq!((status, listed["deliveries"].as_array().map(Vec::len)), (200, Some(21)));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_count_that_takes_long_holds_up_neither_deliveries_nor_the_status() {
    let server = Server::shared().expect("PostgreSQL starts");
    let url = server.create_database().expect("a database");
    let store = Store::open(&url.parse().expect("a URL")).await.expect("it opens");
    store.close().await;
    let mut other = PgConnection::connect(&url).await.expect("it connects");
    for sql in COUNTS_WAIT {
        sqlx::query(sql).execute(&mut other).await.expect(sql);
    }
    let sqs = Sqs::anywhere().await;
    let worker = Worker::start(sqs.addr, &[("DATABASE_URL", url.as_str())]).await;
    let status = format!("{}/status", worker.api);
    for _ in 0..5 {
        let order = order_of("상품");
        sqs.send(STANDARD, &order.to_json(), None).await;
        worker.delivery(&order, "DELIVERED").await;
        let (code, told) = get(&status).await;
        assert_eq!(code, 200, "{told}");
        assert!(told["deliveries"].is_null() && told["countedAt"].is_null(), "{told}");
        assert_eq!(told["backlog"][STANDARD]["delayed"], 0, "{told}");
    }
    sqlx::query("SELECT pg_advisory_unlock(1)").execute(&mut other).await.expect("it is released");
    let told = eventually("they are counted", || async {
        let (_, told) = get(&status).await;
        told["deliveries"]["delivered"].as_u64()
    })
    .await;
    assert!((1..=5).contains(&told), "{told}");
    worker.stop().await;
}
