//! A shutdown with a delay, for load balancers that notice late that a service is not ready.

use crate::http::{Served, ask, idle, is_closed, start};
use axum::{Router, routing::get};
use service_kit::ServeLimits;
use std::time::Duration;
use tokio::{net::TcpStream, time::timeout};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn delayed(delay: Duration) -> Served {
    // Nothing is cut.
    let limits = ServeLimits { delay, drain: Duration::from_hours(1), ..ServeLimits::default() };
    start(Router::new().route("/idle", get(|| async {})), limits)
}

#[tokio::test]
async fn for_its_delay_a_shutdown_accepts_and_answers_and_each_answer_closes_its_connection() {
    let served = delayed(Duration::from_hours(1));
    let mut kept = TcpStream::connect(served.addr).await.expect("connected");
    let before = ask(&mut kept).await;
    assert!(!before.contains("connection:"), "{before}");
    served.trigger.request();
    let mut new = TcpStream::connect(served.addr).await.expect("accepted");
    for stream in [&mut kept, &mut new] {
        let answer = ask(stream).await;
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert!(is_closed(stream).await);
    }
    assert!(!served.ended.is_finished());
}

#[tokio::test]
async fn when_its_delay_is_over_a_shutdown_closes_the_listener_and_idle_connections() {
    let served = delayed(Duration::from_millis(50));
    let mut kept = idle(served.addr).await;
    served.trigger.request();
    let ended = timeout(PATIENCE, served.ended).await.expect("ends in time");
    ended.expect("no panic").expect("ended well");
    assert!(is_closed(&mut kept).await);
    assert!(TcpStream::connect(served.addr).await.is_err());
}
