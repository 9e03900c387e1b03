//! `/messages`: dead letters, filtered and grouped by reason.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use jiff::Timestamp;
use maud::{Markup, html};
use order_store::DeadLetterState;
use service_kit::Problem;

use super::{
    fields::{Errors, Options, input, select},
    frame::Place,
    letters::{form_id, grouped_table},
    links::{said, with_query},
    overview, parts,
    selection::in_zone,
    visit::{Page, Visit},
};
use crate::{
    api::{
        Api,
        messages::page as letter_page,
        query::Letters,
        queues,
        views::{LetterView, Page as Part},
    },
    letter::REASONS,
};

/// What narrows a list down, as `/redrive` and `/discard` take it, too.
const FILTERS: [&str; 5] = ["reason", "customerId", "text", "from", "to"];

type Pairs = Vec<(String, String)>;

pub(super) async fn show(State(api): State<Arc<Api>>, visit: Visit, uri: Uri) -> Response {
    let asked: Pairs = said(uri.query().unwrap_or_default()).into_iter().map(in_zone).collect();
    visit.answer(page(&api, &visit, &asked).await)
}

async fn page(api: &Api, visit: &Visit, asked: &Pairs) -> Result<Page, Problem> {
    let query = with_query("", asked.iter().map(|(name, value)| (&**name, &**value)));
    let read = match Letters::read(query.trim_start_matches('?')) {
        Ok(read) => read,
        Err(problem) => {
            let errors = Errors::of(&problem);
            let content = html! {
                h1 { "Dead letters" }
                (errors.summary())
                (filter_form(api, asked, &errors))
            };
            let page = Page::new("Dead letters", Place::Letters, content);
            return Ok(page.with_status(StatusCode::BAD_REQUEST));
        }
    };
    let found = letter_page(api, &read).await?;
    let now = Timestamp::now();
    let acts = visit.may_act && read.state == DeadLetterState::Dead;
    let content = html! {
        h1 { "Dead letters" }
        (filter_form(api, asked, &Errors::default()))
        @if found.items.is_empty() {
            (nothing(api, asked, &found).await)
        } @else {
            @if acts { (act_bars(asked, &read, &found.items)) }
            (grouped_table(&found.items, acts, now))
        }
        (parts::pager(next(asked, &found).as_deref()))
    };
    Ok(Page::new("Dead letters", Place::Letters, content))
}

/// The same list behind this page.
fn next(asked: &Pairs, found: &Part<LetterView>) -> Option<String> {
    let cursor = found.next_cursor.as_deref()?;
    let same = asked.iter().filter(|(name, _)| name != "cursor");
    let same = same.map(|(name, value)| (&**name, &**value));
    Some(with_query("/messages", same.chain([("cursor", cursor)])))
}

async fn nothing(api: &Api, asked: &Pairs, found: &Part<LetterView>) -> Markup {
    if found.next_cursor.is_some() {
        return parts::empty(
            "still",
            "Nothing in this part",
            &html! {
                p {
                    "A search goes through some thousand dead letters for a page. It goes on with the next \
                     one."
                }
            },
        );
    }
    if asked.iter().any(|(name, _)| name != "limit") {
        return parts::empty(
            "still",
            "None of these",
            &html! {
                p { "No message is as the filter says. " a href="/messages" { "Show all dead letters" } }
            },
        );
    }
    overview::nothing(&queues::overview(api).await.queues)
}

/// What can be done with messages of each queue: those that are chosen, or all that the filter means.
fn act_bars(asked: &Pairs, read: &Letters, letters: &[LetterView]) -> Markup {
    let mut queues: Vec<&str> = letters.iter().map(|letter| &*letter.queue).collect();
    queues.sort_unstable();
    queues.dedup();
    let filter = || {
        let pairs = asked.iter().map(|(name, value)| (&**name, &**value));
        pairs.filter(|(name, _)| FILTERS.contains(name))
    };
    let whole = if read.filter.is_everything() { "Redrive all" } else { "Redrive all that match" };
    let without =
        if read.filter.is_everything() { "Discard all" } else { "Discard all that match" };
    html! {
        @for queue in queues {
            @let these = |path: &str| with_query(path, [("queue", queue)].into_iter().chain(filter()));
            form .act-bar id=(form_id(queue)) method="get" action="/redrive" aria-label={ "Act on " (queue) } {
                input type="hidden" name="queue" value=(queue);
                input type="hidden" name="select" value="ids";
                p .act-queue { (queue) }
                div .act-group {
                    button .small type="submit" { "Redrive chosen…" }
                    button .small .danger type="submit" formaction="/discard" { "Discard chosen…" }
                }
                div .act-group {
                    @for (path, words) in [("/redrive", whole), ("/discard", without)] {
                        a .button .small .quiet href=(these(path)) {
                            (words) "…" span .hidden { " of " (queue) }
                        }
                    }
                }
            }
        }
    }
}

fn filter_form(api: &Api, asked: &Pairs, errors: &Errors) -> Markup {
    let value = |name: &str| {
        asked.iter().find(|(known, _)| known == name).map_or("", |(_, value)| &**value)
    };
    // Fields of this type have no zone.
    let local = |name: &str| value(name).trim_end_matches('Z').to_owned();
    let queues = Options::of("All queues", api.queue_names());
    let reasons = Options::of("All reasons", REASONS);
    let states = Options::of("", DeadLetterState::ALL.map(DeadLetterState::as_str));
    let state = if value("state").is_empty() { "dead" } else { value("state") };
    let is_narrow = ["customerId", "text", "from", "to"].iter().any(|name| !value(name).is_empty());
    html! {
        form #filter .panel .filter method="get" action="/messages" role="search" aria-label="Filter" {
            div .fields {
                (select("queue", "Queue", &queues, value("queue"), errors))
                (select("reason", "Reason", &reasons, value("reason"), errors))
                (select("state", "State", &states, state, errors))
                (input("text", "Text", "search", value("text"), errors))
            }
            details open[is_narrow || !errors.is_empty()] {
                summary { "More" }
                div .fields {
                    (input("customerId", "Customer", "text", value("customerId"), errors))
                    (input("from", "First seen from (UTC)", "datetime-local", &local("from"), errors))
                    (input("to", "First seen before (UTC)", "datetime-local", &local("to"), errors))
                    (select("limit", "On a page", &Options::of("", ["25", "50", "100", "200"]),
                        if value("limit").is_empty() { "50" } else { value("limit") }, errors))
                }
            }
            p .actions {
                button type="submit" { "Filter" }
                @if !asked.is_empty() { a .button .quiet href="/messages" { "Clear" } }
            }
        }
    }
}
