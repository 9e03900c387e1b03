//! The OpenAPI document and the code say the same: its routes, its schemas, and every answer that any
//! test here is given.

use std::{collections::BTreeSet, sync::LazyLock};

use dlq_monitor::openapi_json;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::{
    http::{Answer, call, get},
    support::{Monitor, Sqs},
};

static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi_json);

/// What is below that place of the document is a schema.
fn validator(place: &str) -> Validator {
    let mut schema = DOCUMENT.clone();
    let reference = place.replace('{', "%7B").replace('}', "%7D");
    schema["$ref"] = json!(reference);
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    options.build(&schema).unwrap_or_else(|error| panic!("{reference}: {error}"))
}

fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

/// The document's path for a request's.
fn documented_path(path: &str) -> Option<&'static str> {
    let fits = |pattern: &str| {
        let (pattern, path) = (pattern.split('/'), path.split('/'));
        pattern.clone().count() == path.clone().count()
            && pattern
                .zip(path)
                .all(|(part, found)| part == found || part.starts_with('{') && !found.is_empty())
    };
    let paths = DOCUMENT["paths"].as_object().expect("paths").keys();
    let mut fitting: Vec<&str> =
        paths.map(String::as_str).filter(|pattern| fits(pattern)).collect();
    fitting.sort_by_key(|pattern| pattern.matches('{').count());
    fitting.first().copied()
}

/// An answer of a documented route is documented: its status, headers, type and content.
pub(crate) fn assert_documented(request_line: &str, answer: &Answer) {
    let (method, target) = request_line.split_once(' ').expect("a method and a target");
    let path = documented_path(target.split('?').next().expect("a path"));
    let operation = path.map(|path| (path, &DOCUMENT["paths"][path][method.to_lowercase()]));
    let Some((path, operation)) = operation.filter(|(_, operation)| operation.is_object()) else {
        return;
    };
    let status = answer.status.to_string();
    let documented = &operation["responses"][&status];
    assert!(documented.is_object(), "{request_line} answers {status}: {answer:?}");
    for header in documented["headers"].as_object().into_iter().flatten() {
        assert!(answer.header(header.0).is_some(), "{} is missing: {answer:?}", header.0);
    }
    let Some(media_type) = answer.header("content-type").filter(|_| !answer.body.is_empty()) else {
        return;
    };
    let media_type = media_type.split(';').next().expect("a type").trim();
    assert!(documented["content"][media_type].is_object(), "{media_type}: {answer:?}");
    if media_type.ends_with("json") {
        let reference = format!(
            "#/paths/{}/{}/responses/{status}/content/{}/schema",
            escaped(path),
            method.to_lowercase(),
            escaped(media_type)
        );
        let found =
            validator(&reference).validate(&answer.json()).map_err(|error| error.to_string());
        assert_eq!(found, Ok(()), "{request_line}: {answer:?}");
    }
}

/// Everything below a value, with its place.
fn each(value: &Value, at: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(at, value);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                each(value, &format!("{at}/{}", escaped(name)), visit);
            }
        }
        Value::Array(items) => {
            for (position, value) in items.iter().enumerate() {
                each(value, &format!("{at}/{position}"), visit);
            }
        }
        _ => {}
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere_and_every_example_is_valid() {
    let (mut references, mut examples) = (BTreeSet::new(), Vec::new());
    each(&DOCUMENT, "#", &mut |at, value| {
        if let Some(reference) = value["$ref"].as_str() {
            references.insert(reference.to_owned());
        }
        if value["schema"].is_object() && !value["example"].is_null() {
            examples.push((format!("{at}/schema"), value["example"].clone()));
        }
        for example in value["examples"].as_object().into_iter().flatten() {
            examples.push((format!("{at}/schema"), example.1["value"].clone()));
        }
    });
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().expect("schemas") {
        let of_schema = schema["examples"].as_array().into_iter().flatten();
        let at = format!("#/components/schemas/{name}");
        examples.extend(of_schema.map(|example| (at.clone(), example.clone())));
    }
    assert!(
        references.len() > 10 && examples.len() > 40,
        "{} {}",
        references.len(),
        examples.len()
    );
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("a local one");
        assert!(DOCUMENT.pointer(pointer).is_some(), "{reference}");
    }
    for (at, example) in examples {
        let found = validator(&at).validate(&example).map_err(|error| error.to_string());
        assert_eq!(found, Ok(()), "{at}: {example}");
    }
}

#[tokio::test]
async fn the_documented_routes_are_there_and_the_pages_lead_somewhere() {
    let sqs = Sqs::anywhere().await;
    let monitor = Monitor::start(sqs.addr).await;
    let (status, served) = get(monitor.api, "/openapi.json").await;
    assert_eq!(
        (status, serde_json::from_str::<Value>(&served).ok()),
        (200, Some(DOCUMENT.clone()))
    );
    for (path, item) in DOCUMENT["paths"].as_object().expect("paths") {
        let path = path.replace("{slug}", "unauthorized").replace(['{', '}'], "");
        for method in item.as_object().expect("methods").keys() {
            let line = format!("{} {path}", method.to_uppercase());
            let answer = call(monitor.api, &line, &[], b"").await;
            assert_ne!(answer.status, 405, "{line}");
            let missing = answer.status == 404 && answer.problem() == "not-found";
            assert!(!missing, "{line}: {answer:?}");
        }
    }
    let mut paths = vec!["/docs".to_owned(), "/problems".to_owned()];
    let kinds = &DOCUMENT["components"]["schemas"]["Problem"]["properties"]["type"]["enum"];
    let kinds = kinds.as_array().expect("a list").iter().filter_map(Value::as_str);
    paths.extend(kinds.map(str::to_owned));
    for path in paths {
        let (status, page) = get(monitor.api, &path).await;
        assert_eq!(status, 200, "{path}");
        for link in page.split("href=\"").skip(1).filter_map(|part| part.split('"').next()) {
            if let Some(anchor) = link.strip_prefix('#') {
                assert!(page.contains(&format!(" id=\"{anchor}\"")), "{path} has no {link}");
            } else {
                assert_eq!(get(monitor.api, link).await.0, 200, "{path} leads to {link}");
            }
        }
    }
    monitor.stop().await;
}
