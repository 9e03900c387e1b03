//! Who may read and act, over the wire.

use serde_json::json;

use crate::{
    http::{call, call_from},
    support::{Database, Monitor, STANDARD_DLQ, Sqs},
};

const TOKEN: &str = "a long secret of the fleet";

async fn guarded() -> (Sqs, Database, Monitor) {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    let monitor = Monitor::on(sqs.addr, &database, &[("MONITOR_TOKEN", TOKEN)]).await;
    (sqs, database, monitor)
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn redrive() -> Vec<u8> {
    json!({ "queue": STANDARD_DLQ, "all": true, "dryRun": true }).to_string().into_bytes()
}

#[tokio::test]
async fn with_a_token_nothing_is_told_or_done_without_it() {
    let (_sqs, _database, monitor) = guarded().await;
    let bearer = format!("Bearer {TOKEN}");
    let cookie = format!("dlq_monitor_session_{}=AAAA", monitor.api.port());
    for path in ["queues", "messages", "jobs", "audit", "session"] {
        let line = format!("GET /api/dlq/{path}");
        for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("cookie", &cookie)]] {
            let answer = call(monitor.api, &line, headers, b"").await;
            assert_eq!((answer.status, answer.problem().as_str()), (401, "unauthorized"), "{line}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        let answer = call(monitor.api, &line, &[("authorization", &bearer)], b"").await;
        assert_eq!(answer.status, 200, "{line}: {answer:?}");
    }
    let line = "POST /api/dlq/redrive";
    let answer = call(monitor.api, line, &[JSON], &redrive()).await;
    assert_eq!(answer.status, 401);
    let answer = call(monitor.api, line, &[JSON, ("authorization", &bearer)], &redrive()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = call(monitor.api, "GET /api/dlq/health", &[], b"").await;
    assert_eq!(answer.status, 200);
    monitor.stop().await;
}

#[tokio::test]
async fn a_login_reads_by_its_cookie_and_acts_with_its_token_against_forgery() {
    let (_sqs, _database, monitor) = guarded().await;
    let login = json!({ "token": TOKEN }).to_string();
    let answer = call(monitor.api, "POST /login", &[JSON], login.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let cookie = answer.header("set-cookie").expect("a cookie").split(';').next().expect("a pair");
    let cookie = cookie.to_owned();
    let csrf = answer.json()["csrfToken"].as_str().expect("a token").to_owned();
    let session = call(monitor.api, "GET /api/dlq/session", &[("cookie", &cookie)], b"").await;
    assert_eq!(session.json(), json!({ "via": "login", "mayAct": true, "csrfToken": csrf }));
    let line = "POST /api/dlq/redrive";
    let forged = call(monitor.api, line, &[JSON, ("cookie", &cookie)], &redrive()).await;
    assert_eq!((forged.status, forged.problem().as_str()), (403, "forged-request"));
    let headers = [JSON, ("cookie", cookie.as_str()), ("x-csrf-token", &csrf)];
    assert_eq!(call(monitor.api, line, &headers, &redrive()).await.status, 200);
    let of_others = [&headers[..], &[("origin", "http://evil.example")]].concat();
    assert_eq!(call(monitor.api, line, &of_others, &redrive()).await.status, 403);
    let out = call(monitor.api, "POST /logout", &headers, b"").await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
    // By a form, as a page without script does it.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = format!("token={}", TOKEN.replace(' ', "+"));
    let answer = call(monitor.api, "POST /login", &form, body.as_bytes()).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    monitor.stop().await;
}

#[tokio::test]
async fn two_monitors_on_one_machine_leave_each_other_their_logins() {
    let (_sqs, _database, one) = guarded().await;
    let (_sqs, _database, other) = guarded().await;
    let login = json!({ "token": TOKEN }).to_string();
    // A browser keeps one cookie of a name for a machine, whatever the port, and sends it to all.
    let mut kept = std::collections::BTreeMap::new();
    for monitor in [&one, &other] {
        let answer = call(monitor.api, "POST /login", &[JSON], login.as_bytes()).await;
        let cookie = answer.header("set-cookie").expect("a cookie");
        let (name, value) =
            cookie.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
        kept.insert(name.to_owned(), value.to_owned());
    }
    let cookies: Vec<String> = kept.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookies = cookies.join("; ");
    for monitor in [one, other] {
        let answer = call(monitor.api, "GET /api/dlq/session", &[("cookie", &cookies)], b"").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        monitor.stop().await;
    }
}

#[tokio::test]
async fn who_guesses_has_to_wait() {
    let (_sqs, _database, monitor) = guarded().await;
    let login = json!({ "token": "wrong" }).to_string();
    let mut statuses = Vec::new();
    for _ in 0..7 {
        let answer = call(monitor.api, "POST /login", &[JSON], login.as_bytes()).await;
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    let right = json!({ "token": TOKEN }).to_string();
    let answer = call(monitor.api, "POST /login", &[JSON], right.as_bytes()).await;
    assert_eq!(answer.problem(), "too-many-logins", "of this address");
    assert!(answer.header("retry-after").is_some());
    let elsewhere = [127, 0, 0, 2];
    let answer = call_from(elsewhere, monitor.api, "POST /login", &[JSON], right.as_bytes()).await;
    assert_eq!(answer.status, 200, "who guesses keeps nobody else out: {answer:?}");
    // Behind a proxy too, which is one address for all.
    let named = [JSON, ("x-forwarded-for", "192.0.2.1")];
    let answer = call(monitor.api, "POST /login", &named, right.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    monitor.stop().await;
}

#[tokio::test]
async fn without_a_token_acting_is_refused_off_loopback_and_for_pages_of_others() {
    let (sqs, database) = (Sqs::anywhere().await, Database::create());
    let everywhere = Monitor::on(sqs.addr, &database, &[("LISTEN_ADDR", "0.0.0.0:0")]).await;
    let here = std::net::SocketAddr::from(([127, 0, 0, 1], everywhere.api.port()));
    let line = "POST /api/dlq/redrive";
    let answer = call(here, line, &[JSON], &redrive()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (403, "acting-not-allowed"));
    let session = call(here, "GET /api/dlq/session", &[], b"").await.json();
    assert_eq!((&session["via"], &session["mayAct"]), (&"no token".into(), &false.into()));
    everywhere.stop().await;
    let monitor = Monitor::on(sqs.addr, &database, &[]).await;
    assert_eq!(call(monitor.api, line, &[JSON], &redrive()).await.status, 200);
    for headers in [
        &[JSON, ("host", "evil.example")][..],
        &[JSON, ("origin", "http://evil.example")],
        &[("content-type", "text/plain")],
        &[],
    ] {
        let answer = call(monitor.api, line, headers, &redrive()).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (403, "forged-request"),
            "{headers:?}"
        );
    }
    let answer = call(monitor.api, "POST /login", &[JSON], b"{}").await;
    assert_eq!(answer.problem(), "login-not-set-up");
    monitor.stop().await;
}

#[tokio::test]
async fn every_answer_says_what_browsers_may_not_do_with_it() {
    let sqs = Sqs::anywhere().await;
    let monitor = Monitor::start(sqs.addr).await;
    for path in ["/api/dlq/queues", "/api/dlq/messages?limit=0", "/docs", "/api/dlq/health"] {
        let answer = call(monitor.api, &format!("GET {path}"), &[], b"").await;
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
    }
    monitor.stop().await;
}

#[tokio::test]
async fn every_answer_has_the_headers_that_pages_of_others_run_into() {
    let (_sqs, _database, monitor) = guarded().await;
    for (line, status) in [
        ("GET /api/dlq/health", 200),
        ("GET /api/dlq/queues", 401),
        ("GET /nowhere", 404),
        ("DELETE /api/dlq/health", 405),
        ("PUT /api/dlq/redrive", 405),
    ] {
        let answer = call(monitor.api, line, &[], b"").await;
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{line}: {answer:?}");
        }
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'"), "{line}: {policy}");
    }
    monitor.stop().await;
}
