//! The web console: pages for people, made on the server.
//!
//! Pages are written in Rust with `maud`, which escapes every text that is put into them. They work
//! without a script; the one script there is follows the progress of a job. Both it and the style are
//! part of the binary and are served below a name that has their hash in it.
//!
//! Nothing is decided here: pages show the values that the API answers in JSON, and a form is read as
//! the JSON that it stands for ([`selection`], [`act`]), so the bounds and the rules are the API's.
//!
//! `visit` is who looks at a page, `frame` what all pages have in common, `parts` and `text` what pages
//! are made of: nothing that came with a message is shown but by these. Every other module is a page.

mod act;
mod assets;
mod audit;
mod cancel;
mod confirm;
mod fields;
mod frame;
mod job;
mod jobs;
mod letters;
mod links;
mod login;
mod message;
mod messages;
mod nowhere;
mod overview;
mod parts;
mod selection;
mod text;
mod tiles;
mod unseen;
mod visit;

use std::sync::Arc;

use axum::{Router, middleware::from_fn_with_state, routing::get};
use order_store::JobKind;

pub(crate) use links::login_for;
pub(crate) use login::{log_in, log_out};
pub(crate) use nowhere::as_page;
pub(crate) use visit::problem_page;

use crate::{
    access::{self, Access},
    api::Api,
};

/// The routes of the console. They are for people and in no document.
pub(crate) fn router(access: &Arc<Access>) -> Router<Arc<Api>> {
    use JobKind::{Discard, Redrive};
    let guard = from_fn_with_state(Arc::clone(access), access::guard_pages);
    Router::new()
        .route("/", get(overview::show))
        .route("/messages", get(messages::show))
        .route("/messages/{queue}/{messageId}", get(message::show))
        .route("/messages/{queue}/{messageId}/body", get(message::download))
        .route(
            "/redrive",
            get(|api, visit, uri| act::open(Redrive, api, visit, uri))
                .post(|api, visit, request| act::submit(Redrive, api, visit, request)),
        )
        .route(
            "/discard",
            get(|api, visit, uri| act::open(Discard, api, visit, uri))
                .post(|api, visit, request| act::submit(Discard, api, visit, request)),
        )
        .route("/jobs", get(jobs::show))
        .route("/jobs/{jobId}", get(job::show))
        .route("/jobs/{jobId}/progress", get(job::progress))
        .route("/jobs/{jobId}/cancel", get(cancel::open).post(cancel::submit))
        .route("/audit", get(audit::show))
        .route_layer(guard)
        .route("/login", get(login::show))
        .route("/assets/{name}", get(assets::serve))
}
