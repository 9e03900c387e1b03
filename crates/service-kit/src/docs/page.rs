//! The document as a page.

use super::{
    About, Kind,
    html::{code, escape, inline, page, paragraphs, table},
    schema::{pretty, section, summary},
};
use serde_json::Value;
use std::fmt::Write;

/// An operation of the document.
struct Operation<'a> {
    path: &'a str,
    method: &'a str,
    says: &'a Value,
    about: &'a About,
}

/// The whole page.
pub(super) fn of(document: &Value, about: &About) -> String {
    let operations = operations(document, about);
    let info = &document["info"];
    let title = info["title"].as_str().unwrap_or_default();
    let mut content = format!(
        "<h1>{}</h1>\n<p class=\"facts\">Version {} · <a href=\"/openapi.json\">openapi.json</a> · \
         <a href=\"/problems\">kinds of problems</a></p>\n{}",
        escape(title),
        escape(info["version"].as_str().unwrap_or_default()),
        paragraphs(info["description"].as_str().unwrap_or_default()),
    );
    content.push_str(&first_steps(&operations, about));
    for (tag, about) in tags(document) {
        _ = writeln!(content, "<h2>{}</h2>\n{}", escape(tag), paragraphs(about));
        for operation in operations.iter().filter(|operation| operation.has(tag)) {
            content.push_str(&operation.section());
        }
    }
    content.push_str("<h2 id=\"schemas\">Schemas</h2>\n");
    for (name, schema) in schemas(document) {
        content.push_str(&section(name, schema));
    }
    page(title, &navigation(document, title, &operations), &content)
}

fn operations<'a>(document: &'a Value, about: &'a About) -> Vec<Operation<'a>> {
    let paths = about.paths.iter().flat_map(|&path| {
        let item = document["paths"][path].as_object().into_iter().flatten();
        item.map(move |(method, says)| Operation { path, method, says, about })
    });
    paths.collect()
}

fn tags(document: &Value) -> impl Iterator<Item = (&str, &str)> {
    let tags = document["tags"].as_array().into_iter().flatten();
    tags.filter_map(|tag| Some((tag["name"].as_str()?, tag["description"].as_str()?)))
}

fn schemas(document: &Value) -> impl Iterator<Item = (&String, &Value)> {
    document["components"]["schemas"].as_object().into_iter().flatten()
}

fn navigation(document: &Value, title: &str, operations: &[Operation<'_>]) -> String {
    let mut html =
        format!("<p class=\"name\"><a href=\"#content\">{}</a></p>\n<ul>\n", escape(title));
    html.push_str("<li><a href=\"#first-steps\">First steps</a></li>\n</ul>\n");
    for (tag, _) in tags(document) {
        _ = write!(html, "<p>{}</p>\n<ul>\n", escape(tag));
        for operation in operations.iter().filter(|operation| operation.has(tag)) {
            let summary = escape(operation.text("summary"));
            _ = writeln!(html, "<li><a href=\"#{}\">{summary}</a></li>", operation.id());
        }
        html.push_str("</ul>\n");
    }
    html.push_str("<p>Schemas</p>\n<ul>\n");
    for (name, _) in schemas(document) {
        let name = escape(name);
        _ = writeln!(html, "<li><a href=\"#schema-{name}\">{name}</a></li>");
    }
    html.push_str("</ul>\n");
    html
}

/// What to try first.
fn first_steps(operations: &[Operation<'_>], about: &About) -> String {
    let (text, id) = about.first_steps;
    let request = operations.iter().find(|operation| operation.text("operationId") == id);
    let request = request.map(Operation::curl).unwrap_or_default();
    format!(
        "<h2 id=\"first-steps\">First steps</h2>\n<p>In a shell, with the address of this page:</p>\n{}",
        code("First steps in a shell", &text.replace("{}", &request))
    )
}

impl Operation<'_> {
    fn text(&self, name: &str) -> &str {
        self.says[name].as_str().unwrap_or_default()
    }

    fn id(&self) -> String {
        escape(self.text("operationId"))
    }

    fn has(&self, tag: &str) -> bool {
        self.says["tags"].as_array().is_some_and(|tags| tags.iter().any(|one| one == tag))
    }

    fn section(&self) -> String {
        let id = self.id();
        let (path, method) = (escape(self.path), self.method.to_uppercase());
        let mut html = format!(
            "<section id=\"{id}\" aria-labelledby=\"title-{id}\">\n<h3 id=\"title-{id}\">{}</h3>\n\
             <p class=\"route\"><span class=\"method\">{method}</span> <code>{path}</code></p>\n{}",
            escape(self.text("summary")),
            paragraphs(self.text("description")),
        );
        html.push_str(&self.parameters());
        html.push_str(&self.body());
        html.push_str(&code(&format!("{} with curl", self.text("summary")), &self.curl()));
        html.push_str(&self.answers());
        html.push_str("</section>\n");
        html
    }

    fn parameters(&self) -> String {
        let Some(parameters) = self.says["parameters"].as_array() else {
            return String::new();
        };
        let rows = parameters.iter().map(|parameter| {
            let text = |name: &str| parameter[name].as_str().unwrap_or_default();
            let optional = if parameter["required"] == true { "" } else { "Optional. " };
            [
                format!("<code>{}</code>", escape(text("name"))),
                escape(text("in")),
                summary(&parameter["schema"]),
                format!("{optional}{}", inline(text("description"))),
            ]
        });
        table("Parameters", ["Name", "In", "Value", "Meaning"], rows)
    }

    fn body(&self) -> String {
        let body = &self.says["requestBody"];
        let contents = body["content"].as_object().into_iter().flatten();
        contents.fold(String::new(), |mut html, (media_type, content)| {
            let about = body["description"].as_str().unwrap_or_default();
            let (media_type, schema) = (escape(media_type), summary(&content["schema"]));
            _ = writeln!(
                html,
                "<p>Body: {schema} as <code>{media_type}</code>. {}</p>",
                inline(about)
            );
            html
        })
    }

    fn answers(&self) -> String {
        let answers = self.says["responses"].as_object().into_iter().flatten();
        let rows = answers.map(|(status, answer)| {
            let contents = answer["content"].as_object().into_iter().flatten();
            let contents: Vec<String> = contents
                .map(|(media_type, content)| {
                    let schema = &content["schema"];
                    let schema = schema["allOf"].get(0).unwrap_or(schema);
                    format!("{} as <code>{}</code>", summary(schema), escape(media_type))
                })
                .collect();
            let headers = answer["headers"].as_object().into_iter().flatten();
            let headers: Vec<String> = headers
                .map(|(name, header)| {
                    let about = header["description"].as_str().unwrap_or_default();
                    format!("<code>{}</code>: {}", escape(name), inline(about))
                })
                .collect();
            let about =
                linked(answer["description"].as_str().unwrap_or_default(), self.about.kinds);
            let contents =
                if contents.is_empty() { "none".to_owned() } else { contents.join("; ") };
            [escape(status), format!("{about} {}", headers.join(" ")), contents]
        });
        table("Answers", ["Status", "Meaning and headers", "Content"], rows)
    }

    /// The request with the document's example, for a shell in which `API` is the API's address.
    fn curl(&self) -> String {
        let mut command = "curl -i".to_owned();
        let samples = self.about.samples.iter();
        let path = samples.fold(self.path.to_owned(), |path, (parameter, sample)| {
            path.replace(&format!("{{{parameter}}}"), sample)
        });
        _ = write!(command, " \"$API{path}\"");
        let body = &self.says["requestBody"]["content"]["application/json"]["example"];
        if !body.is_null() {
            // A quote within would end the shell's.
            let json = pretty(body).replace('\'', r"'\''");
            _ = write!(command, " \\\n  -H 'content-type: application/json' \\\n  -d '{json}'");
        }
        command
    }
}

/// A description whose code is a kind of problem leads to its page.
fn linked(text: &str, kinds: &[&Kind]) -> String {
    kinds.iter().fold(inline(text), |html, kind| {
        let shown = format!("<code>{}</code>", kind.slug());
        html.replace(&shown, &format!("<a href=\"/problems/{}\">{shown}</a>", kind.slug()))
    })
}
