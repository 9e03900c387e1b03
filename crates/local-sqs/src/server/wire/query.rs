//! AWS Query: flat parameters in a form, a query string, or both.
//!
//! Parameters become the fields that the JSON protocol has, so that both mean the same. Lists are
//! numbered (`AttributeName.1`), maps are numbered pairs (`Attribute.1.Name`, `Attribute.1.Value`).

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::Incoming;
use crate::model::api::{Request, Response};
use crate::model::{ApiError, ErrorKind};

/// Parts of a parameter's name. The deepest there is has seven
/// (`SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringListValue.1`).
const DEPTH: usize = 8;

/// A batch of ten messages with ten attributes each has some five hundred.
const MOST_PARAMETERS: usize = 2_000;

/// The operations that a queue's own URL does not take.
const NOT_OF_A_QUEUE: [&str; 2] = ["CreateQueue", "ListQueues"];

pub(super) fn read(incoming: &Incoming<'_>) -> Result<Request, ApiError> {
    let nothing = || {
        ApiError::new(
            ErrorKind::UnknownOperation,
            "The request has neither an X-Amz-Target header nor the parameter Action.",
        )
    };
    if *incoming.method != Method::GET && *incoming.method != Method::POST {
        return Err(nothing());
    }
    let mut parameters = Tree::default();
    let query = incoming.uri.query().unwrap_or_default().as_bytes();
    let given = form_urlencoded::parse(query).chain(form_urlencoded::parse(incoming.body));
    for (count, (name, value)) in given.enumerate() {
        if count == MOST_PARAMETERS {
            return Err(ApiError::new(
                ErrorKind::InvalidParameterValue,
                format!("The request has more than {MOST_PARAMETERS} parameters."),
            ));
        }
        parameters.insert(&name, value.into_owned());
    }
    let Some(action) = parameters.text("Action").map(str::to_owned) else {
        return Err(nothing());
    };
    let mut fields = parameters.fields()?;
    let path = percent_encoding::percent_decode_str(incoming.uri.path()).decode_utf8_lossy();
    let of_a_queue = path.trim_matches('/').contains('/');
    if of_a_queue && !fields.contains_key("QueueUrl") {
        fields.insert("QueueUrl".to_owned(), Value::from(path));
    }
    let invalid = || {
        let text = format!("The action {action} is not valid for this endpoint.");
        ApiError::new(ErrorKind::InvalidAction, text)
    };
    if of_a_queue && NOT_OF_A_QUEUE.contains(&action.as_str()) {
        return Err(invalid());
    }
    let body = Value::Object(fields).to_string();
    Request::from_json(&action, body.as_bytes())
        .ok_or_else(invalid)?
        .map_err(|error| ApiError::new(ErrorKind::Serialization, error.to_string()))
}

/// The action that a request asks for, known or not.
pub(super) fn action(answer: &Result<Response, ApiError>, asked: &str) -> String {
    answer.as_ref().map_or_else(|_| asked.to_owned(), |response| response.operation().to_owned())
}

/// The same answer as in XML, in the JSON that AWS makes of it.
pub(super) fn write_json(
    asked: &str,
    answer: &Result<Response, ApiError>,
    request_id: &str,
) -> Vec<u8> {
    let body = match answer {
        Ok(response) => {
            let action = action(answer, asked);
            let mut parts = Map::new();
            if !response.is_empty() {
                let result = pairs_for_maps(serde_json::to_value(response).unwrap_or_default());
                parts.insert(format!("{action}Result"), result);
            }
            parts.insert("ResponseMetadata".to_owned(), json!({ "RequestId": request_id }));
            json!({ format!("{action}Response"): parts })
        }
        Err(error) => json!({ "Error": error_parts(error), "RequestId": request_id }),
    };
    body.to_string().into_bytes()
}

/// What an error consists of in either form of answer.
pub(super) fn error_parts(error: &ApiError) -> Value {
    json!({
        "Type": if error.kind.sender_fault() { "Sender" } else { "Receiver" },
        "Code": error.kind.query_code(),
        "Message": message(error),
        "Detail": null,
    })
}

/// This one text the older protocol has in another wording.
fn message(error: &ApiError) -> &str {
    if error.kind == ErrorKind::QueueDoesNotExist {
        "The specified queue does not exist for this wsdl version."
    } else {
        &error.message
    }
}

fn pairs_for_maps(mut value: Value) -> Value {
    let Some(fields) = value.as_object_mut() else {
        return value;
    };
    for (name, key, item) in [("Attributes", "Name", "Value"), ("Tags", "Key", "Value")] {
        if let Some(Value::Object(map)) = fields.get(name) {
            let pairs = map.iter().map(|(k, v)| json!({ key: k, item: v }));
            let pairs = Value::Array(pairs.collect());
            fields.insert(name.to_owned(), pairs);
        }
    }
    if let Some(messages) = fields.remove("Messages") {
        fields.insert("messages".to_owned(), messages);
    }
    value
}

/// How a parameter's members stand in JSON.
enum Shape {
    /// A list of texts.
    List,
    /// A map, by the names of key and value in its pairs.
    Map(&'static str, &'static str),
    /// A list of structures.
    Structures,
}

/// What is not a plain text or number: the parameter's name and spelling in JSON.
fn composite(name: &str) -> Option<(&'static str, Shape)> {
    Some(match name {
        "AttributeName" | "AttributeNames" => ("AttributeNames", Shape::List),
        "MessageAttributeName" | "MessageAttributeNames" => ("MessageAttributeNames", Shape::List),
        "MessageSystemAttributeName" | "MessageSystemAttributeNames" => {
            ("MessageSystemAttributeNames", Shape::List)
        }
        "TagKey" | "TagKeys" => ("TagKeys", Shape::List),
        "AWSAccountId" | "AWSAccountIds" => ("AWSAccountIds", Shape::List),
        "ActionName" | "Actions" => ("Actions", Shape::List),
        "StringListValue" => ("StringListValues", Shape::List),
        "BinaryListValue" => ("BinaryListValues", Shape::List),
        "Attribute" | "Attributes" => ("Attributes", Shape::Map("Name", "Value")),
        "MessageAttribute" | "MessageAttributes" => {
            ("MessageAttributes", Shape::Map("Name", "Value"))
        }
        "MessageSystemAttribute" | "MessageSystemAttributes" => {
            ("MessageSystemAttributes", Shape::Map("Name", "Value"))
        }
        "Tag" | "Tags" => ("Tags", Shape::Map("Key", "Value")),
        "SendMessageBatchRequestEntry"
        | "DeleteMessageBatchRequestEntry"
        | "ChangeMessageVisibilityBatchRequestEntry"
        | "Entries" => ("Entries", Shape::Structures),
        _ => return None,
    })
}

const NUMBERS: [&str; 6] = [
    "DelaySeconds",
    "MaxNumberOfMessages",
    "MaxNumberOfMessagesPerSecond",
    "MaxResults",
    "VisibilityTimeout",
    "WaitTimeSeconds",
];

/// Parameters by the parts of their names.
#[derive(Debug, Default)]
struct Tree {
    text: Option<String>,
    parts: BTreeMap<String, Tree>,
}

impl Tree {
    fn insert(&mut self, name: &str, value: String) {
        // Names that no operation has are ignored; of these not even the parts are kept.
        if name.split('.').count() > DEPTH {
            return;
        }
        let mut tree = self;
        for part in name.split('.') {
            tree = tree.parts.entry(part.to_owned()).or_default();
        }
        tree.text = Some(value);
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.parts.get(name)?.text.as_deref()
    }

    /// The members of a list in the order of their numbers. One without a number is the only one, and
    /// an empty text stands for an empty list.
    fn members(&self) -> Vec<&Self> {
        let mut members: Vec<(u64, &Self)> = self
            .parts
            .iter()
            .filter_map(|(number, member)| Some((number.parse().ok()?, member)))
            .collect();
        members.sort_by_key(|(number, _)| *number);
        if members.is_empty() {
            let empty = self.parts.is_empty() && self.text.as_deref().is_none_or(str::is_empty);
            return if empty { Vec::new() } else { vec![self] };
        }
        members.into_iter().map(|(_, member)| member).collect()
    }

    /// The fields of a structure.
    fn fields(&self) -> Result<Map<String, Value>, ApiError> {
        let mut fields = Map::new();
        for (name, tree) in &self.parts {
            if let Some((field, shape)) = composite(name) {
                fields.insert(field.to_owned(), tree.shaped(&shape)?);
            } else if let Some(text) = &tree.text {
                let value = if NUMBERS.contains(&name.as_str()) {
                    number(name, text)?
                } else {
                    Value::from(text.as_str())
                };
                fields.insert(name.clone(), value);
            }
        }
        Ok(fields)
    }

    fn shaped(&self, shape: &Shape) -> Result<Value, ApiError> {
        let members = self.members();
        match shape {
            Shape::List => Ok(members.iter().filter_map(|member| member.text.as_deref()).collect()),
            Shape::Structures => {
                let entries = members.into_iter().map(|member| member.fields().map(Value::Object));
                entries.collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            Shape::Map(key, value) => {
                let mut map = Map::new();
                for member in members {
                    let Some(name) = member.text(key) else { continue };
                    let item = member.parts.get(*value);
                    let item = match item {
                        Some(item) if item.text.is_none() => Value::Object(item.fields()?),
                        Some(item) => Value::from(item.text.as_deref()),
                        None => Value::from(""),
                    };
                    map.insert(name.to_owned(), item);
                }
                Ok(Value::Object(map))
            }
        }
    }
}

fn number(name: &str, text: &str) -> Result<Value, ApiError> {
    text.parse::<i64>().map(Value::from).map_err(|_| {
        ApiError::new(
            ErrorKind::InvalidParameterValue,
            format!("Value {text} for parameter {name} is invalid. Reason: Must be an integer."),
        )
    })
}
