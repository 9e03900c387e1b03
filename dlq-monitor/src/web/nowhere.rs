//! What a browser is shown where there is nothing.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use serde_json::Value;
use service_kit::Problem;

use super::visit::problem_page;
use crate::api::kinds;

/// Bytes of a problem, at most.
const PROBLEM_BYTES: usize = 64 * 1024;

/// Answers with a page where a browser asks for something outside of the API that is not there.
pub(crate) async fn as_page(request: Request, next: Next) -> Response {
    let is_for_people = is_a_page(request.method(), request.uri().path(), request.headers());
    let answer = next.run(request).await;
    let kind = match answer.status() {
        StatusCode::NOT_FOUND => &kinds::NO_ROUTE,
        StatusCode::METHOD_NOT_ALLOWED => &kinds::OTHER_METHOD,
        _ => return answer,
    };
    let content_type = answer.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !is_for_people || content_type != Some(&b"application/problem+json"[..]) {
        return answer;
    }
    let (head, body) = answer.into_parts();
    let detail = detail(body).await;
    let problem = detail.into_iter().fold(kind.problem(), Problem::detail);
    let mut page = problem_page(&problem);
    if let Some(allowed) = head.headers.get(header::ALLOW) {
        page.headers_mut().insert(header::ALLOW, allowed.clone());
    }
    page
}

fn is_a_page(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    // A browser that goes somewhere names it; scripts ask for anything, or for JSON.
    let mut accepted = accepted.flat_map(|value| value.split(','));
    let html = |range: &str| {
        let (of, _) = range.split_once(';').unwrap_or((range, ""));
        of.trim().eq_ignore_ascii_case("text/html")
    };
    matches!(*method, Method::GET | Method::HEAD | Method::POST)
        && !path.starts_with("/api/")
        && accepted.any(html)
}

/// What the problem in a body says for people.
async fn detail(body: Body) -> Option<String> {
    let bytes = to_bytes(body, PROBLEM_BYTES).await.ok()?;
    let problem: Value = serde_json::from_slice(&bytes).ok()?;
    problem["detail"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_for_who_names_html_and_asks_for_no_part_of_the_api() {
        let is = |method: Method, path: &str, accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a value"));
            is_a_page(&method, path, &headers)
        };
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(is(Method::GET, "/nowhere", browser) && is(Method::HEAD, "/", "Text/HTML;q=0.9"));
        assert!(!is(Method::GET, "/api/dlq/nowhere", browser));
        assert!(!is(Method::DELETE, "/nowhere", browser));
        for scripts in ["*/*", "application/json", "application/problem+json, text/*", ""] {
            assert!(!is(Method::GET, "/nowhere", scripts), "{scripts}");
        }
        assert!(!is_a_page(&Method::GET, "/nowhere", &HeaderMap::new()));
    }
}
