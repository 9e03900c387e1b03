//! Texts of messages are shown as texts, whatever is in them.

use super::browser::Browser;
use crate::support::{Monitor, STANDARD_DLQ, Sqs, bytes, order_of, text};

const SCRIPT: &str = "<script>alert(1)</script>";

/// The page of the only dead letter.
async fn page_of(sqs: &Sqs) -> (Monitor, String) {
    let monitor = Monitor::start(sqs.addr).await;
    let letters = monitor.letters(STANDARD_DLQ, 1).await;
    let id = letters[0]["messageId"].as_str().expect("an id");
    let page = Browser::new(monitor.api).page(&format!("/messages/{STANDARD_DLQ}/{id}")).await;
    (monitor, page)
}

#[tokio::test]
async fn markup_in_a_body_an_attribute_a_customer_and_a_reason_is_shown_as_text() {
    let sqs = Sqs::anywhere().await;
    let order = order_of(&format!("\"><img src=x>{SCRIPT}"));
    let attributes = [
        ("dead-letter-reason", text("forced")),
        ("dead-letter-detail", text(SCRIPT)),
        ("note", text("</bdi></table><a href=\"javascript:alert(1)\">")),
    ];
    sqs.send(STANDARD_DLQ, &order.to_json(), &attributes).await;
    let (monitor, page) = page_of(&sqs).await;
    let browser = Browser::new(monitor.api);
    for page in [page, browser.page("/").await, browser.page("/messages").await] {
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(
            !page.contains("<script>") && !page.contains("<img") && !page.contains("\"javascript:")
        );
    }
    let redrive =
        browser.page(&format!("/redrive?queue={STANDARD_DLQ}&customerId=%3Cscript%3E")).await;
    assert!(redrive.contains("&lt;script&gt;") && !redrive.contains("<script>"));
    monitor.stop().await;
}

#[tokio::test]
async fn what_cannot_be_seen_in_a_body_is_written_out() {
    let sqs = Sqs::anywhere().await;
    // SQS itself takes no NUL in a body.
    let body = "no JSON \u{202e}gpj\u{2066}\u{200b}\u{7f} \\u0000";
    sqs.send(STANDARD_DLQ, body, &[("note", text("a\u{202e}b"))]).await;
    let (monitor, page) = page_of(&sqs).await;
    let shown = "gpj<span class=\"mark\">U+2066 U+200B U+007F</span> \\u0000";
    assert!(page.contains(shown), "{page}");
    assert!(page.contains("a<span class=\"mark\">U+202E</span>b"), "{page}");
    assert!(!page.contains(['\u{202e}', '\u{2066}', '\u{200b}', '\u{7f}']));
    monitor.stop().await;
}

#[tokio::test]
async fn of_a_body_of_a_mebibyte_the_beginning_is_shown_and_ten_attributes_of_any_type() {
    let sqs = Sqs::anywhere().await;
    let body = format!("<{}>", "상".repeat(340_000));
    let mut attributes: Vec<(&str, _)> = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
        .into_iter()
        .map(|name| (name, text("value")))
        .collect();
    attributes.push(("picture", bytes(&[0, 159, 146, 150])));
    sqs.send(STANDARD_DLQ, &body, &attributes).await;
    let (monitor, page) = page_of(&sqs).await;
    assert!(page.contains(&format!("&lt;{}", "상".repeat(21_845))));
    assert!(page.len() < 100_000, "a browser takes long for so long a line: {}", page.len());
    assert!(
        page.contains(", of which this is the beginning") && page.contains("here it is cut off")
    );
    assert!(page.contains("1,020,002 bytes") && page.contains("AJ+Slg=="));
    assert!(page.contains("tabindex=\"0\""), "it can be scrolled by keyboard");
    let browser = Browser::new(monitor.api);
    let path = page.split('"').find(|part| part.ends_with("/body")).expect("a link");
    let whole = browser.get(path).await;
    assert_eq!((whole.status, whole.body.as_str()), (200, body.as_str()));
    assert_eq!(whole.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));
    let name = whole.header("content-disposition").expect("it is a file");
    assert!(name.starts_with("attachment; filename=\"message-"), "{name}");
    let nothing = browser.get(&format!("/messages/{STANDARD_DLQ}/nothing/body")).await;
    assert_eq!(nothing.status, 404);
    let list = browser.page("/messages").await;
    assert!(list.len() < 40_000, "lists show no bodies: {}", list.len());
    monitor.stop().await;
}

#[tokio::test]
async fn a_long_attribute_is_shown_in_part_and_a_short_body_whole() {
    let sqs = Sqs::anywhere().await;
    let long = "a".repeat(100_000);
    sqs.send(STANDARD_DLQ, "short", &[("long", text(&long)), ("bytes", bytes(&[1; 9_000]))]).await;
    let (monitor, page) = page_of(&sqs).await;
    assert!(page.len() < 50_000, "{}", page.len());
    assert!(page.contains("91,808 bytes more") && page.contains("3,808 bytes more"), "{page}");
    assert!(page.contains("short") && !page.contains("here it is cut off"), "{page}");
    monitor.stop().await;
}

#[tokio::test]
async fn json_is_laid_out_with_its_numbers_as_they_were_sent() {
    let sqs = Sqs::anywhere().await;
    sqs.send(STANDARD_DLQ, r#"{"b":1.000000000000000000001,"a":[]}"#, &[]).await;
    let (monitor, page) = page_of(&sqs).await;
    let expected = "{\n  &quot;b&quot;: 1.000000000000000000001,\n  &quot;a&quot;: []\n}";
    assert!(page.contains(expected), "{page}");
    monitor.stop().await;
}
