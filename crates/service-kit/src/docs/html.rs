//! Writing HTML for pages that run no script.

use axum::http::HeaderValue;
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// What the pages may do: be shown with their own style, and nothing else. The style is named by its
/// hash (CSP level 3, section 2.3.1).
pub fn policy() -> HeaderValue {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

/// A whole page. `navigation` and `content` are HTML.
pub fn page(title: &str, navigation: &str, content: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#content\">Skip to the content</a>\n\
         <nav aria-label=\"Contents\">\n{navigation}</nav>\n\
         <main id=\"content\">\n{content}</main>\n</body>\n</html>\n"
    )
}

/// A text, as HTML shows it.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A description of the document within a line: of CommonMark it uses code between backticks alone.
pub fn inline(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        let part = escape(part);
        _ = if index % 2 == 1 {
            write!(html, "<code>{part}</code>")
        } else {
            write!(html, "{part}")
        };
    }
    html
}

/// The same with paragraphs.
pub fn paragraphs(text: &str) -> String {
    text.split("\n\n").fold(String::new(), |mut html, paragraph| {
        _ = writeln!(html, "<p>{}</p>", inline(paragraph));
        html
    })
}

/// Something to read or copy, which may be wider than the page: it can be focused, so that it can be
/// scrolled by keyboard.
pub fn code(label: &str, text: &str) -> String {
    let (label, text) = (escape(label), escape(text));
    format!(
        "<pre tabindex=\"0\" role=\"region\" aria-label=\"{label}\"><code>{text}</code></pre>\n"
    )
}

/// A table; its cells are HTML.
pub fn table<const N: usize>(
    caption: &str,
    heads: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let heads: String = heads.map(|head| format!("<th scope=\"col\">{head}</th>")).concat();
    let mut body = String::new();
    for row in rows {
        let mut cells = row.into_iter();
        let first = cells.next().unwrap_or_default();
        _ = write!(body, "<tr><th scope=\"row\">{first}</th>");
        for cell in cells {
            _ = write!(body, "<td>{cell}</td>");
        }
        body.push_str("</tr>\n");
    }
    let caption = escape(caption);
    format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\">\n<table>\n\
         <caption>{caption}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}</tbody>\n\
         </table>\n</div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_become_markup() {
        let shown = inline("a < b & `<script>` \"'");
        assert_eq!(shown, "a &lt; b &amp; <code>&lt;script&gt;</code> &quot;&#39;");
    }
}
