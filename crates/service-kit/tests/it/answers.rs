//! How much an answer may take of the server.

use crate::http::{request, start};
use axum::{Router, routing::get};
use prometheus::Registry;
use service_kit::{ServeLimits, routes};

#[tokio::test]
async fn what_an_answer_repeats_of_its_request_is_short_however_long_that_is() {
    let service = Router::new().route("/orders", get(|| async {}));
    let served = start(routes(service, &Registry::new()), ServeLimits::default());
    let long = "a".repeat(20_000);
    let missing = request(served.addr, "GET", &format!("/{long}")).await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    assert!(missing.contains("there is nothing at /aaaa") && missing.contains("…"), "{missing}");
    let wrong = request(served.addr, &long, "/orders").await;
    assert!(wrong.starts_with("HTTP/1.1 405"), "{wrong}");
    assert!(wrong.contains("/orders does not take aaaa"), "{wrong}");
    for answer in [missing, wrong] {
        assert!(answer.len() < 1024, "{answer}");
    }
}
