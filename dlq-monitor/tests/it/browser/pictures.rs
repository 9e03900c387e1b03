//! The main pages as people meet them, kept as pictures.

use order_events::DeliveryStatus;

use super::stage::{Stage, TOKEN};
use crate::support::{STANDARD, STANDARD_DLQ};

#[tokio::test]
#[ignore = "needs chromium"]
async fn the_main_pages_fit_every_window_and_keep_nobody_out() {
    let stage = Stage::with(&[("MONITOR_TOKEN", TOKEN)]).await;
    stage.page.go("/").await;
    stage.page.inspect("login").await;
    stage.page.fill("#login-form [name=token]", TOKEN).await;
    stage.page.follow("#login-form button").await;
    for number in 0..4 {
        stage.sqs.send(STANDARD, &format!("{number}"), &[]).await;
    }
    let failed = stage.dead(8, "carrier_unavailable").await;
    for order in &failed {
        stage.recorded(order, STANDARD, DeliveryStatus::Failed).await;
    }
    stage.dead(3, "carrier_rejected").await;
    stage.dead(1, "crash").await;
    stage.dead_in_group("customer-1", 4).await;
    stage.sqs.send(STANDARD_DLQ, "<script>alert(1)</script> no order", &[]).await;
    stage.until_known(STANDARD_DLQ, 13).await;
    let page = &stage.page;
    for (path, name) in [
        ("/", "overview"),
        ("/messages", "messages"),
        ("/messages?reason=carrier_rejected&limit=2", "messages-filtered"),
        ("/redrive?queue=order-queue-standard-dlq&reason=carrier_unavailable", "redrive"),
    ] {
        page.go(path).await;
        page.inspect(name).await;
    }
    stage.end().await;
}
