//! Who may read, and who may act.
//!
//! With a token set, whoever asks shows it, as a bearer token or by the cookie of a login. Without one
//! everybody who reaches the listener may read, and nobody may act unless the listener is on loopback.
//! What a browser sends by itself is never enough to act: a login's cookie goes with a token against
//! forged requests, and without a token the request must be meant for this machine: also one that only
//! reads, since another name may lead a page of somebody else here (DNS rebinding).

mod forms;
mod limiter;
mod login;
mod session;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use service_kit::{Problem, settings::Secret};
use sha2::{Digest, Sha256};
use tracing::warn;

pub(crate) use forms::{FormToken, guard_pages};
pub(crate) use login::{log_in, log_out, login, session};

use self::{limiter::Limiter, session::Sessions};
use crate::api::kinds;

/// The header that goes with a login's cookie when something is to be done.
pub(crate) const CSRF_HEADER: &str = "x-csrf-token";
/// A shorter token is warned of: it can be guessed.
const SHORT: usize = 16;

/// What pages of this server may do: run its own script and style, and ask it; nothing of others.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Who may read and act.
pub(crate) struct Access {
    token: Option<Secret>,
    sessions: Option<Sessions>,
    logins: Limiter,
    /// What goes with forms where there are no logins.
    forms: Sessions,
    on_loopback: bool,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Who has shown the token.
    Bearer,
    /// Who has logged in; with the token against forged requests.
    Session { csrf: String },
    /// Anybody: no token is set.
    Anybody,
}

impl Caller {
    /// The spelling in answers and in the audit log.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Bearer => "bearer token",
            Self::Session { .. } => "login",
            Self::Anybody => "no token",
        }
    }
}

impl Access {
    /// `listen` is where the API is served.
    pub(crate) fn new(token: Option<Secret>, listen: SocketAddr) -> Self {
        if token.as_ref().is_some_and(|token| token.expose().len() < SHORT) {
            warn!("MONITOR_TOKEN has fewer than {SHORT} characters: it can be guessed");
        }
        Self {
            sessions: token.as_ref().map(|token| Sessions::new(token.expose(), listen.port())),
            token,
            logins: Limiter::default(),
            forms: Sessions::of_forms(listen.port()),
            on_loopback: listen.ip().is_loopback(),
        }
    }

    /// Whether a caller may act, if it is no forgery.
    pub(crate) fn may_act(&self, caller: &Caller) -> bool {
        *caller != Caller::Anybody || self.on_loopback
    }

    /// Who asks; none: somebody who has to show a token first.
    fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        let Some(token) = &self.token else { return Some(Caller::Anybody) };
        if bearer(headers).is_some_and(|given| is_same(given, token.expose().as_bytes())) {
            return Some(Caller::Bearer);
        }
        let csrf = self.sessions.as_ref()?.csrf_of(headers)?;
        Some(Caller::Session { csrf })
    }

    /// Whether there are logins.
    pub(crate) fn has_logins(&self) -> bool {
        self.sessions.is_some()
    }

    /// Whether it is known who asks.
    pub(crate) fn knows(&self, headers: &HeaderMap) -> bool {
        self.caller(headers).is_some()
    }

    /// Why a request is not even answered: it is not for this machine by one of its own names.
    fn misdirected(&self, caller: &Caller, headers: &HeaderMap) -> Option<Problem> {
        let is = *caller == Caller::Anybody && self.on_loopback && !is_for_loopback(headers);
        is.then(|| {
            kinds::MISDIRECTED.problem().detail(
                "without MONITOR_TOKEN, a monitor on loopback answers to 127.0.0.1 and localhost only",
            )
        })
    }

    /// Why this caller may not do this.
    fn refuses(&self, caller: &Caller, headers: &HeaderMap) -> Option<Problem> {
        if !self.may_act(caller) {
            return Some(acting_not_allowed());
        }
        let forged = match caller {
            Caller::Bearer => return None,
            Caller::Session { csrf } => {
                let given = headers.get(CSRF_HEADER).map(HeaderValue::as_bytes);
                !given.is_some_and(|given| is_same(given, csrf.as_bytes()))
            }
            // A form of others can send no JSON.
            Caller::Anybody => !is_for_loopback(headers) || !service_kit::is_json(headers),
        };
        (forged || !comes_from_here(headers)).then(|| {
            let detail = match caller {
                Caller::Session { .. } => "send the header X-CSRF-Token with the login's csrfToken",
                _ => "without MONITOR_TOKEN, requests to act must be for 127.0.0.1 or localhost",
            };
            kinds::FORGED.problem().detail(detail)
        })
    }
}

/// Why nobody may act.
pub(crate) fn acting_not_allowed() -> Problem {
    kinds::ACTING_NOT_ALLOWED.problem().detail(
        "no MONITOR_TOKEN is set, and the monitor does not listen on a loopback address alone",
    )
}

/// Lets through who may do what a request asks for.
pub(crate) async fn guard(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(caller) = access.caller(request.headers()) else {
        let problem = kinds::UNAUTHORIZED
            .problem()
            .detail("send the header Authorization: Bearer with the monitor's token, or log in");
        return ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response();
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if reads && let Some(problem) = access.misdirected(&caller, request.headers()) {
        return problem.into_response();
    }
    if !reads && let Some(problem) = access.refuses(&caller, request.headers()) {
        return problem.into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Headers that every answer has, unless it has its own.
pub(crate) async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// The token of a request's `Authorization: Bearer`. The scheme's name may be spelled in any case (RFC
/// 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(b"Bearer".len())?;
    let token = token.strip_prefix(b" ")?;
    scheme.eq_ignore_ascii_case(b"Bearer").then_some(token)
}

/// Whether two texts are the same. Digests are compared, all of each, so that the time taken says
/// nothing about the texts.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let (one, other) = (Sha256::digest(one), Sha256::digest(other));
    one.iter().zip(other.iter()).fold(0, |differ, (one, other)| differ | (one ^ other)) == 0
}

/// A browser says whose page has sent a request. One that is no browser's says nothing.
fn comes_from_here(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.zip(host).is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host))
}

/// Whether a request is for this machine by a name that always leads here. Another name may lead here for
/// a page of others (DNS rebinding).
fn is_for_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.strip_prefix('[').map_or_else(
        || host.split(':').next().unwrap_or_default(),
        |rest| rest.split(']').next().unwrap_or_default(),
    );
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    fn access(token: Option<&str>, listen: &str) -> Access {
        Access::new(token.map(Secret::new), listen.parse().expect("an address"))
    }

    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn the_token_is_asked_for_where_one_is_set() {
        let access = access(Some("a long secret of the fleet"), "0.0.0.0:8082");
        for (value, caller) in [
            ("Bearer a long secret of the fleet", Some(Caller::Bearer)),
            ("Bearer a long secret of the flee", None),
            ("Bearer ", None),
            ("bearer a long secret of the fleet", Some(Caller::Bearer)),
            ("BEARER a long secret of the fleet", Some(Caller::Bearer)),
            ("bearer A long secret of the fleet", None),
            ("Bearera long secret of the fleet", None),
            ("Bear", None),
            ("Basic a long secret of the fleet", None),
        ] {
            assert_eq!(access.caller(&headers(&[("authorization", value)])), caller, "{value}");
        }
        assert_eq!(access.caller(&headers(&[])), None);
        assert!(access.refuses(&Caller::Bearer, &headers(&[])).is_none());
    }

    #[test]
    fn without_a_token_nobody_acts_off_loopback() {
        let slug = |access: &Access, lines: &[(&'static str, &str)]| {
            access.refuses(&Caller::Anybody, &headers(lines)).map(|problem| problem.slug())
        };
        let everywhere = access(None, "0.0.0.0:8082");
        let local = [("host", "127.0.0.1:8082"), JSON];
        assert_eq!(slug(&everywhere, &local), Some("acting-not-allowed"));
        let here = access(None, "127.0.0.1:8082");
        assert_eq!(slug(&here, &local), None);
        for host in ["localhost:8082", "[::1]:8082", "127.0.0.2", "LOCALHOST"] {
            assert_eq!(slug(&here, &[("host", host), JSON]), None, "{host}");
        }
        for lines in [
            [("host", "evil.example"), JSON],
            [("host", "127.0.0.1.evil.example"), JSON],
            [("host", "127.0.0.1:8082"), ("content-type", "text/plain")],
        ] {
            assert_eq!(slug(&here, &lines), Some("forged-request"), "{lines:?}");
        }
        let of_others = [("host", "127.0.0.1:8082"), ("origin", "http://evil.example"), JSON];
        assert_eq!(slug(&here, &of_others), Some("forged-request"));
        let own = [("host", "127.0.0.1:8082"), ("origin", "http://127.0.0.1:8082"), JSON];
        assert_eq!(slug(&here, &own), None);
    }

    #[test]
    fn without_a_token_on_loopback_another_name_leads_nowhere() {
        let is_misdirected = |access: &Access, caller: &Caller, host: &str| {
            access.misdirected(caller, &headers(&[("host", host)])).is_some()
        };
        let here = access(None, "127.0.0.1:8082");
        for host in ["evil.example", "127.0.0.1.evil.example:8082", "localhost.evil.example", ""] {
            assert!(is_misdirected(&here, &Caller::Anybody, host), "{host}");
        }
        for host in ["127.0.0.1:8082", "localhost:8082", "[::1]:8082"] {
            assert!(!is_misdirected(&here, &Caller::Anybody, host), "{host}");
        }
        let everywhere = access(None, "0.0.0.0:8082");
        assert!(!is_misdirected(&everywhere, &Caller::Anybody, "monitor.example"));
        let guarded = access(Some("a long secret of the fleet"), "127.0.0.1:8082");
        assert!(!is_misdirected(&guarded, &Caller::Bearer, "monitor.example"));
    }

    #[test]
    fn a_login_alone_is_not_enough_to_act() {
        let access = access(Some("a long secret of the fleet"), "0.0.0.0:8082");
        let caller = Caller::Session { csrf: "right".to_owned() };
        let refuses =
            |lines: &[(&'static str, &str)]| access.refuses(&caller, &headers(lines)).is_some();
        assert!(refuses(&[]) && refuses(&[(CSRF_HEADER, "wrong")]));
        assert!(!refuses(&[(CSRF_HEADER, "right")]));
        let of_others =
            [(CSRF_HEADER, "right"), ("host", "monitor:8082"), ("origin", "http://evil.example")];
        assert!(refuses(&of_others));
    }
}
