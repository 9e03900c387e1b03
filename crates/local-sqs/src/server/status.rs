//! The status page: what is in the queues, and that it will not last.

use std::fmt::Write as _;

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use super::core::Shared;

const WARNING: &str = "local-sqs keeps everything in memory. It is not durable: queues and messages are gone \
     when this process ends. Use it for development and tests, never for production.";

/// `GET /`: plain text, a page for browsers, or JSON for those who ask for it.
pub(super) fn page(shared: &Shared, headers: &HeaderMap) -> Response {
    let accept =
        headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let queues = shared.counts();
    let waiting = shared.waiting_receives();
    let rows = queues
        .iter()
        .map(|(name, counts)| (&**name, [counts.visible, counts.in_flight, counts.delayed]));
    if accept.contains("text/html") {
        Html(html(rows, waiting)).into_response()
    } else if accept.contains("application/json") {
        let queues: serde_json::Map<_, _> = rows
            .map(|(name, [visible, in_flight, delayed])| {
                let counts =
                    json!({ "visible": visible, "in_flight": in_flight, "delayed": delayed });
                (name.to_owned(), counts)
            })
            .collect();
        let page = json!({
            "durable": false, "warning": WARNING, "waiting_receives": waiting, "queues": queues,
        });
        Json(page).into_response()
    } else {
        text(rows, waiting).into_response()
    }
}

// Writing into a String cannot fail, hence the ignored results below.

fn text<'a>(rows: impl Iterator<Item = (&'a str, [usize; 3])>, waiting: usize) -> String {
    let mut text = format!(
        "{WARNING}\n\n{:<40} {:>10} {:>10} {:>10}\n",
        "queue", "visible", "in flight", "delayed"
    );
    for (name, [visible, in_flight, delayed]) in rows {
        let _ = writeln!(text, "{name:<40} {visible:>10} {in_flight:>10} {delayed:>10}");
    }
    let _ = writeln!(text, "\nreceives waiting: {waiting}");
    text
}

/// Names of queues are letters, digits, hyphens, underscores and one full stop: nothing to escape.
fn html<'a>(rows: impl Iterator<Item = (&'a str, [usize; 3])>, waiting: usize) -> String {
    let mut body = String::new();
    for (name, counts) in rows {
        let _ = write!(body, "<tr><th scope=row>{name}</th>");
        for count in counts {
            let _ = write!(body, "<td>{count}</td>");
        }
        body.push_str("</tr>\n");
    }
    if body.is_empty() {
        body.push_str("<tr><td colspan=4>There are no queues.</td></tr>\n");
    }
    format!(
        "<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content='width=device-width'>
<meta http-equiv=refresh content=2>
<title>local-sqs</title>
<style>
:root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }}
body {{ max-width: 52rem; margin: 2rem auto; padding: 0 1rem }}
.warning {{ border-left: .3rem solid #c60; padding: .2rem .8rem }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }}
th, td {{ padding: .3rem .6rem; border-bottom: 1px solid #8886; text-align: right }}
th:first-child {{ text-align: left; overflow-wrap: anywhere }}
tbody th {{ font-weight: normal }}
</style>
<h1>local-sqs</h1>
<p class=warning>{WARNING}</p>
<table>
<thead><tr><th scope=col>queue<th scope=col>visible<th scope=col>in flight<th scope=col>delayed</tr></thead>
<tbody>
{body}</tbody>
</table>
<p>Long polls waiting: {waiting}. <a href=/metrics>Metrics</a>.</p>
</html>
"
    )
}
