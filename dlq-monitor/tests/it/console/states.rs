//! Pages when there is nothing, when nothing is known yet, when something is down, and when nobody may
//! act.

use std::net::SocketAddr;

use local_sqs::{FaultRule, Faults};

use super::browser::Browser;
use crate::{
    http::call,
    support::{Database, Logs, Monitor, STANDARD_DLQ, Sqs, environment, eventually},
};

#[tokio::test]
async fn nothing_dead_is_good_news_once_everything_was_looked_at() {
    let sqs = Sqs::anywhere().await;
    let monitor = Monitor::start(sqs.addr).await;
    let browser = Browser::new(monitor.api);
    let page = eventually("both queues are scanned", || async {
        let page = browser.page("/").await;
        page.contains("There is nothing to do").then_some(page)
    })
    .await;
    for id in [
        "queue-order-queue-standard",
        "queue-order-queue-standard-dlq",
        "queue-order-queue-dlq-fifo",
    ] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    assert!(browser.page("/messages").await.contains("There is nothing to do"));
    assert!(browser.page("/jobs").await.contains("No jobs"));
    assert!(browser.page("/audit").await.contains("Nothing was done yet"));
    monitor.stop().await;
}

#[tokio::test]
async fn while_sqs_is_down_pages_say_so_and_what_was_known_stays() {
    let reserved = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr: SocketAddr = reserved.local_addr().expect("an address");
    drop(reserved);
    let monitor = Monitor::start(addr).await;
    let browser = Browser::new(monitor.api);
    let first = browser.page("/").await;
    assert!(first.contains("First scan under way"), "{first}");
    eventually("it is told", || async {
        browser.page("/").await.contains("The queue cannot be read now").then_some(())
    })
    .await;
    assert!(!browser.page("/messages").await.contains("There is nothing to do"));
    monitor.stop().await;
}

#[tokio::test]
async fn once_a_dead_letter_queue_cannot_be_read_that_it_was_empty_is_no_good_news() {
    for operation in [None, Some("ReceiveMessage")] {
        let logs = Logs::capture();
        let sqs = Sqs::anywhere().await;
        let monitor = Monitor::start(sqs.addr).await;
        let browser = Browser::new(monitor.api);
        eventually("the queues are scanned", || async {
            browser.page("/messages").await.contains("There is nothing to do").then_some(())
        })
        .await;
        let operation = operation.map(str::to_owned);
        let rule = FaultRule { operation, error_rate: 1.0, ..FaultRule::default() };
        sqs.handle.set_faults(Faults { seed: 1, rules: vec![rule.clone()] });
        eventually("it is told", || async {
            browser.page("/messages").await.contains("cannot be read now").then_some(())
        })
        .await;
        let scanned_at = |page: &str| {
            let (_, rest) = page.split_once("It was looked through")?;
            Some(rest.split_once("datetime=\"")?.1.split_once('"')?.0.to_owned())
        };
        let first = scanned_at(&browser.page("/messages").await).expect("a time");
        let failures = || logs.telling("the queue cannot be watched").len();
        let before = failures();
        eventually("it is tried again", || async {
            for path in ["/", "/messages"] {
                let page = browser.page(path).await;
                let known = "No dead letter is known";
                assert!(page.contains(known), "{rule:?}, {path}: {page}");
                assert!(!page.contains("There is nothing to do"), "{rule:?}, {path}: {page}");
                assert_eq!(scanned_at(&page).as_ref(), Some(&first), "no scan since: {page}");
            }
            (failures() > before + 1).then_some(())
        })
        .await;
        sqs.handle.set_faults(Faults::default());
        eventually("it is read again", || async {
            browser.page("/messages").await.contains("There is nothing to do").then_some(())
        })
        .await;
        monitor.stop().await;
    }
}

#[tokio::test]
async fn while_the_store_is_down_the_overview_shows_what_is_known_and_other_pages_say_when_to_try_again()
 {
    let sqs = Sqs::anywhere().await;
    sqs.send(STANDARD_DLQ, "x", &[]).await;
    let mut env = environment(sqs.addr);
    env.push(("DATABASE_URL".to_owned(), "postgres://nobody@127.0.0.1:9/nothing".to_owned()));
    let monitor = Monitor::with(env).await;
    let browser = Browser::new(monitor.api);
    let page = browser.page("/").await;
    assert!(page.contains("The dead letters cannot be shown now"), "{page}");
    assert!(page.contains("Not known: the store does not answer"), "{page}");
    for path in ["/messages", "/jobs", "/audit"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.header("retry-after").is_some() && answer.body.contains("<nav"), "{path}");
    }
    monitor.stop().await;
}

#[tokio::test]
async fn where_nobody_may_act_there_are_no_buttons_and_the_page_says_why() {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    sqs.send(STANDARD_DLQ, "x", &[]).await;
    let everywhere = Monitor::on(sqs.addr, &database, &[("LISTEN_ADDR", "0.0.0.0:0")]).await;
    let browser = Browser::new(SocketAddr::from(([127, 0, 0, 1], everywhere.api.port())));
    let page = eventually("the message is known", || async {
        let page = browser.page("/messages").await;
        page.contains("id=\"dead-letters\"").then_some(page)
    })
    .await;
    assert!(page.contains("id=\"read-only\"") && page.contains("MONITOR_TOKEN"));
    assert!(!page.contains("/redrive") && !page.contains("type=\"checkbox\""));
    for path in ["/redrive", "/discard"] {
        let answer = browser.get(&format!("{path}?queue={STANDARD_DLQ}")).await;
        assert_eq!(answer.status, 403, "{path}");
        let answer = browser.send(path, &[("queue", STANDARD_DLQ)]).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    everywhere.stop().await;
}

#[tokio::test]
async fn where_there_is_nothing_a_browser_is_shown_a_page_and_a_script_told_a_problem() {
    let sqs = Sqs::anywhere().await;
    let monitor = Monitor::start(sqs.addr).await;
    let browser = Browser::new(monitor.api);
    for path in ["/nowhere", "/messages/a/b/c", "/assets/nothing.js", "/problems/nothing"] {
        let answer = browser.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (404, Some("text/html; charset=utf-8")),
            "{path}: {answer:?}"
        );
        for part in ["<h1>Not found</h1>", "There is n", "href=\"/\"", "/problems/not-found"] {
            assert!(answer.body.contains(part), "{path}: {part}: {}", answer.body);
        }
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
    }
    let answer = browser.send("/messages", &[]).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,HEAD")), "{answer:?}");
    assert!(answer.body.contains("<h1>Method not allowed</h1>"), "{answer:?}");
    let script = call(monitor.api, "GET /nowhere", &[("accept", "*/*")], b"").await;
    assert_eq!((script.status, script.problem().as_str()), (404, "not-found"));
    let api = browser.get("/api/dlq/nowhere").await;
    assert_eq!((api.status, api.problem().as_str()), (404, "not-found"), "the API's is JSON");
    monitor.stop().await;
}
