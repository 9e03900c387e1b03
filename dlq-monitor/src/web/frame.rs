//! What all pages have in common.

use maud::{DOCTYPE, Markup, html};

use super::{
    assets::{SCRIPT, STYLE},
    visit::{Page, Visit},
};
use crate::access::Caller;

/// A small picture for the tab of a browser.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
    %3Crect width='16' height='16' rx='5' fill='%234d6bff'/%3E\
    %3Crect x='5' y='5' width='6' height='6' rx='2' fill='white'/%3E%3C/svg%3E";

/// The parts of the console.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Letters,
    Jobs,
    Audit,
}

impl Place {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Overview, "/", "Overview"),
        (Self::Letters, "/messages", "Dead letters"),
        (Self::Jobs, "/jobs", "Jobs"),
        (Self::Audit, "/audit", "Audit"),
    ];
}

/// The whole of a page.
pub(super) fn whole(page: &Page, visit: Option<&Visit>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (page.title) " · DLQ monitor" }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href=(STYLE.path);
                script src=(SCRIPT.path) defer {}
            }
            body {
                a .skip href="#main" { "Skip to the content" }
                (header(page.place, visit))
                @if visit.is_some_and(|visit| !visit.may_act) { (read_only()) }
                main id="main" tabindex="-1" { (page.content) }
                (footer())
            }
        }
    }
}

fn header(place: Option<Place>, visit: Option<&Visit>) -> Markup {
    html! {
        header .top {
            div .inner {
                a .brand href="/" { span .logo aria-hidden="true" {} "DLQ monitor" }
                @if let Some(visit) = visit {
                    nav aria-label="Console" {
                        ul {
                            @for (one, href, name) in Place::ALL {
                                @let current = (place == Some(one)).then_some("page");
                                li { a href=(href) aria-current=[current] { (name) } }
                            }
                        }
                    }
                    @if matches!(visit.caller, Caller::Session { .. }) {
                        form .logout method="post" action="/logout" {
                            (visit.form_token())
                            button .plain type="submit" { "Log out" }
                        }
                    }
                }
            }
        }
    }
}

/// Why there are no buttons.
fn read_only() -> Markup {
    html! {
        aside #read-only .banner aria-label="Read-only" {
            div .inner {
                p {
                    strong { "Read-only." } " The monitor has no token and can be reached from other \
                     machines, so everybody may look and nobody may act. Whoever runs it sets "
                    code { "MONITOR_TOKEN" } " to let people redrive and discard."
                }
            }
        }
    }
}

fn footer() -> Markup {
    html! {
        footer .bottom {
            div .inner {
                p { "DLQ monitor " (env!("CARGO_PKG_VERSION")) " · all times are in UTC" }
                p { a href="/docs" { "HTTP API" } " · " a href="/problems" { "Kinds of problems" } }
            }
        }
    }
}
