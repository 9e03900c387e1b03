//! Who has to be told something before a process ends.

use crate::http::{exchange, request};
use prometheus::Registry;
use service_kit::{AdminServer, Readiness, Scrapes, Shutdown, ShutdownTrigger};
use std::{net::SocketAddr, time::Duration};

/// Far beyond what anything here takes.
const LONGEST: Duration = Duration::from_hours(1);

async fn served() -> (SocketAddr, Scrapes, ShutdownTrigger) {
    let admin = AdminServer::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("bound");
    let (addr, scrapes) = (admin.local_addr(), admin.scrapes());
    let (trigger, shutdown) = Shutdown::new();
    tokio::spawn(admin.serve(Registry::new(), Readiness::new(), shutdown));
    (addr, scrapes, trigger)
}

/// As Prometheus does.
async fn scrape(addr: SocketAddr) {
    let scrape = "GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
        X-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n";
    let answer = exchange(addr, scrape).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// As KEDA and people do.
async fn look(addr: SocketAddr) {
    let answer = request(addr, "GET", "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn only_a_scrape_of_what_is_ends_the_wait_for_one() {
    let (addr, scrapes, _trigger) = served().await;
    // Of zeros: somebody scrapes, and has been told nothing.
    scrape(addr).await;
    let waiting = tokio::spawn(async move { scrapes.next(LONGEST).await });
    look(addr).await;
    look(addr).await;
    assert!(!waiting.is_finished(), "Prometheus has not seen it");
    scrape(addr).await;
    let ended = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    ended.expect("it has now").expect("no panic");
}

#[tokio::test]
async fn nobody_waits_for_who_only_looks() {
    let (addr, scrapes, _trigger) = served().await;
    look(addr).await;
    let ended = tokio::time::timeout(Duration::from_secs(30), scrapes.next(LONGEST)).await;
    ended.expect("there is no Prometheus");
}
