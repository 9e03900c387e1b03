//! What is shown when there is nothing to show, or when it cannot be shown.

use local_sqs::{FaultRule, Faults, Latency};

use super::stage::Stage;
use crate::support::{STANDARD_DLQ, Sqs, eventually};

#[tokio::test]
#[ignore = "needs chromium"]
async fn nothing_dead_is_good_news() {
    let stage = Stage::open().await;
    stage.monitor.scans(2).await;
    let page = &stage.page;
    page.go("/").await;
    assert!(page.text("main").await.contains("No dead letters"));
    page.inspect("empty").await;
    for path in ["/messages", "/messages?text=nowhere", "/jobs", "/audit"] {
        page.go(path).await;
        let shown = page.text("main").await;
        assert!(
            shown.contains("No ") || shown.contains("None") || shown.contains("Nothing"),
            "{path}: {shown}"
        );
    }
    page.inspect("audit-empty").await;
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn the_first_scan_is_said_to_be_under_way() {
    let sqs = Sqs::anywhere().await;
    let slow = FaultRule {
        operation: Some("ReceiveMessage".to_owned()),
        latency: Latency::Fixed { ms: 15_000.0 },
        ..FaultRule::default()
    };
    sqs.handle.set_faults(Faults { seed: 1, rules: vec![slow] });
    let stage = Stage::of(sqs, &[]).await;
    let page = &stage.page;
    let tile = format!("#queue-{STANDARD_DLQ}");
    eventually("the queues are counted", || async {
        page.go("/").await;
        page.text(&tile).await.contains("irst scan under way").then_some(())
    })
    .await;
    page.inspect("first-scan").await;
    stage.sqs.handle.set_faults(Faults::default());
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn when_sqs_fails_the_overview_says_so_and_what_was_known_stays() {
    let stage = Stage::open().await;
    stage.dead(2, "timeout").await;
    let failing = FaultRule { error_rate: 1.0, ..FaultRule::default() };
    stage.sqs.handle.set_faults(Faults { seed: 1, rules: vec![failing] });
    let page = &stage.page;
    let tile = format!("#queue-{STANDARD_DLQ}");
    eventually("it is noticed", || async {
        page.go("/").await;
        page.text(&tile).await.contains("cannot be read").then_some(())
    })
    .await;
    assert!(page.text(&tile).await.contains('2'), "what was known");
    page.inspect("sqs-fails").await;
    page.go("/messages").await;
    assert_eq!(page.count("#dead-letters a[href^='/messages/']").await, 2);
    stage.sqs.handle.set_faults(Faults::default());
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn when_the_store_does_not_answer_a_page_says_so() {
    let nowhere = "postgres://nobody@127.0.0.1:9/nothing";
    let stage = Stage::with_store(nowhere).await;
    let page = &stage.page;
    for path in ["/", "/messages", "/jobs", "/audit"] {
        page.go(path).await;
        let (status, shown) = (page.status().await, page.text("main").await);
        assert!(status == 503 || (path == "/" && status == 200), "{path}: {status}");
        assert!(shown.contains("store"), "{path}: {shown}");
        assert!(page.count("nav a[href='/jobs']").await > 0, "one gets on from {path}");
    }
    page.go("/messages").await;
    page.inspect("store-fails").await;
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn who_may_only_read_is_told_why_and_has_no_buttons() {
    let stage = Stage::with(&[("LISTEN_ADDR", "0.0.0.0:0")]).await;
    stage.sqs.send(STANDARD_DLQ, "no order", &[]).await;
    let page = &stage.page;
    let act = "a[href^='/redrive'], a[href^='/discard'], [formaction], main form[method=post]";
    eventually("it is known", || async {
        page.go("/messages").await;
        (page.count("#dead-letters a[href^='/messages/']").await == 1).then_some(())
    })
    .await;
    page.inspect("read-only").await;
    for path in ["/", "/messages"] {
        page.go(path).await;
        assert_eq!(page.count(act).await, 0, "{path}");
        assert!(page.text("body").await.contains("MONITOR_TOKEN"), "{path}");
    }
    page.follow("#dead-letters a[href^='/messages/']").await;
    assert_eq!(page.count(act).await, 0);
    page.go(&format!("/redrive?queue={STANDARD_DLQ}")).await;
    assert_eq!((page.status().await, page.count("#redrive-form").await), (403, 0));
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn another_name_of_this_machine_is_shown_nothing() {
    let stage = Stage::open().await;
    stage.dead(1, "timeout").await;
    let page = &stage.page;
    page.go_to(&format!("http://monitor.example:{}/messages", stage.monitor.api.port())).await;
    assert!([403, 421].contains(&page.status().await));
    assert!(!page.text("main").await.contains("고객"));
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn what_is_not_there_is_a_page_that_leads_on() {
    let stage = Stage::open().await;
    let page = &stage.page;
    for path in [
        "/jobs/nothing",
        "/jobs/00000000-0000-0000-0000-000000000001",
        "/messages/order-queue-standard-dlq/nothing",
        "/messages/other/nothing",
        "/redrive?queue=other",
    ] {
        page.go(path).await;
        assert_eq!(page.status().await, 404, "{path}");
        assert!(page.count("a[href='/']").await > 0, "{path}");
    }
    page.inspect("not-found").await;
    stage.end().await;
}
