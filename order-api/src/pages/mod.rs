//! Pages for people, and the document for machines. All of them are made once, when one is first asked
//! for, and need nothing but this server: no scripts, no fonts, no other host.

mod docs;
mod html;
mod problems;
mod schema;

use crate::{endpoints::Api, openapi};
use axum::{
    body::Bytes,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
};
use service_kit::{NOT_FOUND, Problem};
use std::{collections::BTreeMap, sync::Arc};

/// What is shown.
#[derive(Debug)]
pub(crate) struct Site {
    document: Bytes,
    docs: Bytes,
    problems: Bytes,
    by_slug: BTreeMap<&'static str, Bytes>,
    policy: HeaderValue,
}

impl Site {
    /// Makes everything.
    pub(crate) fn new() -> Self {
        let document = openapi::openapi_json();
        let docs = docs::page_of(&document);
        let by_slug = problems::pages().into_iter();
        Self {
            document: document.to_string().into(),
            docs: docs.into(),
            problems: problems::index().into(),
            by_slug: by_slug.map(|(slug, page)| (slug, page.into())).collect(),
            policy: html::policy(),
        }
    }

    fn page(&self, html: &Bytes) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, self.policy.clone()),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        (headers, html.clone()).into_response()
    }
}

/// `GET /openapi.json`.
pub(crate) async fn document(State(api): State<Arc<Api>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.site.document.clone()).into_response()
}

/// `GET /docs`.
pub(crate) async fn docs(State(api): State<Arc<Api>>) -> Response {
    api.site.page(&api.site.docs)
}

/// `GET /problems`.
pub(crate) async fn problems(State(api): State<Arc<Api>>) -> Response {
    api.site.page(&api.site.problems)
}

/// `GET /problems/{slug}`.
pub(crate) async fn problem(
    State(api): State<Arc<Api>>,
    slug: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let page = slug.ok().and_then(|Path(slug)| api.site.by_slug.get(slug.as_str()));
    let page = page.ok_or_else(|| {
        Problem::of(NOT_FOUND).detail("there is no such kind of problem; /problems lists them")
    })?;
    Ok(api.site.page(page))
}

/// `GET /`.
pub(crate) async fn root() -> Redirect {
    Redirect::temporary("/docs")
}
