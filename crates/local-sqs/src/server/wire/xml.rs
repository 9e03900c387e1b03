//! Answers of the Query protocol in XML.
//!
//! Lists are flat: each member is an element of its own beside the other fields.

use std::fmt::Write as _;

use serde_json::Value;

use super::query;
use crate::model::api::Response;
use crate::model::{ApiError, ErrorKind};

const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

pub(super) fn write(asked: &str, answer: &Result<Response, ApiError>, request_id: &str) -> Vec<u8> {
    let mut xml = String::from("<?xml version=\"1.0\"?>");
    match answer {
        Err(error) if error.kind == ErrorKind::UnknownOperation => {
            return b"<UnknownOperationException/>".to_vec();
        }
        Err(error) => {
            let parts = query::error_parts(error);
            open(&mut xml, &format!("ErrorResponse xmlns=\"{NAMESPACE}\""));
            open(&mut xml, "Error");
            for name in ["Type", "Code", "Message", "Detail"] {
                element(&mut xml, asked, name, &parts[name]);
            }
            close(&mut xml, "Error");
            element(&mut xml, asked, "RequestId", &request_id.into());
            close(&mut xml, "ErrorResponse");
        }
        Ok(response) => {
            let action = query::action(answer, asked);
            open(&mut xml, &format!("{action}Response xmlns=\"{NAMESPACE}\""));
            if !response.is_empty() {
                let value = serde_json::to_value(response).unwrap_or_default();
                element(&mut xml, &action, &format!("{action}Result"), &value);
            }
            open(&mut xml, "ResponseMetadata");
            element(&mut xml, &action, "RequestId", &request_id.into());
            close(&mut xml, "ResponseMetadata");
            close(&mut xml, &format!("{action}Response"));
        }
    }
    xml.into_bytes()
}

/// One element, or as many as a list has members or a map has pairs.
fn element(xml: &mut String, action: &str, name: &str, value: &Value) {
    match value {
        Value::Array(members) => {
            let name = member_name(action, name);
            for member in members {
                element(xml, action, &name, member);
            }
        }
        Value::Object(map) => {
            if let Some((name, key, item)) = pair_names(name) {
                for (k, v) in map {
                    open(xml, name);
                    element(xml, action, key, &Value::from(k.as_str()));
                    element(xml, action, item, v);
                    close(xml, name);
                }
                return;
            }
            if map.values().all(is_nothing) {
                open(xml, &format!("{name}/"));
                return;
            }
            open(xml, name);
            for (field, value) in map {
                element(xml, action, field, value);
            }
            close(xml, name);
        }
        Value::Null => open(xml, &format!("{name}/")),
        Value::String(text) => text_element(xml, name, text),
        other => text_element(xml, name, &other.to_string()),
    }
}

fn is_nothing(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty)
}

fn member_name(action: &str, list: &str) -> String {
    match list {
        "QueueUrls" | "queueUrls" => "QueueUrl".to_owned(),
        "Messages" => "Message".to_owned(),
        "Successful" | "Results" => format!("{action}ResultEntry"),
        "Failed" => "BatchResultErrorEntry".to_owned(),
        other => other.to_owned(),
    }
}

fn pair_names(map: &str) -> Option<(&'static str, &'static str, &'static str)> {
    match map {
        "Attributes" => Some(("Attribute", "Name", "Value")),
        "MessageAttributes" => Some(("MessageAttribute", "Name", "Value")),
        "Tags" => Some(("Tag", "Key", "Value")),
        _ => None,
    }
}

fn open(xml: &mut String, tag: &str) {
    xml.push('<');
    xml.push_str(tag);
    xml.push('>');
}

fn close(xml: &mut String, tag: &str) {
    xml.push_str("</");
    xml.push_str(tag);
    xml.push('>');
}

fn text_element(xml: &mut String, name: &str, text: &str) {
    open(xml, name);
    for c in text.chars() {
        match c {
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '&' => xml.push_str("&amp;"),
            '"' => xml.push_str("&quot;"),
            // A parser would make a line feed of it.
            '\r' => xml.push_str("&#xD;"),
            '\t' | '\n' => xml.push(c),
            // XML has no way to write these, and AWS, when it echoes a bad parameter, does so all the
            // same: no parser takes the answer.
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                // Writing into a String cannot fail.
                let _ = write!(xml, "&#x{:X};", u32::from(c));
            }
            c => xml.push(c),
        }
    }
    close(xml, name);
}
