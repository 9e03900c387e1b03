//! Answers as lines for people.
//!
//! Texts of messages are shown without what could steer a terminal.

use std::fmt::Write;

use serde_json::Value;

use super::arguments::{Asked, Shown};

/// What a list says of a dead letter.
const LETTER: [&str; 8] =
    ["seenAt", "queue", "state", "reason", "attempts", "customerId", "orderId", "messageId"];

/// The answer as lines.
pub(super) fn lines(asked: &Asked, answer: &Value) -> String {
    let shown = match asked {
        Asked::Get { shown, .. } => *shown,
        Asked::Post { .. } => Shown::One,
    };
    let mut text = String::new();
    match shown {
        Shown::One => fields(&mut text, answer),
        Shown::Letters => table(&mut text, answer, &LETTER),
        Shown::Jobs => {
            let columns = ["createdAt", "queue", "kind", "state", "done", "selected", "note", "id"];
            table(&mut text, answer, &columns);
        }
        Shown::Audit => {
            let columns = ["at", "action", "queue", "requestedBy", "why", "jobId"];
            table(&mut text, answer, &columns);
        }
        Shown::Queues => {
            let columns = [
                "queue",
                "role",
                "visible",
                "inFlight",
                "delayed",
                "seen",
                "undeleted",
                "observedAt",
                "error",
            ];
            table(&mut text, &with_coverage(answer), &columns);
        }
    }
    text
}

/// The queues, each with how much of it the last scan saw.
fn with_coverage(answer: &Value) -> Value {
    let mut answer = answer.clone();
    for queue in answer["queues"].as_array_mut().into_iter().flatten() {
        let (letters, count) =
            (&queue["deadLetters"], |name: &str| queue[name].as_u64().unwrap_or(0));
        let counted = count("visible") + count("inFlight") + count("delayed");
        let scan = &letters["scan"];
        let seen = scan["seen"].as_u64().map(|seen| match scan["complete"].as_bool() {
            Some(true) => format!("all {seen}"),
            _ if seen < counted => format!("{seen} of {counted}"),
            // There are fewer now than there were then, or it was broken off.
            _ => format!("{seen}, perhaps not all"),
        });
        let undeleted = letters["undeleted"].clone();
        queue["seen"] = seen.into();
        queue["undeleted"] = undeleted;
    }
    answer
}

/// A line for each item, and where the next page begins.
fn table(text: &mut String, answer: &Value, columns: &[&str]) {
    let lists = ["items", "queues", "messages"];
    let items = lists.iter().find_map(|list| answer[*list].as_array());
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

/// A line for each field, what has fields of its own as JSON; behind them the dead letters that a dry run
/// shows.
fn fields(text: &mut String, answer: &Value) {
    for (name, value) in answer.as_object().into_iter().flatten() {
        if name != "messages" {
            _ = writeln!(text, "{name:16}  {}", cell(value));
        }
    }
    if answer["messages"].as_array().is_some_and(|messages| !messages.is_empty()) {
        text.push('\n');
        table(text, answer, &LETTER);
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
    fn a_queue_says_how_much_of_it_was_seen() {
        let asked = Asked::Get { path: String::new(), query: Vec::new(), shown: Shown::Queues };
        let dlq = |complete, seen| {
            let scan = json!({ "complete": complete, "seen": seen });
            json!({ "visible": 20, "inFlight": 5, "deadLetters": { "scan": scan, "undeleted": 3 } })
        };
        let answer = json!({ "queues": [json!({ "visible": 1 }), dlq(false, 10), dlq(true, 25), dlq(false, 30)] });
        let text = lines(&asked, &answer);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split("  ").collect()).collect();
        let cells = |line: usize| -> Vec<&str> {
            lines[line].iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty()).collect()
        };
        assert_eq!(cells(0)[5..7], ["seen", "undeleted"], "{text}");
        assert_eq!(cells(1)[5..7], ["-", "-"], "{text}");
        assert_eq!(cells(2)[5..7], ["10 of 25", "3"], "{text}");
        assert_eq!(cells(3)[5..7], ["all 25", "3"], "{text}");
        assert_eq!(cells(4)[5..7], ["30, perhaps not all", "3"], "{text}");
    }

    #[test]
    fn a_dry_run_shows_its_messages_as_a_list_does() {
        let asked = Asked::Post { path: String::new(), body: Value::Null };
        let message = json!({ "messageId": "m-1", "reason": "crash", "body": "{}" });
        let text = lines(&asked, &json!({ "selected": 2, "messages": [message, message] }));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["selected          2", ""], "{text}");
        assert!(lines[2].starts_with("seenAt") && lines[2].ends_with("messageId"), "{text}");
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[3].contains("crash") && lines[3].ends_with("m-1"), "{text}");
        assert!(!text.contains('{'), "{text}");
        let text = super::lines(&asked, &json!({ "selected": 0, "messages": [] }));
        assert_eq!(text, "selected          0\n");
    }

    #[test]
    fn a_thing_is_a_line_for_each_field() {
        let asked = Asked::Post { path: String::new(), body: Value::Null };
        let text = lines(&asked, &json!({ "id": "x", "note": null, "done": 3 }));
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("note              -\n"), "{text}");
    }
}
