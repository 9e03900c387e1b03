//! The three services and local-sqs as separate processes: the same promise, and crashes.

use std::{collections::BTreeMap, path::Path, time::Duration};

use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    client::{Curl, metric, order},
    processes::{FIFO, Separate},
    promise::keep_the_promise,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn separate_processes_set_up_by_environment_variables_alone_keep_the_promise() {
    let fleet = Separate::start(30).await;
    let mut api = fleet.service("order-api", &[]);
    let mut worker = fleet.service("delivery-worker", &[]);
    let mut monitor = fleet.service("dlq-monitor", &[("MONITOR_INTERVAL", "1s")]);
    let curl = Curl::new();
    let monitor_admin = format!("http://{}", monitor.logged("admin").await);
    keep_the_promise(
        &curl,
        &format!("http://{}", api.logged("listen").await),
        &format!("http://{}", worker.logged("listen").await),
        &monitor_admin,
    )
    .await;
    // Two further looks at the queue do not announce the dead message again.
    for _ in 0..2 {
        let last = |text: &str| metric(text, "dlq_monitor_last_success_timestamp_seconds", &[]);
        let metrics = format!("{monitor_admin}/metrics");
        let before = last(&curl.get(&metrics).await.text);
        curl.until(&metrics, "a further look", |answer| last(&answer.text) > before).await;
    }
    assert_eq!(monitor.count("a message is dead"), 1);
    for process in [&mut api, &mut worker, &mut monitor] {
        process.signal("-TERM");
        assert_eq!(process.ended().await.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_under_a_fifo_load_loses_no_order_and_no_groups_order() {
    const GROUPS: usize = 50;
    const ORDERS: usize = 40;
    let fleet = Separate::start(6).await;
    let api = fleet.service("order-api", &[]);
    let slow = [("CARRIER_SIMULATED_TIME", "5ms"), ("WORKER_CONCURRENCY", "8")];
    let mut victim = fleet.service("delivery-worker", &slow);
    let mut survivor = fleet.service("delivery-worker", &slow);
    let (curl, api) = (Curl::new(), format!("http://{}", api.logged("listen").await));
    let admin = format!("http://{}", victim.logged("admin").await);
    let mut sending = Vec::new();
    for group in 0..GROUPS {
        let (curl, url) = (curl.clone(), format!("{api}/api/orders?queueType=fifo"));
        sending.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            for i in 0..ORDERS {
                let body = order(&format!("customer-{group}"), &format!("FIFO-상품{i}"), 1, 1);
                let answer = curl.post(&url, body).await;
                assert_eq!(answer.status, 202, "{}", answer.text);
                ids.push(answer.json()["orderId"].as_str().unwrap().to_owned());
            }
            ids
        }));
    }
    curl.until(&format!("{admin}/metrics"), "a worker in the middle of its work", |answer| {
        metric(&answer.text, "delivery_fifo_lanes_busy", &[]) > Some(0.0)
            && metric(&answer.text, "delivery_attempts_total", &["delivered"]) > Some(100.0)
    })
    .await;
    victim.signal("-KILL");
    assert_eq!(victim.ended().await.code(), None);

    let mut sent = Vec::new();
    for group in sending {
        sent.push(group.await.unwrap());
    }
    let url = format!("http://{}/api/delivery/status", survivor.logged("listen").await);
    curl.until(&url, "every order delivered", |answer| {
        answer.json()["deliveries"]["delivered"] == GROUPS * ORDERS
    })
    .await;
    let effects = effects(&fleet.database()).await;
    for (group, ids) in sent.iter().enumerate() {
        assert_eq!(&effects[&format!("customer-{group}")], ids, "customer-{group}");
    }
    assert_eq!(fleet.counts(&curl, "order-queue-dlq.fifo").await, (0, 0));
    survivor.signal("-TERM");
    assert_eq!(survivor.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_exits_with_0_and_strands_nothing() {
    let fleet = Separate::start(30).await;
    let api = fleet.service("order-api", &[]);
    let (curl, api) = (Curl::new(), format!("http://{}", api.logged("listen").await));
    let mut sent = 0;
    for queue in ["standard", "fifo"] {
        let url = format!("{api}/api/orders?queueType={queue}");
        for i in 0..150 {
            let answer = curl.post(&url, order(&format!("c-{}", i % 20), "상품", 1, 1)).await;
            assert_eq!(answer.status, 202);
            sent += 1;
        }
    }
    // The worker comes when all orders are there, with work for much longer than this test looks
    // at it, so that however slow the machine is, the signal comes in the middle.
    let settings = [("CARRIER_SIMULATED_TIME", "1s"), ("WORKER_CONCURRENCY", "4")];
    let mut worker = fleet.service("delivery-worker", &settings);
    let admin = format!("http://{}", worker.logged("admin").await);
    curl.until(&format!("{admin}/metrics"), "both queues being worked on", |answer| {
        ["standard", "fifo"].iter().all(|queue| {
            metric(&answer.text, "delivery_attempts_total", &["delivered", queue]) > Some(0.0)
        })
    })
    .await;
    worker.signal("-TERM");
    assert_eq!(worker.ended().await.code(), Some(0));
    assert_eq!(worker.count(r#""stranded":0"#), 2, "both queues report their drain");
    let mut left = 0;
    for queue in ["order-queue-standard", FIFO] {
        let (visible, in_flight) = fleet.counts(&curl, queue).await;
        assert_eq!(in_flight, 0, "{queue}");
        left += visible as usize;
    }
    let delivered = effects(&fleet.database()).await.values().map(Vec::len).sum::<usize>();
    assert_eq!(delivered + left, sent);
    assert!(left > 0, "it was stopped in the middle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_start_without_sqs_stay_alive_and_become_ready_when_it_appears() {
    // An address of which we know that it is free, since we had it.
    let late = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = late.local_addr().unwrap().to_string();
    drop(late);
    let fleet = Separate::start(30).await;
    let endpoint = format!("http://{address}");
    let urls: Vec<String> = [
        "order-queue-standard",
        "order-queue-standard-dlq",
        "order-queue.fifo",
        "order-queue-dlq.fifo",
    ]
    .iter()
    .map(|queue| format!("{endpoint}/000000000000/{queue}"))
    .collect();
    let env = [
        ("AWS_SQS_ENDPOINT", endpoint.as_str()),
        ("SQS_QUEUE_URL_STANDARD", &urls[0]),
        ("SQS_QUEUE_URL_STANDARD_DLQ", &urls[1]),
        ("SQS_QUEUE_URL_FIFO", &urls[2]),
        ("SQS_QUEUE_URL_FIFO_DLQ", &urls[3]),
    ];
    let services =
        ["order-api", "delivery-worker", "dlq-monitor"].map(|name| fleet.service(name, &env));
    let curl = Curl::new();
    let mut admins = Vec::new();
    for service in &services {
        let admin = format!("http://{}", service.logged("admin").await);
        let unready = curl.get(&format!("{admin}/readyz")).await;
        assert_eq!(unready.status, 503, "{}", unready.text);
        assert_eq!(curl.get(&format!("{admin}/livez")).await.status, 200);
        admins.push(admin);
    }
    let _sqs = crate::processes::Process::start("local-sqs", &[("LOCAL_SQS_ADDR", address)]);
    for admin in admins {
        curl.until(&format!("{admin}/readyz"), "ready", |answer| answer.status == 200).await;
    }
}

#[tokio::test]
async fn a_wrong_setting_is_named_and_the_exit_code_is_64() {
    let fleet = Separate::start(30).await;
    for (service, name, value) in [
        ("order-api", "LISTEN_ADDR", "here"),
        ("delivery-worker", "HANDLER_TIMEOUT", "soon"),
        ("dlq-monitor", "MONITOR_INTERVALL", "30s"),
    ] {
        let mut process = fleet.service(service, &[(name, value)]);
        assert_eq!(process.ended().await.code(), Some(64), "{service}");
        assert!(process.count(name) > 0 && process.count(value) > 0, "{service} names {name}");
    }
}

/// Delivered orders of each customer in the order of their commits.
pub(crate) async fn effects(database: &Path) -> BTreeMap<String, Vec<String>> {
    let options =
        SqliteConnectOptions::new().filename(database).busy_timeout(Duration::from_secs(10));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let rows = sqlx::query(
        "SELECT d.customer_id, a.order_id, min(a.id) AS first FROM attempts a \
         JOIN deliveries d ON d.order_id = a.order_id \
         WHERE a.outcome = 'delivered' GROUP BY a.order_id ORDER BY first",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut effects = BTreeMap::<String, Vec<String>>::new();
    for row in rows {
        effects.entry(row.get(0)).or_default().push(row.get(1));
    }
    effects
}
