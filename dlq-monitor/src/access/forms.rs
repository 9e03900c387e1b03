//! Forms of pages: who may look at these, and what shows that a form is one of ours.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use service_kit::Problem;

use super::{
    Access, Caller, acting_not_allowed, comes_from_here, is_for_loopback, is_same,
    login::{is_secure, now_seconds},
};
use crate::{api::kinds, web};

/// What the forms of a page carry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FormToken {
    /// Shows that the form is one of ours.
    pub(crate) csrf: String,
    /// The `Set-Cookie` that goes with it, unless the browser has it.
    pub(crate) cookie: Option<String>,
}

impl Access {
    /// What the forms of a page for this caller carry: a login's own token; without logins one that
    /// goes with a cookie, which a page of others cannot set or read.
    pub(crate) fn form_token(&self, caller: &Caller, headers: &HeaderMap) -> FormToken {
        let known = match caller {
            Caller::Session { csrf } => Some(csrf.clone()),
            // The header with the token is enough.
            Caller::Bearer => Some(String::new()),
            Caller::Anybody => self.forms.csrf_of(headers),
        };
        if let Some(csrf) = known {
            return FormToken { csrf, cookie: None };
        }
        let begun = self.forms.begin(now_seconds(), is_secure(headers));
        FormToken { csrf: begun.csrf, cookie: Some(begun.cookie) }
    }

    /// Why this caller may not send this form, which carries `csrf`.
    pub(crate) fn refuses_form(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        csrf: &str,
    ) -> Option<Problem> {
        if !self.may_act(caller) {
            return Some(acting_not_allowed());
        }
        let expected = match caller {
            Caller::Bearer => return None,
            Caller::Session { csrf } => Some(csrf.clone()),
            Caller::Anybody => self.forms.csrf_of(headers).filter(|_| is_for_loopback(headers)),
        };
        let is_ours =
            expected.is_some_and(|expected| is_same(expected.as_bytes(), csrf.as_bytes()));
        (!is_ours || !comes_from_here(headers)).then(|| {
            let detail = "the form is not one that this server gave to this browser, or it is too \
                          old; nothing was done: open it again";
            kinds::FORGED.problem().detail(detail)
        })
    }
}

/// Lets through who may look at pages; others are led to the login.
pub(crate) async fn guard_pages(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(caller) = access.caller(request.headers()) else {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
            let there = [(header::LOCATION, web::login_for(wanted))];
            return (StatusCode::SEE_OTHER, there).into_response();
        }
        let detail = "the login has ended, and nothing was done: log in again and repeat it";
        return web::problem_page(&kinds::UNAUTHORIZED.problem().detail(detail));
    };
    if let Some(problem) = access.misdirected(&caller, request.headers()) {
        return web::problem_page(&problem);
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use service_kit::settings::Secret;

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (name.parse().expect("a name"), HeaderValue::from_str(value).expect("a value"))
        };
        lines.iter().map(pair).collect()
    }

    fn access(token: Option<&str>, listen: &str) -> Access {
        Access::new(token.map(Secret::new), listen.parse().expect("an address"))
    }

    /// The slug of why a form is refused.
    fn slug(
        access: &Access,
        caller: &Caller,
        lines: &[(&'static str, &str)],
        csrf: &str,
    ) -> Option<&'static str> {
        access.refuses_form(caller, &headers(lines), csrf).map(|problem| problem.slug())
    }

    #[test]
    fn without_logins_a_form_goes_with_the_cookie_of_its_browser_and_for_this_machine_only() {
        let here = access(None, "127.0.0.1:8082");
        let host = ("host", "127.0.0.1:8082");
        let given = here.form_token(&Caller::Anybody, &headers(&[host]));
        let cookie = given.cookie.expect("a cookie");
        assert!(
            cookie.starts_with("dlq_monitor_forms_8082=") && cookie.contains("SameSite=Strict")
        );
        let cookie = ("cookie", cookie.split(';').next().expect("a pair"));
        let refused =
            |lines: &[(&'static str, &str)], csrf: &str| slug(&here, &Caller::Anybody, lines, csrf);
        assert_eq!(refused(&[host, cookie], &given.csrf), None);
        let known = here.form_token(&Caller::Anybody, &headers(&[host, cookie]));
        assert_eq!(known, FormToken { csrf: given.csrf.clone(), cookie: None }, "it is kept");
        for (lines, csrf) in [
            (&[host][..], given.csrf.as_str()),
            (&[host, cookie], ""),
            (&[host, cookie], "wrong"),
            (&[("host", "evil.example"), cookie], &given.csrf),
            (&[host, cookie, ("origin", "http://evil.example")], &given.csrf),
            (&[host, cookie, ("origin", "null")], &given.csrf),
        ] {
            assert_eq!(refused(lines, csrf), Some("forged-request"), "{lines:?} {csrf}");
        }
        let another = access(None, "127.0.0.1:8082");
        let refused = slug(&another, &Caller::Anybody, &[host, cookie], &given.csrf);
        assert_eq!(refused, Some("forged-request"), "another process has another key");
        let everywhere = access(None, "0.0.0.0:8082");
        let refused = slug(&everywhere, &Caller::Anybody, &[host, cookie], &given.csrf);
        assert_eq!(refused, Some("acting-not-allowed"));
    }

    #[test]
    fn with_a_login_a_form_carries_the_logins_own_token() {
        let access = access(Some("a long secret of the fleet"), "0.0.0.0:8082");
        let caller = Caller::Session { csrf: "right".to_owned() };
        let given = access.form_token(&caller, &headers(&[]));
        assert_eq!(given, FormToken { csrf: "right".to_owned(), cookie: None });
        assert_eq!(slug(&access, &caller, &[], "right"), None);
        assert_eq!(slug(&access, &caller, &[], "wrong"), Some("forged-request"));
        assert_eq!(slug(&access, &Caller::Bearer, &[], ""), None);
    }
}
