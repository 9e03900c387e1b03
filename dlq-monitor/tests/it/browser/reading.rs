//! Noticing and understanding: the overview, lists, and a message with everything that is known of it.

use super::stage::Stage;
use crate::support::{FIFO_DLQ, STANDARD, STANDARD_DLQ, bytes, order_of, text};

#[tokio::test]
#[ignore = "needs chromium"]
async fn the_overview_tells_how_the_queues_are_and_leads_to_what_is_dead() {
    let stage = Stage::open().await;
    for _ in 0..2 {
        stage.sqs.send(STANDARD, "{}", &[]).await;
    }
    stage.dead(3, "carrier_unavailable").await;
    stage.dead(2, "forced").await;
    stage.dead_in_group("customer-1", 1).await;
    let page = &stage.page;
    page.go("/").await;
    assert_eq!(
        page.evaluate("document.querySelector('nav [aria-current=page]').pathname").await,
        "/"
    );
    for (queue, count) in [(STANDARD, "2"), (STANDARD_DLQ, "5"), (FIFO_DLQ, "1")] {
        let tile = format!("#queue-{}", queue.replace('.', "-"));
        page.until(&format!("document.querySelector('{tile}').innerText.includes('{count}')"))
            .await;
        assert!(page.text(&tile).await.contains(queue), "{tile}");
    }
    page.follow("main a[href*='reason=forced']").await;
    let place = page.place().await;
    assert!(place.starts_with("/messages?") && place.contains("reason=forced"), "{place}");
    assert_eq!(page.count("#dead-letters a[href^='/messages/']").await, 2);
    page.go("/").await;
    page.follow("main a[href^='/messages/']").await;
    assert!(page.text("main").await.contains("customer-1"), "the latest of them");
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_list_is_filtered_and_read_page_by_page() {
    let stage = Stage::open().await;
    stage.dead(5, "carrier_unavailable").await;
    stage.dead(2, "timeout").await;
    let page = &stage.page;
    page.go("/messages").await;
    let letters = "#dead-letters a[href^='/messages/']";
    assert_eq!(page.count(letters).await, 7);
    assert_eq!(page.count("#dead-letters caption").await, 1);
    page.choose("#filter [name=reason]", "carrier_unavailable").await;
    page.click("#filter summary").await;
    page.fill("#filter [name=customerId]", "고객 2").await;
    page.follow("#filter button[type=submit]").await;
    assert_eq!(page.count(letters).await, 1);
    let kept = "document.querySelector('[name=customerId]').value";
    assert_eq!(page.evaluate(kept).await, "고객 2", "what was asked for stays to be seen");
    page.go("/messages?limit=3").await;
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let shown = format!("[...document.querySelectorAll(\"{letters}\")].map(it => it.pathname)");
        let shown = page.evaluate(&shown).await;
        for path in shown.as_array().expect("a list") {
            assert!(seen.insert(path.to_string()), "{path} comes twice");
        }
        if page.count("a[rel=next]").await == 0 {
            break;
        }
        assert_eq!(page.text("a[rel=next]").await, "Next page");
        page.follow("a[rel=next]").await;
    }
    assert_eq!(seen.len(), 7);
    page.go("/messages?reason=bored").await;
    assert_eq!(page.status().await, 400);
    assert!(page.text("[role=alert]").await.contains("timeout"), "it says what is allowed");
    stage.end().await;
}

/// Bodies that would like to be more than text.
const HOSTILE: [&str; 4] = [
    r#"<script>window.isHacked = true; alert(1)</script><img src=x onerror="window.isHacked = true">"#,
    r#"{"a":"</script></pre></textarea><svg onload='window.isHacked = true'>","b":"\u0000\u0007"}"#,
    "\u{202e}backwards\u{2066}and on\u{200f} \u{feff}",
    "javascript:window.isHacked=true",
];

#[tokio::test]
#[ignore = "needs chromium"]
async fn whatever_a_message_says_is_shown_as_text() {
    let stage = Stage::open().await;
    for body in HOSTILE {
        let attributes = [
            ("dead-letter-detail", text(HOSTILE[0])),
            ("picture", bytes(&[0, 255, 60, 62])),
            ("marks", text(HOSTILE[2])),
        ];
        stage.sqs.send(STANDARD_DLQ, body, &attributes).await;
    }
    let order = order_of(HOSTILE[0]);
    stage.sqs.send(STANDARD_DLQ, &order.to_json(), &[]).await;
    let long = format!("[\"<b>{}\"]", "상".repeat(300_000));
    stage.sqs.send(STANDARD_DLQ, &long, &[]).await;
    let count = HOSTILE.len() + 2;
    stage.until_known(STANDARD_DLQ, count).await;
    let page = &stage.page;
    page.go("/").await;
    page.fits().await;
    page.go("/messages").await;
    page.inspect("messages-hostile").await;
    let paths = page
        .evaluate("[...document.querySelectorAll('#dead-letters a[href^=\"/messages/\"]')].map(it => it.pathname)")
        .await;
    let paths = paths.as_array().expect("a list");
    assert_eq!(paths.len(), count);
    let mut shown = String::new();
    for path in paths {
        page.go(path.as_str().expect("a path")).await;
        assert_eq!(
            page.count("main script, main img, main svg[onload], main b").await,
            0,
            "{path}"
        );
        let body = page.text("main").await;
        if body.len() < 100_000 {
            page.resize(super::page::NARROW).await;
            page.fits().await;
            page.resize(super::page::WIDE).await;
        }
        shown.push_str(&body);
    }
    for part in ["<script>", "<img src=x", "</textarea>", "javascript:", "backwards", "<b>상상"] {
        assert!(shown.contains(part), "{part} is shown");
    }
    assert!(!shown.contains('\u{202e}'), "what turns text around is made visible");
    assert_eq!(page.evaluate("window.isHacked").await, serde_json::Value::Null);
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_message_is_shown_with_its_attempts_and_leads_to_its_trace() {
    let trace_url = "http://127.0.0.1:9/trace/{traceId}";
    let stage = Stage::with(&[("MONITOR_TRACE_URL", trace_url)]).await;
    let order = stage.dead(1, "carrier_unavailable").await.remove(0);
    stage.recorded(&order, STANDARD, order_events::DeliveryStatus::Failed).await;
    let page = &stage.page;
    page.go("/messages").await;
    page.follow("#dead-letters a[href^='/messages/']").await;
    let shown = page.text("main").await;
    for part in [
        "고객 1",
        "실패테스트",
        "carrier unavailable",
        "the carrier is closed",
        "worker-1",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        &order.order_id.to_string(),
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let trace = "http://127.0.0.1:9/trace/4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!(page.count(&format!("main a[href='{trace}']")).await, 1);
    page.inspect("message").await;
    page.follow("#redrive").await;
    stage.send_and_confirm("redrive", "1").await;
    stage.until_job("completed").await;
    assert_eq!(stage.standard(), (1, 0));
    stage.end().await;
}
