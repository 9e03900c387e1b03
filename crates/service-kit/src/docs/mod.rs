//! A service's HTTP API, described once: the OpenAPI document for machines and pages for people.
//!
//! A service lists its routes as [`Endpoint`]s and its problems as [`Kind`]s. The router, the document
//! and the pages are made of these lists, so that none of them can say something else than another.
//! The pages need nothing but this server: no scripts, no fonts, no other host.

mod answers;
pub mod html;
pub mod operations;
mod page;
mod problems;
mod schema;
pub mod schemas;

use crate::{NOT_FOUND, Problem, ProblemKind};
use axum::{
    Router,
    body::Bytes,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use std::collections::BTreeMap;
use utoipa::openapi::{HttpMethod, PathItem, Paths, PathsBuilder, path::OperationBuilder};

pub use answers::{header, in_json, location, page, problems};

/// A route of an API whose handlers share a state.
pub struct Endpoint<S> {
    /// As both axum and OpenAPI write it.
    pub path: &'static str,
    /// The method; a GET answers HEAD too.
    pub method: HttpMethod,
    /// What answers.
    pub handler: fn() -> MethodRouter<S>,
    /// What the document says.
    pub operation: fn() -> OperationBuilder,
}

impl<S> Endpoint<S> {
    /// A route that is asked.
    pub const fn get(
        path: &'static str,
        handler: fn() -> MethodRouter<S>,
        operation: fn() -> OperationBuilder,
    ) -> Self {
        Self { path, method: HttpMethod::Get, handler, operation }
    }

    /// A route that is sent something.
    pub const fn post(
        path: &'static str,
        handler: fn() -> MethodRouter<S>,
        operation: fn() -> OperationBuilder,
    ) -> Self {
        Self { path, method: HttpMethod::Post, handler, operation }
    }
}

/// The routes, without their state.
pub fn router<S: Clone + Send + Sync + 'static>(endpoints: &[Endpoint<S>]) -> Router<S> {
    let add = |router: Router<S>, endpoint: &Endpoint<S>| {
        router.route(endpoint.path, (endpoint.handler)())
    };
    endpoints.iter().fold(Router::new(), add)
}

/// The paths of the document.
pub fn paths<'a, S: 'a>(endpoints: impl IntoIterator<Item = &'a Endpoint<S>>) -> Paths {
    let add = |paths: PathsBuilder, endpoint: &Endpoint<S>| {
        let operation = (endpoint.operation)().build();
        paths.path(endpoint.path, PathItem::new(endpoint.method.clone(), operation))
    };
    endpoints.into_iter().fold(PathsBuilder::new(), add).build()
}

/// A kind of problem, documented.
#[derive(Debug)]
pub struct Kind {
    /// What is answered.
    pub base: ProblemKind,
    /// What has happened, for people.
    pub means: &'static str,
    /// What the client, or whoever runs the service, can do about it.
    pub remedy: &'static str,
    /// Such an answer, made as the service makes it.
    pub example: fn() -> Problem,
}

impl Kind {
    /// The last part of its `type`.
    pub fn slug(&self) -> &'static str {
        self.base.slug
    }

    /// A problem of this kind.
    pub fn problem(&self) -> Problem {
        Problem::of(self.base)
    }
}

/// What the pages are made of, beside the document.
pub struct About {
    /// Every kind of problem, by status.
    pub kinds: &'static [&'static Kind],
    /// The paths of the routes, in the order in which people want to read of them.
    pub paths: Vec<&'static str>,
    /// What to try first in a shell; `{}` in it is the request of this operation, by its id.
    pub first_steps: (&'static str, &'static str),
    /// What stands in examples for parameters of paths.
    pub samples: &'static [(&'static str, &'static str)],
}

/// The document and the pages.
#[derive(Debug)]
pub struct Site {
    document: Bytes,
    docs: Bytes,
    problems: Bytes,
    by_slug: BTreeMap<&'static str, Bytes>,
    policy: HeaderValue,
}

impl Site {
    /// Makes everything.
    pub fn new(document: &serde_json::Value, about: &About) -> Self {
        let title = document["info"]["title"].as_str().unwrap_or_default();
        let by_slug = problems::pages(about.kinds, title).into_iter();
        Self {
            document: document.to_string().into(),
            docs: page::of(document, about).into(),
            problems: problems::index(about.kinds, title).into(),
            by_slug: by_slug.map(|(slug, page)| (slug, page.into())).collect(),
            policy: html::policy(),
        }
    }

    /// The document, `GET /openapi.json`.
    pub fn document(&self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.document.clone()).into_response()
    }

    /// The document for people, `GET /docs`.
    pub fn docs(&self) -> Response {
        self.page(&self.docs)
    }

    /// Every kind of problem, `GET /problems`.
    pub fn problems(&self) -> Response {
        self.page(&self.problems)
    }

    /// One kind of problem, `GET /problems/{slug}`.
    pub fn problem(&self, slug: Option<&str>) -> Result<Response, Problem> {
        let page = slug.and_then(|slug| self.by_slug.get(slug));
        let page = page.ok_or_else(|| {
            Problem::of(NOT_FOUND).detail("there is no such kind of problem; /problems lists them")
        })?;
        Ok(self.page(page))
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
