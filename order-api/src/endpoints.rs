//! Every route of the API, once: what answers it, and what the document says of it.

use crate::{
    deliveries::{self, Deliveries},
    keys::Keys,
    metrics::Metrics,
    openapi::operations,
    pages::{self, Site},
    publisher::Publisher,
    room::Room,
    routes,
};
use axum::{
    Router,
    routing::{MethodRouter, get, post},
};
use std::sync::{Arc, LazyLock};
use utoipa::openapi::{HttpMethod, path::OperationBuilder};

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

/// A route.
pub(crate) struct Endpoint {
    /// As both axum and OpenAPI write it.
    pub(crate) path: &'static str,
    /// The method; a GET answers HEAD too.
    pub(crate) method: HttpMethod,
    handler: fn() -> MethodRouter<Arc<Api>>,
    /// What the document says.
    pub(crate) operation: fn() -> OperationBuilder,
}

/// All of them, in the order in which people want to read of them.
pub(crate) const ENDPOINTS: [Endpoint; 8] = [
    post_to("/api/orders", || post(routes::accept), operations::place_order),
    get_from("/api/orders/{orderId}", || get(deliveries::order), operations::get_order),
    get_from("/api/orders/health", || get(routes::health), operations::get_health),
    get_from("/openapi.json", || get(pages::document), operations::get_document),
    get_from("/docs", || get(pages::docs), operations::get_docs),
    get_from("/problems", || get(pages::problems), operations::list_problems),
    get_from("/problems/{slug}", || get(pages::problem), operations::get_problem),
    get_from("/", || get(pages::root), operations::get_root),
];

const fn post_to(
    path: &'static str,
    handler: fn() -> MethodRouter<Arc<Api>>,
    operation: fn() -> OperationBuilder,
) -> Endpoint {
    Endpoint { path, method: HttpMethod::Post, handler, operation }
}

const fn get_from(
    path: &'static str,
    handler: fn() -> MethodRouter<Arc<Api>>,
    operation: fn() -> OperationBuilder,
) -> Endpoint {
    Endpoint { path, method: HttpMethod::Get, handler, operation }
}

/// The routes of the API.
pub(crate) fn router(api: Api) -> Router {
    let add =
        |router: Router<_>, endpoint: &Endpoint| router.route(endpoint.path, (endpoint.handler)());
    ENDPOINTS.iter().fold(Router::new(), add).with_state(Arc::new(api))
}
