//! Schemas that the APIs share, and what others are built of.

use super::Kind;
use crate::FieldErrors;
use serde_json::{Value, json};
use utoipa::openapi::{
    ArrayBuilder, ComponentsBuilder, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat, Type,
};

/// The names of the schemas that [`shared`] has.
pub const HEALTH: &str = "Health";
/// See [`HEALTH`].
pub const PROBLEM: &str = "Problem";
const FIELD_ERROR: &str = "FieldError";

/// A service's health, its problems and the invalid parts that these list. `invalid` is a kind that
/// lists some.
pub fn shared(
    components: ComponentsBuilder,
    service: &str,
    kinds: &[&Kind],
    invalid: &Kind,
) -> ComponentsBuilder {
    components
        .schema(HEALTH, health(service))
        .schema(PROBLEM, problem(kinds, invalid))
        .schema(FIELD_ERROR, field_error())
}

/// A reference to a schema.
pub fn named(name: &str) -> Ref {
    Ref::from_schema_name(name)
}

/// A string.
pub fn text(about: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(about))
}

/// A string of a format.
pub fn formatted(format: &str, about: &str) -> ObjectBuilder {
    text(about).format(Some(SchemaFormat::Custom(format.to_owned())))
}

/// An object of which all of these properties are required.
pub fn object<P: Into<RefOr<Schema>>>(
    about: &str,
    properties: impl IntoIterator<Item = (&'static str, P)>,
) -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::Object).description(Some(about));
    properties
        .into_iter()
        .fold(object, |object, (name, schema)| object.property(name, schema).required(name))
}

/// What a service says of its health.
pub fn health_example(service: &str) -> Value {
    json!({ "status": "UP", "service": service })
}

fn health(service: &str) -> ObjectBuilder {
    let word = |value: &str, about: &str| text(about).enum_values(Some([value]));
    object(
        "That the service is alive.",
        [
            ("status", word("UP", "Always the same.")),
            ("service", word(service, "Which service it is.")),
        ],
    )
    .examples([health_example(service)])
}

fn problem(kinds: &[&Kind], invalid: &Kind) -> ObjectBuilder {
    let kinds: Vec<String> = kinds.iter().map(|kind| kind.base.uri()).collect();
    let status = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(400))
        .maximum(Some(599))
        .description(Some("The answer's status."));
    let errors = ArrayBuilder::new()
        .items(named(FIELD_ERROR))
        .min_items(Some(1))
        .max_items(Some(FieldErrors::LISTED + 1))
        .description(Some(format!(
            "The invalid parts of the request: the first {}, and where there are more, one last \
             entry that says how many are not listed.",
            FieldErrors::LISTED
        )));
    object("Why a request is not answered as it wished (RFC 9457).", [
        (
            "type",
            formatted(
                "uri-reference",
                "The kind of problem, from a closed list. It leads to a page about it, relative to \
                 the request's URL.",
            )
            .enum_values(Some(kinds)),
        ),
        ("title", text("The kind's name, for people.")),
        ("status", status),
        ("detail", text("What is wrong in this very case, for people.")),
    ])
    .property("errors", errors)
    .examples([serde_json::from_str::<Value>(&(invalid.example)().to_json()).unwrap_or_default()])
}

fn field_error() -> ObjectBuilder {
    object(
        "One invalid part of a request.",
        [
            (
                "pointer",
                text(
                    "A JSON pointer into the body (RFC 6901) as a URI fragment such as \
                 `#/items/0/price`, or the name of a parameter (`?queueType`) or header.",
                ),
            ),
            ("detail", text("What is wrong with it.")),
        ],
    )
    .examples([json!({ "pointer": "#/items/0/price", "detail": "must not be negative" })])
}
