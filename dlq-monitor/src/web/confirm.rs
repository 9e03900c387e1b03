//! What would be done, and the two forms about it.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use order_store::{JobKind, JobMethod};

use super::{
    act::Shown,
    fields::{Errors, Field},
    frame::Place,
    letters::plain_table,
    parts::{self, bdi, counted, facts, messages, number},
    unseen,
    visit::{Page, Visit, back_to_list},
};
use crate::api::{acts::DryRun, asked::limits, order::Refusals};

fn verb(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Redrive => "Redrive",
        JobKind::Discard => "Discard",
    }
}

fn title(shown: &Shown<'_>) -> String {
    format!("{} {}", verb(shown.kind), messages(shown.dry_run.selected))
}

/// What is said of a count that is not the right one.
pub(super) fn wrong_count(typed: &str, selected: u64) -> String {
    let selected_now = format!("{} meant now", counted(selected, "message is", "messages are"));
    match typed {
        "" => format!("type the number of messages: {selected_now}"),
        typed => format!("{typed:.20} was typed, and {selected_now}"),
    }
}

/// How it is to be done.
pub(super) fn first_page(visit: &Visit, shown: &Shown<'_>) -> Page {
    let content = html! {
        p .eyebrow { (shown.selection.queue) }
        h1 { (title(shown)) }
        (shown.errors.summary())
        (preview(shown))
        @if shown.dry_run.selected > 0 { (first_form(visit, shown)) }
        @else { p .actions { (back_to_list(&shown.selection.queue)) } }
    };
    Page::new(title(shown), Place::Letters, content)
}

/// Whether it is meant.
pub(super) fn second_page(visit: &Visit, shown: &Shown<'_>) -> Page {
    let (kind, count) = (shown.kind, shown.dry_run.selected);
    let content = html! {
        p .eyebrow { (shown.selection.queue) }
        h1 { "Confirm: " (title(shown).to_lowercase()) }
        (shown.errors.summary())
        (preview(shown))
        @if count > 0 {
            form .panel .form id=(form_id(kind)) method="post" action=(path(kind)) {
                (hidden(visit, shown))
                (shown.how.hidden())
                (said(shown))
                (Field {
                    required: true,
                    kind: "text",
                    hint: "So that it is these, and as many as you think.",
                    ..Field::new("count", &format!("Type {} to confirm", number(count)))
                }.show(&shown.errors))
                p .actions {
                    button type="submit" .danger[kind == JobKind::Discard] { (title(shown)) }
                    a .button .quiet href=(shown.selection.link(path(kind))) { "Back" }
                }
            }
        } @else {
            p .actions { (back_to_list(&shown.selection.queue)) }
        }
    };
    Page::new(format!("Confirm: {}", title(shown).to_lowercase()), Place::Letters, content)
}

fn path(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Redrive => "/redrive",
        JobKind::Discard => "/discard",
    }
}

fn form_id(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Redrive => "redrive-form",
        JobKind::Discard => "discard-form",
    }
}

/// What both forms carry.
fn hidden(visit: &Visit, shown: &Shown<'_>) -> Markup {
    html! {
        (visit.form_token())
        input type="hidden" name="requestId" value=(shown.request_id);
        (shown.selection.hidden())
    }
}

fn first_form(visit: &Visit, shown: &Shown<'_>) -> Markup {
    let (kind, how, errors) = (shown.kind, shown.how, &shown.errors);
    let discards = kind == JobKind::Discard;
    html! {
        form .panel .form id=(form_id(kind)) method="post" action=(path(kind)) {
            (hidden(visit, shown))
            h2 { @if discards { "Why" } @else { "How and why" } }
            (Field {
                value: &how.why,
                required: discards,
                longest: Some(limits::WHY),
                hint: "Kept in the audit log.",
                ..Field::new("reason", "Reason")
            }.show(errors))
            (Field {
                value: &how.who,
                longest: Some(limits::WHO),
                hint: "Kept in the audit log, beside how you are logged in.",
                autocomplete: Some("name"),
                ..Field::new("by", "Your name")
            }.show(errors))
            div .fields {
                (Field {
                    kind: "number",
                    value: &how.rate,
                    most: Some(limits::RATE),
                    hint: "Messages per second, at most.",
                    ..Field::new("rate", "Rate")
                }.show(errors))
                @if !discards && shown.dry_run.deliveries_known {
                    (Field {
                        kind: "number",
                        value: &how.canary,
                        most: Some(limits::CANARY),
                        hint: "So many go first; the others only when all of these are delivered.",
                        ..Field::new("canary", "Canary")
                    }.show(errors))
                }
            }
            @if !discards && !shown.dry_run.deliveries_known {
                p .hint {
                    "There is no canary: the monitor's database has no deliveries, so whether the first messages \
                     are delivered would never be known."
                }
            }
            @if shown.fifo && !discards { (reorder(how.allow_reorder)) }
            p .actions {
                button type="submit" { "Continue" }
                (back_to_list(&shown.selection.queue))
            }
            p .hint { "Nothing is done yet: the next page asks for confirmation." }
        }
    }
}

fn reorder(checked: bool) -> Markup {
    html! {
        div .field .check {
            input #field-allowReorder type="checkbox" name="allowReorder" value="true" checked[checked]
                aria-describedby="hint-allowReorder";
            label for="field-allowReorder" { "Allow the order within a group to break" }
            p #hint-allowReorder .hint .warned {
                strong { "Careful: " } "messages then go back behind newer ones of their group that are \
                 delivered already or on their way. Without this they are refused and stay dead."
            }
        }
    }
}

/// What was said of how and why, before it is confirmed.
fn said(shown: &Shown<'_>) -> Markup {
    let how = shown.how;
    let given = [("Reason", &how.why), ("By", &how.who)];
    let mut said: Vec<(&str, Markup)> = Vec::new();
    said.extend(
        given
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| (name, bdi(text))),
    );
    if !how.rate.is_empty() {
        said.push(("Rate", html! { "at most " (how.rate) " per second" }));
    }
    if !how.canary.is_empty() {
        said.push(("Canary", html! { (how.canary) " first" }));
    }
    if how.allow_reorder {
        said.push(("Order", html! { span .expiry .warned { "may break within a group" } }));
    }
    html! { @if !said.is_empty() { (facts(&said)) } }
}

/// What would be done.
fn preview(shown: &Shown<'_>) -> Markup {
    let DryRun { selected, looked_at, would_refuse, keeps_order, unseen_in_source, .. } =
        *shown.dry_run;
    html! {
        section #preview .panel aria-labelledby="preview-title" {
            h2 #preview-title { "What would happen" }
            @if selected == 0 {
                p { "Nothing: none of these messages is dead now. Somebody may have dealt with them." }
                p .hint { "Asked for: " (meant(shown)) }
            } @else {
                (facts(&[
                    ("Messages", html! { strong { (number(selected)) } " " (meant(shown)) }),
                    ("Where to", destination(shown)),
                    ("How", method(shown)),
                    ("Died of", reasons(shown.dry_run)),
                ]))
                @if looked_at < selected {
                    p .hint { "The newest " (number(looked_at)) " were looked at one by one." }
                }
                (unseen::in_queue(shown.dry_run))
                @if shown.fifo && shown.kind == JobKind::Redrive && !shown.dry_run.deliveries_known {
                    (unseen::deliveries())
                }
                @if would_refuse > 0 { (refusals(shown)) }
                @if keeps_order && unseen_in_source != Some(0) { (unseen::in_source(unseen_in_source)) }
                details { summary { "The first of them" }
                    (plain_table("preview-messages", "The first of the messages",
                        &shown.dry_run.messages, Timestamp::now())) }
            }
        }
    }
}

/// Which messages are meant, in words.
fn meant(shown: &Shown<'_>) -> Markup {
    let selection = shown.selection;
    html! {
        @if !selection.ids.is_empty() { "chosen one by one" }
        @else if selection.filter.is_empty() { "– all of the queue" }
        @else {
            "– all with "
            @for (position, (name, value)) in selection.filter.iter().enumerate() {
                @if position > 0 { ", " }
                (in_words(name))
                " " strong { (bdi(value)) }
            }
        }
    }
}

fn in_words(filter: &str) -> &str {
    match filter {
        "customerId" => "customer",
        "from" => "first seen from",
        "to" => "first seen before",
        other => other,
    }
}

fn destination(shown: &Shown<'_>) -> Markup {
    match (&shown.dry_run.source, shown.kind) {
        (Some(source), JobKind::Redrive) => html! { "back to " strong { (source) } },
        _ => {
            html! { "to the archive, where they can still be read; then they are deleted from the queue" }
        }
    }
}

fn method(shown: &Shown<'_>) -> Markup {
    let seconds = shown.dry_run.seconds_at_least.and_then(|seconds| i64::try_from(seconds).ok());
    html! {
        @if shown.dry_run.method == JobMethod::MoveTask.as_str() {
            "SQS itself moves the whole queue, with what arrives meanwhile"
        } @else if shown.fifo && shown.kind == JobKind::Redrive {
            "one by one, each group in its order"
        } @else { "one by one" }
        @if let Some(seconds) = seconds {
            "; at least " (parts::lasting(SignedDuration::from_secs(seconds))) " at this rate"
        }
    }
}

fn reasons(dry_run: &DryRun) -> Markup {
    html! {
        span .chips {
            @for (reason, count) in &dry_run.by_reason {
                span { (parts::reason(reason)) " " (number(*count)) }
            }
        }
    }
}

fn refusals(shown: &Shown<'_>) -> Markup {
    let refused = shown.dry_run.would_refuse;
    let Refusals { newer_delivered, newer_on_the_way, newer_ahead, earlier_stays } =
        shown.dry_run.refusals;
    let because = [
        (newer_delivered, "newer messages of their groups are delivered already"),
        (
            newer_on_the_way,
            "newer messages of their groups are in the source queue or being delivered",
        ),
        (newer_ahead, "newer messages of their groups are dead before them, and go first"),
        (earlier_stays, "an earlier message of their group stays dead"),
    ];
    html! {
        div #refusals .notice .warn {
            p {
                strong { (messages(refused)) " would be refused" }
                " and stay dead, since the order of their groups would break:"
            }
            ul {
                @for (count, why) in because {
                    @if count > 0 { li { (number(count)) ": " (why) } }
                }
            }
            p { "These are:" }
            ul {
                @for letter in &shown.dry_run.refused {
                    li {
                        a href=(super::links::message(&letter.queue, &letter.message_id)) {
                            (bdi(&letter.message_id))
                        }
                        " of " (parts::bdi_or(letter.customer_id.as_deref(), "an unknown customer"))
                    }
                }
                @if refused > shown.dry_run.refused.len() as u64 { li { "and more" } }
            }
        }
    }
}

/// A field for a reason that has to be given, for other pages that end something.
pub(super) fn needed_reason(value: &str, errors: &Errors) -> Markup {
    Field {
        value,
        required: true,
        longest: Some(limits::WHY),
        hint: "Kept in the audit log.",
        ..Field::new("reason", "Reason")
    }
    .show(errors)
}
