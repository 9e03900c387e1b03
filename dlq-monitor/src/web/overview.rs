//! `/`: how everything is.

use std::{collections::BTreeMap, sync::Arc};

use axum::{extract::State, response::Response};
use jiff::Timestamp;
use maud::{Markup, html};
use service_kit::Problem;

use super::{
    frame::Place,
    jobs, letters, links,
    parts::{self, cell, number, row_head},
    tiles::tile,
    visit::{Page, Visit, missing_part},
};
use crate::api::{
    Api,
    messages::page as letter_page,
    query::Letters,
    queues::{self, QueueView},
    store_failed,
    views::{JobView, LetterView},
};

/// Dead letters, and jobs, that are shown.
const LATEST: u32 = 8;

pub(super) async fn show(State(api): State<Arc<Api>>, visit: Visit) -> Response {
    let asked = Letters::newest(LATEST);
    let (overview, latest, open) = tokio::join!(
        queues::overview(&api),
        letter_page(&api, &asked),
        api.store.open_jobs(LATEST),
    );
    let latest = latest.map(|page| page.items);
    let open = open.map_err(|error| store_failed(&error));
    let open = open.map(|jobs| jobs.into_iter().map(JobView::from).collect::<Vec<_>>());
    let content = content(&overview.queues, &latest, &open);
    visit.answer(Ok(Page::new("Overview", Place::Overview, content)))
}

fn content(
    queues: &[QueueView],
    latest: &Result<Vec<LetterView>, Problem>,
    open: &Result<Vec<JobView>, Problem>,
) -> Markup {
    let now = Timestamp::now();
    html! {
        h1 { "Overview" }
        @match open {
            Ok(jobs) if !jobs.is_empty() => {
                section aria-labelledby="running" {
                    h2 id="running" { "Jobs under way" }
                    (jobs::table(jobs, "Jobs under way", now))
                }
            }
            Ok(_) => {}
            Err(problem) => (missing_part("What is under way", problem)),
        }
        section aria-labelledby="queues" {
            h2 id="queues" { "Queues" }
            @if queues.is_empty() {
                (parts::empty("still", "No queue is set up", &html! {
                    p { "Whoever runs the monitor sets the queues' URLs, in the settings that begin with "
                        code { "SQS_QUEUE_URL_" } "." }
                }))
            } @else {
                div .tiles { @for queue in queues { (tile(queue, now)) } }
            }
        }
        (by_reason(queues))
        section aria-labelledby="latest" {
            h2 id="latest" { "Latest dead letters" }
            @match latest {
                Err(problem) => (missing_part("The dead letters", problem)),
                Ok(letters) if letters.is_empty() => (nothing(queues)),
                Ok(letters) => {
                    (letters::plain_table("dead-letters", "Latest dead letters", letters, now))
                    p { a href="/messages" { "All dead letters" } }
                }
            }
        }
    }
}

/// That there are none: good news when everything was looked at.
pub(super) fn nothing(queues: &[QueueView]) -> Markup {
    let is_blind = |queue: &&QueueView| queue.dead_letters.is_some() && queue.error.is_some();
    let blind: Vec<&QueueView> = queues.iter().filter(is_blind).collect();
    if !blind.is_empty() {
        return unknown(&blind);
    }
    let dead = queues.iter().filter_map(|queue| queue.dead_letters.as_ref());
    let scans: Vec<_> = dead.map(|letters| letters.scan.as_ref()).collect();
    if scans.iter().any(Option::is_none) {
        return parts::empty(
            "still",
            "First scan under way",
            &html! {
                p { "No dead letter is known yet. " a href="" { "Look again" } }
            },
        );
    }
    if scans.iter().flatten().any(|scan| !scan.complete) {
        return parts::empty(
            "still",
            "No dead letter is known",
            &html! {
                p { "The last scan did not see everything that SQS counts: others may hold messages." }
            },
        );
    }
    let dead = queues.iter().filter_map(|queue| queue.dead_letters.as_ref());
    let undeleted: u64 = dead.filter_map(|letters| letters.undeleted).sum();
    if undeleted > 0 {
        let still = parts::counted(undeleted, "message is", "messages are");
        return parts::empty(
            "still",
            "No dead letters to decide about",
            &html! {
                p { (still) " redriven or discarded already, and still in a dead-letter queue: the \
                     monitor deletes them when it meets them. If that lasts, its log says what SQS answers." }
            },
        );
    }
    parts::empty(
        "good",
        "No dead letters",
        &html! {
            p { "Everything that SQS counts was looked at. There is nothing to do." }
        },
    )
}

/// That nobody knows whether there are any in these queues.
fn unknown(blind: &[&QueueView]) -> Markup {
    let now = Timestamp::now();
    // How many messages there are may be read even then, and says nothing of what they are.
    let scanned_at = |queue: &QueueView| Some(queue.dead_letters.as_ref()?.scan.as_ref()?.at);
    parts::empty(
        "still",
        "No dead letter is known",
        &html! {
            @for queue in blind {
                p {
                    strong { (queue.queue) } " cannot be read now. "
                    @if let Some(at) = scanned_at(queue) { "It was looked through " (parts::time(at, now)) "." }
                    @else { "It was never looked through." }
                }
            }
        },
    )
}

/// How many there are, by queue and reason.
fn by_reason(queues: &[QueueView]) -> Markup {
    let mut reasons: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    let mut names = Vec::new();
    for queue in queues {
        let Some(letters) = &queue.dead_letters else { continue };
        names.push(queue.queue.as_str());
        for (reason, count) in letters.by_reason.iter().flatten() {
            reasons.entry(reason).or_default().insert(&queue.queue, *count);
        }
    }
    let total = |counts: &BTreeMap<&str, u64>| counts.values().sum::<u64>();
    let mut rows: Vec<_> = reasons.into_iter().collect();
    rows.sort_by_key(|(_, counts)| std::cmp::Reverse(total(counts)));
    let heads: Vec<&str> = std::iter::once("Reason").chain(names.iter().copied()).collect();
    let body = html! {
        tbody role="rowgroup" {
            @for (reason, counts) in &rows {
                tr role="row" {
                    (row_head("Reason", &html! {
                        (parts::reason(reason)) p .hint { (parts::about_reason(reason)) }
                    }))
                    @for name in &names {
                        (cell(name, &html! {
                            @match counts.get(name) {
                                Some(count) => {
                                    a .count href=(links::messages(Some(name), Some(reason))) {
                                        (number(*count))
                                        span .hidden { " dead letters of " (name) ", " (reason) }
                                    }
                                }
                                None => { span .faint { "0" } }
                            }
                        }))
                    }
                }
            }
        }
    };
    html! {
        @if !rows.is_empty() {
            section aria-labelledby="by-reason" {
                h2 id="by-reason" { "By reason" }
                (parts::table("reasons", "Dead letters by reason and queue", &heads, &body))
            }
        }
    }
}
