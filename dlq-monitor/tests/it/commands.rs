//! The command line, as scripts use it.

use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Database, FIFO_DLQ, Monitor, STANDARD, STANDARD_DLQ, Sqs, order, text};

const TOKEN: &str = "a long secret of the fleet";

async fn dlq(monitor: &Monitor, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dlq-monitor"))
        .arg("dlq")
        .args(arguments)
        .env_clear()
        .env("MONITOR_URL", format!("http://{}", monitor.api))
        .env("MONITOR_TOKEN", TOKEN)
        .output()
        .await
        .expect("it runs")
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[tokio::test]
async fn dead_letters_are_listed_shown_redriven_and_discarded_from_a_shell() {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    let monitor = Monitor::on(sqs.addr, &database, &[("MONITOR_TOKEN", TOKEN)]).await;
    let dead = order();
    sqs.send(STANDARD_DLQ, &dead.to_json(), &[("dead-letter-reason", text("forced"))]).await;
    sqs.send(STANDARD_DLQ, "garbage", &[]).await;
    let series =
        format!("dlq_messages_arrived_total{{queue=\"{STANDARD_DLQ}\",reason=\"unknown\"}}");
    monitor.metric_becomes(&series, 1.0).await;
    let series =
        format!("dlq_messages_arrived_total{{queue=\"{STANDARD_DLQ}\",reason=\"forced\"}}");
    monitor.metric_becomes(&series, 1.0).await;

    let listed = json_of(&dlq(&monitor, &["list", "--dead-reason", "forced", "--json"]).await);
    let id = listed["items"][0]["messageId"].as_str().expect("an id").to_owned();
    let shown = json_of(&dlq(&monitor, &["show", STANDARD_DLQ, &id, "--json"]).await);
    assert_eq!(shown["body"], dead.to_json());
    let people = dlq(&monitor, &["list"]).await;
    let lines = String::from_utf8(people.stdout).expect("text");
    assert!(lines.starts_with("seenAt") && lines.lines().count() == 3, "{lines}");

    let redrive = ["redrive", "--queue", STANDARD_DLQ, "--id", &id, "--wait", "--json"];
    let output = dlq(&monitor, &redrive).await;
    assert!(output.status.success(), "{output:?}");
    let last = String::from_utf8(output.stdout).expect("text");
    let last: Value = serde_json::from_str(last.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["state"], &last["done"]), (&json!("completed"), &json!(1)));
    assert_eq!(sqs.bodies(STANDARD), [dead.to_json()]);

    let discard =
        ["discard", "--queue", STANDARD_DLQ, "--all", "--reason", "garbage", "--by", "me"];
    let discard = [&discard[..], &["--wait", "--json"]].concat();
    assert!(dlq(&monitor, &discard).await.status.success());
    assert_eq!(sqs.count(STANDARD_DLQ), 0);
    let jobs = json_of(&dlq(&monitor, &["jobs", "--json"]).await);
    assert_eq!(jobs["items"].as_array().map(Vec::len), Some(2));
    let audit = json_of(&dlq(&monitor, &["audit", "--json"]).await);
    assert_eq!(audit["items"][0]["requestedBy"], "me (bearer token)");
    monitor.stop().await;
}

#[tokio::test]
async fn what_goes_wrong_is_said_and_has_its_exit_code() {
    let sqs = Sqs::anywhere().await;
    let monitor = Monitor::start(sqs.addr).await;
    let code = |output: &Output| output.status.code();
    let stderr = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let refused = dlq(&monitor, &["redrive", "--queue", "other", "--all", "--json"]).await;
    assert_eq!(code(&refused), Some(1));
    assert!(stderr(&refused).contains("Unknown dead-letter queue"), "{refused:?}");
    let problem: Value = serde_json::from_slice(&refused.stdout).expect("JSON");
    assert_eq!(problem["status"], 404);
    let wrong = dlq(&monitor, &["discard", "--nonsense"]).await;
    assert_eq!(code(&wrong), Some(64));
    assert!(stderr(&wrong).contains("--nonsense is unknown"), "{wrong:?}");
    let wrong = dlq(&monitor, &["list", "--url", "nowhere"]).await;
    assert_eq!(code(&wrong), Some(64));
    assert!(stderr(&wrong).contains("MONITOR_URL"), "{wrong:?}");
    let help = dlq(&monitor, &["--help"]).await;
    assert!(help.status.success() && help.stdout.starts_with(b"Usage: dlq-monitor dlq"));
    let nobody = format!("http://{}", {
        let reserved = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        reserved.local_addr().expect("an address")
    });
    let nobody = dlq(&monitor, &["list", "--url", &nobody]).await;
    assert_eq!(code(&nobody), Some(1));
    assert!(stderr(&nobody).contains("no monitor answers"), "{nobody:?}");
    monitor.stop().await;
}

#[tokio::test]
async fn a_job_that_is_waited_for_and_leaves_something_has_another_exit_code() {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    let monitor = Monitor::on(sqs.addr, &database, &[("MONITOR_TOKEN", TOKEN)]).await;
    sqs.send_in_group(FIFO_DLQ, "g", "first", &[]).await;
    let second = sqs.send_in_group(FIFO_DLQ, "g", "second", &[]).await;
    let series = format!("dlq_messages_arrived_total{{queue=\"{FIFO_DLQ}\",reason=\"unknown\"}}");
    monitor.metric_becomes(&series, 2.0).await;
    let redrive = ["redrive", "--queue", FIFO_DLQ, "--id", &second, "--wait", "--json"];
    let output = dlq(&monitor, &redrive).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let last = String::from_utf8(output.stdout).expect("text");
    let last: Value = serde_json::from_str(last.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["state"], &last["refused"]), (&json!("completed"), &json!(1)));
    let redrive = ["redrive", "--queue", FIFO_DLQ, "--all", "--wait", "--json"];
    assert!(dlq(&monitor, &redrive).await.status.success());
    monitor.stop().await;
}
