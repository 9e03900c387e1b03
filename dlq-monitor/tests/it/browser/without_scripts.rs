//! Everything works without scripts as well.

use super::stage::{Stage, TOKEN};
use crate::support::{STANDARD_DLQ, eventually};

#[tokio::test]
#[ignore = "needs chromium"]
async fn without_scripts_everything_can_be_read_and_done() {
    let stage = Stage::with(&[("MONITOR_TOKEN", TOKEN)]).await;
    stage.sqs.send(STANDARD_DLQ, "no order", &[]).await;
    for number in 0..30 {
        stage.sqs.send(STANDARD_DLQ, &format!("garbage {number}"), &[]).await;
    }
    let page = &stage.page;
    page.disable_scripts().await;
    page.go("/").await;
    page.fill("#login-form [name=token]", TOKEN).await;
    page.follow("#login-form button").await;
    eventually("all is known", || async {
        page.go("/messages").await;
        (page.count("#dead-letters a[href^='/messages/']").await == 31).then_some(())
    })
    .await;
    page.fill("#filter [name=text]", "no order").await;
    page.follow("#filter button[type=submit]").await;
    page.follow("#dead-letters a[href^='/messages/']").await;
    assert!(page.text("main").await.contains("no order"));
    page.follow("#discard").await;
    page.fill("#discard-form [name=reason]", "garbage").await;
    stage.send_and_confirm("discard", "1").await;
    refreshed_until(&stage, "completed").await;
    page.go(&format!("/redrive?queue={STANDARD_DLQ}&text=garbage")).await;
    page.fill("#redrive-form [name=rate]", "1").await;
    stage.send_and_confirm("redrive", "30").await;
    refreshed_until(&stage, "running").await;
    page.follow("#cancel").await;
    page.fill("main form [name=reason]", "enough").await;
    page.follow("main form button[type=submit]").await;
    eventually("it has ended", || async {
        page.go(&page.place().await).await;
        let ended = "['cancelled', 'completed'].includes(document.querySelector('#job-state').dataset.state)";
        (page.evaluate(ended).await == true).then_some(())
    })
    .await;
    for (path, count) in [("/jobs", 2), ("/audit", 3)] {
        page.go(path).await;
        assert_eq!(page.count("main tbody tr").await, count, "{path}");
    }
    page.follow("form[action='/logout'] button").await;
    assert!(page.place().await.starts_with("/login"));
    stage.end().await;
}

/// Follows the link that loads the job's page again until it has come to this state.
async fn refreshed_until(stage: &Stage, state: &str) {
    let page = &stage.page;
    eventually(state, || async {
        let there = format!("document.querySelector('#job-state').dataset.state === '{state}'");
        if page.evaluate(&there).await == true {
            return Some(());
        }
        page.follow("#job-live a.refresh").await;
        None
    })
    .await;
}
