//! Every route of the API, once: what answers it, and what the document says of it.

use crate::{
    deliveries::{self, Deliveries},
    keys::Keys,
    metrics::Metrics,
    openapi::operations,
    pages,
    problem::kinds,
    publisher::Publisher,
    room::Room,
    routes,
};
use axum::{
    Router,
    routing::{get, post},
};
use service_kit::docs::{self, Endpoint, Site, operations as documented};
use std::sync::{Arc, LazyLock};

/// What the routes need.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) publisher: Publisher,
    /// What idempotency keys stand for.
    pub(crate) keys: Keys,
    pub(crate) metrics: Metrics,
    /// For the bytes of all orders in hand.
    pub(crate) room: Room,
    /// Where the state of orders is.
    pub(crate) deliveries: Deliveries,
    /// The document and the pages.
    /// Made when it is first asked for: most instances never are.
    pub(crate) site: LazyLock<Site>,
}

/// All of them, in the order in which people want to read of them.
pub(crate) const ENDPOINTS: [Endpoint<Arc<Api>>; 8] = [
    Endpoint::post("/api/orders", || post(routes::accept), operations::place_order),
    Endpoint::get("/api/orders/{orderId}", || get(deliveries::order), operations::get_order),
    Endpoint::get(
        "/api/orders/health",
        || get(routes::health),
        || documented::get_health("order-api", kinds::OF_ALL),
    ),
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
    Endpoint::get(
        "/problems/{slug}",
        || get(pages::problem),
        || documented::get_problem(&kinds::ALL, kinds::OF_ALL, kinds::OF_PAGES),
    ),
    Endpoint::get("/", || get(pages::root), || documented::get_root(kinds::OF_ALL)),
];

/// The routes of the API.
pub(crate) fn router(api: Api) -> Router {
    docs::router(&ENDPOINTS).with_state(Arc::new(api))
}
