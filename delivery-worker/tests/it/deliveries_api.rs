//! What the worker's API tells of deliveries.

use std::{collections::BTreeSet, net::SocketAddr};

use delivery_worker::{
    Reason,
    store::{Attempt, DatabaseUrl, DeliveryChange, Outcome, Record, Store},
};
use futures_util::future::join_all;
use jiff::Timestamp;
use order_events::DeliveryStatus;
use serde_json::Value;
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
use uuid::Uuid;

use crate::{
    rig::{FIFO, STANDARD, Sqs, Worker},
    support::{eventually, get, http_client, order_of},
};

/// All pages of the list, put together.
async fn listed(worker: &Worker, query: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, page) = get(&format!("{}/orders?{query}{cursor}", worker.api)).await;
        assert_eq!(status, 200, "{page}");
        all.extend(page["deliveries"].as_array().expect("a list").iter().cloned());
        match &page["nextCursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            none => {
                assert!(none.is_null());
                return all;
            }
        }
    }
}

#[tokio::test]
async fn deliveries_are_listed_page_by_page_newest_first_and_by_their_properties() {
    let sqs = Sqs::anywhere().await;
    let worker = Worker::start(sqs.addr, &[]).await;
    let mut orders = BTreeSet::new();
    for i in 1..=7 {
        let order = order_of(if i == 3 { "실패테스트" } else { "상품" });
        let queue = if i % 2 == 0 { FIFO } else { STANDARD };
        sqs.send(queue, &order.to_json(), Some("customer-001")).await;
        worker.delivery(&order, if i == 3 { "FAILED" } else { "DELIVERED" }).await;
        orders.insert(order.order_id.to_string());
    }
    let ids = |deliveries: &[Value]| -> Vec<String> {
        deliveries.iter().map(|one| one["orderId"].as_str().unwrap().to_owned()).collect()
    };
    let all = listed(&worker, "").await;
    assert_eq!(ids(&all).into_iter().collect::<BTreeSet<_>>(), orders);
    let time = |one: &Value| one["createdAt"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(all.windows(2).all(|two| time(&two[0]) >= time(&two[1])), "newest first");
    assert_eq!(listed(&worker, "limit=2").await, all, "the same in pages");
    let failed = listed(&worker, "status=FAILED").await;
    assert_eq!((failed.len(), failed[0]["status"].as_str()), (1, Some("FAILED")));
    let fifo = listed(&worker, &format!("limit=1&customerId=customer-001&queue={FIFO}")).await;
    assert_eq!(fifo.len(), 3);
    assert_eq!(listed(&worker, "customerId=nobody").await, Vec::<Value>::new());
    let (from, to) = (time(&all[4]), time(&all[1]));
    let between = listed(&worker, &format!("limit=1&from={from}&to={to}")).await;
    let expected: Vec<_> = all.iter().filter(|one| (from..to).contains(&time(one))).collect();
    assert_eq!(between.iter().collect::<Vec<_>>(), expected);
    worker.stop().await;
}

/// A failed attempt whose free texts are the longest: escaped, each of their characters takes six.
fn failed_at_length(order_id: Uuid, number: u32) -> Record {
    let (text, now) = ("\u{1}".repeat(2000), Timestamp::now());
    let attempt = Attempt {
        message_id: Uuid::new_v4().to_string(),
        order_id: Some(order_id),
        queue: STANDARD.to_owned(),
        group: None,
        number,
        outcome: Outcome::Failed,
        reason: Some(Reason::CarrierUnavailable),
        error: Some(text.clone()),
        worker: "worker-1".to_owned(),
        started_at: now,
        finished_at: now,
    };
    let status = DeliveryStatus::Pending;
    Record { attempt, delivery: Some(DeliveryChange { order_id, customer_id: text, status }) }
}

#[tokio::test]
async fn an_order_of_many_attempts_is_told_with_its_newest_hundred_and_their_number() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let worker = Worker::start(nowhere, &[]).await;
    let file = DatabaseUrl::Sqlite(worker.directory.path().join("deliveries.db"));
    let store = Store::open(&file).await.expect("it opens");
    let order_id = Uuid::new_v4();
    // One after the other, as attempts are: those that are written together are in no order.
    for number in 1..=200 {
        store.write(failed_at_length(order_id, number)).await.expect("it is written");
    }
    let url = format!("{}/orders/{order_id}", worker.api);
    let body = http_client().get(url).send().await.unwrap().bytes().await.unwrap();
    let delivery: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(delivery["attemptCount"], 200);
    let attempts = delivery["attempts"].as_array().expect("a list");
    let numbers: Vec<_> = attempts.iter().filter_map(|one| one["attempt"].as_u64()).collect();
    assert_eq!(numbers, (101..=200).collect::<Vec<u64>>());
    assert!(attempts.iter().all(|one| one["error"].as_str().is_some_and(|e| e.len() == 1024)));
    assert!(body.len() < 1024 * 1024, "the order API takes no more: {}", body.len());
    store.close().await;
    worker.stop().await;
}

#[tokio::test]
async fn an_order_whose_message_is_no_order_is_told_as_that_until_it_comes_anew() {
    let sqs = Sqs::anywhere().await;
    let worker = Worker::start(sqs.addr, &[]).await;
    let order = order_of("상품");
    let url = format!("{}/orders/{}", worker.api, order.order_id);
    let (status, problem) = get(&url).await;
    assert_eq!((status, problem["type"].as_str()), (404, Some("/problems/unknown-order")));
    let no_order = format!(r#"{{"orderId":"{}","customerId":7}}"#, order.order_id);
    sqs.send(STANDARD, &no_order, None).await;
    eventually("it is dead-lettered", || async {
        (sqs.messages("order-queue-standard-dlq") == 1).then_some(())
    })
    .await;
    let (status, problem) = get(&url).await;
    assert_eq!((status, problem["type"].as_str()), (410, Some("/problems/unreadable-order")));
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("(unparseable: the body is not an order: "), "{detail}");
    sqs.send(STANDARD, &order.to_json(), None).await;
    let delivery = worker.delivery(&order, "DELIVERED").await;
    assert_eq!(delivery["attemptCount"], 2, "{delivery}");
    worker.stop().await;
}

#[tokio::test]
async fn a_query_with_mistakes_is_answered_by_all_of_them() {
    let sqs = Sqs::anywhere().await;
    let worker = Worker::start(sqs.addr, &[]).await;
    let query = "status=lost&limit=201&from=now&to=later&cursor=%00&colour=red&queue=a&queue=b";
    let (status, problem) = get(&format!("{}/orders?{query}", worker.api)).await;
    assert_eq!((status, problem["type"].as_str()), (400, Some("/problems/invalid-query")));
    let named: BTreeSet<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    let expected = ["?status", "?limit", "?from", "?to", "?cursor", "?colour", "?queue"];
    assert_eq!(named, expected.into());
    worker.stop().await;
}

#[tokio::test]
async fn the_type_of_every_problem_leads_to_a_page_that_says_what_to_do() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let worker = Worker::start(nowhere, &[]).await;
    let root = worker.api.strip_suffix("/api/delivery").expect("the API's path");
    let page = async |path: &str| {
        let answer = http_client().get(format!("{root}{path}")).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap())
    };
    let (status, index) = page("/problems").await;
    assert_eq!(status, 200);
    let mut listed: BTreeSet<_> = index.lines().filter_map(|line| line.split(' ').next()).collect();
    for path in listed.iter().copied() {
        let (status, text) = page(path).await;
        assert!(status == 200 && text.contains("What to do: "), "{path}: {status} {text}");
    }
    assert_eq!(page("/problems/nothing").await.0, 404);
    let file = worker.directory.path().join("deliveries.db");
    let mut other = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
    let unknown = format!("orders/{}", Uuid::new_v4());
    let store = Store::open(&DatabaseUrl::Sqlite(file)).await.expect("it opens");
    let order_id = Uuid::new_v4();
    let no_order = Record { delivery: None, ..failed_at_length(order_id, 1) };
    store.write(no_order).await.expect("it is written");
    store.close().await;
    let unreadable = format!("orders/{order_id}");
    let unavailable = "ALTER TABLE deliveries RENAME TO lost";
    for (path, slug) in [
        ("orders/1", "invalid-order-id"),
        ("orders?limit=0", "invalid-query"),
        ("nothing", "not-found"),
        (unknown.as_str(), "unknown-order"),
        (unreadable.as_str(), "unreadable-order"),
        (unavailable, "store-unavailable"),
    ] {
        let asked = if path == unavailable {
            sqlx::query(unavailable).execute(&mut other).await.unwrap();
            unknown.as_str()
        } else {
            path
        };
        let (_, problem) = get(&format!("{}/{asked}", worker.api)).await;
        assert_eq!(problem["type"], format!("/problems/{slug}"), "{path}");
        assert!(listed.remove(problem["type"].as_str().unwrap()), "{slug} has a page");
    }
    assert_eq!(listed, ["/problems/bad-request", "/problems/method-not-allowed"].into());
    worker.stop().await;
}

/// Leaves a file in which whoever reads why an attempt failed waits for ever. Writing goes on.
const ERRORS_ARE_ENDLESS: [&str; 4] = [
    "ALTER TABLE attempts RENAME TO kept",
    "CREATE VIEW attempts AS SELECT id, message_id, order_id, queue, message_group, attempt,
            outcome, reason,
            (WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers)
             SELECT COUNT(*) FROM numbers) AS error,
            worker, started_at_ms, finished_at_ms
        FROM kept",
    "CREATE TRIGGER keep INSTEAD OF INSERT ON attempts BEGIN
        INSERT INTO kept (message_id, order_id, queue, message_group, attempt, outcome, reason,
            error, worker, started_at_ms, finished_at_ms)
        VALUES (NEW.message_id, NEW.order_id, NEW.queue, NEW.message_group, NEW.attempt,
            NEW.outcome, NEW.reason, NEW.error, NEW.worker, NEW.started_at_ms, NEW.finished_at_ms);
        END",
    // Whether deleting works is how the store is tried.
    "CREATE TRIGGER forget INSTEAD OF DELETE ON attempts BEGIN SELECT 1; END",
];

#[tokio::test]
async fn questions_without_end_hold_up_no_delivery_and_are_answered_with_when_to_ask_again() {
    let sqs = Sqs::anywhere().await;
    let worker = Worker::start(sqs.addr, &[("ATTEMPTS_RETENTION", "0s")]).await;
    let first = order_of("상품");
    sqs.send(STANDARD, &first.to_json(), None).await;
    worker.delivery(&first, "DELIVERED").await;
    let file = worker.directory.path().join("deliveries.db");
    let mut other = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    for sql in ERRORS_ARE_ENDLESS {
        sqlx::query(sql).execute(&mut other).await.expect(sql);
    }
    // More than there are connections to the file.
    let url = format!("{}/orders/{}", worker.api, first.order_id);
    let questions = join_all((0..8).map(|_| http_client().get(&url).send()));
    let deliveries = async {
        for _ in 0..20 {
            sqs.send(STANDARD, &order_of("상품").to_json(), None).await;
            eventually("it is delivered", || async { (sqs.messages(STANDARD) == 0).then_some(()) })
                .await;
        }
    };
    let (answers, ()) = tokio::join!(questions, deliveries);
    for answer in answers {
        let answer = answer.expect("an answer");
        let again = answer.headers().get("retry-after").map(|value| value.as_bytes().to_vec());
        assert_eq!((answer.status().as_u16(), again), (503, Some(b"5".to_vec())));
    }
    assert_eq!(sqs.messages("order-queue-standard-dlq"), 0);
    worker.is_ready().await;
    worker.stop().await;
}

#[tokio::test]
async fn the_status_tells_the_backlog_at_no_request_to_sqs_for_each_question() {
    let sqs = Sqs::anywhere().await;
    // Received and not handled: two of the same customer's orders on the FIFO queue.
    let slow =
        [("CARRIER_SIMULATED_TIME", "1h"), ("CARRIER_TIMEOUT", "2h"), ("DRAIN_TIMEOUT", "0s")];
    let worker = Worker::start(sqs.addr, &slow).await;
    for _ in 0..2 {
        sqs.send(FIFO, &order_of("상품").to_json(), Some("customer-001")).await;
    }
    eventually("both are in flight", || async {
        (sqs.handle.queue_counts(FIFO)?.in_flight == 2).then_some(())
    })
    .await;
    let url = format!("{}/status", worker.api);
    let (_, first) = get(&url).await;
    let backlog = &first["backlog"];
    assert_eq!((&backlog[FIFO]["visible"], &backlog[FIFO]["inFlight"]), (&0.into(), &2.into()));
    assert_eq!(backlog[STANDARD]["inFlight"], 0);
    let asked = || async {
        let metrics = worker.metrics().await;
        let asked = metrics.lines().find(|line| line.contains(r#"operation="GetQueueAttributes""#));
        asked.map(str::to_owned).expect("it has asked")
    };
    let before = asked().await;
    for _ in 0..20 {
        let (_, again) = get(&url).await;
        assert_eq!(again["backlog"], first["backlog"]);
    }
    assert_eq!(asked().await, before);
    worker.stop().await;
}

#[tokio::test]
async fn a_backlog_that_sqs_does_not_tell_is_null() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let worker = Worker::start(nowhere, &[]).await;
    let (status, told) = get(&format!("{}/status", worker.api)).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["backlog"][STANDARD], Value::Null);
    worker.stop().await;
}

#[tokio::test]
async fn counts_that_the_store_does_not_tell_are_null_beside_what_is_known() {
    let sqs = Sqs::anywhere().await;
    let worker = Worker::start(sqs.addr, &[]).await;
    let url = format!("{}/status", worker.api);
    eventually("they are counted", || async {
        let (_, told) = get(&url).await;
        (told["deliveries"]["delivered"] == 0 && told["countedAt"].is_string()).then_some(())
    })
    .await;
    let file = worker.directory.path().join("deliveries.db");
    let mut other = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    sqlx::query("ALTER TABLE deliveries RENAME TO lost").execute(&mut other).await.unwrap();
    let told = eventually("they cannot be counted", || async {
        let (status, told) = get(&url).await;
        assert_eq!(status, 200, "{told}");
        told["deliveries"].is_null().then_some(told)
    })
    .await;
    assert!(told["countedAt"].is_null(), "{told}");
    assert_eq!(told["backlog"][STANDARD]["visible"], 0, "{told}");
    assert_eq!(told["deliveriesPerSecond"], 0.0, "{told}");
    assert_eq!(told["failuresPerSecond"], 0.0, "{told}");
    worker.stop().await;
}

#[tokio::test]
async fn the_rates_count_what_this_worker_has_delivered_and_what_failed() {
    let sqs = Sqs::anywhere().await;
    let worker = Worker::start(sqs.addr, &[]).await;
    for _ in 0..6 {
        sqs.send(STANDARD, &order_of("상품").to_json(), None).await;
    }
    for _ in 0..3 {
        sqs.send(STANDARD, "no order", None).await;
    }
    let url = format!("{}/status", worker.api);
    let told = eventually("all are counted", || async {
        let (_, told) = get(&url).await;
        (told["deliveries"]["delivered"] == 6 && told["failuresPerSecond"] == 0.05).then_some(told)
    })
    .await;
    assert_eq!(told["deliveriesPerSecond"], 0.1, "six in the last minute");
    worker.stop().await;
}
