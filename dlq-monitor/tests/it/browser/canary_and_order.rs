//! Redriving with care: a first message alone, and the order of FIFO groups.

use order_events::DeliveryStatus;

use super::stage::Stage;
use crate::support::{FIFO, FIFO_DLQ, STANDARD, STANDARD_DLQ};

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_canary_goes_first_and_the_others_when_it_is_delivered() {
    let stage = Stage::open().await;
    let orders = stage.dead(4, "carrier_unavailable").await;
    stage.recorded(&crate::support::order(), STANDARD, DeliveryStatus::Delivered).await;
    let page = &stage.page;
    page.go(&format!("/redrive?queue={STANDARD_DLQ}")).await;
    page.fill("#redrive-form [name=canary]", "1").await;
    stage.send_and_confirm("redrive", "4").await;
    page.until("document.querySelector('#job-state')?.dataset.state === 'canary'").await;
    assert_eq!(stage.sqs.count(STANDARD), 1, "one alone");
    page.inspect("job-canary").await;
    let body = stage.sqs.bodies(STANDARD).remove(0);
    let first = orders.iter().find(|order| order.to_json() == body).expect("one of them");
    stage.recorded(first, STANDARD, DeliveryStatus::Delivered).await;
    stage.until_job("completed").await;
    assert_eq!(stage.standard(), (4, 0));
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_canary_that_fails_again_keeps_the_others_where_they_are() {
    let stage = Stage::open().await;
    let orders = stage.dead(3, "carrier_unavailable").await;
    stage.recorded(&crate::support::order(), STANDARD, DeliveryStatus::Delivered).await;
    let page = &stage.page;
    page.go(&format!("/redrive?queue={STANDARD_DLQ}")).await;
    page.fill("#redrive-form [name=canary]", "1").await;
    stage.send_and_confirm("redrive", "3").await;
    page.until("document.querySelector('#job-state')?.dataset.state === 'canary'").await;
    let body = stage.sqs.bodies(STANDARD).remove(0);
    let first = orders.iter().find(|order| order.to_json() == body).expect("one of them");
    stage.recorded(first, STANDARD, DeliveryStatus::Failed).await;
    stage.until_job("failed").await;
    assert!(page.text("main").await.contains("canary"), "it says why");
    assert_eq!(stage.standard(), (1, 2));
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_fifo_redrive_says_what_breaks_the_order_and_does_that_only_when_told_to() {
    let stage = Stage::open().await;
    let dead = stage.dead_in_group("customer-1", 1).await.remove(0);
    stage.dead_in_group("customer-2", 2).await;
    let newer = crate::support::order_of("customer-1");
    stage.recorded(&dead, FIFO, DeliveryStatus::Failed).await;
    stage.recorded(&newer, FIFO, DeliveryStatus::Delivered).await;
    let page = &stage.page;
    page.go(&format!("/redrive?queue={FIFO_DLQ}")).await;
    let shown = page.text("main").await;
    assert!(shown.contains("1 message would be refused"), "the warning: {shown}");
    page.inspect("redrive-fifo").await;
    stage.send_and_confirm("redrive", "3").await;
    stage.until_job("completed").await;
    assert_eq!((stage.sqs.count(FIFO), stage.sqs.count(FIFO_DLQ)), (2, 1));
    // It says why it left one.
    page.until("document.querySelector('#job-messages').innerText.includes('newer')").await;
    page.inspect("job-refused").await;
    page.go(&format!("/redrive?queue={FIFO_DLQ}")).await;
    page.click("#redrive-form [name=allowReorder]").await;
    stage.send_and_confirm("redrive", "1").await;
    stage.until_job("completed").await;
    assert_eq!((stage.sqs.count(FIFO), stage.sqs.count(FIFO_DLQ)), (3, 0));
    stage.end().await;
}
