//! Who looks at a page, and how an answer to them is made.

use std::sync::Arc;

use axum::{
    Extension, RequestPartsExt,
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use service_kit::Problem;

use super::{
    frame::{self, Place},
    links, parts,
};
use crate::{
    access::{Caller, FormToken},
    api::{Api, kinds},
};

/// Who looks at a page, and what its forms carry.
pub(super) struct Visit {
    pub(super) caller: Caller,
    pub(super) may_act: bool,
    pub(super) csrf: String,
    cookie: Option<String>,
}

/// A page, without its frame.
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) title: String,
    /// The part of the console that it belongs to.
    pub(super) place: Option<Place>,
    pub(super) content: Markup,
}

impl Page {
    pub(super) fn new(title: impl Into<String>, place: Place, content: Markup) -> Self {
        Self { status: StatusCode::OK, title: title.into(), place: Some(place), content }
    }

    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

impl FromRequestParts<Arc<Api>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Response> {
        // There is one behind the guard; elsewhere nobody is known.
        let Ok(Extension(caller)) = parts.extract::<Extension<Caller>>().await else {
            return Err(problem_page(&kinds::UNAUTHORIZED.problem().detail("log in first")));
        };
        let FormToken { csrf, cookie } = api.access.form_token(&caller, &parts.headers);
        Ok(Self { may_act: api.access.may_act(&caller), caller, csrf, cookie })
    }
}

impl Visit {
    /// The page, or what is wrong, for this visitor.
    pub(super) fn answer(&self, page: Result<Page, Problem>) -> Response {
        let (page, retry_after) = match page {
            Ok(page) => (page, None),
            Err(problem) => (page_of(&problem), problem.retry_after_seconds()),
        };
        let mut response = in_frame(&page, Some(self));
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(cookie) = self.cookie.as_deref().and_then(|cookie| cookie.parse().ok()) {
            headers.insert(header::SET_COOKIE, cookie);
        }
        response
    }

    /// What every form carries.
    pub(super) fn form_token(&self) -> Markup {
        html! { input type="hidden" name="csrfToken" value=(self.csrf); }
    }
}

/// A problem as a page, for somebody of whom nothing is known.
pub(crate) fn problem_page(problem: &Problem) -> Response {
    let mut response = in_frame(&page_of(problem), None);
    if let Some(seconds) = problem.retry_after_seconds() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// To another page, after a form.
pub(super) fn see(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, path)]).into_response()
}

/// A whole page. Its forms are sent with their origin, which they would not be without a referrer.
pub(super) fn in_frame(page: &Page, visit: Option<&Visit>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (page.status, headers, frame::whole(page, visit).into_string()).into_response()
}

fn page_of(problem: &Problem) -> Page {
    let status = problem.status();
    let unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
    let listed: Vec<_> = problem.errors().collect();
    let content = html! {
        section .panel .problem {
            p .eyebrow { (status.as_u16()) " · " (problem.slug()) }
            h1 { (problem.title()) }
            @if let Some(detail) = problem.detail_text() {
                p .lead { (parts::sentence(detail)) }
            }
            @if !listed.is_empty() {
                ul { @for (place, what) in listed { li { code { (parts::bdi(place)) } " " (what) } } }
            }
            @if let Some(seconds) = problem.retry_after_seconds() {
                p { "Try again in " (parts::counted(seconds, "second", "seconds")) "." }
            }
            p .actions {
                @if unavailable { a .button href="" { "Try again" } }
                @if status == StatusCode::UNAUTHORIZED { a .button href="/login" { "Log in" } }
                a .button .quiet href="/" { "Overview" }
                a href={ "/problems/" (problem.slug()) } { "What this means" }
            }
        }
    };
    let title = problem.title().to_owned();
    Page { status, title, place: None, content }
}

/// What is shown in place of a part of a page that cannot be had now.
pub(super) fn missing_part(what: &str, problem: &Problem) -> Markup {
    html! {
        div .notice .bad role="status" {
            p { strong { (what) " cannot be shown now." } " "
                @if let Some(detail) = problem.detail_text() { (parts::sentence(detail)) " " }
                a href="" { "Try again" } }
        }
    }
}

/// A link to the list, for pages that have nothing to show.
pub(super) fn back_to_list(queue: &str) -> Markup {
    html! { a .button .quiet href=(links::messages(Some(queue), None)) { "Back to the dead letters" } }
}
