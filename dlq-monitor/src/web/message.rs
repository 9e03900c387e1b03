//! `/messages/{queue}/{messageId}`: one dead letter with everything that is known of it.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::header,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value;
use service_kit::Problem;

use super::{
    frame::Place,
    links,
    parts::{self, bdi, bdi_or, cell, facts, row_head, time, time_or},
    selection::Selection,
    text,
    visit::{Page, Visit, back_to_list},
};
use crate::api::{
    Api, messages,
    views::{AttemptView, LetterView, WholeLetterView},
};

/// Bytes of an attribute's value that are shown, at most.
const SHOWN_OF_VALUE: usize = 8 * 1024;

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    visit: Visit,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    visit.answer(page(&api, &visit, path).await)
}

async fn page(
    api: &Api,
    visit: &Visit,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Page, Problem> {
    let Path((queue, message_id)) = path.map_err(|_| messages::unknown())?;
    let whole = messages::whole(api, &queue, &message_id).await?;
    let now = Timestamp::now();
    let title = match whole.letter.order_id {
        Some(order) => format!("Order {order}"),
        None => "A message that is no order".to_owned(),
    };
    let content = html! {
        p .eyebrow { (whole.letter.queue) }
        h1 .id-title { (title) }
        p .lead { (parts::reason(&whole.letter.reason)) " " (parts::state(whole.letter.state)) }
        p .hint { (parts::about_reason(&whole.letter.reason)) }
        (actions(visit, &whole.letter))
        div .columns {
            div .column {
                (summary(&whole, now))
                (history(&whole.letter, now))
            }
            div .column {
                (body(&whole))
                (attributes(&whole.attributes))
            }
        }
        (attempts(&whole, now))
    };
    Ok(Page::new(title, Place::Letters, content))
}

fn actions(visit: &Visit, letter: &LetterView) -> Markup {
    let this = Selection {
        queue: letter.queue.clone(),
        ids: vec![letter.message_id.clone()],
        ..Selection::default()
    };
    html! {
        p .actions {
            @if visit.may_act && letter.state == "dead" {
                a #redrive .button .primary href=(this.link("/redrive")) { "Redrive…" }
                a #discard .button .danger href=(this.link("/discard")) { "Discard…" }
            }
            (back_to_list(&letter.queue))
        }
    }
}

fn summary(whole: &WholeLetterView, now: Timestamp) -> Markup {
    let letter = &whole.letter;
    let mut known = vec![
        ("Why", bdi_or(letter.detail.as_deref(), "no more is known")),
        ("Customer", customer(letter)),
        ("Delivery", delivery(whole)),
        ("Attempts", bdi_or(letter.attempts.map(|count| count.to_string()).as_deref(), "unknown")),
        ("Expires", time_or(letter.expires_at, now, "–")),
        ("Message", html! { code .wrap { (bdi(&letter.message_id)) } }),
    ];
    known.extend(letter.group_id.as_deref().map(|group| ("Group", bdi(group))));
    known.extend(whole.trace_id.as_deref().map(|id| ("Trace", trace(id, whole))));
    html! {
        section .panel aria-labelledby="known" { h2 #known { "What is known" } (facts(&known)) }
    }
}

fn customer(letter: &LetterView) -> Markup {
    html! {
        @if let Some(customer) = &letter.customer_id {
            (bdi(customer)) " "
            a href=(links::with_query("/messages", [("customerId", &**customer)])) {
                "all of this customer"
            }
        } @else {
            span .faint { "unknown" }
        }
    }
}

fn delivery(whole: &WholeLetterView) -> Markup {
    html! {
        @if let Some(status) = whole.delivery_status {
            (status.as_str().to_lowercase().replace('_', " "))
        } @else {
            span .faint { "the deliveries know nothing of it" }
        }
    }
}

fn trace(id: &str, whole: &WholeLetterView) -> Markup {
    html! {
        @if let Some(url) = &whole.trace_url {
            a #trace href=(url) rel="noreferrer" { (id) }
        } @else {
            code .wrap { (id) }
        }
    }
}

fn attempts(whole: &WholeLetterView, now: Timestamp) -> Markup {
    let shown = &whole.delivery_attempts;
    let left_out = whole.attempt_count.saturating_sub(shown.len() as u64);
    let heads = ["Attempt", "Outcome", "Began", "Took", "Worker"];
    let rows = html! {
        tbody role="rowgroup" { @for one in shown { tr role="row" { (attempt(one, now)) } } }
    };
    html! {
        section .panel aria-labelledby="attempts-title" {
            h2 #attempts-title { "Attempts" }
            @if shown.is_empty() {
                p .faint {
                    "The deliveries have none of it: it never came to a worker, or they are kept in another \
                     database."
                }
            } @else {
                @if left_out > 0 {
                    p .hint { "The newest " (shown.len()) " of " (parts::number(whole.attempt_count)) "." }
                }
                (parts::table("attempts", "Attempts at this message", &heads, &rows))
            }
        }
    }
}

fn attempt(one: &AttemptView, now: Timestamp) -> Markup {
    let took = one.finished_at.duration_since(one.started_at);
    html! {
        (row_head("Attempt", &html! { (one.attempt) }))
        (cell("Outcome", &html! {
            (parts::state(one.outcome)) " "
            @if let Some(reason) = one.reason { (parts::reason(reason)) }
            @if let Some(error) = &one.error { p .detail { (bdi(error)) } }
        }))
        (cell("Began", &time(one.started_at, now)))
        (cell("Took", &html! { (took.as_millis().max(0)) " ms" }))
        (cell("Worker", &html! { (bdi(&one.worker)) p .sub { (one.queue) } }))
    }
}

/// What has happened to it, in order.
fn history(letter: &LetterView, now: Timestamp) -> Markup {
    html! {
        section .panel aria-labelledby="history-title" {
            h2 #history-title { "History" }
            ol .history {
                @if let Some(at) = letter.sent_at { li { "Sent to SQS " (time(at, now)) } }
                li { "First seen dead " (time(letter.seen_at, now)) }
                @if let Some(job) = &letter.job {
                    li {
                        (parts::state(&job.outcome)) " by " a href=(links::job(job.id)) { "a job" }
                        @if let Some(detail) = &job.detail { ": " (bdi(detail)) }
                    }
                }
                @if let Some(at) = letter.settled_at { li { (parts::state(letter.state)) " " (time(at, now)) } }
            }
        }
    }
}

fn body(whole: &WholeLetterView) -> Markup {
    let shown = text::body(&whole.body);
    let length = parts::counted(whole.body_bytes as u64, "byte", "bytes");
    let href = links::body(&whole.letter.queue, &whole.letter.message_id);
    html! {
        section .panel aria-labelledby="body-title" {
            h2 #body-title { "Body" }
            p .hint {
                (shown.kind) ", " (length)
                @if shown.is_cut { ", of which this is the beginning" }
                ". "
                a #whole-body href=(href) download { "Download it as it was sent" }
            }
            pre #body .code tabindex="0" role="group" aria-label="The body" {
                bdi dir="ltr" { (shown.markup) }
                @if shown.is_cut { "\n" span .mark { "here it is cut off" } }
            }
        }
    }
}

/// `GET /messages/{queue}/{messageId}/body`: the body as a file, never as something that a browser shows.
pub(super) async fn download(
    State(api): State<Arc<Api>>,
    visit: Visit,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    let found = match path {
        Ok(Path((queue, message_id))) => messages::whole(&api, &queue, &message_id).await,
        Err(_) => Err(messages::unknown()),
    };
    let whole = match found {
        Ok(whole) => whole,
        Err(problem) => return visit.answer(Err(problem)),
    };
    // SQS's ids are UUIDs; nothing else could end the quoted name.
    let name =
        whole.letter.message_id.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_");
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"message-{name}.txt\"")),
    ];
    (headers, whole.body).into_response()
}

fn attributes(attributes: &Value) -> Markup {
    let named = attributes.as_object().into_iter().flatten();
    let rows: Vec<_> = named.collect();
    html! {
        section .panel aria-labelledby="attributes-title" {
            h2 #attributes-title { "Attributes" }
            @if rows.is_empty() { p .faint { "It has none." } } @else {
                (parts::table("attributes", "Attributes of the message", &["Name", "Type", "Value"], &html! {
                    tbody role="rowgroup" {
                        @for (name, attribute) in &rows {
                            tr role="row" {
                                (row_head("Name", &bdi(name)))
                                (cell("Type", &bdi(attribute["type"].as_str().unwrap_or_default())))
                                (cell("Value", &value(attribute)))
                            }
                        }
                    }
                }))
            }
        }
    }
}

fn value(attribute: &Value) -> Markup {
    match (attribute["value"].as_str(), attribute["base64"].as_str()) {
        (Some(text), _) => {
            let shown = text::beginning(text, SHOWN_OF_VALUE);
            html! { span .value { (bdi(shown)) } (rest(text, shown)) }
        }
        (None, Some(bytes)) => {
            let shown = text::beginning(bytes, SHOWN_OF_VALUE);
            html! {
                code .value .wrap { (shown) } p .sub { "bytes, in base64" } (rest(bytes, shown))
            }
        }
        (None, None) => html! { span .faint { "–" } },
    }
}

/// How much of a value is not shown.
fn rest(value: &str, shown: &str) -> Markup {
    let left_out = (value.len() - shown.len()) as u64;
    html! {
        @if left_out > 0 {
            p .sub { (parts::counted(left_out, "byte more", "bytes more")) ", which the HTTP API gives" }
        }
    }
}
