//! Logging in and out, for browsers.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use service_kit::Problem;
use tokio::time::Instant;
use tracing::warn;

use super::{Access, Caller, comes_from_here, is_same, limiter::Client};
use crate::api::{Api, body, kinds};

/// Bytes of a login, at most.
const LOGIN_BYTES: usize = 8 * 1024;

#[derive(Deserialize)]
struct Login {
    token: String,
}

/// What a caller may do.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionView {
    /// How the caller is known.
    via: &'static str,
    may_act: bool,
    /// To be sent back as `X-CSRF-Token` with each request to act.
    csrf_token: Option<String>,
}

/// `GET /api/dlq/session`.
pub(crate) async fn session(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Response {
    Json(view(&api.access, &caller)).into_response()
}

fn view(access: &Access, caller: &Caller) -> SessionView {
    let csrf_token = match caller {
        Caller::Session { csrf } => Some(csrf.clone()),
        Caller::Bearer | Caller::Anybody => None,
    };
    SessionView { via: caller.as_str(), may_act: access.may_act(caller), csrf_token }
}

/// `POST /login` with the token as JSON, which is answered with the session.
pub(crate) async fn login(api: &Api, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let body = body::read(body, LOGIN_BYTES).await?;
    let given = serde_json::from_slice::<Login>(&body).map(|login| login.token).ok();
    let (caller, cookie) = log_in(&api.access, &head, given.as_deref())?;
    Ok(([(header::SET_COOKIE, cookie)], Json(view(&api.access, &caller))).into_response())
}

/// Who has logged in with this token, and the cookie of that.
pub(crate) fn log_in(
    access: &Access,
    head: &Parts,
    given: Option<&str>,
) -> Result<(Caller, String), Problem> {
    let headers = &head.headers;
    let (Some(token), Some(sessions)) = (&access.token, &access.sessions) else {
        let detail = "no MONITOR_TOKEN is set, so there is nothing to log in with";
        return Err(kinds::LOGIN_NOT_SET_UP.problem().detail(detail));
    };
    if !comes_from_here(headers) {
        return Err(kinds::FORGED.problem().detail("the page of the login is another server's"));
    }
    let client = Client::of(head);
    if let Err(wait) = access.logins.take(client, Instant::now()) {
        let detail = "too many logins failed; wait, or show the token as a bearer token";
        return Err(kinds::TOO_MANY_LOGINS.problem().detail(detail).retry_after(wait));
    }
    if !given.is_some_and(|given| is_same(given.as_bytes(), token.expose().as_bytes())) {
        warn!("a login with a wrong token was refused");
        return Err(kinds::UNAUTHORIZED.problem().detail("the token is wrong"));
    }
    access.logins.give_back(client);
    let session = sessions.begin(now_seconds(), is_secure(headers));
    Ok((Caller::Session { csrf: session.csrf }, session.cookie))
}

/// The cookie that ends a login, for who may end it.
pub(crate) fn log_out(
    access: &Access,
    headers: &HeaderMap,
    field: Option<&str>,
) -> Result<String, Problem> {
    let Some(caller) = access.caller(headers) else {
        return Err(kinds::UNAUTHORIZED.problem().detail("nobody is logged in"));
    };
    let refused = match field {
        Some(field) => access.refuses_form(&caller, headers, field),
        None => access.refuses(&caller, headers),
    };
    // Where there are no logins, what goes with forms ends.
    let sessions = access.sessions.as_ref().unwrap_or(&access.forms);
    refused.map_or_else(|| Ok(sessions.end(is_secure(headers))), Err)
}

pub(super) fn now_seconds() -> u64 {
    jiff::Timestamp::now().as_second().cast_unsigned()
}

/// Whether the browser speaks TLS, to whoever stands before this server.
pub(super) fn is_secure(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes() == b"https")
}
