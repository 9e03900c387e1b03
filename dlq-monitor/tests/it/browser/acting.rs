//! Redriving, discarding, and ending a job early.

use serde_json::json;

use super::stage::{CHOSEN, Stage};
use crate::support::{STANDARD, STANDARD_DLQ, eventually, text};

#[tokio::test]
#[ignore = "needs chromium"]
async fn messages_that_were_chosen_are_redriven_after_the_count_was_typed_and_followed_to_the_end()
{
    let stage = Stage::open().await;
    stage.dead(4, "carrier_unavailable").await;
    let page = &stage.page;
    page.go(&format!("/messages?queue={STANDARD_DLQ}")).await;
    for place in [1, 3] {
        page.click(&format!("#dead-letters tr:nth-child({place} of :has([name=ids])) [name=ids]"))
            .await;
    }
    page.follow(CHOSEN).await;
    assert!(page.place().await.starts_with("/redrive?"));
    assert_eq!((stage.standard(), stage.jobs().await), ((0, 4), 0), "nothing is done yet");
    page.fill("#redrive-form [name=reason]", "the carrier is back").await;
    page.fill("#redrive-form [name=by]", "고객센터").await;
    page.fill("#redrive-form [name=rate]", "1").await;
    page.follow("#redrive-form button[type=submit]").await;
    assert!(page.text("#redrive-form").await.contains('2'), "how many");
    assert_eq!((stage.standard(), stage.jobs().await), ((0, 4), 0), "nothing is done yet");
    page.inspect("redrive-confirmation").await;
    page.fill("#redrive-form [name=count]", "3").await;
    page.follow("#redrive-form button[type=submit]").await;
    assert!([400, 422].contains(&page.status().await));
    assert!(!page.text("[role=alert]").await.is_empty());
    let described = "document.querySelector('[name=count]').getAttribute('aria-describedby')
        ?.split(' ').some(id => document.getElementById(id)?.innerText)";
    assert_eq!(page.evaluate(described).await, true, "the field says what is wrong with it");
    assert_eq!((stage.standard(), stage.jobs().await), ((0, 4), 0), "nothing is done yet");
    page.inspect("redrive-wrong-count").await;
    page.fill("#redrive-form [name=count]", "2").await;
    page.follow("#redrive-form button[type=submit]").await;
    assert!(page.place().await.starts_with("/jobs/"));
    stage.until_job("completed").await;
    assert_eq!(stage.standard(), (2, 2));
    let audit = stage.json("/api/dlq/audit").await;
    assert_eq!(audit["items"][0]["requestedBy"], "고객센터 (no token)");
    page.go("/audit").await;
    let shown = page.text("main").await;
    assert!(shown.contains("고객센터") && shown.contains("the carrier is back"), "{shown}");
    page.inspect("audit").await;
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_form_that_is_sent_twice_leads_to_one_job() {
    let stage = Stage::open().await;
    stage.dead(3, "carrier_unavailable").await;
    let page = &stage.page;
    page.go(&format!("/redrive?queue={STANDARD_DLQ}")).await;
    page.fill("#redrive-form [name=rate]", "1").await;
    page.follow("#redrive-form button[type=submit]").await;
    page.fill("#redrive-form [name=count]", "3").await;
    // What the form would send, sent beside it.
    let twice = "(async () => {
        const form = new URLSearchParams(new FormData(document.querySelector('#redrive-form')));
        const send = () => fetch('/redrive', { method: 'POST', body: form });
        return (await Promise.all([send(), send()])).map(answer => new URL(answer.url).pathname);
    })()";
    let sent = page.evaluate(twice).await;
    page.follow("#redrive-form button[type=submit]").await;
    assert_eq!(sent, json!([page.place().await, page.place().await]));
    assert_eq!(stage.jobs().await, 1);
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_form_of_another_page_does_nothing() {
    let stage = Stage::open().await;
    stage.dead(1, "carrier_unavailable").await;
    let page = &stage.page;
    page.go(&format!("/redrive?queue={STANDARD_DLQ}")).await;
    page.follow("#redrive-form button[type=submit]").await;
    page.fill("#redrive-form [name=count]", "1").await;
    page.evaluate("void (document.querySelector('[name=csrfToken]').value += 'x')").await;
    page.follow("#redrive-form button[type=submit]").await;
    assert_eq!(page.status().await, 403);
    assert_eq!((stage.standard(), stage.jobs().await), ((0, 1), 0));
    page.inspect("forged").await;
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn what_is_discarded_needs_a_reason_and_can_be_read_afterwards() {
    let stage = Stage::open().await;
    stage.sqs.send(STANDARD_DLQ, "no order at all", &[("x", text("y"))]).await;
    stage.until_known(STANDARD_DLQ, 1).await;
    let page = &stage.page;
    page.go("/messages?text=no+order").await;
    page.follow("#dead-letters a[href^='/messages/']").await;
    page.follow("#discard").await;
    page.click("#discard-form button[type=submit]").await;
    let asked = "!!document.querySelector('#discard-form [name=reason]:invalid, [role=alert]')";
    page.until(asked).await;
    assert_eq!((stage.standard(), stage.jobs().await), ((0, 1), 0));
    page.fill("#discard-form [name=reason]", "garbage of a test").await;
    page.inspect("discard").await;
    page.follow("#discard-form button[type=submit]").await;
    page.inspect("discard-confirmation").await;
    page.fill("#discard-form [name=count]", "1").await;
    page.follow("#discard-form button[type=submit]").await;
    stage.until_job("completed").await;
    assert_eq!(stage.standard(), (0, 0));
    page.go("/messages?state=discarded").await;
    page.follow("#dead-letters a[href^='/messages/']").await;
    let shown = page.text("main").await;
    assert!(shown.contains("no order at all") && shown.contains("discarded"), "{shown}");
    page.inspect("message-discarded").await;
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_job_is_seen_to_go_on_and_can_be_ended_early() {
    let stage = Stage::open().await;
    stage.dead(90, "carrier_unavailable").await;
    let page = &stage.page;
    page.go(&format!("/redrive?queue={STANDARD_DLQ}&reason=carrier_unavailable")).await;
    page.fill("#redrive-form [name=rate]", "1").await;
    stage.send_and_confirm("redrive", "90").await;
    page.until("document.querySelector('#job-progress progress').value > 0").await;
    assert_eq!(page.count("[aria-live=polite]").await, 1, "a screen reader hears of it");
    page.inspect("job-running").await;
    page.go("/jobs").await;
    page.inspect("jobs").await;
    page.go("/").await;
    page.inspect("overview-with-a-job").await;
    page.follow("main a[href^='/jobs/']").await;
    page.follow("#cancel").await;
    page.inspect("cancel").await;
    page.fill("main form [name=reason]", "too slow").await;
    page.follow("main form button[type=submit]").await;
    assert!(page.place().await.starts_with("/jobs/"));
    stage.until_job("cancelled").await;
    let (back, dead) = stage.standard();
    assert!(back > 0 && back < 90 && back + dead == 90, "{back} {dead}");
    eventually("it is written down", || async {
        let audit = stage.json("/api/dlq/audit").await;
        (audit["items"][0]["why"] == "too slow").then_some(())
    })
    .await;
    assert_eq!(page.count("#cancel").await, 0, "it has ended");
    assert_eq!(stage.sqs.count(STANDARD), back);
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn who_presses_slowly_while_a_job_goes_on_is_led_on_all_the_same() {
    let stage = Stage::open().await;
    stage.dead(60, "carrier_unavailable").await;
    let page = &stage.page;
    page.go(&format!("/redrive?queue={STANDARD_DLQ}&reason=carrier_unavailable")).await;
    page.fill("#redrive-form [name=rate]", "1").await;
    stage.send_and_confirm("redrive", "60").await;
    page.until("document.querySelector('#job-progress progress').value > 0").await;
    let path = format!("/api/dlq{}", page.place().await);
    let done = async || stage.json(&path).await["done"].as_u64().expect("a count");
    let before = done().await;
    page.follow_slowly("#cancel", async {
        eventually("it goes on", || async { (done().await >= before + 3).then_some(()) }).await;
    })
    .await;
    assert!(page.place().await.ends_with("/cancel"), "{}", page.place().await);
    stage.end().await;
}
