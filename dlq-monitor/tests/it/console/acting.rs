//! Redriving, discarding and cancelling by forms.

use serde_json::Value;

use super::browser::{Browser, Form};
use crate::{
    http::Answer,
    support::{Database, FIFO_DLQ, Monitor, STANDARD, STANDARD_DLQ, Sqs, order},
};

async fn with_letters(count: usize) -> (Sqs, Monitor, Vec<Value>) {
    let sqs = Sqs::anywhere().await;
    for _ in 0..count {
        sqs.send(STANDARD_DLQ, &order().to_json(), &[]).await;
    }
    let monitor = Monitor::start(sqs.addr).await;
    let letters = monitor.letters(STANDARD_DLQ, count).await;
    (sqs, monitor, letters)
}

fn id(letter: &Value) -> &str {
    letter["messageId"].as_str().expect("an id")
}

/// The job's id that an answer leads to.
fn job_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{answer:?}");
    let path = answer.header("location").expect("it leads somewhere");
    path.strip_prefix("/jobs/").expect("a job").to_owned()
}

/// Sends the first form of a page, and gives the page that asks for confirmation.
async fn confirmation(browser: &Browser, path: &str, form: &str, typed: &[(&str, &str)]) -> String {
    let page = browser.page(path).await;
    let answer = browser.submit(&page, form, typed).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[tokio::test]
async fn a_redrive_shows_what_it_would_do_wants_the_count_and_leads_to_its_job() {
    let (sqs, monitor, letters) = with_letters(3).await;
    let browser = Browser::new(monitor.api);
    let path = format!(
        "/redrive?queue={STANDARD_DLQ}&select=ids&ids={}&ids={}",
        id(&letters[0]),
        id(&letters[1])
    );
    let first = browser.page(&path).await;
    assert!(first.contains("Redrive 2 messages") && first.contains(STANDARD), "{first}");
    let typed = [("reason", "the rule is off"), ("by", "Kim"), ("rate", "100"), ("canary", "")];
    let page = confirmation(&browser, &path, "redrive-form", &typed).await;
    assert!(page.contains("name=\"count\"") && page.contains("the rule is off"), "{page}");
    assert_eq!(sqs.count(STANDARD), 0, "nothing is done yet");
    for wrong in ["", "3", "two", "-2"] {
        let answer = browser.submit(&page, "redrive-form", &[("count", wrong)]).await;
        assert_eq!(answer.status, 422, "{wrong}");
        for part in [
            "role=\"alert\"",
            "href=\"#field-count\"",
            "aria-describedby=\"hint-count error-count\"",
        ] {
            assert!(answer.body.contains(part), "{wrong}: {part}");
        }
    }
    assert!(monitor.json("/api/dlq/jobs").await["items"].as_array().is_some_and(Vec::is_empty));
    let begun = browser.submit(&page, "redrive-form", &[("count", "2")]).await;
    let job = monitor.ended(&job_of(&begun)).await;
    assert_eq!((&job["state"], &job["done"]), (&"completed".into(), &2.into()), "{job}");
    assert_eq!(
        (&job["requestedBy"], &job["why"]),
        (&"Kim (no token)".into(), &"the rule is off".into())
    );
    assert_eq!(job["request"]["rate"], 100);
    let page = browser.page(&format!("/jobs/{}", job_of(&begun))).await;
    for part in
        ["data-state=\"completed\"", "id=\"job-progress\"", "2 of 2", "Kim", "the rule is off"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    let audit = browser.page("/audit").await;
    assert!(audit.contains("Kim") && audit.contains("the rule is off"));
    monitor.stop().await;
}

#[tokio::test]
async fn a_form_that_is_sent_twice_makes_one_job() {
    let (_sqs, monitor, _) = with_letters(2).await;
    let browser = Browser::new(monitor.api);
    let path = format!("/redrive?queue={STANDARD_DLQ}&reason=unknown");
    let page = confirmation(&browser, &path, "redrive-form", &[]).await;
    let send = || browser.submit(&page, "redrive-form", &[("count", "2")]);
    let (one, other) = tokio::join!(send(), send());
    let job = job_of(&one);
    assert_eq!(job, job_of(&other), "at once");
    monitor.ended(&job).await;
    // A reload, when none of these is dead any more.
    assert_eq!(job_of(&send().await), job);
    let jobs = monitor.json("/api/dlq/jobs").await;
    assert_eq!(jobs["items"].as_array().map(Vec::len), Some(1), "{jobs}");
    let audit = monitor.json("/api/dlq/audit").await;
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(1), "{audit}");
    monitor.stop().await;
}

#[tokio::test]
async fn a_form_that_was_changed_after_its_job_began_asks_again() {
    let (_sqs, monitor, letters) = with_letters(2).await;
    let browser = Browser::new(monitor.api);
    let path = |letter| format!("/discard?queue={STANDARD_DLQ}&ids={}", id(letter));
    let typed = [("reason", "a test")];
    let page = confirmation(&browser, &path(&letters[0]), "discard-form", &typed).await;
    let first = job_of(&browser.submit(&page, "discard-form", &[("count", "1")]).await);
    let form = Form::of(&page, "discard-form");
    let used = form.field("requestId");
    let other = [
        ("csrfToken", form.field("csrfToken")),
        ("requestId", used),
        ("queue", STANDARD_DLQ),
        ("ids", id(&letters[1])),
        ("reason", "a test"),
        ("count", "1"),
    ];
    let answer = browser.send("/discard", &other).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.body.contains("has begun another job already"));
    assert_ne!(Form::of(&answer.body, "discard-form").field("requestId"), used);
    let second = job_of(&browser.submit(&answer.body, "discard-form", &[("count", "1")]).await);
    assert_ne!(first, second);
    monitor.ended(&second).await;
    monitor.stop().await;
}

#[tokio::test]
async fn of_two_operators_the_second_is_told_that_the_messages_are_dealt_with() {
    let (sqs, monitor, letters) = with_letters(1).await;
    let (one, other) = (Browser::new(monitor.api), Browser::new(monitor.api));
    let by_id = format!("/redrive?queue={STANDARD_DLQ}&ids={}", id(&letters[0]));
    let by_filter = format!("/redrive?queue={STANDARD_DLQ}&reason=unknown");
    let mine = confirmation(&one, &by_id, "redrive-form", &[]).await;
    let theirs = confirmation(&other, &by_id, "redrive-form", &[]).await;
    let filtered = confirmation(&other, &by_filter, "redrive-form", &[]).await;
    let job = job_of(&one.submit(&mine, "redrive-form", &[("count", "1")]).await);
    monitor.ended(&job).await;
    let answer = other.submit(&theirs, "redrive-form", &[("count", "1")]).await;
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.body.contains("no dead letter of this queue now"));
    let answer = other.submit(&filtered, "redrive-form", &[("count", "1")]).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("0 messages are meant now"), "{}", answer.body);
    assert_eq!(sqs.count(STANDARD), 1);
    monitor.stop().await;
}

#[tokio::test]
async fn a_discard_wants_a_reason_and_keeps_what_was_typed() {
    let (_sqs, monitor, _) = with_letters(1).await;
    let browser = Browser::new(monitor.api);
    let page = browser.page(&format!("/discard?queue={STANDARD_DLQ}")).await;
    let answer = browser.submit(&page, "discard-form", &[("by", "<Kim>"), ("rate", "1e9")]).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    for part in ["error-reason", "error-rate", "value=\"&lt;Kim&gt;\"", "value=\"1e9\""] {
        assert!(answer.body.contains(part), "{part}: {}", answer.body);
    }
    let nothing = browser.get(&format!("/discard?queue={STANDARD_DLQ}&select=ids")).await;
    assert_eq!(nothing.status, 400, "choosing nothing does not mean everything");
    assert_eq!(browser.get("/redrive?queue=order-queue-standard").await.status, 404);
    monitor.stop().await;
}

#[tokio::test]
async fn a_redrive_of_a_fifo_queue_offers_to_break_the_order_and_warns_of_it() {
    let sqs = Sqs::anywhere().await;
    sqs.send_in_group(FIFO_DLQ, "customer-001", &order().to_json(), &[]).await;
    let monitor = Monitor::start(sqs.addr).await;
    monitor.letters(FIFO_DLQ, 1).await;
    let browser = Browser::new(monitor.api);
    let path = format!("/redrive?queue={FIFO_DLQ}");
    assert!(browser.page(&path).await.contains("name=\"allowReorder\""));
    let page = confirmation(&browser, &path, "redrive-form", &[("allowReorder", "true")]).await;
    assert!(page.contains("may break within a group"));
    let job = job_of(&browser.submit(&page, "redrive-form", &[("count", "1")]).await);
    assert_eq!(monitor.ended(&job).await["request"]["allowReorder"], true);
    monitor.stop().await;
}

#[tokio::test]
async fn forged_forms_do_nothing() {
    let (sqs, monitor, _) = with_letters(1).await;
    let browser = Browser::new(monitor.api);
    let typed = [("reason", "a test")];
    let path = format!("/discard?queue={STANDARD_DLQ}");
    let page = confirmation(&browser, &path, "discard-form", &typed).await;
    let form = Form::of(&page, "discard-form");
    let with = |csrf: &'static str| {
        let mut fields = vec![("queue", STANDARD_DLQ), ("reason", "a test"), ("count", "1")];
        fields.push(("csrfToken", if csrf.is_empty() { form.field("csrfToken") } else { csrf }));
        fields
    };
    let own = format!("http://{}", monitor.api);
    for (who, origin, fields) in [
        (&browser, own.as_str(), with("wrong")),
        (&browser, "http://evil.example", with("")),
        (&browser, "null", with("")),
        (&Browser::new(monitor.api), own.as_str(), with("")),
    ] {
        let answer = who.send_from(origin, "/discard", &fields).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.body.contains("forged-request") && answer.body.starts_with("<!DOCTYPE"));
    }
    let jobs = monitor.json("/api/dlq/jobs").await;
    assert_eq!(jobs["items"].as_array().map(Vec::len), Some(0));
    assert_eq!(sqs.count(STANDARD_DLQ), 1);
    // The very same form, from its own page.
    let answer = browser.send("/discard", &with("")).await;
    monitor.ended(&job_of(&answer)).await;
    monitor.stop().await;
}

#[tokio::test]
async fn a_job_is_ended_early_by_its_form_with_a_reason_and_once() {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    for _ in 0..50 {
        sqs.send(STANDARD_DLQ, &order().to_json(), &[]).await;
    }
    let monitor = Monitor::on(sqs.addr, &database, &[]).await;
    monitor.letters(STANDARD_DLQ, 50).await;
    let browser = Browser::new(monitor.api);
    let path = format!("/redrive?queue={STANDARD_DLQ}&reason=unknown");
    let page = confirmation(&browser, &path, "redrive-form", &[("rate", "1")]).await;
    let job = job_of(&browser.submit(&page, "redrive-form", &[("count", "50")]).await);
    let overview = browser.page("/").await;
    assert!(overview.contains(&format!("/jobs/{job}")), "it is under way");
    let cancel = format!("/jobs/{job}/cancel");
    let page = browser.page(&cancel).await;
    let without = browser.submit(&page, "cancel-form", &[("reason", " ")]).await;
    assert_eq!(without.status, 400);
    assert!(without.body.contains("error-reason"));
    let forged = [("reason", "wrong queue"), ("csrfToken", "wrong")];
    assert_eq!(browser.send(&cancel, &forged).await.status, 403);
    for _ in 0..2 {
        let answer =
            browser.submit(&page, "cancel-form", &[("reason", "wrong queue"), ("by", "Kim")]).await;
        assert_eq!(job_of(&answer), job);
    }
    let ended = monitor.ended(&job).await;
    assert_eq!(
        (&ended["state"], &ended["cancelledBy"]),
        (&"cancelled".into(), &"Kim (no token)".into())
    );
    let audit = monitor.json("/api/dlq/audit").await;
    let cancels = audit["items"].as_array().expect("a list").iter();
    assert_eq!(cancels.filter(|entry| entry["action"] == "cancel").count(), 1, "{audit}");
    let answer = browser.get(&cancel).await;
    assert_eq!(job_of(&answer), job, "there is nothing to ask for any more");
    monitor.stop().await;
}

#[tokio::test]
async fn the_progress_of_a_job_is_sent_again_only_when_it_has_changed() {
    let (_sqs, monitor, _) = with_letters(1).await;
    let browser = Browser::new(monitor.api);
    let path = format!("/redrive?queue={STANDARD_DLQ}");
    let page = confirmation(&browser, &path, "redrive-form", &[]).await;
    let job = job_of(&browser.submit(&page, "redrive-form", &[("count", "1")]).await);
    monitor.ended(&job).await;
    let path = format!("/jobs/{job}/progress");
    let part = browser.get(&path).await;
    assert_eq!(part.status, 200);
    assert!(part.body.contains("data-ended=\"true\"") && !part.body.contains("<html"));
    let tag = part.header("etag").expect("a tag").to_owned();
    let headers = [("if-none-match", &*tag)];
    let same = crate::http::call(monitor.api, &format!("GET {path}"), &headers, b"").await;
    assert_eq!((same.status, same.body.as_str()), (304, ""));
    monitor.stop().await;
}
