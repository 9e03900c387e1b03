//! Browsers of other origins, and compressed answers.

use crate::harness::{Answer, Api, FakeSqs, ORDER, call, open};
use order_api::Settings;
use service_kit::settings::Reader;
use tokio::io::AsyncReadExt;

const SHOP: &str = "https://shop.example";

async fn preflight(api: &Api, origin: &str) -> Answer {
    let headers = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type,idempotency-key"),
    ];
    call(api.addr, "OPTIONS /api/orders", &headers, b"").await
}

async fn order_from(api: &Api, origin: &str) -> Answer {
    let headers = [("Content-Type", "application/json"), ("Origin", origin)];
    call(api.addr, "POST /api/orders", &headers, ORDER.as_bytes()).await
}

async fn api(env: &[(&str, &str)]) -> Api {
    Api::start(FakeSqs::start().await.addr, env).await
}

#[tokio::test]
async fn no_other_origin_may_use_the_api_unless_it_is_allowed() {
    let api = api(&[]).await;
    let asked = preflight(&api, SHOP).await;
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (405, None));
    let answer = order_from(&api, SHOP).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (202, None));
    api.stop().await;
}

#[tokio::test]
async fn pages_of_an_allowed_origin_may_order_and_read_what_a_client_needs() {
    let api = api(&[("CORS_ALLOWED_ORIGINS", "https://shop.example, http://localhost:3000")]).await;
    for origin in [SHOP, "http://localhost:3000"] {
        let asked = preflight(&api, origin).await;
        assert_eq!(asked.status, 200);
        assert_eq!(asked.header("access-control-allow-origin"), Some(origin));
        assert_eq!(asked.header("access-control-allow-methods"), Some("GET,POST"));
        let headers = asked.header("access-control-allow-headers").expect("headers");
        assert_eq!(headers, "content-type,idempotency-key,traceparent");
        assert_eq!(asked.header("access-control-max-age"), Some("600"));
        let answer = order_from(&api, origin).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.header("access-control-expose-headers"), Some("location,retry-after"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert!(answer.header("vary").is_some_and(|vary| vary.contains("origin")), "{answer:?}");
    }
    for origin in ["https://evil.example", "https://shop.example.evil.example", "null"] {
        let asked = preflight(&api, origin).await;
        assert_eq!(asked.header("access-control-allow-origin"), None, "{origin}");
        assert_eq!(order_from(&api, origin).await.header("access-control-allow-origin"), None);
    }
    // Errors too: a page could not tell its user what is wrong otherwise.
    let missing = call(api.addr, "GET /nothing", &[("Origin", SHOP)], b"").await;
    assert_eq!((missing.status, missing.header("access-control-allow-origin")), (404, Some(SHOP)));
    api.stop().await;
}

#[tokio::test]
async fn a_star_allows_every_origin_without_credentials() {
    let api = api(&[("CORS_ALLOWED_ORIGINS", "*")]).await;
    let answer = order_from(&api, SHOP).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert_eq!(preflight(&api, SHOP).await.header("access-control-allow-credentials"), None);
    api.stop().await;
}

#[test]
fn origins_that_no_browser_sends_are_wrong_settings() {
    for wrong in ["shop.example", "https://shop.example/", "*, https://shop.example", "null"] {
        let env = [("CORS_ALLOWED_ORIGINS".to_owned(), wrong.to_owned())];
        let mut reader = Reader::load(Settings::table(), None, env);
        let settings = Settings::read(&mut reader);
        let error = reader.finish(settings).expect_err(wrong).to_string();
        assert!(error.contains("CORS_ALLOWED_ORIGINS") && error.contains(wrong), "{error}");
    }
}

/// The head of an answer, and the bytes of its body.
async fn get(api: &Api, path: &str, accepted: &str) -> (String, Vec<u8>) {
    let headers = [("Accept-Encoding", accepted)];
    let mut stream = open(api.addr, &format!("GET {path}"), &headers, b"").await;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("answered");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let body = bytes.split_off(end + 4);
    (String::from_utf8(bytes).expect("text").to_lowercase(), body)
}

#[tokio::test]
async fn large_answers_are_compressed_only_when_that_is_set_and_the_client_takes_it() {
    const GZIP: &str = "content-encoding: gzip";
    let plain = api(&[]).await;
    let (head, whole) = get(&plain, "/openapi.json", "gzip").await;
    assert!(!head.contains("content-encoding"), "{head}");
    plain.stop().await;

    let api = api(&[("HTTP_COMPRESSION", "gzip")]).await;
    let (head, compressed) = get(&api, "/openapi.json", "br, gzip").await;
    assert!(head.contains(GZIP) && head.contains("vary: accept-encoding"), "{head}");
    assert!(compressed.len() * 3 < whole.len(), "{} of {}", compressed.len(), whole.len());
    for (path, accepted) in [("/openapi.json", "br"), ("/api/orders/health", "gzip")] {
        let (head, _) = get(&api, path, accepted).await;
        assert!(!head.contains("content-encoding"), "{path} {accepted}: {head}");
    }
    api.stop().await;
}
