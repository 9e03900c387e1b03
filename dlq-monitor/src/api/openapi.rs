//! The OpenAPI 3.1 document, made of the code: the routes, the bounds of what is asked for, the kinds of
//! problems.

use service_kit::docs::{
    self,
    operations::{DOCUMENTATION, SERVICE},
};
use utoipa::openapi::{
    Info, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, SecurityRequirement, Server, Tag,
};

use super::{endpoints, schemas};

/// The tags, with what they gather.
pub(super) const LETTERS: &str = "Dead letters";
pub(super) const JOBS: &str = "Jobs";
pub(super) const ACCESS: &str = "Access";

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
        .paths(docs::paths(endpoints()))
        .components(Some(schemas::components()))
        .security(Some([
            SecurityRequirement::default(),
            SecurityRequirement::new(schemas::BEARER, Vec::<String>::new()),
        ]))
        .tags(Some([
            tag(LETTERS, "What is dead, and why."),
            tag(JOBS, "Redriving and discarding, how far that is, and who asked for it."),
            tag(ACCESS, "Logging in, for browsers."),
            tag(SERVICE, "How the service is."),
            tag(DOCUMENTATION, "This document, and pages for people."),
        ]))
        .build()
}

fn info() -> Info {
    const ABOUT: &str = "Dead letters are what workers gave up: messages in a dead-letter queue. They are \
        listed with the reason and the attempts at them, and go back to their source queue \
        (redrive) or to an archive (discard).\n\n\
        Redriving and discarding are jobs. A job survives its process: whoever takes it over goes on \
        with it. At no moment is a message in none of its source queue, the dead-letter queue and \
        the archive; a copy too many is harmless, since orders are delivered once by their id. On a \
        FIFO queue a group's messages go back in their order, and not at all where newer ones of the \
        group were delivered already, unless that is asked for.\n\n\
        Where the monitor has a token, `Authorization: Bearer` shows it. Without one everybody may \
        read, and acting is refused unless the monitor listens on loopback.\n\n\
        Every kind of problem has a page, which its `type` leads to. Paths that do not exist are \
        answered with 404 `not-found`, methods that a path does not take with 405 \
        `method-not-allowed` and `Allow`; GET answers HEAD too.";
    InfoBuilder::new()
        .title("DLQ monitor")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(
            LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
        ))
        .build()
}
