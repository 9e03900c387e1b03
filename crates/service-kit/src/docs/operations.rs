//! What the document says of routes that every API has, and what other operations are built of.

use super::{
    Kind,
    answers::{in_json, location, page, problems},
    schemas::{HEALTH, health_example, text},
};
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, Required, ResponseBuilder, Type,
    path::{OperationBuilder, ParameterBuilder, ParameterIn},
};

/// The tags of routes that every API has.
pub const SERVICE: &str = "Service";
/// See [`SERVICE`].
pub const DOCUMENTATION: &str = "Documentation";

/// An operation.
pub fn operation(id: &str, tag: &str, summary: &str, about: &str) -> OperationBuilder {
    OperationBuilder::new()
        .operation_id(Some(id))
        .tag(tag)
        .summary(Some(summary))
        .description(Some(about))
}

/// A parameter; required where it is a part of the path.
pub fn parameter(
    name: &str,
    place: ParameterIn,
    about: &str,
    schema: ObjectBuilder,
) -> ParameterBuilder {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(about))
        .schema(Some(schema))
}

/// A string without further words.
pub fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// Whether the service is alive.
pub fn get_health(service: &str, of_all: &[&Kind]) -> OperationBuilder {
    let up = in_json("It is.", HEALTH, health_example(service));
    let operation = operation(
        "getHealth",
        SERVICE,
        "Whether the service is alive",
        "Depends on nothing outside. Readiness, which does, is at `/readyz` of the admin listener.",
    )
    .response("200", up);
    problems(operation, of_all, &[])
}

/// `/openapi.json`.
pub fn get_document(of_all: &[&Kind]) -> OperationBuilder {
    let schema = ObjectBuilder::new().schema_type(Type::Object);
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let document =
        ResponseBuilder::new().description("The document.").content("application/json", content);
    let about = "OpenAPI 3.1, in JSON.";
    let operation =
        operation("getDocument", DOCUMENTATION, "This document", about).response("200", document);
    problems(operation, of_all, &[])
}

/// `/docs`.
pub fn get_docs(of_all: &[&Kind]) -> OperationBuilder {
    let about = "One page, without scripts.";
    let operation = operation("getDocs", DOCUMENTATION, "This document, for people", about)
        .response("200", page("The page."));
    problems(operation, of_all, &[])
}

/// `/problems`.
pub fn list_problems(of_all: &[&Kind]) -> OperationBuilder {
    let about = "A page for people.";
    let operation = operation("listProblems", DOCUMENTATION, "Every kind of problem", about)
        .response("200", page("The page."));
    problems(operation, of_all, &[])
}

/// `/problems/{slug}`; `unknown` is answered where there is none.
pub fn get_problem(kinds: &[&Kind], of_all: &[&Kind], unknown: &[&Kind]) -> OperationBuilder {
    let slugs: Vec<&str> = kinds.iter().map(|kind| kind.slug()).collect();
    let slug = parameter(
        "slug",
        ParameterIn::Path,
        "The last part of the problem's `type`.",
        text("A kind of problem.").enum_values(Some(slugs)),
    );
    let operation = operation(
        "getProblem",
        DOCUMENTATION,
        "What a kind of problem means",
        "A page for people, to which a problem's `type` leads: what it means, what to do, an example.",
    )
    .parameter(slug)
    .response("200", page("The page."));
    problems(operation, of_all, unknown)
}

/// `/`, which leads to `/docs`.
pub fn get_root(of_all: &[&Kind]) -> OperationBuilder {
    let there = ResponseBuilder::new()
        .description("To the documentation.")
        .header("Location", location("The page for people."));
    let about = "For whoever looks into a browser.";
    let operation =
        operation("getRoot", DOCUMENTATION, "To the documentation", about).response("307", there);
    problems(operation, of_all, &[])
}
