//! The OpenAPI document and the code say the same: its bounds, its routes, and every answer that any
//! test here is given.

use crate::harness::{Answer, Api, FakeSqs, ORDER, call, post, read_answer};
use jsonschema::Validator;
use order_api::{limits, openapi_json};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::LazyLock};
use tokio::{io::AsyncWriteExt, net::TcpStream};

static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi_json);
static ORDER_REQUEST: LazyLock<Validator> =
    LazyLock::new(|| validator("#/components/schemas/OrderRequest"));

/// What is below that place of the document is a schema.
fn validator(reference: &str) -> Validator {
    let mut schema = DOCUMENT.clone();
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
    for header in ["location", "retry-after"] {
        let mut names = documented["headers"].as_object().into_iter().flatten();
        let known = names.any(|(name, _)| name.eq_ignore_ascii_case(header));
        assert!(known || answer.header(header).is_none(), "{header} is not documented: {answer:?}");
    }
    let Some(content) = documented["content"].as_object() else {
        assert_eq!(answer.body, "", "{request_line}");
        return;
    };
    let given = answer.header("content-type").expect("a content type");
    let essence = given.split(';').next().expect("a type");
    assert!(content.contains_key(essence), "{essence} is not documented for {request_line}");
    if essence.ends_with("json") {
        let (path, essence) = (escaped(path), escaped(essence));
        let place = format!(
            "#/paths/{path}/{}/responses/{status}/content/{essence}/schema",
            method.to_lowercase()
        );
        assert_valid(&validator(&place.replace('{', "%7B").replace('}', "%7D")), &answer.json());
    }
}

fn assert_valid(validator: &Validator, instance: &Value) {
    let errors: Vec<String> =
        validator.iter_errors(instance).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {instance}");
}

/// The API accepts what the document calls an order, and refuses what it does not.
pub(crate) fn assert_orders_are_as_documented(body: &str, answer: &Answer) {
    let Ok(order) = serde_json::from_str::<Value>(body) else {
        return;
    };
    let valid = ORDER_REQUEST.is_valid(&order);
    if answer.status == 202 {
        assert!(valid, "accepted, but not an order by the document: {body:.500}");
    }
    if answer.status == 400 {
        let json = answer.json();
        let mut errors = json["errors"].as_array().into_iter().flatten();
        let about_the_body =
            errors.any(|error| error["pointer"].as_str().is_some_and(|text| text.starts_with('#')));
        assert_eq!(!valid, about_the_body, "by the document {valid}: {body:.500}, {answer:?}");
    }
}

#[test]
fn the_document_is_what_it_was() {
    let pretty = serde_json::to_string_pretty(&*DOCUMENT).expect("JSON");
    insta::assert_snapshot!("openapi", pretty);
}

#[test]
fn the_documents_bounds_are_those_of_the_code() {
    let schemas = &DOCUMENT["components"]["schemas"];
    let (order, item) =
        (&schemas["OrderRequest"]["properties"], &schemas["OrderItem"]["properties"]);
    assert_eq!(order["customerId"]["maxLength"], limits::ID_LENGTH);
    assert_eq!(order["items"]["maxItems"], limits::ITEMS);
    assert_eq!(item["productId"]["maxLength"], limits::ID_LENGTH);
    assert_eq!(item["productName"]["maxLength"], limits::NAME_LENGTH);
    assert_eq!(item["quantity"]["maximum"], limits::QUANTITY);
    assert_eq!(item["price"]["maximum"].to_string(), limits::PRICE.to_string());
    assert_eq!(item["price"]["multipleOf"], 1.0 / 10_f64.powi(limits::PRICE_SCALE as i32));
    let errors = &schemas["Problem"]["properties"]["errors"];
    assert_eq!(errors["maxItems"], limits::ERRORS + 1, "and how many are left out");
    for text in [&order["customerId"], &item["productId"], &item["productName"]] {
        assert_eq!(text["minLength"], 1);
    }
    let parameters = DOCUMENT["paths"]["/api/orders"]["post"]["parameters"].as_array();
    let key = parameters.expect("parameters").iter().find(|one| one["name"] == "Idempotency-Key");
    assert_eq!(key.expect("the key")["schema"]["maxLength"], limits::KEY_LENGTH);
}

#[tokio::test]
async fn every_bound_of_the_document_is_where_the_api_draws_the_line() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    let order: Value = serde_json::from_str(ORDER).expect("JSON");
    let with = |pointer: &str, value: Value| {
        let mut order = order.clone();
        *order.pointer_mut(pointer).expect("a place") = value;
        order.to_string()
    };
    let long = |length: usize| json!("고".repeat(length));
    let item = order["items"][0].clone();
    // What the document says of each is asserted by `post` itself.
    for (within, beyond) in [
        (
            with("/customerId", long(limits::ID_LENGTH)),
            with("/customerId", long(limits::ID_LENGTH + 1)),
        ),
        (
            with("/items/0/productName", long(limits::NAME_LENGTH)),
            with("/items/0/productName", long(limits::NAME_LENGTH + 1)),
        ),
        (with("/customerId", json!("\n\u{1}")), with("/customerId", json!("\n1\0"))),
        (
            with("/items/0/productId", json!("\u{200b}\u{85}")),
            with("/items/0/productId", json!("\u{2003}\n\u{85}\u{feff}")),
        ),
        (
            with("/items", json!(vec![item.clone(); limits::ITEMS])),
            with("/items", json!(vec![item; limits::ITEMS + 1])),
        ),
        (
            with("/items/0/quantity", json!(limits::QUANTITY)),
            with("/items/0/quantity", json!(limits::QUANTITY + 1)),
        ),
        (with("/items/0/quantity", json!(1.0)), with("/items/0/quantity", json!(1.5))),
        (ORDER.replace("2,", "1e6,"), ORDER.replace("2,", "1e7,")),
        (ORDER.replace("12.50", "1e12"), ORDER.replace("12.50", "1e13")),
        (ORDER.replace("12.50", "0.0001"), ORDER.replace("12.50", "0.00011")),
        (ORDER.replace("12.50", "-0"), ORDER.replace("12.50", "-1")),
        (ORDER.replace("12.50", "0.30000"), ORDER.replace("12.50", "\"0.3\"")),
    ] {
        assert_eq!(post(api.addr, "", &within).await.status, 202, "{within:.200}");
        assert_eq!(post(api.addr, "", &beyond).await.status, 400, "{beyond:.200}");
    }
    api.stop().await;
}

#[tokio::test]
async fn the_router_and_the_document_have_the_same_routes() {
    let api = Api::start(FakeSqs::start().await.addr, &[]).await;
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    for (path, item) in paths {
        // The router lists what it takes when it is asked for what nothing takes.
        let target = path.replace("{orderId}", "x").replace("{slug}", "x");
        let answer = call(api.addr, &format!("PURGE {target}"), &[], b"").await;
        assert_eq!((answer.status, answer.problem().as_str()), (405, "method-not-allowed"));
        let allowed = answer.header("allow").expect("methods").to_lowercase();
        let allowed: BTreeSet<&str> = allowed.split(',').map(str::trim).collect();
        let mut documented: BTreeSet<&str> =
            item.as_object().expect("an item").keys().map(String::as_str).collect();
        if documented.contains("get") {
            documented.insert("head");
        }
        assert_eq!(allowed, documented, "{path}");
    }
    for path in ["/api", "/api/orders/", "/api/orders/a/b", "/docs/", "/problems/a/b", "/metrics"] {
        let answer = call(api.addr, &format!("GET {path}"), &[], b"").await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not-found"), "{path}");
    }
    api.stop().await;
}

#[tokio::test]
async fn every_operation_says_what_is_answered_to_a_request_without_a_host() {
    let api = Api::start(FakeSqs::start().await.addr, &[]).await;
    for (path, item) in DOCUMENT["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("operations").keys() {
            let target = path.replace("{orderId}", "x").replace("{slug}", "x");
            let line = format!("{} {target}", method.to_uppercase());
            let mut stream = TcpStream::connect(api.addr).await.expect("connected");
            let head = format!("{line} HTTP/1.1\r\n\r\n");
            stream.write_all(head.as_bytes()).await.expect("sent");
            let answer = read_answer(&mut stream).await;
            assert_eq!((answer.status, answer.problem().as_str()), (400, "bad-request"), "{line}");
            assert_documented(&line, &answer);
        }
    }
    api.stop().await;
}

#[tokio::test]
async fn the_document_is_served_and_its_example_is_accepted() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    let served = call(api.addr, "GET /openapi.json", &[], b"").await;
    assert_eq!(served.json(), *DOCUMENT);
    assert_eq!(served.json()["openapi"], "3.1.0");
    let body = &DOCUMENT["paths"]["/api/orders"]["post"]["requestBody"]["content"];
    let example = body["application/json"]["example"].to_string();
    assert_eq!(post(api.addr, "", &example).await.status, 202, "{example}");
    api.stop().await;
}

#[test]
fn every_example_of_the_document_is_valid() {
    let mut examples = 0;
    let mut check = |place: &str, schema: &str, example: &Value| {
        examples += 1;
        let errors = validator(schema);
        let errors: Vec<String> =
            errors.iter_errors(example).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{place}: {errors:?} in {example}");
    };
    let schemas = DOCUMENT["components"]["schemas"].as_object().expect("schemas");
    for (name, schema) in schemas {
        let place = format!("#/components/schemas/{name}");
        assert!(schema["examples"][0].is_object(), "{name} has no example");
        check(name, &place, &schema["examples"][0]);
    }
    for (path, item) in DOCUMENT["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let base = format!("#/paths/{}/{method}", escaped(path))
                .replace('{', "%7B")
                .replace('}', "%7D");
            let body = operation["requestBody"]["content"].as_object().into_iter().flatten();
            for (media, content) in body {
                let place = format!("{base}/requestBody/content/{}/schema", escaped(media));
                check(&place, &place, &content["example"]);
            }
            for (status, answer) in operation["responses"].as_object().expect("answers") {
                let contents = answer["content"].as_object().into_iter().flatten();
                for (media, content) in contents {
                    let place =
                        format!("{base}/responses/{status}/content/{}/schema", escaped(media));
                    let named = content["examples"].as_object().into_iter().flatten();
                    let named = named.map(|(_, example)| &example["value"]);
                    for example in named.chain(content.get("example")) {
                        check(&place, &place, example);
                    }
                }
            }
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            for (index, parameter) in parameters.enumerate() {
                let examples = parameter["schema"]["examples"].as_array().into_iter().flatten();
                for example in examples {
                    let place = format!("{base}/parameters/{index}/schema");
                    check(&place, &place, example);
                }
            }
        }
    }
    assert!(examples > 25, "only {examples} were found");
}
