//! Who may look.

use super::stage::{Stage, TOKEN};

const FIELD: &str = "#login-form [name=token]";
const BUTTON: &str = "#login-form button";

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_browser_logs_in_and_is_led_where_it_wanted_to_go_and_logs_out() {
    let stage = Stage::with(&[("MONITOR_TOKEN", TOKEN)]).await;
    let page = &stage.page;
    page.go("/jobs").await;
    assert_eq!(page.place().await, "/login?next=%2Fjobs");
    assert_eq!(page.count("nav a[href='/audit']").await, 0, "nothing is told before the login");
    page.fill(FIELD, "wrong").await;
    page.follow(BUTTON).await;
    assert_eq!(page.status().await, 401);
    assert!(page.text("[role=alert]").await.contains("Token: is wrong"), "it says what is wrong");
    assert_eq!(page.evaluate("document.querySelector('[name=token]').value").await, "");
    page.fill(FIELD, TOKEN).await;
    page.follow(BUTTON).await;
    assert_eq!((page.place().await.as_str(), page.status().await), ("/jobs", 200));
    let cookies = page.evaluate("document.cookie").await;
    assert!(!cookies.as_str().expect("a text").contains("session"), "no script reads the login");
    page.follow("form[action='/logout'] button").await;
    assert!(page.place().await.starts_with("/login"));
    page.go("/").await;
    assert_eq!(page.place().await, "/login", "it is over");
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn a_login_leads_to_no_other_server() {
    let stage = Stage::with(&[("MONITOR_TOKEN", TOKEN)]).await;
    let page = &stage.page;
    for next in
        ["//other.example/", "https://other.example/", "/%5Cother.example", "%5C%5Cother.example"]
    {
        page.go(&format!("/login?next={next}")).await;
        page.fill(FIELD, TOKEN).await;
        page.follow(BUTTON).await;
        assert_eq!(page.place().await, "/", "{next}");
        assert_eq!(page.evaluate("location.hostname").await, "127.0.0.1", "{next}");
        page.follow("form[action='/logout'] button").await;
    }
    stage.end().await;
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn who_guesses_is_told_to_wait() {
    let stage = Stage::with(&[("MONITOR_TOKEN", TOKEN)]).await;
    let page = &stage.page;
    page.go("/login").await;
    for _ in 0..5 {
        page.fill(FIELD, "wrong").await;
        page.follow(BUTTON).await;
        assert_eq!(page.status().await, 401);
    }
    page.fill(FIELD, TOKEN).await;
    page.follow(BUTTON).await;
    assert_eq!(page.status().await, 429, "whoever asks");
    let told = page.text("[role=alert]").await;
    assert!(told.contains("second"), "it says when to try again: {told}");
    page.inspect("login-limited").await;
    stage.end().await;
}
