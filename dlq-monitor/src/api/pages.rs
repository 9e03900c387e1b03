//! Pages for people, and the document for machines.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use service_kit::{
    Problem,
    docs::{About, Site},
};

use super::{Api, endpoints, kinds, openapi};

/// What is dead, and how it goes back.
const FIRST_STEPS: &str = "MONITOR=http://127.0.0.1:8082 API=$MONITOR\n\n# What is dead, newest first.\ncurl -s \
     \"$API/api/dlq/messages\"\n\n# All of a queue goes back to its source. With a token: -H \"Authorization: \
     Bearer $MONITOR_TOKEN\".\n{}\n\n# How far that is, with the id of the answer.\ncurl -s \
     \"$API/api/dlq/jobs/JOB_ID\"\n";

/// The document and the pages.
pub(crate) fn site() -> Site {
    let about = About {
        kinds: &kinds::ALL,
        paths: endpoints().map(|endpoint| endpoint.path).collect(),
        first_steps: (FIRST_STEPS, "redrive"),
        samples: &[
            ("queue", "order-queue-standard-dlq"),
            ("messageId", "MESSAGE_ID"),
            ("jobId", "JOB_ID"),
            ("slug", "invalid-request"),
        ],
    };
    Site::new(&openapi::openapi_json(), &about)
}

/// `GET /openapi.json`.
pub(super) async fn document(State(api): State<Arc<Api>>) -> Response {
    api.site.document()
}

/// `GET /docs`.
pub(super) async fn docs(State(api): State<Arc<Api>>) -> Response {
    api.site.docs()
}

/// `GET /problems`.
pub(super) async fn problems(State(api): State<Arc<Api>>) -> Response {
    api.site.problems()
}

/// `GET /problems/{slug}`.
pub(super) async fn problem(
    State(api): State<Arc<Api>>,
    slug: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    api.site.problem(slug.ok().as_deref().map(String::as_str))
}
