//! The HTTP API: dead letters, redriving and discarding them, and who did that.
//!
//! Every route is in one list, of which the router, the OpenAPI document and the pages about it are made.
//! The console ([`crate::web`]) has routes of its own, and is made of the same functions: what these give
//! are values, which the routes here answer in JSON.

pub(crate) mod acts;
pub(crate) mod asked;
pub(crate) mod audit;
pub(crate) mod body;
mod examples;
pub(crate) mod jobs;
pub(crate) mod kinds;
pub(crate) mod messages;
mod openapi;
mod operations;
pub(crate) mod order;
mod pages;
pub(crate) mod query;
pub(crate) mod queues;
mod schemas;
pub(crate) mod views;

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    Json, Router,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use order_store::{Store, StoreError};
use serde::Serialize;
use service_kit::{
    Problem,
    docs::{self, Endpoint, Site, operations as documented},
};
use sqs_consumer::aws::Connection;
use tokio::{sync::watch, time::timeout};
use tracing::warn;

pub use openapi::openapi_json;
pub(crate) use pages::site;

use crate::{
    access::{self, Access},
    metrics::Counts,
    observe::{self, Look},
    queues::DeadLetterQueue,
    web,
};

/// For so long SQS is waited for by who only wants to know about how many messages there are.
const COUNTED_WITHIN: Duration = Duration::from_secs(3);

/// What the routes need.
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) connection: Connection,
    pub(crate) looks: watch::Receiver<Arc<[Look]>>,
    pub(crate) queues: Arc<[DeadLetterQueue]>,
    pub(crate) access: Arc<Access>,
    /// Leads to a trace, with `{traceId}` in it.
    pub(crate) trace_url: Option<String>,
    /// The document and the pages, made when they are first asked for.
    pub(crate) site: LazyLock<Site>,
}

type Route = Endpoint<Arc<Api>>;

/// What everybody may ask.
const OPEN: [Route; 7] = [
    Endpoint::get(
        "/api/dlq/health",
        || get(health),
        || documented::get_health("dlq-monitor", kinds::OF_ALL),
    ),
    Endpoint::post("/login", || post(web::log_in), operations::log_in),
    Endpoint::post("/logout", || post(web::log_out), operations::log_out),
    Endpoint::get(
        "/openapi.json",
        || get(pages::document),
        || documented::get_document(kinds::OF_ALL),
    ),
    Endpoint::get("/docs", || get(pages::docs), || documented::get_docs(kinds::OF_ALL)),
    Endpoint::get(
        "/problems",
        || get(pages::problems),
        || documented::list_problems(kinds::OF_ALL),
    ),
    Endpoint::get("/problems/{slug}", || get(pages::problem), operations::get_problem),
];

/// What the token is needed for, where one is set.
const GUARDED: [Route; 11] = [
    Endpoint::get("/api/dlq/queues", || get(queues::queues), operations::list_queues),
    Endpoint::get("/api/dlq/messages", || get(messages::list), operations::list_messages),
    Endpoint::get(
        "/api/dlq/messages/{queue}/{messageId}",
        || get(messages::show),
        operations::get_message,
    ),
    Endpoint::post("/api/dlq/redrive", || post(acts::redrive), operations::redrive),
    Endpoint::post("/api/dlq/discard", || post(acts::discard), operations::discard),
    Endpoint::get("/api/dlq/jobs", || get(jobs::list), operations::list_jobs),
    Endpoint::get("/api/dlq/jobs/{jobId}", || get(jobs::show), operations::get_job),
    Endpoint::get(
        "/api/dlq/jobs/{jobId}/messages",
        || get(jobs::messages),
        operations::list_job_messages,
    ),
    Endpoint::post("/api/dlq/jobs/{jobId}/cancel", || post(jobs::cancel), operations::cancel_job),
    Endpoint::get("/api/dlq/audit", || get(audit::list), operations::list_audit),
    Endpoint::get("/api/dlq/session", || get(access::session), operations::get_session),
];

/// Every route, in the order in which people want to read of them.
fn endpoints() -> impl Iterator<Item = &'static Route> {
    static ROUTES: LazyLock<(Vec<Route>, Vec<Route>)> =
        LazyLock::new(|| (GUARDED.into(), OPEN.into()));
    ROUTES.0.iter().chain(&ROUTES.1)
}

/// The routes of the API.
pub(crate) fn router(api: Api) -> Router {
    let guard = from_fn_with_state(Arc::clone(&api.access), access::guard);
    docs::router(&GUARDED)
        .route_layer(guard)
        .merge(docs::router(&OPEN))
        .merge(web::router(&api.access))
        .with_state(Arc::new(api))
}

impl Api {
    /// The dead-letter queue of this name.
    pub(crate) fn queue(&self, name: &str) -> Result<&DeadLetterQueue, Problem> {
        self.queues.iter().find(|queue| queue.name() == name).ok_or_else(|| {
            let known: Vec<&str> = self.queues.iter().map(DeadLetterQueue::name).collect();
            let known = known.join(", ");
            let detail = format!("there is no such dead-letter queue here; there are: {known}");
            kinds::UNKNOWN_QUEUE.problem().detail(detail)
        })
    }

    /// About how many messages a queue had when it was last looked at; none: it never was, or cannot be
    /// now.
    fn counted(&self, queue: &str) -> Option<u64> {
        let looks = self.looks.borrow();
        let look = looks.iter().find(|look| look.queue == queue)?;
        let found = look.found.as_ref().filter(|_| look.error.is_none());
        found.map(|found| found.counts.total())
    }

    /// About how many messages a dead-letter queue has now; none: SQS does not tell.
    async fn counted_now(&self, queue: &DeadLetterQueue) -> Option<u64> {
        let counting = observe::counts_of(&self.connection, queue.queue.url());
        let counted = match timeout(COUNTED_WITHIN, counting).await {
            Ok(counted) => counted.map_err(|error| error.to_string()),
            Err(_) => Err(format!("there is no answer within {COUNTED_WITHIN:?}")),
        };
        if let Err(error) = &counted {
            warn!(queue = queue.name(), error, "a dead-letter queue's messages are not counted");
        }
        counted.ok().map(Counts::total)
    }

    pub(crate) fn queue_names(&self) -> Vec<&str> {
        self.queues.iter().map(DeadLetterQueue::name).collect()
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: &'static str,
}

async fn health() -> Json<Health> {
    Json(Health { status: "UP", service: "dlq-monitor" })
}

pub(crate) fn store_failed(error: &StoreError) -> Problem {
    tracing::warn!(%error, "a question is not answered");
    kinds::STORE_UNAVAILABLE
        .problem()
        .detail("the store does not answer in time; nothing was done")
        .retry_after(std::time::Duration::from_secs(5))
}
