//! Tables of dead letters.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{
    links,
    parts::{self, bdi, bdi_or, cell, row_head, time, time_or},
    tiles::slug,
};
use crate::api::views::LetterView;

const HEADS: [&str; 6] = ["Message", "Customer", "Why", "Attempts", "First seen", "Expires"];

/// A table, the newest first.
pub(super) fn plain_table(
    id: &str,
    caption: &str,
    letters: &[LetterView],
    now: Timestamp,
) -> Markup {
    let heads: Vec<&str> = HEADS.into_iter().collect();
    let body = html! {
        tbody role="rowgroup" { @for letter in letters { tr role="row" { (row(letter, true, now)) } } }
    };
    parts::table(id, caption, &heads, &body)
}

/// A table with a part for each reason, in which messages can be chosen: each for the form of its own
/// queue.
pub(super) fn grouped_table(letters: &[LetterView], chosen: bool, now: Timestamp) -> Markup {
    let heads: Vec<&str> = chosen.then_some("Choose").into_iter().chain(HEADS).collect();
    let body = html! {
        @for (reason, letters) in by_reason(letters) {
            tbody role="rowgroup" .group {
                tr role="row" {
                    th .group-head scope="rowgroup" role="rowheader" colspan=(heads.len()) {
                        (parts::reason(reason)) " "
                        span .group-count {
                            (parts::counted(letters.len() as u64, "message", "messages")) " on this page"
                        }
                        p .hint { (parts::about_reason(reason)) }
                    }
                }
                @for letter in letters {
                    tr role="row" {
                        @if chosen { (cell("Choose", &checkbox(letter))) }
                        (row(letter, false, now))
                    }
                }
            }
        }
    };
    parts::table("dead-letters", "Dead letters by reason", &heads, &body)
}

/// The form that a message of this queue is chosen for.
pub(super) fn form_id(queue: &str) -> String {
    format!("act-{}", slug(queue))
}

fn checkbox(letter: &LetterView) -> Markup {
    html! {
        @if letter.state == "dead" {
            label .choose {
                input type="checkbox" name="ids" value=(letter.message_id) form=(form_id(&letter.queue));
                span .hidden { "Choose message " (letter.message_id) }
            }
        }
    }
}

/// Reasons in the order in which they come first, each with its letters.
fn by_reason(letters: &[LetterView]) -> Vec<(&str, Vec<&LetterView>)> {
    let mut groups: Vec<(&str, Vec<&LetterView>)> = Vec::new();
    for letter in letters {
        match groups.iter_mut().find(|(reason, _)| *reason == letter.reason) {
            Some((_, group)) => group.push(letter),
            None => groups.push((&letter.reason, vec![letter])),
        }
    }
    groups
}

fn row(letter: &LetterView, with_reason: bool, now: Timestamp) -> Markup {
    html! {
        (row_head("Message", &html! {
            a .id href=(links::message(&letter.queue, &letter.message_id)) {
                @match letter.order_id {
                    Some(order) => { "Order " (short(&order.to_string())) span .hidden { (order) } }
                    None => { "Message " (bdi(&short(&letter.message_id))) }
                }
            }
            p .sub { (letter.queue) @if let Some(group) = &letter.group_id { " · group " (bdi(group)) } }
        }))
        (cell("Customer", &bdi_or(letter.customer_id.as_deref(), "unknown")))
        (cell("Why", &html! {
            @if with_reason { (parts::reason(&letter.reason)) " " }
            @if letter.state != "dead" { (parts::state(letter.state)) " " }
            @if let Some(detail) = &letter.detail { p .detail { (bdi(detail)) } }
            (mark(letter))
        }))
        (cell("Attempts", &html! {
            @match letter.attempts {
                Some(attempts) => (parts::number(u64::from(attempts))),
                None => { span .faint { "unknown" } }
            }
        }))
        (cell("First seen", &time(letter.seen_at, now)))
        (cell("Expires", &time_or(letter.expires_at, now, "–")))
    }
}

/// What the last job that dealt with it came to, where it did not bring it away.
fn mark(letter: &LetterView) -> Markup {
    html! {
        @if let Some(job) = letter.job.as_ref().filter(|_| letter.state == "dead") {
            p .detail {
                (parts::state(&job.outcome)) " by " a href=(links::job(job.id)) { "a job" }
                @if let Some(detail) = &job.detail { ": " (bdi(detail)) }
            }
        }
    }
}

/// The ends of an id: ids that were made one after another begin alike.
fn short(id: &str) -> String {
    let characters: Vec<char> = id.chars().collect();
    if characters.len() <= 20 {
        return id.to_owned();
    }
    let (first, last) = (&characters[..8], &characters[characters.len() - 6..]);
    first.iter().chain(&['…']).chain(last).collect()
}
