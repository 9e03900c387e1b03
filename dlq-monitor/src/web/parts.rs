//! What pages are made of.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::text::visible;

/// A short text that somebody else has written.
pub(super) fn bdi(text: &str) -> Markup {
    html! { bdi { (visible(text)) } }
}

/// The same, or that it is not known.
pub(super) fn bdi_or(text: Option<&str>, otherwise: &str) -> Markup {
    html! { @if let Some(text) = text { (bdi(text)) } @else { span .faint { (otherwise) } } }
}

/// A number with its digits in groups.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// So many of something.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// So many messages.
pub(super) fn messages(count: u64) -> String {
    counted(count, "message", "messages")
}

/// A detail of a problem as a sentence: they are written in small letters.
pub(super) fn sentence(detail: &str) -> String {
    let mut characters = detail.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    let mut sentence: String = first.chain(characters).collect();
    if !sentence.ends_with(['.', '…', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

/// How long something takes, by its greatest unit.
pub(super) fn lasting(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().unsigned_abs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", number(seconds / 86_400)),
    }
}

/// A time from here.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    let passed = now.duration_since(at);
    if passed.as_secs().unsigned_abs() < 2 {
        "just now".to_owned()
    } else if passed.is_negative() {
        format!("in {}", lasting(passed))
    } else {
        format!("{} ago", lasting(passed))
    }
}

/// A time in UTC, and from here.
pub(super) fn time(at: Timestamp, now: Timestamp) -> Markup {
    html! {
        time datetime=(at) {
            span .ago { (relative(at, now)) }
            " "
            span .at {
                span .day { (at.strftime("%Y-%m-%d")) } " "
                span .clock { (at.strftime("%H:%M:%S")) span .utc { " UTC" } }
            }
        }
    }
}

/// The same, or a word for that it is not known.
pub(super) fn time_or(at: Option<Timestamp>, now: Timestamp, otherwise: &str) -> Markup {
    html! { @if let Some(at) = at { (time(at, now)) } @else { span .faint { (otherwise) } } }
}

/// Why a message died, or how far something is.
pub(super) fn chip(class: &str, word: &str) -> Markup {
    html! { span .chip .(class) { (word.replace('_', " ")) } }
}

/// Why a message died.
pub(super) fn reason(reason: &str) -> Markup {
    html! { span .chip .reason .{ "reason-" (reason) } { (reason.replace('_', " ")) } }
}

/// What a reason means, and what helps.
pub(super) fn about_reason(reason: &str) -> &'static str {
    match reason {
        "unparseable" => {
            "The body is no order. It fails again until whoever sends it is mended: discard it."
        }
        "invalid" => "The order says what no order can. It fails again as it is.",
        "carrier_rejected" => {
            "The carrier refused the order for good. Ask why before it goes back."
        }
        "carrier_unavailable" => {
            "The carrier could not be reached. It goes through once the carrier is back."
        }
        "timeout" => {
            "The carrier did not answer in time; it may have taken the order. The order's id rules out \
             that it is delivered twice."
        }
        "crash" => {
            "The worker broke on it. Look at the trace, and redrive when the fault is mended."
        }
        "forced" => "A rule makes test products fail. It goes through once the rule is off.",
        _ => "Neither the deliveries nor the message itself say why.",
    }
}

/// A state, as a chip in its colour.
pub(super) fn state(state: &str) -> Markup {
    chip(&format!("state-{state}"), state)
}

/// A table with a caption. Where it is too wide it scrolls by itself, for which it can be focused. On
/// narrow screens its rows become cards, of which the roles are told since a browser takes them off.
pub(super) fn table(id: &str, caption: &str, heads: &[&str], body: &Markup) -> Markup {
    html! {
        div .table role="group" aria-label=(caption) tabindex="0" {
            table id=(id) role="table" {
                caption { (caption) }
                thead role="rowgroup" {
                    tr role="row" {
                        @for head in heads { th scope="col" role="columnheader" { (head) } }
                    }
                }
                (body)
            }
        }
    }
}

/// A cell of such a table.
pub(super) fn cell(head: &str, content: &Markup) -> Markup {
    html! { td role="cell" data-head=(head) { div { (content) } } }
}

/// The cell that names its row.
pub(super) fn row_head(head: &str, content: &Markup) -> Markup {
    html! { th scope="row" role="rowheader" data-head=(head) { div { (content) } } }
}

/// Facts, each with its name.
pub(super) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl .facts { @for (name, fact) in facts { div { dt { (name) } dd { (fact) } } } }
    }
}

/// To the next part of a list.
pub(super) fn pager(next: Option<&str>) -> Markup {
    html! {
        @if let Some(next) = next {
            nav .pager aria-label="Pages" { a .button rel="next" href=(next) { "Next page" } }
        }
    }
}

/// Good news, or that there is nothing yet.
pub(super) fn empty(class: &str, title: &str, text: &Markup) -> Markup {
    html! {
        div .empty .(class) {
            span .emblem aria-hidden="true" {}
            h2 { (title) }
            (text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_times_told_from_here() {
        for (count, expected) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(number(count), expected);
        }
        assert_eq!((messages(1), messages(2_000)), ("1 message".into(), "2,000 messages".into()));
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        for (seconds, expected) in [
            (0, "just now"),
            (-30, "30 s ago"),
            (-200, "3 min ago"),
            (-7_300, "2 h ago"),
            (-90_000, "25 h ago"),
            (-172_800, "2 days ago"),
            (1_209_600, "in 14 days"),
        ] {
            assert_eq!(relative(now + SignedDuration::from_secs(seconds), now), expected);
        }
        let shown = time(now, now).into_string();
        assert!(shown.contains("datetime=\"2026-11-23T12:00:00Z\""), "{shown}");
        assert_eq!(sentence("the job is completed"), "The job is completed.");
    }
}
