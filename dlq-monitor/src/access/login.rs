//! Logging in and out, for browsers.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use service_kit::{Problem, is_json};
use tokio::time::Instant;
use tracing::warn;

use super::{Access, Caller, comes_from_here, is_same, session::Sessions};
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

/// `POST /login`: the token as JSON, which is answered with the session, or as a form, which leads to
/// the start page.
pub(crate) async fn login(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let access = &api.access;
    let (Some(token), Some(sessions)) = (&access.token, &access.sessions) else {
        let detail = "no MONITOR_TOKEN is set, so there is nothing to log in with";
        return Err(kinds::LOGIN_NOT_SET_UP.problem().detail(detail));
    };
    let (head, body) = request.into_parts();
    if !comes_from_here(&head.headers) {
        return Err(kinds::FORGED.problem().detail("the page of the login is another server's"));
    }
    let body = body::read(body, LOGIN_BYTES).await?;
    let as_json = is_json(&head.headers);
    let given = if as_json {
        serde_json::from_slice::<Login>(&body).map(|login| login.token).ok()
    } else {
        let mut pairs = form_urlencoded::parse(&body);
        pairs.find(|(name, _)| name == "token").map(|(_, token)| token.into_owned())
    };
    if let Err(wait) = access.logins.take(Instant::now()) {
        let detail = "too many logins failed; wait, or show the token as a bearer token";
        return Err(kinds::TOO_MANY_LOGINS.problem().detail(detail).retry_after(wait));
    }
    if !given.is_some_and(|given| is_same(given.as_bytes(), token.expose().as_bytes())) {
        warn!("a login with a wrong token was refused");
        return Err(kinds::UNAUTHORIZED.problem().detail("the token is wrong"));
    }
    access.logins.give_back();
    let now = jiff::Timestamp::now().as_second().cast_unsigned();
    let session = sessions.begin(now, is_secure(&head.headers));
    let caller = Caller::Session { csrf: session.csrf };
    let cookie = [(header::SET_COOKIE, session.cookie)];
    Ok(if as_json {
        (cookie, Json(view(access, &caller))).into_response()
    } else {
        let there = [(header::LOCATION, HeaderValue::from_static("/"))];
        (StatusCode::SEE_OTHER, cookie, there).into_response()
    })
}

/// `POST /logout`.
pub(crate) async fn logout() -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, Sessions::end())]).into_response()
}

/// Whether the browser speaks TLS, to whoever stands before this server.
fn is_secure(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes() == b"https")
}
