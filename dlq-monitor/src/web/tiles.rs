//! A tile for each queue.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::{
    links,
    parts::{lasting, messages, number, relative, time},
};
use crate::api::queues::{DeadLettersView, QueueView};

/// The times before a message expires that the alerts about it have: it is warned of, and then it is
/// urgent.
const WARNED: SignedDuration = SignedDuration::from_hours(24);
const URGENT: SignedDuration = SignedDuration::from_hours(6);

/// The name of a queue, as a part of an id.
pub(super) fn slug(queue: &str) -> String {
    queue.replace(|character: char| !character.is_ascii_alphanumeric(), "-")
}

/// A queue.
pub(super) fn tile(view: &QueueView, now: Timestamp) -> Markup {
    let id = format!("queue-{}", slug(&view.queue));
    let letters = view.dead_letters.as_ref();
    let is_dead =
        |letters: &DeadLettersView| letters.known.unwrap_or(0) + letters.undeleted.unwrap_or(0) > 0;
    let class = match letters {
        _ if view.error.is_some() => "failing",
        Some(letters) if is_dead(letters) || view.visible.unwrap_or(0) > 0 => "dead",
        Some(_) => "calm",
        None => "source",
    };
    html! {
        article .tile .(class) id=(id) aria-labelledby={ (id) "-name" } {
            header {
                p .eyebrow { @if letters.is_some() { "Dead-letter queue" } @else { "Source queue" } }
                h3 id={ (id) "-name" } { (view.queue) }
            }
            @match (letters, view.visible) {
                (Some(letters), _) => (dead(view, letters, now)),
                (None, Some(visible)) => {
                    p .figure { strong { (number(visible)) } " waiting" }
                    (counts(view))
                }
                (None, None) => { p .figure .faint { "First look under way" } }
            }
            @if let Some(error) = &view.error { (failing(view, error, now)) }
        }
    }
}

fn counts(view: &QueueView) -> Markup {
    html! {
        dl .small {
            div { dt { "In flight" } dd { (view.in_flight.map_or_else(|| "–".to_owned(), number)) } }
            div { dt { "Delayed" } dd { (view.delayed.map_or_else(|| "–".to_owned(), number)) } }
        }
    }
}

fn dead(view: &QueueView, letters: &DeadLettersView, now: Timestamp) -> Markup {
    html! {
        p .figure {
            @match letters.known {
                Some(known) => { strong { (number(known)) } " dead" },
                None => { span .faint { "Not known: the store does not answer" } },
            }
        }
        (coverage(view, letters, now))
        @if let Some(undeleted) = letters.undeleted.filter(|undeleted| *undeleted > 0) {
            p .scan .partly {
                (number(undeleted)) " more redriven or discarded already, and still to be deleted"
            }
        }
        dl .small {
            @if let Some(sent_at) = letters.oldest_sent_at {
                div { dt { "Oldest" } dd { (relative(sent_at, now)) } }
            }
            @if let Some(expiry) = letters.next_expiry_at {
                div { dt { "First expires" } dd { (expires(expiry, now)) } }
            }
            div { dt { "Goes back to" } dd { (letters.source.as_deref().unwrap_or("not set up")) } }
        }
        @if letters.known.unwrap_or(0) > 0 {
            p { a href=(links::messages(Some(&view.queue), None)) { "Look at them" } }
        }
    }
}

/// How much of what SQS counts the last scan has seen.
fn coverage(view: &QueueView, letters: &DeadLettersView, now: Timestamp) -> Markup {
    let counted = [view.visible, view.in_flight, view.delayed].into_iter().flatten().sum::<u64>();
    html! {
        @match &letters.scan {
            None => { p .scan { "First scan under way" } }
            Some(scan) if scan.complete => {
                p .scan .whole {
                    @if scan.seen == 0 { "Nothing in it, looked " }
                    @else { "All " (number(scan.seen)) " seen " }
                    (relative(scan.at, now))
                }
            }
            Some(scan) if scan.seen < counted => {
                p .scan .partly {
                    (number(scan.seen)) " of " (messages(counted)) " seen " (relative(scan.at, now))
                }
                meter min="0" max=(counted) value=(scan.seen) aria-label={ "Seen of " (view.queue) } {}
            }
            // There are fewer now than there were then, or it was broken off.
            Some(scan) => {
                p .scan .partly {
                    (messages(scan.seen)) " seen, perhaps not all, " (relative(scan.at, now))
                }
            }
        }
    }
}

fn expires(at: Timestamp, now: Timestamp) -> Markup {
    let left = at.duration_since(now);
    let class = match left {
        left if left <= URGENT => "urgent",
        left if left <= WARNED => "warned",
        _ => "",
    };
    html! {
        span .expiry .(class) {
            @if left.is_negative() { "now" } @else { "in " (lasting(left)) }
            @if !class.is_empty() { " – soon" }
        }
    }
}

/// Why a queue cannot be read, and of when what is shown is.
fn failing(view: &QueueView, error: &str, now: Timestamp) -> Markup {
    html! {
        div .notice .bad {
            p { strong { "The queue cannot be read now." } " " (super::parts::bdi(error)) }
            @if let Some(at) = view.observed_at { p { "What is shown is of " (time(at, now)) "." } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::queues::ScanView;

    #[test]
    fn what_a_scan_has_not_seen_is_told_by_what_there_is_now() {
        let at = Timestamp::UNIX_EPOCH;
        let scan = |complete| Some(ScanView { at, complete, seen: 13 });
        let letters = |complete| DeadLettersView {
            by_reason: None,
            known: None,
            undeleted: None,
            source: None,
            scan: scan(complete),
            oldest_sent_at: None,
            next_expiry_at: None,
        };
        for (complete, visible, expected) in [
            (true, 13, "All 13 seen"),
            (false, 20, "13 of 20 messages seen"),
            (false, 13, "13 messages seen, perhaps not all"),
            (false, 0, "13 messages seen, perhaps not all"),
        ] {
            let view = QueueView {
                queue: "dlq".to_owned(),
                role: "dlq",
                observed_at: Some(at),
                visible: Some(visible),
                in_flight: Some(0),
                delayed: Some(0),
                retention_seconds: None,
                dead_letters: Some(letters(complete)),
                error: None,
            };
            let shown = tile(&view, at).into_string();
            assert!(shown.contains(expected), "{complete}, {visible}: {shown}");
            assert_eq!(shown.contains("<meter"), visible == 20, "{shown}");
        }
    }

    #[test]
    fn a_message_that_expires_soon_is_warned_of() {
        let now = Timestamp::UNIX_EPOCH;
        for (seconds, class) in
            [(3_600, "urgent"), (23 * 3_600, "warned"), (1_000_000, "expiry \">"), (-1, "urgent")]
        {
            let shown = expires(now + SignedDuration::from_secs(seconds), now).into_string();
            assert!(shown.contains(class), "{seconds}: {shown}");
        }
        assert_eq!(slug("order-queue-dlq.fifo"), "order-queue-dlq-fifo");
    }
}
