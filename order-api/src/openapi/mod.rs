//! The OpenAPI 3.1 document, made of the code: the routes of `endpoints`, the bounds of
//! [`crate::limits`], the kinds of `problem::kinds`. Nothing in it is written a second time by hand.

pub(crate) mod operations;
mod schemas;

use crate::endpoints::ENDPOINTS;
use service_kit::docs::{
    self,
    operations::{DOCUMENTATION, SERVICE},
};
use utoipa::openapi::{Info, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Server, Tag};

/// The tag of what orders are placed and asked for by.
pub(crate) const ORDERS: &str = "Orders";

/// The document, as `GET /openapi.json` answers it.
pub fn openapi_json() -> serde_json::Value {
    serde_json::to_value(document()).expect("a document of strings and numbers is JSON")
}

fn document() -> OpenApi {
    let tag = |name: &str, about: &str| {
        let mut tag = Tag::new(name);
        tag.description = Some(about.to_owned());
        tag
    };
    OpenApiBuilder::new()
        .info(info())
        .servers(Some([Server::new("/")]))
        .paths(docs::paths(&ENDPOINTS))
        .components(Some(schemas::components()))
        .tags(Some([
            tag(ORDERS, "Placing orders, and what became of them."),
            tag(SERVICE, "How the service is."),
            tag(DOCUMENTATION, "This document, and pages for people."),
        ]))
        .build()
}

fn info() -> Info {
    const ABOUT: &str = "Takes orders and publishes them to Amazon SQS. An order is answered with 202 \
        only after SQS has confirmed that very order; whatever else happens is a problem \
        (`application/problem+json`, RFC 9457) that says what is wrong and whether to try again.\n\n\
        Every kind of problem has a page, which its `type` leads to. Paths that do not exist are \
        answered with 404 `not-found`, methods that a path does not take with 405 \
        `method-not-allowed` and `Allow`; GET answers HEAD too. Requests that are not HTTP are \
        answered with 400 without content, heads of more than 16 KiB with 431.\n\n\
        Amounts are exact decimals. They are JSON numbers, to be read as decimals and never as \
        binary floating point. Fields that are not described here may be added to answers, and are \
        ignored in requests.";
    InfoBuilder::new()
        .title("Order API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(
            LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
        ))
        .build()
}
