//! Answers as lines for people.
//!
//! Texts of messages are shown without what could steer a terminal.

use std::fmt::Write;

use serde_json::Value;

use super::arguments::{Asked, Shown};

/// The answer as lines.
pub(super) fn lines(asked: &Asked, answer: &Value) -> String {
    let shown = match asked {
        Asked::Get { shown, .. } => *shown,
        Asked::Post { .. } => Shown::One,
    };
    let mut text = String::new();
    match shown {
        Shown::One => fields(&mut text, answer),
        Shown::Letters => {
            let columns = [
                "seenAt",
                "queue",
                "state",
                "reason",
                "attempts",
                "customerId",
                "orderId",
                "messageId",
            ];
            table(&mut text, answer, &columns);
        }
        Shown::Jobs => {
            let columns = ["createdAt", "queue", "kind", "state", "done", "selected", "note", "id"];
            table(&mut text, answer, &columns);
        }
        Shown::Audit => {
            let columns = ["at", "action", "queue", "requestedBy", "why", "jobId"];
            table(&mut text, answer, &columns);
        }
        Shown::Queues => {
            let columns =
                ["queue", "role", "visible", "inFlight", "delayed", "observedAt", "error"];
            table(&mut text, answer, &columns);
        }
    }
    text
}

/// A line for each item, and where the next page begins.
fn table(text: &mut String, answer: &Value, columns: &[&str]) {
    let items = answer["items"].as_array().or_else(|| answer["queues"].as_array());
    let items = items.map_or(&[][..], Vec::as_slice);
    let heads = columns.iter().map(|column| (*column).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(heads)
        .chain(items.iter().map(|item| columns.iter().map(|name| cell(&item[*name])).collect()))
        .collect();
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    for row in &rows {
        let mut line = String::new();
        for (cell, &width) in row.iter().zip(&widths) {
            // Writing to a string does not fail.
            _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if let Some(cursor) = answer["nextCursor"].as_str() {
        _ = writeln!(text, "more: --cursor {cursor}");
    }
}

/// A line for each field; what has fields of its own as JSON.
fn fields(text: &mut String, answer: &Value) {
    for (name, value) in answer.as_object().into_iter().flatten() {
        _ = writeln!(text, "{name:16}  {}", cell(value));
    }
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars()
        .flat_map(|character| {
            let steers = character.is_control()
                || ('\u{202a}'..='\u{202e}').contains(&character)
                || ('\u{2066}'..='\u{2069}').contains(&character);
            let escaped = steers.then(|| character.escape_unicode());
            let plain = (!steers).then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_a_table_and_texts_cannot_steer_a_terminal() {
        let asked = Asked::Get { path: String::new(), query: Vec::new(), shown: Shown::Audit };
        let answer = json!({
            "items": [{ "at": "2025", "action": "redrive", "why": "a\u{1b}[31m\u{202e}b" }],
            "nextCursor": "abc",
        });
        let text = lines(&asked, &answer);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("at    action"), "{text}");
        assert!(lines[1].contains("a\\u{1b}[31m\\u{202e}b"), "{text}");
        assert_eq!(lines[2], "more: --cursor abc");
    }

    #[test]
    fn a_thing_is_a_line_for_each_field() {
        let asked = Asked::Post { path: String::new(), body: Value::Null };
        let text = lines(&asked, &json!({ "id": "x", "note": null, "done": 3 }));
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("note              -\n"), "{text}");
    }
}
