//! `/login` and `/logout`, for people by a form and for scripts in JSON.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use service_kit::Problem;

use super::{
    fields::{Errors, Field},
    links::{login_for, own},
    parts::counted,
    selection::Sent,
    visit::{Page, in_frame, problem_page, see},
};
use crate::{
    access,
    api::{Api, body, kinds},
};

/// `GET /login`.
pub(super) async fn show(State(api): State<Arc<Api>>, headers: HeaderMap, uri: Uri) -> Response {
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let sent = Sent(query.into_owned().collect());
    let next = own(sent.field("next"));
    if !api.access.has_logins() || api.access.knows(&headers) {
        return see(next);
    }
    in_frame(&page(next, &Errors::default()), None)
}

/// `POST /login`.
pub(crate) async fn log_in(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    if !body::is_form(request.headers()) {
        return access::login(&api, request).await;
    }
    let (head, body) = request.into_parts();
    let sent = match body::form(&head.headers, body).await {
        Ok(fields) => Sent(fields),
        Err(problem) => return Ok(problem_page(&problem)),
    };
    let next = own(sent.field("next"));
    // As it was typed: a token may begin with a space.
    let token = sent.0.iter().find(|(name, _)| name == "token").map(|(_, token)| &**token);
    match access::log_in(&api.access, &head, token) {
        Ok((_, cookie)) => {
            let cookie = [(header::SET_COOKIE, cookie)];
            Ok((cookie, see(next)).into_response())
        }
        Err(problem) if is_about_the_token(&problem) => Ok(refused(next, &problem)),
        Err(problem) => Ok(problem_page(&problem)),
    }
}

fn is_about_the_token(problem: &Problem) -> bool {
    [kinds::UNAUTHORIZED.slug(), kinds::TOO_MANY_LOGINS.slug()].contains(&problem.slug())
}

/// The form again, with what is wrong.
fn refused(next: &str, problem: &Problem) -> Response {
    let mut errors = Errors::default();
    let wait = problem.retry_after_seconds();
    match wait {
        Some(seconds) => {
            let wait = counted(seconds, "second", "seconds");
            errors.note("", &format!("too many logins failed: try again in {wait}"));
        }
        None => errors.note("token", "is wrong"),
    }
    let page = page(next, &errors).with_status(problem.status());
    let mut response = in_frame(&page, None);
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// `POST /logout`.
pub(crate) async fn log_out(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    if !body::is_form(&head.headers) {
        let cookie = access::log_out(&api.access, &head.headers, None)?;
        return Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response());
    }
    let ended = match body::form(&head.headers, body).await {
        Ok(fields) => {
            let sent = Sent(fields);
            let csrf = sent.field("csrfToken").unwrap_or_default();
            access::log_out(&api.access, &head.headers, Some(csrf))
        }
        Err(problem) => Err(problem),
    };
    Ok(match ended {
        Ok(cookie) => {
            let there = [(header::LOCATION, login_for("/"))];
            (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie)], there).into_response()
        }
        Err(problem) => problem_page(&problem),
    })
}

fn page(next: &str, errors: &Errors) -> Page {
    let content = html! {
        section .login {
            h1 { "Log in" }
            p .lead { "Dead letters of the order queues: look, decide, bring them back." }
            (errors.summary())
            form #login-form .panel .form method="post" action="/login" {
                input type="hidden" name="next" value=(next);
                (Field {
                    kind: "password",
                    required: true,
                    autocomplete: Some("current-password"),
                    ..Field::new("token", "Token")
                }.show(errors))
                p .actions { button type="submit" { "Log in" } }
                (help())
            }
            @if next != "/" {
                p .hint {
                    "Logged in already, and here by a link from elsewhere? "
                    a href=(next) { "Go on to the page" }
                }
            }
        }
    };
    Page { status: StatusCode::OK, title: "Log in".to_owned(), place: None, content }
}

fn help() -> Markup {
    html! {
        p .hint {
            "Whoever runs the monitor has set it as " code { "MONITOR_TOKEN" } ". A login lasts eight hours."
        }
    }
}
