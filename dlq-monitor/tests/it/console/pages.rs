//! What every page has, and where pages lead.

use std::collections::BTreeSet;

use serde_json::json;

use super::browser::{Browser, links};
use crate::support::{FIFO_DLQ, Monitor, STANDARD_DLQ, Sqs, order, text};

/// A monitor that knows of some dead letters and of a job that has ended.
async fn with_something() -> (Sqs, Monitor) {
    let sqs = Sqs::anywhere().await;
    for reason in ["forced", "crash", "unheard-of"] {
        sqs.send(STANDARD_DLQ, &order().to_json(), &[("dead-letter-reason", text(reason))]).await;
    }
    sqs.send(STANDARD_DLQ, "no order", &[]).await;
    sqs.send_in_group(FIFO_DLQ, "customer-001", &order().to_json(), &[]).await;
    let monitor = Monitor::start(sqs.addr).await;
    monitor.letters(FIFO_DLQ, 1).await;
    let letters = monitor.letters(STANDARD_DLQ, 4).await;
    let id = &letters[0]["messageId"];
    let body = json!({ "queue": STANDARD_DLQ, "ids": [id], "reason": "a test" });
    let job = monitor.begin("discard", body).await;
    monitor.ended(&job).await;
    (sqs, monitor)
}

#[tokio::test]
async fn every_link_of_every_page_leads_to_a_page() {
    let (_sqs, monitor) = with_something().await;
    let browser = Browser::new(monitor.api);
    let mut known = BTreeSet::from(["/".to_owned()]);
    let mut ahead = vec!["/".to_owned()];
    let mut kinds = BTreeSet::new();
    while let Some(path) = ahead.pop() {
        let page = browser.page(&path).await;
        kinds.insert(path.split(['?', '/']).nth(1).unwrap_or_default().to_owned());
        // What the API's own pages lead to is told by their own test, and a body is a file.
        if ["/docs", "/problems"].iter().any(|own| path.starts_with(own)) || path.ends_with("/body")
        {
            continue;
        }
        assert_eq!(page.matches("<h1").count(), 1, "{path}");
        assert!(page.contains("<main id=\"main\"") && page.contains("href=\"#main\""), "{path}");
        for link in links(&page) {
            if let Some(anchor) = link.strip_prefix('#') {
                assert!(page.contains(&format!(" id=\"{anchor}\"")), "{path} has no {anchor}");
            } else if !link.is_empty() && known.insert(link.clone()) {
                assert!(link.starts_with('/'), "{path} leads to {link}");
                ahead.push(link);
            }
        }
        let ids = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let (all, distinct) = (ids.clone().count(), ids.collect::<BTreeSet<_>>().len());
        assert_eq!(all, distinct, "{path} has an id twice");
    }
    let expected = ["", "audit", "discard", "docs", "jobs", "messages", "problems", "redrive"];
    assert_eq!(kinds, expected.map(str::to_owned).into());
    monitor.stop().await;
}

#[tokio::test]
async fn pages_run_nothing_of_others_and_nothing_that_is_written_into_them() {
    let (_sqs, monitor) = with_something().await;
    let browser = Browser::new(monitor.api);
    let of_fifo = format!("/redrive?queue={FIFO_DLQ}");
    for path in ["/", "/messages", "/jobs", "/audit", &of_fifo, "/messages/nowhere/1", "/jobs/1"] {
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            // Without a referrer browsers would not say from where a form comes, either.
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        let page = answer.body;
        for tag in page.split('<').filter(|tag| !tag.starts_with('/')) {
            let tag = tag.split('>').next().unwrap_or_default();
            assert!(!tag.contains(" style=") && !tag.starts_with("style"), "{path}: {tag}");
            let runs = |part: &str| part.starts_with("on") && part.contains('=');
            assert!(!tag.split_whitespace().any(runs), "{path}: {tag}");
            assert!(!tag.starts_with("script") || tag.contains(" src=\"/assets/"), "{path}: {tag}");
        }
        for asset in page.split('"').filter(|value| value.starts_with("/assets/")) {
            let answer = browser.get(asset).await;
            assert_eq!(answer.status, 200, "{asset}");
            let kept = answer.header("cache-control").expect("it says so");
            assert!(kept.contains("immutable"), "{kept}");
        }
    }
    assert_eq!(browser.get("/assets/console.css").await.status, 404);
    monitor.stop().await;
}

#[tokio::test]
async fn a_list_is_paged_and_filtered_as_the_api_does_it() {
    let (_sqs, monitor) = with_something().await;
    let browser = Browser::new(monitor.api);
    let (mut path, mut seen) = ("/messages?limit=2".to_owned(), BTreeSet::new());
    for _ in 0..2 {
        let page = browser.page(&path).await;
        let found = links(&page);
        seen.extend(found.iter().filter(|link| link.starts_with("/messages/")).cloned());
        match found.into_iter().find(|link| link.contains("cursor=")) {
            Some(next) => path = next,
            None => break,
        }
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
    // A browser sends fields that were left empty, and times without a zone.
    let empty = "queue=&customerId=&text=&from=2020-01-01T00:00&to=2120-01-01T00:00:30&state=dead";
    let page = browser.page(&format!("/messages?{empty}")).await;
    assert_eq!(page.matches("type=\"checkbox\"").count(), 4);
    let page = browser.page("/messages?text=NO+ORDER").await;
    assert!(page.contains("None of these") || page.matches("type=\"checkbox\"").count() <= 1);
    let page = browser.page("/messages?state=discarded").await;
    assert_eq!(page.matches("type=\"checkbox\"").count(), 0, "they are not there to act on");
    assert!(page.contains("discarded"));
    let answer = browser.get("/messages?reason=bored&from=yesterday").await;
    assert_eq!(answer.status, 400);
    for part in ["role=\"alert\"", "href=\"#field-reason\"", "id=\"error-from\"", "aria-invalid"] {
        assert!(answer.body.contains(part), "{part}: {}", answer.body);
    }
    monitor.stop().await;
}
