//! A page for each kind of problem, and one that lists them.

use super::{
    Kind,
    html::{code, escape, inline, page, paragraphs, table},
};
use std::fmt::Write;

/// `GET /problems` of the API with this title.
pub(super) fn index(kinds: &[&Kind], title: &str) -> String {
    let rows = kinds.iter().map(|kind| {
        let (slug, status) = (kind.slug(), kind.base.status.as_u16());
        [
            format!("<a href=\"/problems/{slug}\"><code>{slug}</code></a>"),
            status.to_string(),
            inline(kind.base.title),
        ]
    });
    let content = format!(
        "<h1>Kinds of problems</h1>\n{}{}",
        paragraphs(
            "Whatever the API does not answer as a request wished, it answers with one of these, as \
             `application/problem+json` (RFC 9457). The `type` of a problem leads to its page."
        ),
        table("Kinds of problems, by status", ["Kind", "Status", "Title"], rows),
    );
    page(&format!("Problems · {title}"), &navigation(kinds, title, None), &content)
}

/// `GET /problems/{slug}`, for each slug.
pub(super) fn pages(kinds: &[&Kind], title: &str) -> Vec<(&'static str, String)> {
    kinds.iter().map(|kind| (kind.slug(), of(kind, kinds, title))).collect()
}

fn of(kind: &Kind, kinds: &[&Kind], title: &str) -> String {
    let (slug, base) = (kind.slug(), &kind.base);
    let example = (kind.example)();
    let json = serde_json::from_str::<serde_json::Value>(&example.to_json())
        .and_then(|json| serde_json::to_string_pretty(&json))
        .unwrap_or_default();
    let again = if example.has_retry_after() {
        "<p>The answer has a <code>Retry-After</code> header: the seconds to wait.</p>\n"
    } else {
        ""
    };
    let content = format!(
        "<h1>{}</h1>\n<p class=\"facts\"><code>/problems/{slug}</code> · status {}</p>\n\
         <h2>What it means</h2>\n{}<h2>What to do</h2>\n{}{again}<h2>Example</h2>\n{}",
        inline(base.title),
        inline(&base.status.to_string()),
        paragraphs(kind.means),
        paragraphs(kind.remedy),
        code("Example of the answer", &json),
    );
    let navigation = navigation(kinds, title, Some(slug));
    page(&format!("{} · {title}", base.title), &navigation, &content)
}

fn navigation(kinds: &[&Kind], title: &str, current: Option<&str>) -> String {
    let here = |is: bool| if is { " aria-current=\"page\"" } else { "" };
    let mut html = format!(
        "<p class=\"name\"><a href=\"/docs\">{}</a></p>\n\
         <p><a href=\"/problems\"{}>Kinds of problems</a></p>\n<ul>\n",
        escape(title),
        here(current.is_none())
    );
    for kind in kinds {
        let slug = kind.slug();
        let here = here(current == Some(slug));
        _ = writeln!(html, "<li><a href=\"/problems/{slug}\"{here}>{slug}</a></li>");
    }
    html.push_str("</ul>\n");
    html
}
