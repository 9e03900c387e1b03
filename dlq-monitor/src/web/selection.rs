//! Which dead letters a form is about, and how they are dealt with: read of a query or of a form's
//! fields, and handed on as the JSON that the API would be sent.

use maud::{Markup, html};
use serde_json::{Map, Value, json};
use service_kit::Problem;

use super::links::with_query;
use crate::api::kinds;

/// Why messages died, in a form: there `reason` is why something is done to them.
const FILTER_REASON: &str = "filterReason";
/// What narrows a list down, by its name in a query, in a form and in JSON.
const FILTERS: [(&str, &str, &str); 5] = [
    ("reason", FILTER_REASON, "reason"),
    ("customerId", "customerId", "customerId"),
    ("text", "text", "text"),
    ("from", "from", "from"),
    ("to", "to", "to"),
];

/// Which dead letters are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) queue: String,
    /// Message ids; empty: all that the filter means.
    pub(super) ids: Vec<String>,
    /// By its names in JSON.
    pub(super) filter: Vec<(&'static str, String)>,
}

/// How they are dealt with, as it was typed.
#[derive(Clone, Debug, Default)]
pub(super) struct How {
    pub(super) rate: String,
    pub(super) canary: String,
    pub(super) allow_reorder: bool,
    pub(super) why: String,
    pub(super) who: String,
}

/// The fields that were sent; each is taken once.
pub(super) struct Sent(pub(super) Vec<(String, String)>);

impl Sent {
    /// What a field says, if it was sent.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim())
    }

    fn text(&self, name: &str) -> String {
        self.field(name).unwrap_or_default().to_owned()
    }
}

impl Selection {
    /// Of a query.
    pub(super) fn of_query(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        const KNOWN: [&str; 3] = ["queue", "ids", "select"];
        let is_known = |name: &String| {
            KNOWN.contains(&&**name) || FILTERS.iter().any(|(known, ..)| known == name)
        };
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !is_known(name)) {
            let name = &name[..name.floor_char_boundary(64)];
            let problem = kinds::INVALID_QUERY.problem().detail("one field is invalid");
            return Err(problem.field_error(format!("?{name}"), "is unknown"));
        }
        let pairs = pairs.into_iter().map(in_zone).collect();
        Self::read(&Sent(pairs), |(in_query, ..)| in_query)
    }

    /// Of a form.
    pub(super) fn of_form(sent: &Sent) -> Result<Self, Problem> {
        Self::read(sent, |(_, in_form, _)| in_form)
    }

    fn read(
        sent: &Sent,
        name: fn((&'static str, &'static str, &'static str)) -> &'static str,
    ) -> Result<Self, Problem> {
        let ids = sent.0.iter().filter(|(name, _)| name == "ids");
        let ids: Vec<String> = ids.map(|(_, id)| id.clone()).collect();
        if ids.is_empty() && sent.field("select") == Some("ids") {
            let detail = "no message is chosen: tick some in the list, or take all of them";
            return Err(kinds::INVALID_REQUEST.problem().detail(detail));
        }
        let filter = FILTERS.into_iter().filter_map(|names| {
            let value = sent.field(name(names)).filter(|value| !value.is_empty())?;
            Some((names.2, value.to_owned()))
        });
        let filter = if ids.is_empty() { filter.collect() } else { Vec::new() };
        Ok(Self { queue: sent.text("queue"), ids, filter })
    }

    /// What the API would be sent.
    fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("queue".to_owned(), json!(self.queue));
        if !self.ids.is_empty() {
            object.insert("ids".to_owned(), json!(self.ids));
        } else if self.filter.is_empty() {
            object.insert("all".to_owned(), json!(true));
        } else {
            let filter = self.filter.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
            object.insert("filter".to_owned(), Value::Object(filter.collect()));
        }
        object
    }

    /// The form that begins with these.
    pub(super) fn link(&self, path: &str) -> String {
        let ids = self.ids.iter().map(|id| ("ids", &**id));
        let filter = self.filter.iter().map(|(name, value)| (*name, &**value));
        with_query(path, [("queue", &*self.queue)].into_iter().chain(ids).chain(filter))
    }

    /// The fields by which a form says the same.
    pub(super) fn hidden(&self) -> Markup {
        let in_form = |name: &str| {
            FILTERS.into_iter().find(|(.., in_json)| *in_json == name).map_or("", |names| names.1)
        };
        html! {
            input type="hidden" name="queue" value=(self.queue);
            @for id in &self.ids { input type="hidden" name="ids" value=(id); }
            @for (name, value) in &self.filter {
                input type="hidden" name=(in_form(name)) value=(value);
            }
        }
    }
}

impl How {
    pub(super) fn of_form(sent: &Sent) -> Self {
        Self {
            rate: sent.text("rate"),
            canary: sent.text("canary"),
            allow_reorder: sent.field("allowReorder").is_some(),
            why: sent.text("reason"),
            who: sent.text("by"),
        }
    }

    /// What the API would be sent, for these.
    pub(super) fn to_json(&self, selection: &Selection) -> Map<String, Value> {
        let mut object = selection.to_json();
        let mut add = |name: &str, value: Value| object.insert(name.to_owned(), value);
        for (name, number) in [("rate", &self.rate), ("canary", &self.canary)] {
            if !number.is_empty() {
                let read = number.parse::<u32>().map_or_else(|_| json!(number), |read| json!(read));
                add(name, read);
            }
        }
        if self.allow_reorder {
            add("allowReorder", json!(true));
        }
        for (name, text) in [("reason", &self.why), ("by", &self.who)] {
            if !text.is_empty() {
                add(name, json!(text));
            }
        }
        object
    }

    /// The fields by which a form says the same.
    pub(super) fn hidden(&self) -> Markup {
        let fields = [
            ("rate", &self.rate),
            ("canary", &self.canary),
            ("reason", &self.why),
            ("by", &self.who),
        ];
        html! {
            @for (name, value) in fields {
                @if !value.is_empty() { input type="hidden" name=(name) value=(value); }
            }
            @if self.allow_reorder { input type="hidden" name="allowReorder" value="true"; }
        }
    }
}

/// A time that a browser's field has no zone for is in UTC, as the field's label says.
pub(super) fn in_zone((name, value): (String, String)) -> (String, String) {
    let is_local =
        matches!(&*name, "from" | "to") && value.parse::<jiff::civil::DateTime>().is_ok();
    let has_zone = value.parse::<jiff::Timestamp>().is_ok();
    let value = match value.len() {
        _ if !is_local || has_zone => value,
        16 => format!("{value}:00Z"),
        _ => format!("{value}Z"),
    };
    (name, value)
}

#[cfg(test)]
mod tests {
    use order_store::JobKind;

    use super::*;
    use crate::api::asked::Asked;

    fn pairs(query: &str) -> Vec<(String, String)> {
        super::super::links::said(query)
    }

    #[test]
    fn a_selection_is_the_same_in_a_query_in_a_form_and_in_json() {
        for (query, json) in [
            ("queue=dlq", json!({ "queue": "dlq", "all": true })),
            ("queue=dlq&select=ids&ids=a&ids=b", json!({ "queue": "dlq", "ids": ["a", "b"] })),
            (
                "queue=dlq&reason=forced&customerId=%EA%B3%A0&from=2025-09-30T14:10&to=2025-10-30T14:10:38",
                json!({ "queue": "dlq", "filter": {
                    "reason": "forced", "customerId": "고", "from": "2025-09-30T14:10:00Z",
                    "to": "2025-10-30T14:10:38Z",
                } }),
            ),
        ] {
            let selection = Selection::of_query(pairs(query)).expect("it is right");
            assert_eq!(Value::Object(selection.to_json()), json);
            let link = selection.link("/redrive");
            let (_, again) = link.split_once('?').expect("a query");
            assert_eq!(Selection::of_query(pairs(again)).expect("it is right"), selection);
            let hidden = selection.hidden().into_string();
            let mut fields = Vec::new();
            for field in hidden.split("name=\"").skip(1) {
                let (name, rest) = field.split_once("\" value=\"").expect("a value");
                fields.push((name.to_owned(), rest.split('"').next().expect("one").to_owned()));
            }
            assert_eq!(Selection::of_form(&Sent(fields)).expect("it is right"), selection);
            Asked::read(JobKind::Redrive, selection.to_json()).expect("the API takes it");
        }
    }

    #[test]
    fn choosing_nothing_does_not_mean_everything() {
        assert!(Selection::of_query(pairs("queue=dlq&select=ids")).is_err());
        assert!(Selection::of_query(pairs("queue=dlq&everything=1")).is_err());
    }

    #[test]
    fn how_it_is_done_is_what_the_api_is_told_and_numbers_that_are_none_are_told_as_they_are() {
        let sent = "rate=5&canary=x&allowReorder=true&reason=the+rule+is+off&by=+Kim+&count=3";
        let how = How::of_form(&Sent(pairs(sent)));
        let selection = Selection { queue: "dlq".to_owned(), ..Selection::default() };
        let expected = json!({
            "queue": "dlq", "all": true, "rate": 5, "canary": "x", "allowReorder": true,
            "reason": "the rule is off", "by": "Kim",
        });
        assert_eq!(Value::Object(how.to_json(&selection)), expected);
        let problem =
            Asked::read(JobKind::Redrive, how.to_json(&selection)).expect_err("no number");
        assert_eq!(problem.errors().map(|(place, _)| place).collect::<Vec<_>>(), ["#/canary"]);
    }
}
