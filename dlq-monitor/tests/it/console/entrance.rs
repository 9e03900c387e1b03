//! Logging in and out, and who may look.

use super::browser::Browser;
use crate::{
    http::call,
    support::{Database, Monitor, STANDARD_DLQ, Sqs},
};

const TOKEN: &str = "a long secret of the fleet";

async fn guarded() -> (Sqs, Database, Monitor) {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    let monitor = Monitor::on(sqs.addr, &database, &[("MONITOR_TOKEN", TOKEN)]).await;
    (sqs, database, monitor)
}

#[tokio::test]
async fn whoever_is_not_logged_in_is_led_to_the_login_and_from_there_to_the_page() {
    let (_sqs, _database, monitor) = guarded().await;
    let browser = Browser::new(monitor.api);
    for (path, login) in [
        ("/", "/login"),
        ("/messages?text=a&limit=2", "/login?next=%2Fmessages%3Ftext%3Da%26limit%3D2"),
        ("/jobs", "/login?next=%2Fjobs"),
        ("/audit", "/login?next=%2Faudit"),
        ("/redrive?queue=a", "/login?next=%2Fredrive%3Fqueue%3Da"),
    ] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some(login)), "{path}");
    }
    let answer = browser.send("/discard", &[("queue", STANDARD_DLQ)]).await;
    assert_eq!(answer.status, 401);
    let page = browser.page("/login?next=%2Fmessages%3Flimit%3D2").await;
    let wrong = browser.submit(&page, "login-form", &[("token", "wrong")]).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.body.contains("role=\"alert\"") && wrong.body.contains("error-token"));
    let right = browser.submit(&wrong.body, "login-form", &[("token", TOKEN)]).await;
    assert_eq!((right.status, right.header("location")), (303, Some("/messages?limit=2")));
    let page = browser.page("/messages?limit=2").await;
    assert!(page.contains("Log out"));
    assert_eq!(browser.get("/login?next=/jobs").await.header("location"), Some("/jobs"));
    let forged = browser.send("/logout", &[("csrfToken", "wrong")]).await;
    assert_eq!(forged.status, 403);
    let token = super::browser::attribute(
        page.split('<').find(|tag| tag.contains("csrfToken")).expect("a field"),
        "value",
    );
    let out = browser.send("/logout", &[("csrfToken", &token.expect("a value"))]).await;
    assert_eq!((out.status, out.header("location")), (303, Some("/login")));
    assert_eq!(browser.get("/").await.status, 303);
    monitor.stop().await;
}

#[tokio::test]
async fn a_login_leads_to_no_other_server() {
    let (_sqs, _database, monitor) = guarded().await;
    for next in ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"] {
        let browser = Browser::new(monitor.api);
        let answer = browser.send("/login", &[("token", TOKEN), ("next", next)]).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{next}");
    }
    let browser = Browser::new(monitor.api);
    let fields = [("token", TOKEN)];
    let answer = browser.send_from("http://evil.example", "/login", &fields).await;
    assert_eq!(answer.status, 403, "a login is not made by others either");
    monitor.stop().await;
}

#[tokio::test]
async fn who_guesses_is_told_how_long_to_wait() {
    let (_sqs, _database, monitor) = guarded().await;
    let browser = Browser::new(monitor.api);
    for _ in 0..5 {
        assert_eq!(browser.send("/login", &[("token", "wrong")]).await.status, 401);
    }
    let answer = browser.send("/login", &[("token", TOKEN)]).await;
    assert_eq!(answer.status, 429);
    let seconds = answer.header("retry-after").expect("it says when");
    assert!(answer.body.contains(&format!("in {seconds} seconds")), "{}", answer.body);
    monitor.stop().await;
}

#[tokio::test]
async fn a_form_of_a_login_acts_with_the_logins_own_token() {
    let (sqs, _database, monitor) = guarded().await;
    sqs.send(STANDARD_DLQ, "x", &[]).await;
    let browser = Browser::new(monitor.api);
    assert_eq!(browser.send("/login", &[("token", TOKEN)]).await.status, 303);
    let path = format!("/redrive?queue={STANDARD_DLQ}");
    let page = crate::support::eventually("the message is known", || async {
        let page = browser.page(&path).await;
        page.contains("Redrive 1 message").then_some(page)
    })
    .await;
    let page = browser.submit(&page, "redrive-form", &[]).await.body;
    let begun = browser.submit(&page, "redrive-form", &[("count", "1")]).await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let job = browser.page(begun.header("location").expect("a job")).await;
    assert!(job.contains(">login<"), "who asked: {job}");
    let other = Browser::new(monitor.api);
    assert_eq!(other.send("/login", &[("token", TOKEN)]).await.status, 303);
    let stolen = other.submit(&page, "redrive-form", &[("count", "1")]).await;
    assert_eq!(stolen.status, 403, "one login's form does not do for another");
    monitor.stop().await;
}

#[tokio::test]
async fn without_a_token_on_loopback_another_name_reads_nothing() {
    let sqs = Sqs::anywhere().await;
    let monitor = Monitor::start(sqs.addr).await;
    for path in
        ["/", "/messages", "/audit", "/api/dlq/queues", "/api/dlq/messages", "/api/dlq/audit"]
    {
        let line = format!("GET {path}");
        let answer = call(monitor.api, &line, &[("host", "evil.example:8082")], b"").await;
        assert_eq!(answer.status, 421, "{path}");
        assert!(answer.body.contains("MONITOR_TOKEN"), "it says why: {answer:?}");
        let port = monitor.api.port();
        let own = call(monitor.api, &line, &[("host", &format!("localhost:{port}"))], b"").await;
        assert_eq!(own.status, 200, "{path}");
    }
    monitor.stop().await;
}
