//! Answers: those that operations share, and the problems of each.

use super::{
    Kind,
    schemas::{PROBLEM, formatted, named},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::openapi::{
    AllOfBuilder, ContentBuilder, Header, HeaderBuilder, ObjectBuilder, RefOr, ResponseBuilder,
    Schema, Type, example::ExampleBuilder, path::OperationBuilder,
};

/// An answer in JSON.
pub fn in_json(about: &str, schema: &str, example: Value) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(named(schema))).example(Some(example));
    ResponseBuilder::new().description(about).content("application/json", content.build())
}

/// A page for people.
pub fn page(about: &str) -> ResponseBuilder {
    let html = ObjectBuilder::new().schema_type(Type::String);
    let content = ContentBuilder::new().schema(Some(html)).build();
    ResponseBuilder::new().description(about).content("text/html", content)
}

/// The header `Location`.
pub fn location(about: &str) -> Header {
    header(formatted("uri-reference", about), about)
}

/// A header.
pub fn header(schema: impl Into<RefOr<Schema>>, about: &str) -> Header {
    HeaderBuilder::new().schema(Some(schema)).description(Some(about)).build()
}

/// Adds what the operation answers with one of its own kinds, or of those that any request can meet: an
/// answer for each status.
pub fn problems(operation: OperationBuilder, of_all: &[&Kind], own: &[&Kind]) -> OperationBuilder {
    let mut by_status: BTreeMap<u16, Vec<&Kind>> = BTreeMap::new();
    for kind in of_all.iter().chain(own) {
        by_status.entry(kind.base.status.as_u16()).or_default().push(kind);
    }
    by_status.into_iter().fold(operation, |operation, (status, kinds)| {
        operation.response(status.to_string(), problem(status, &kinds))
    })
}

fn problem(status: u16, kinds: &[&Kind]) -> ResponseBuilder {
    let one_of_these = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property(
            "type",
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(kinds.iter().map(|kind| kind.base.uri()))),
        )
        .property(
            "status",
            ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([json!(status)])),
        );
    let schema = AllOfBuilder::new().item(named(PROBLEM)).item(one_of_these);
    let examples = kinds.iter().map(|kind| {
        let value = serde_json::from_str((kind.example)().to_json().as_str()).ok();
        let example = ExampleBuilder::new().summary(kind.base.title).value(value);
        (kind.slug(), RefOr::from(example.build()))
    });
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples);
    let titles: Vec<String> =
        kinds.iter().map(|kind| format!("`{}`: {}.", kind.slug(), kind.base.title)).collect();
    let response = ResponseBuilder::new()
        .description(titles.join(" "))
        .content("application/problem+json", content.build());
    if kinds.iter().any(|kind| (kind.example)().has_retry_after()) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        response.header("Retry-After", header(seconds, "When to try again, in seconds."))
    } else {
        response
    }
}
