//! A worker whose PostgreSQL is stopped and started under load.

use std::collections::BTreeSet;

use local_postgres::Server;
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
