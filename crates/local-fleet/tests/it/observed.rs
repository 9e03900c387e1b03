//! Prometheus and Alertmanager beside the fleet: `local-fleet --observe`.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use local_fleet::Observers;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{
    client::{Answer, Curl, order},
    processes::binaries,
    rig::Running,
};

/// Whether some entry of a list has this text at this place.
fn any(list: &Value, place: &str, text: &str) -> bool {
    list.as_array()
        .is_some_and(|list| list.iter().any(|one| one.pointer(place) == Some(&text.into())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs prometheus and alertmanager"]
async fn the_rules_watch_the_whole_fleet_and_a_dead_order_is_an_alert_with_its_receiver() {
    let fleet = Running::start(&[("RETRY_BACKOFF", "10ms")]).await;
    let observers = Observers::start(&fleet.at).await.unwrap();
    let (prometheus, alertmanager) = (observers.prometheus, observers.alertmanager);
    let curl = Curl::new();
    let ups = |answer: &Answer| {
        let targets = &answer.json()["data"]["activeTargets"];
        let jobs = ["order-api", "delivery-worker", "dlq-monitor", "local-sqs"];
        jobs.iter().all(|job| any(targets, "/labels/job", job))
            && targets.as_array().unwrap().iter().all(|target| target["health"] == "up")
    };
    curl.until(&format!("http://{prometheus}/api/v1/targets"), "scraping all four", ups).await;
    let alerts = format!("http://{alertmanager}/api/v2/alerts");
    let watchdog = |answer: &Answer| any(&answer.json(), "/labels/alertname", "Watchdog");
    curl.until(&alerts, "the alert that always fires", watchdog).await;

    let orders = format!("http://{}/api/orders", fleet.at.order_api);
    let answer = curl.post(&orders, order("c-1", "실패테스트", 1, 1)).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let dead = |answer: &Answer| any(&answer.json(), "/labels/alertname", "DlqArrivals");
    let answer = curl.until(&alerts, "a dead order's alert", dead).await.json();
    let dead = answer.as_array().unwrap().iter();
    let dead = dead.filter(|one| one["labels"]["alertname"] == "DlqArrivals").collect::<Vec<_>>();
    assert_eq!(dead[0]["labels"]["reason"], "forced");
    assert_eq!(dead[0]["receivers"][0]["name"], "chat", "as the example routes it");

    observers.stop().await;
    for address in [prometheus, alertmanager] {
        assert!(TcpStream::connect(address).await.is_err(), "{address} is still served");
    }
    fleet.stop().await;
}

#[tokio::test]
#[ignore = "needs prometheus and alertmanager"]
async fn what_watches_a_fleet_ends_with_it_even_when_it_is_killed() {
    let data = tempfile::tempdir().unwrap();
    let mut fleet = observed(data.path().to_str().unwrap()).spawn().unwrap();
    let watching = addresses(&mut fleet).await;
    assert_eq!(watching.len(), 2);
    for address in &watching {
        assert!(TcpStream::connect(address).await.is_ok(), "{address} is not served");
    }
    fleet.kill().await.unwrap();
    let gone = async {
        for address in &watching {
            while TcpStream::connect(address).await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        }
    };
    timeout(Duration::from_secs(30), gone).await.expect("both end");
}

#[tokio::test]
async fn without_them_on_path_the_fleet_says_what_to_install_and_ends() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let mut fleet = observed(data).env("PATH", data).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    fleet.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
    assert_eq!(fleet.wait().await.unwrap().code(), Some(1), "{said}");
    assert!(said.contains("apt-get install prometheus prometheus-alertmanager"), "{said}");
}

fn observed(data: &str) -> Command {
    let mut command = Command::new(binaries().join("local-fleet"));
    command.args(["--observe", "--data-dir", data]).env("LOCAL_SQS_ADDR", "127.0.0.1:0");
    for service in ["API", "WORKER", "MONITOR"] {
        for listener in ["ADDR", "ADMIN_ADDR"] {
            command.env(format!("LOCAL_FLEET_{service}_{listener}"), "127.0.0.1:0");
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

/// Where Prometheus and Alertmanager are, as the fleet says.
async fn addresses(fleet: &mut Child) -> Vec<SocketAddr> {
    let mut lines = BufReader::new(fleet.stdout.take().unwrap()).lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with("  Prometheus ") || line.starts_with("  Alertmanager ") {
            let address = line.split("http://").nth(1).unwrap();
            let address = address.split(|c: char| c == '/' || c.is_whitespace()).next().unwrap();
            found.push(address.parse().unwrap());
        }
        if line.starts_with("Ctrl-C") {
            return found;
        }
    }
    panic!("the fleet ends without saying that it runs");
}
