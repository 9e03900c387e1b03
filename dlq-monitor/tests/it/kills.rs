//! A monitor that is killed (SIGKILL) at each step of a job: another one finishes it, and every message is
//! in the source queue or the archive.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use local_sqs::{FaultRule, Faults};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    http::{call, get},
    support::{
        Database, FIFO, FIFO_DLQ, Monitor, STANDARD, STANDARD_DLQ, Sqs, environment, eventually,
    },
};

const MESSAGES: usize = 12;

/// The monitor's own binary.
struct Process {
    child: Child,
    api: SocketAddr,
}

impl Process {
    async fn start(sqs: SocketAddr, database: &Database) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dlq-monitor"))
            .env_clear()
            .envs(environment(sqs))
            .env("DATABASE_URL", database.url())
            .env("LISTEN_ADDR", "127.0.0.1:0")
            .env("ADMIN_ADDR", "127.0.0.1:0")
            .env("MONITOR_INTERVAL", "100ms")
            .env("LOG_FORMAT", "json")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let api = loop {
            let line = lines.next_line().await.expect("a line").expect("it says where it is");
            let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            if let Some(listen) = line["fields"]["listen"].as_str().or(line["listen"].as_str()) {
                break listen.parse().expect("an address");
            }
        };
        // What it says further is read, so that it does not wait for that.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, api }
    }

    async fn kill(mut self) {
        self.child.kill().await.expect("it is killed");
    }
}

/// Kills the monitor while this operation hangs, before or after it has had its effect.
async fn killed_at(operation: &str, done: bool, kind: &str, fifo: bool) {
    let what = format!("{kind}, fifo {fifo}, killed at {operation} ({done})");
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    let (source, dead) = if fifo { (FIFO, FIFO_DLQ) } else { (STANDARD, STANDARD_DLQ) };
    for i in 0..MESSAGES {
        sqs.send_in_group(dead, &format!("g-{}", i % 2), &i.to_string(), &[]).await;
    }
    let monitor = Monitor::on(sqs.addr, &database, &[]).await;
    monitor.letters(dead, MESSAGES).await;
    monitor.stop().await;
    let process = Process::start(sqs.addr, &database).await;
    let rule = FaultRule {
        operation: Some(operation.to_owned()),
        hang_request_rate: if done { 0.0 } else { 1.0 },
        hang_response_rate: if done { 1.0 } else { 0.0 },
        ..FaultRule::default()
    };
    let body = json!({
        "queue": dead, "filter": { "reason": "unknown" }, "reason": "a test", "rate": 100,
    });
    let headers = [("content-type", "application/json")];
    let line = format!("POST /api/dlq/{kind}");
    sqs.handle.set_faults(Faults { seed: 1, rules: vec![rule] });
    let answer = call(process.api, &line, &headers, body.to_string().as_bytes()).await;
    assert_eq!(answer.status, 202, "{what}: {answer:?}");
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    let fault = if done { "hang_response" } else { "hang_request" };
    let series = format!("local_sqs_faults_total{{fault=\"{fault}\",operation=\"{operation}\"}}");
    eventually("the step is reached", || async {
        let (_, metrics) = get(sqs.addr, "/metrics").await;
        metrics.lines().any(|line| line.starts_with(&series)).then_some(())
    })
    .await;
    process.kill().await;
    sqs.handle.set_faults(Faults::default());
    // What the killed one has received is hidden until its time is over.
    let monitor = Monitor::on(sqs.addr, &database, &[]).await;
    let path = format!("/api/dlq/jobs/{id}");
    let job = tokio::time::timeout(Duration::from_secs(150), async {
        loop {
            sqs.handle.skip(Duration::from_secs(1));
            let job = monitor.json(&path).await;
            if !job["finishedAt"].is_null() {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{what}: it never ends"));
    assert_eq!(job["state"], "completed", "{what}: {job}");
    assert_eq!((sqs.count(dead), &job["undeleted"]), (0, &0.into()), "{what}: {job}");
    if kind == "redrive" {
        let mut numbers: Vec<usize> = Vec::new();
        for body in sqs.bodies(source) {
            let number = body.parse().expect("a number");
            // A copy too many is harmless; the first ones are in order.
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        for group in 0..2 {
            let of_group: Vec<usize> =
                numbers.iter().copied().filter(|number| number % 2 == group).collect();
            assert_eq!(of_group.len(), MESSAGES / 2, "{what}: {numbers:?}");
            assert!(!fifo || of_group.is_sorted(), "{what}: {numbers:?}");
        }
    } else {
        let mut archived = 0;
        // That the killed one has deleted them is known when two complete scans do not show them.
        for state in ["archived", "discarded"] {
            let page = monitor.json(&format!("/api/dlq/messages?state={state}&limit=200")).await;
            archived += page["items"].as_array().map_or(0, Vec::len);
        }
        assert_eq!(archived, MESSAGES, "{what}");
    }
    monitor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_killed_at_each_step_of_a_redrive_or_a_discard_loses_nothing() {
    let mut running = tokio::task::JoinSet::new();
    for (kind, operations) in [
        ("redrive", &["ReceiveMessage", "SendMessageBatch", "DeleteMessageBatch"][..]),
        ("discard", &["ReceiveMessage", "DeleteMessageBatch"]),
    ] {
        for fifo in [true, false] {
            for operation in operations {
                for done in [true, false] {
                    running.spawn(killed_at(operation, done, kind, fifo));
                }
            }
        }
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("it holds");
    }
}
