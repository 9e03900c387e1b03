//! Schemas of the document, for people.

use super::html::{code, escape, inline, paragraphs, table};
use serde_json::Value;

/// What a value may be: its type and bounds, HTML in one line.
pub(super) fn summary(schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    let kind = match &schema["type"] {
        Value::String(kind) if kind == "array" => {
            format!("list of {}", summary(&schema["items"]))
        }
        Value::String(kind) => escape(kind),
        Value::Array(kinds) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            escape(&kinds.join(" or "))
        }
        _ => "any value".to_owned(),
    };
    let bounds = bounds(schema);
    if bounds.is_empty() { kind } else { format!("{kind}; {}", bounds.join("; ")) }
}

fn reference(schema: &Value) -> Option<String> {
    Some(escape(schema["$ref"].as_str()?.rsplit('/').next()?))
}

fn bounds(schema: &Value) -> Vec<String> {
    let code = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("<code>{}</code>", escape(&text))
    };
    let mut bounds = Vec::new();
    if let Some(format) = schema["format"].as_str() {
        bounds.push(escape(format));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().map(code).collect();
        bounds.push(format!("one of {}", values.join(", ")));
    }
    let ranges = [
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minimum", "maximum", ""),
    ];
    for (least, most, unit) in ranges {
        match (&schema[least], &schema[most]) {
            (Value::Null, Value::Null) => {}
            (least, Value::Null) => bounds.push(format!("at least {least}{unit}")),
            (Value::Null, most) => bounds.push(format!("at most {most}{unit}")),
            (least, most) => bounds.push(format!("{least} to {most}{unit}")),
        }
    }
    if !schema["multipleOf"].is_null() {
        bounds.push(format!("a multiple of {}", schema["multipleOf"]));
    }
    if !schema["pattern"].is_null() {
        bounds.push(format!("matching {}", code(&schema["pattern"])));
    }
    if !schema["default"].is_null() {
        bounds.push(format!("{} when not given", code(&schema["default"])));
    }
    bounds
}

/// A schema with a name: its fields and an example.
pub(super) fn section(name: &str, schema: &Value) -> String {
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    let fields = schema["properties"].as_object().into_iter().flatten();
    let rows = fields.map(|(field, of)| {
        let optional = !required.iter().any(|name| name == field);
        let about = of["description"].as_str().unwrap_or_default();
        let optional = if optional { "Optional. " } else { "" };
        [
            format!("<code>{}</code>", escape(field)),
            summary(of),
            format!("{optional}{}", inline(about)),
        ]
    });
    let about = schema["description"].as_str().unwrap_or_default();
    let shown = escape(name);
    let mut html = format!(
        "<section id=\"schema-{shown}\" aria-labelledby=\"title-{shown}\">\n\
         <h3 id=\"title-{shown}\">{shown}</h3>\n{}{}",
        paragraphs(about),
        table(&format!("Fields of {name}"), ["Field", "Value", "Meaning"], rows),
    );
    if let Some(example) = schema["examples"].get(0) {
        html.push_str(&code(&format!("Example of {name}"), &pretty(example)));
    }
    html.push_str("</section>\n");
    html
}

/// JSON in several lines.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
