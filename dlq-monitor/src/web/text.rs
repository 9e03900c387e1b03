//! Texts that somebody else has written: shown as they are, with what cannot be seen made visible.

use std::{borrow::Cow, fmt::Write};

use maud::{Escaper, Markup, PreEscaped, html};
use serde::de::IgnoredAny;

use crate::letter::is_invisible;

/// A body that is laid out anew has at most so many times its bytes, and some more.
const GROWS: usize = 4;
const GROWS_BY: usize = 64 * 1024;
/// Bytes of a body that are shown, at most.
const SHOWN_OF_BODY: usize = 64 * 1024;

/// A text in which control characters, and those that turn the direction of text or take no room, are
/// written as their code points. It is to stand in an element that isolates its direction.
pub(super) fn visible(text: &str) -> Markup {
    let mut markup = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_unseen) {
        escape(&mut markup, &rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|character| !is_unseen(character)).unwrap_or(rest.len());
        markup.push_str("<span class=\"mark\">");
        for (position, character) in rest[..end].chars().enumerate() {
            let separator = if position == 0 { "" } else { " " };
            // Writing to a string does not fail.
            _ = write!(markup, "{separator}U+{:04X}", u32::from(character));
        }
        markup.push_str("</span>");
        rest = &rest[end..];
    }
    escape(&mut markup, rest);
    PreEscaped(markup)
}

fn escape(markup: &mut String, text: &str) {
    // Writing to a string does not fail.
    _ = Escaper::new(markup).write_str(text);
}

fn is_unseen(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\t')) || is_invisible(character)
}

/// How a body is shown.
pub(super) struct Body {
    /// What it is, for people.
    pub(super) kind: &'static str,
    pub(super) markup: Markup,
    /// Whether this is its beginning alone.
    pub(super) is_cut: bool,
}

/// The beginning of a body: JSON with a line for each part, anything else as it is. A browser takes long
/// for a line of a megabyte.
pub(super) fn body(text: &str) -> Body {
    let (kind, shown) = match laid_out(text) {
        Some(json) => ("JSON, laid out anew", Cow::Owned(json)),
        None if text.is_empty() => {
            let markup = html! { span .mark { "no bytes" } };
            return Body { kind: "empty", markup, is_cut: false };
        }
        None => ("text", Cow::Borrowed(text)),
    };
    let beginning = beginning(&shown, SHOWN_OF_BODY);
    Body { kind, markup: visible(beginning), is_cut: beginning.len() < shown.len() }
}

/// So many bytes of a text, or some fewer: no character is cut.
pub(super) fn beginning(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// JSON with a line for each part of it. Its tokens stay as they were sent: numbers that no program
/// could hold, names that are given twice, the order of names. None: it is no JSON, or would become too
/// long.
fn laid_out(text: &str) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let most = text.len() * GROWS + GROWS_BY;
    let mut json = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if json.len() > most {
            return None;
        }
        if in_string {
            json.push(character);
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            '{' | '[' => {
                json.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    json.push(end);
                } else {
                    depth += 1;
                    line(&mut json, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut json, depth);
                json.push(character);
            }
            ',' => {
                json.push(',');
                line(&mut json, depth);
            }
            ':' => json.push_str(": "),
            white if white.is_ascii_whitespace() => {}
            other => {
                in_string = other == '"';
                json.push(other);
            }
        }
    }
    Some(json)
}

fn line(json: &mut String, depth: usize) {
    json.push('\n');
    json.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_written_out_and_markup_stays_text() {
        let shown = visible("a\u{0}\u{202e}b <script>\"&\n\t\u{200b}").into_string();
        assert_eq!(
            shown,
            "a<span class=\"mark\">U+0000 U+202E</span>b &lt;script&gt;&quot;&amp;\n\t\
             <span class=\"mark\">U+200B</span>"
        );
        assert_eq!(visible("상품 é").into_string(), "상품 é");
    }

    #[test]
    fn json_is_laid_out_with_its_tokens_as_they_were_sent() {
        let sent = r#"{"b":1.00000000000000000001,"a":[ ],"b":{"x\"{,":[1,{}]},"c":"상\\"}"#;
        let expected = "{\n  \"b\": 1.00000000000000000001,\n  \"a\": [],\n  \"b\": {\n    \
                        \"x\\\"{,\": [\n      1,\n      {}\n    ]\n  },\n  \"c\": \"상\\\\\"\n}";
        assert_eq!(laid_out(sent).as_deref(), Some(expected));
        assert_eq!(body(sent).kind, "JSON, laid out anew");
    }

    #[test]
    fn of_a_long_body_the_beginning_is_shown() {
        let long = "상".repeat(SHOWN_OF_BODY);
        let shown = body(&long);
        let length = shown.markup.into_string().len();
        assert!(shown.is_cut && length <= SHOWN_OF_BODY && length + 3 > SHOWN_OF_BODY, "{length}");
        let json = format!("[\"{long}\"]");
        let shown = body(&json);
        assert!(shown.is_cut && shown.kind == "JSON, laid out anew");
        assert!(shown.markup.into_string().starts_with("[\n  &quot;상"));
        assert!(
            !body(&"a".repeat(SHOWN_OF_BODY)).is_cut && body(&"a".repeat(SHOWN_OF_BODY + 1)).is_cut
        );
    }

    #[test]
    fn what_is_no_json_or_would_grow_too_much_stays_as_it_is() {
        for text in ["{", "not json", "{} {}", "NaN"] {
            assert_eq!((laid_out(text), body(text).kind), (None, "text"), "{text}");
        }
        assert_eq!(body("").kind, "empty");
        let nested = format!("{}{}{}", "[".repeat(100), "1,".repeat(300_000), "1");
        let nested = nested + &"]".repeat(100);
        assert_eq!(body(&nested).kind, "text");
    }
}
