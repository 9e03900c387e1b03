//! The whole worker against an SQS in the same process.

use std::{net::SocketAddr, time::Duration};

use local_sqs::{FaultRule, Faults};
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

use crate::{
    rig::{FIFO, STANDARD, Sqs, Worker},
    support::{eventually, get, order_of},
};

#[tokio::test]
async fn standard_orders_are_delivered_and_their_messages_deleted() {
    let sqs = Sqs::anywhere().await;
    let worker = Worker::start(sqs.addr, &[]).await;
    let orders: Vec<_> = (1..=10).map(|i| order_of(&format!("상품{i}"))).collect();
    for order in &orders {
        sqs.send(STANDARD, &order.to_json(), Some("customer-001")).await;
    }
    for order in &orders {
        let delivery = worker.delivery(order, "DELIVERED").await;
        assert_eq!(delivery["orderId"], order.order_id.to_string());
        assert_eq!(delivery["customerId"], "customer-001");
        assert_eq!(delivery["queue"], STANDARD);
        assert_eq!(delivery["attempts"][0]["outcome"], "delivered");
        assert_eq!(delivery["attempts"].as_array().unwrap().len(), 1);
    }
    eventually("the queue is empty", || async { (sqs.messages(STANDARD) == 0).then_some(()) })
        .await;
    eventually("all are counted", || async {
        let (_, status) = get(&format!("{}/status", worker.api)).await;
        (status["deliveries"]["delivered"] == 10).then_some(())
    })
    .await;
    let metrics = worker.metrics().await;
    let counted =
        format!(r#"delivery_attempts_total{{outcome="delivered",queue="{STANDARD}"}} 10"#);
    assert!(metrics.contains(&counted), "{metrics}");
    worker.stop().await;
}

#[tokio::test]
async fn what_a_worker_has_done_before_its_first_scrape_is_an_increase_to_the_second() {
    let sqs = Sqs::anywhere().await;
    let order = order_of("상품");
    sqs.send(STANDARD, &order.to_json(), None).await;
    let worker = Worker::start(sqs.addr, &[]).await;
    worker.delivery(&order, "DELIVERED").await;
    let counted = [
        format!(r#"delivery_queue_wait_seconds_count{{queue="{STANDARD}"}}"#),
        format!(r#"delivery_queue_wait_seconds_bucket{{queue="{STANDARD}",le="30"}}"#),
        format!(
            r#"messaging_client_consumed_messages_total{{messaging_destination_name="{STANDARD}"}}"#
        ),
        format!(r#"delivery_attempts_total{{outcome="delivered",queue="{STANDARD}"}}"#),
    ];
    eventually("it is counted", || async {
        let last = format!("\n{} 1\n", counted[3]);
        worker.metrics().await.contains(&last).then_some(())
    })
    .await;
    for (scrape, count) in [("first", 0), ("second", 1)] {
        let shown = worker.scraped().await;
        for series in &counted {
            assert!(
                shown.contains(&format!("\n{series} {count}\n")),
                "{scrape}: {series}\n{shown}"
            );
        }
        let limit = format!(r#"delivery_concurrency_limit{{queue="{STANDARD}"}} 0"#);
        assert!(!shown.contains(&limit), "a gauge is what it is\n{shown}");
    }
    worker.stop().await;
}

#[tokio::test]
async fn fifo_orders_are_delivered_in_the_order_of_their_group() {
    let sqs = Sqs::anywhere().await;
    let orders: Vec<_> = (1..=20).map(|i| order_of(&format!("FIFO-상품{i}"))).collect();
    for (i, order) in orders.iter().enumerate() {
        let group = if i % 2 == 0 { "even" } else { "odd" };
        sqs.send(FIFO, &order.to_json(), Some(group)).await;
    }
    let worker = Worker::start(sqs.addr, &[("CARRIER_SIMULATED_TIME", "lognormal(3ms, 1)")]).await;
    let mut ended = [String::new(), String::new()];
    for (i, order) in orders.iter().enumerate() {
        let delivery = worker.delivery(order, "DELIVERED").await;
        let attempt = &delivery["attempts"][0];
        let (started, finished) =
            (attempt["startedAt"].as_str().unwrap(), attempt["finishedAt"].as_str().unwrap());
        // Times of one length in RFC 3339 sort as texts; these are cut to the millisecond.
        assert!(parsed(started) >= parsed(&ended[i % 2]), "{started} is before {}", ended[i % 2]);
        finished.clone_into(&mut ended[i % 2]);
    }
    worker.stop().await;
    assert_eq!(sqs.messages(FIFO), 0);
}

fn parsed(time: &str) -> jiff::Timestamp {
    time.parse().unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

#[tokio::test]
async fn a_failing_order_dies_three_times_and_lands_in_the_dead_letter_queue() {
    let sqs = Sqs::anywhere().await;
    let worker = Worker::start(sqs.addr, &[]).await;
    let (standard, fifo, next) =
        (order_of("실패테스트"), order_of("FIFO-실패테스트"), order_of("FIFO-상품"));
    sqs.send(STANDARD, &standard.to_json(), None).await;
    sqs.send(FIFO, &fifo.to_json(), Some("customer-001")).await;
    sqs.send(FIFO, &next.to_json(), Some("customer-001")).await;
    for order in [&standard, &fifo] {
        let delivery = worker.delivery(order, "FAILED").await;
        let attempts = delivery["attempts"].as_array().unwrap();
        let told: Vec<_> = attempts
            .iter()
            .map(|a| (a["attempt"].as_u64(), a["outcome"].as_str(), a["reason"].as_str()))
            .collect();
        let failed = |number| (Some(number), Some("failed"), Some("forced"));
        assert_eq!(told, [failed(1), failed(2), failed(3)]);
    }
    // The group goes on behind it.
    worker.delivery(&next, "DELIVERED").await;
    for (queue, dead) in [("order-queue-standard-dlq", &standard), ("order-queue-dlq.fifo", &fifo)]
    {
        eventually("it is in the dead-letter queue", || async {
            (sqs.messages(queue) == 1).then_some(())
        })
        .await;
        assert_eq!(sqs.dead_letters(queue).await[0].0, dead.to_json());
    }
    worker.stop().await;
}

#[tokio::test]
async fn garbage_is_dead_lettered_as_unparseable_while_its_batch_and_group_go_on() {
    let sqs = Sqs::anywhere().await;
    let (before, after) = (order_of("상품1"), order_of("상품2"));
    for (queue, group) in [(STANDARD, None), (FIFO, Some("customer-001"))] {
        let (before, after) =
            if group.is_some() { (&before, &after) } else { (&order_of("a"), &order_of("b")) };
        sqs.send(queue, &before.to_json(), group).await;
        sqs.send(queue, "{garbage", group).await;
        sqs.send(queue, &after.to_json(), group).await;
    }
    let worker = Worker::start(sqs.addr, &[]).await;
    worker.delivery(&before, "DELIVERED").await;
    worker.delivery(&after, "DELIVERED").await;
    for (queue, dlq, group) in [
        (STANDARD, "order-queue-standard-dlq", None),
        (FIFO, "order-queue-dlq.fifo", Some("customer-001".to_owned())),
    ] {
        eventually("the garbage is dead-lettered", || async {
            (sqs.messages(dlq) == 1).then_some(())
        })
        .await;
        eventually("the queue is empty", || async { (sqs.messages(queue) == 0).then_some(()) })
            .await;
        let expected = ("{garbage".to_owned(), "unparseable".to_owned(), group);
        assert_eq!(sqs.dead_letters(dlq).await, [expected]);
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_starts_without_sqs_and_becomes_ready_when_it_appears() {
    let reserved = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = reserved.local_addr().unwrap();
    drop(reserved);
    let worker = Worker::start(addr, &[]).await;
    let (status, _) = get(&format!("{}/livez", worker.admin)).await;
    assert_eq!(status, 200);
    let (status, why) = get(&format!("{}/readyz", worker.admin)).await;
    assert_eq!(status, 503, "{why}");
    let (status, health) = get(&format!("{}/health", worker.api)).await;
    assert_eq!((status, health["status"].as_str()), (200, Some("UP")));
    let sqs = Sqs::start(addr).await;
    worker.is_ready().await;
    let order = order_of("상품1");
    sqs.send(STANDARD, &order.to_json(), None).await;
    worker.delivery(&order, "DELIVERED").await;
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_without_queues_is_alive_but_not_ready() {
    let none: Vec<_> = ["STANDARD", "STANDARD_DLQ", "FIFO", "FIFO_DLQ"]
        .map(|queue| format!("SQS_QUEUE_URL_{queue}"))
        .into();
    let none: Vec<_> = none.iter().map(|name| (name.as_str(), "")).collect();
    let worker = Worker::start(SocketAddr::from(([127, 0, 0, 1], 9)), &none).await;
    let (status, why) = get(&format!("{}/readyz", worker.admin)).await;
    assert_eq!(status, 503);
    assert!(why.to_string().contains("SQS_QUEUE_URL_STANDARD"), "{why}");
    worker.stop().await;
}

#[tokio::test]
async fn questions_about_orders_are_answered_or_refused_as_problems() {
    let sqs = Sqs::anywhere().await;
    let worker = Worker::start(sqs.addr, &[]).await;
    let id = uuid::Uuid::new_v4();
    for (path, expected) in [
        (format!("orders/{id}"), 404),
        ("orders/not-a-uuid".to_owned(), 400),
        ("orders/%FF%00".to_owned(), 400),
        ("nothing".to_owned(), 404),
    ] {
        let (status, problem) = get(&format!("{}/{path}", worker.api)).await;
        assert_eq!(
            (status, problem["status"].as_u64()),
            (expected, Some(u64::from(expected))),
            "{path}"
        );
    }
    worker.stop().await;
}

#[tokio::test]
async fn while_the_store_is_down_no_order_is_lost_or_given_up() {
    let sqs = Sqs::anywhere().await;
    let worker = Worker::start(sqs.addr, &[]).await;
    worker.is_ready().await;
    let file = worker.directory.path().join("deliveries.db");
    let mut other = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    sqlx::query("ALTER TABLE attempts RENAME TO lost").execute(&mut other).await.unwrap();
    let order = order_of("상품1");
    sqs.send(FIFO, &order.to_json(), Some("customer-001")).await;
    eventually("the worker is not ready", || async {
        (!worker.readiness.is_ready()).then_some(())
    })
    .await;
    assert_eq!(sqs.messages(FIFO), 1);
    sqlx::query("ALTER TABLE lost RENAME TO attempts").execute(&mut other).await.unwrap();
    worker.delivery(&order, "DELIVERED").await;
    worker.is_ready().await;
    assert_eq!(sqs.messages("order-queue-dlq.fifo"), 0);
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_that_is_stopped_under_load_leaves_nothing_in_flight() {
    let sqs = Sqs::anywhere().await;
    let orders: Vec<_> = (1..=60).map(|i| order_of(&format!("상품{i}"))).collect();
    for (i, order) in orders.iter().enumerate() {
        let group = format!("customer-{}", i % 3);
        sqs.send(FIFO, &order.to_json(), Some(&group)).await;
        sqs.send(STANDARD, &order_of("상품").to_json(), None).await;
    }
    let slow = [("CARRIER_SIMULATED_TIME", "50ms"), ("WORKER_CONCURRENCY", "4")];
    let worker = Worker::start(sqs.addr, &slow).await;
    worker.delivery(&orders[0], "DELIVERED").await;
    worker.stop().await;
    for queue in [STANDARD, FIFO] {
        let counts = sqs.handle.queue_counts(queue).unwrap();
        assert_eq!(counts.in_flight, 0, "{queue}");
        assert!(counts.visible > 0, "{queue}: it was stopped in the midst");
    }
}

#[tokio::test]
async fn a_worker_that_leaves_a_message_leased_stays_until_that_has_been_scraped() {
    let sqs = Sqs::anywhere().await;
    let settings =
        [("CARRIER_SIMULATED_TIME", "1h"), ("CARRIER_TIMEOUT", "2h"), ("DRAIN_TIMEOUT", "100ms")];
    let worker = Worker::start(sqs.addr, &settings).await;
    sqs.send(STANDARD, &order_of("상품").to_json(), None).await;
    let in_hand = format!(r#"delivery_in_flight{{queue="{STANDARD}"}} 1"#);
    eventually("it is in hand", || async {
        worker.metrics().await.contains(&in_hand).then_some(())
    })
    .await;
    let rules = ["ChangeMessageVisibility", "ChangeMessageVisibilityBatch"].map(|operation| {
        FaultRule { operation: Some(operation.to_owned()), error_rate: 1.0, ..FaultRule::default() }
    });
    sqs.handle.set_faults(Faults { seed: 1, rules: rules.into() });
    // The first one is of zeros.
    worker.scraped().await;
    worker.begin_to_stop();
    let mut last = String::new();
    'up: loop {
        // KEDA looks, too, and its looks do not end the wait.
        for _ in 0..10 {
            if worker.try_metrics().await.is_none() {
                break 'up;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let Some(text) = worker.try_scraped().await else { break };
        last = text;
    }
    let stranded = format!(r#"delivery_shutdown_stranded_total{{queue="{STANDARD}"}} 1"#);
    assert!(last.contains(&stranded), "the last scrape has it: {last}");
    worker.stop().await;
}
