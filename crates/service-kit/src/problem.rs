//! The one HTTP error type: problem details as RFC 9457 has them.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::time::Duration;

/// A kind of problem, one of its service's closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// The last part of `type`, which is `/problems/<slug>`.
    pub slug: &'static str,
    /// The status of every such answer.
    pub status: StatusCode,
    /// Its name for people, the same in every answer (RFC 9457, section 3.1.3).
    pub title: &'static str,
}

impl ProblemKind {
    /// A kind.
    pub const fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        Self { slug, status, title }
    }

    /// The `type` of its problems: a reference that is resolved against the request's URL.
    pub fn uri(&self) -> String {
        format!("/problems/{}", self.slug)
    }
}

/// An error answer, `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    kind: ProblemKind,
    detail: Option<String>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct FieldError {
    pointer: String,
    detail: String,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    /// A problem of the kind with this status, slug and title.
    pub fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        Self::of(ProblemKind::new(status, slug, title))
    }

    /// A problem of this kind.
    pub fn of(kind: ProblemKind) -> Self {
        Self { kind, detail: None, errors: Vec::new(), retry_after: None }
    }

    /// What is wrong in this very case.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// One more invalid part of the request's content; `pointer` is a JSON pointer (RFC 6901) as a
    /// URI fragment, as in RFC 9457's own example (`#/items/0/price`), or another name of the place.
    #[must_use]
    pub fn field_error(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// When to try again: `Retry-After` in whole seconds, rounded up, at least 1.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        self.kind.status
    }

    /// The last part of the problem's `type`: a name from a closed list, fit for a metric's label.
    pub fn slug(&self) -> &'static str {
        self.kind.slug
    }

    /// Its kind's name for people.
    pub fn title(&self) -> &'static str {
        self.kind.title
    }

    /// What is wrong in this very case, where that is said.
    pub fn detail_text(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The invalid parts of the request that are listed: where each is, and what is wrong with it.
    pub fn errors(&self) -> impl Iterator<Item = (&str, &str)> {
        self.errors.iter().map(|error| (&*error.pointer, &*error.detail))
    }

    /// Whether the answer says when to try again.
    pub fn has_retry_after(&self) -> bool {
        self.retry_after.is_some()
    }

    /// When to try again, in whole seconds, rounded up, at least 1.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let after = self.retry_after?;
        Some((after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1))
    }

    /// The answer's content.
    pub fn to_json(&self) -> String {
        let body = Body {
            r#type: self.kind.uri(),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: self.detail.as_deref(),
            errors: &self.errors,
        };
        serde_json::to_string(&body).expect("strings and numbers are always JSON")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.kind.status, self.to_json()).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
