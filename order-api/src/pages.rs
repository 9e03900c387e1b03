//! Pages for people, and the document for machines.

use crate::{
    endpoints::{Api, ENDPOINTS},
    openapi,
    problem::kinds,
};
use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{Redirect, Response},
};
use service_kit::{
    Problem,
    docs::{About, Site},
};
use std::sync::Arc;

/// An order, and what became of it.
const FIRST_STEPS: &str = "API=http://127.0.0.1:8080\n\n# An order is placed. The answer's Location leads to its \
     delivery.\n{}\n\n# What became of it, with the orderId of the answer.\ncurl -s \
     \"$API/api/orders/ORDER_ID\"\n";

/// The document and the pages.
pub(crate) fn site() -> Site {
    let about = About {
        kinds: &kinds::ALL,
        paths: ENDPOINTS.iter().map(|endpoint| endpoint.path).collect(),
        first_steps: (FIRST_STEPS, "placeOrder"),
        samples: &[("orderId", "ORDER_ID"), ("slug", "invalid-order")],
    };
    Site::new(&openapi::openapi_json(), &about)
}

/// `GET /openapi.json`.
pub(crate) async fn document(State(api): State<Arc<Api>>) -> Response {
    api.site.document()
}

/// `GET /docs`.
pub(crate) async fn docs(State(api): State<Arc<Api>>) -> Response {
    api.site.docs()
}

/// `GET /problems`.
pub(crate) async fn problems(State(api): State<Arc<Api>>) -> Response {
    api.site.problems()
}

/// `GET /problems/{slug}`.
pub(crate) async fn problem(
    State(api): State<Arc<Api>>,
    slug: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    api.site.problem(slug.ok().as_deref().map(String::as_str))
}

/// `GET /`.
pub(crate) async fn root() -> Redirect {
    Redirect::temporary("/docs")
}
