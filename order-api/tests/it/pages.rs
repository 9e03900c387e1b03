//! The pages for people.

use crate::harness::{Answer, Api, FakeSqs, call, post};
use order_api::openapi_json;
use serde_json::Value;

async fn api() -> Api {
    Api::start(FakeSqs::start().await.addr, &[]).await
}

async fn get(api: &Api, path: &str) -> Answer {
    call(api.addr, &format!("GET {path}"), &[], b"").await
}

/// Every `href` of a page.
fn links(html: &str) -> Vec<&str> {
    let parts = html.split("href=\"").skip(1);
    parts.map(|part| part.split('"').next().expect("an end")).collect()
}

fn kinds() -> Vec<String> {
    let document = openapi_json();
    let kinds = &document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"];
    let kinds = kinds.as_array().expect("a list").iter().filter_map(Value::as_str);
    kinds.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_documentation_needs_nothing_but_this_server_and_runs_no_script() {
    let api = api().await;
    for path in ["/docs", "/problems", "/problems/invalid-order"] {
        let page = get(&api, path).await;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("script"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        for foreign in ["<script", " src=", "@import", "url(", " style=", " on"] {
            let styled = foreign == " on"
                && !page.body.contains(" onclick")
                && !page.body.contains(" onload");
            assert!(styled || !page.body.contains(foreign), "{path} has {foreign}");
        }
        for link in links(&page.body) {
            assert!(link.starts_with('/') || link.starts_with('#'), "{path} leads to {link}");
        }
    }
    api.stop().await;
}

#[tokio::test]
async fn every_link_of_every_page_leads_somewhere() {
    let api = api().await;
    let mut paths = vec!["/docs".to_owned(), "/problems".to_owned()];
    paths.extend(kinds());
    for path in paths {
        let page = get(&api, &path).await;
        for link in links(&page.body) {
            if let Some(anchor) = link.strip_prefix('#') {
                assert!(page.body.contains(&format!(" id=\"{anchor}\"")), "{path} has no {link}");
            } else {
                assert_eq!(get(&api, link).await.status, 200, "{path} leads to {link}");
            }
        }
    }
    api.stop().await;
}

#[tokio::test]
async fn the_documentation_has_every_operation_schema_and_field() {
    let api = api().await;
    let page = get(&api, "/docs").await.body;
    let document = openapi_json();
    for (path, item) in document["paths"].as_object().expect("paths") {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
        for (_, operation) in item.as_object().expect("operations") {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        assert!(page.contains(&format!("<section id=\"schema-{name}\"")), "{name}");
        for (field, _) in schema["properties"].as_object().expect("fields") {
            assert!(page.contains(&format!("<code>{field}</code>")), "{name} {field}");
        }
    }
    assert!(page.contains("curl -i &quot;$API/api/orders&quot;"), "an order to try");
    api.stop().await;
}

#[tokio::test]
async fn every_kind_of_problem_has_a_page_to_which_its_type_leads() {
    let api = api().await;
    let kinds = kinds();
    assert!(kinds.len() > 10, "{kinds:?}");
    let index = get(&api, "/problems").await.body;
    for kind in kinds {
        let page = get(&api, &kind).await;
        assert_eq!(page.status, 200, "{kind}");
        for part in ["What it means", "What to do", "Example", "&quot;type&quot;"] {
            assert!(page.body.contains(part), "{kind} has no {part}");
        }
        assert!(page.body.contains(&format!("&quot;{kind}&quot;")), "the example is of its kind");
        assert!(index.contains(&format!("href=\"{kind}\"")), "{kind} is not listed");
    }
    let refused = post(api.addr, "", "{}").await.json();
    assert_eq!(get(&api, refused["type"].as_str().expect("a type")).await.status, 200);
    api.stop().await;
}

#[tokio::test]
async fn an_unknown_kind_of_problem_is_a_problem() {
    let api = api().await;
    for path in ["/problems/nothing", "/problems/%ff", "/problems/Invalid-Order"] {
        let answer = get(&api, path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not-found"), "{path}");
    }
    api.stop().await;
}

#[tokio::test]
async fn a_browser_at_the_apis_address_finds_the_documentation() {
    let api = api().await;
    let answer = get(&api, "/").await;
    assert_eq!((answer.status, answer.header("location")), (307, Some("/docs")));
    api.stop().await;
}

/// The pages' policy allows their own style by its hash: only a browser can tell that it is the right
/// one.
#[tokio::test]
#[ignore = "needs chromium"]
async fn a_browser_shows_the_documentation_with_its_style_and_has_nothing_to_complain_of() {
    let api = api().await;
    for path in ["/docs", "/problems", "/problems/invalid-order"] {
        let profile = tempfile::tempdir().expect("a folder");
        let output = tokio::process::Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--enable-logging=stderr",
                "--window-size=1280,900",
                "--dump-dom",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("http://{}{path}", api.addr))
            .output()
            .await
            .expect("chromium is installed");
        let (shown, log) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(shown.contains("</main>"), "{path}: {log}");
        assert!(
            !log.contains("Content Security Policy") && !log.contains("CONSOLE"),
            "{path}: {log}"
        );
    }
    api.stop().await;
}

#[tokio::test]
async fn the_problem_of_a_head_that_can_be_read_in_two_ways_has_its_page_too() {
    let api = api().await;
    let refused = call(api.addr, "GET /nowhere", &[("Host", "another")], b"").await;
    assert_eq!((refused.status, refused.problem().as_str()), (400, "bad-request"));
    assert!(kinds().contains(&"/problems/bad-request".to_owned()));
    assert_eq!(get(&api, "/problems/bad-request").await.status, 200);
    api.stop().await;
}
