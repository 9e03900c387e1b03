//! Fields of forms, and what is wrong with them.

use maud::{Markup, html};
use service_kit::Problem;

use super::parts::{bdi, sentence};

/// What is wrong with a form: the field's name, if it is one, and what.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<(String, String)>);

impl Errors {
    /// What the API says of the request that a form stands for.
    pub(super) fn of(problem: &Problem) -> Self {
        let listed = problem.errors().map(|(place, what)| (field(place), what.to_owned()));
        let mut errors = Self(listed.collect());
        if errors.0.is_empty() {
            errors.note("", problem.detail_text().unwrap_or(problem.title()));
        }
        errors
    }

    /// One more. No name: the form as a whole.
    pub(super) fn note(&mut self, name: &str, what: &str) {
        self.0.push((name.to_owned(), what.to_owned()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn about(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, what)| &**what)
    }

    /// Everything that is wrong, in front of the form. It is read out and gets the focus.
    pub(super) fn summary(&self) -> Markup {
        html! {
            @if !self.is_empty() {
                div #error-summary .error-summary role="alert" tabindex="-1" autofocus {
                    h2 { "That does not work yet" }
                    ul {
                        @for (name, what) in &self.0 {
                            li {
                                @if name.is_empty() { (sentence(what)) } @else {
                                    a href={ "#field-" (name) } { (label_of(name)) } ": " (what)
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The field that a place of a query or of a request's JSON is.
fn field(place: &str) -> String {
    let name = place.trim_start_matches(['?', '#', '/']);
    match name {
        "filter/reason" => "filterReason".to_owned(),
        "expectedCount" => "count".to_owned(),
        name if name.starts_with("ids") => "ids".to_owned(),
        name => name.rsplit('/').next().unwrap_or_default().to_owned(),
    }
}

fn label_of(name: &str) -> Markup {
    let label = match name {
        "reason" | "filterReason" => "Reason",
        "by" => "Your name",
        "rate" => "Rate",
        "canary" => "Canary",
        "count" => "The count",
        "customerId" => "Customer",
        "text" => "Text",
        "from" => "From",
        "to" => "Before",
        "ids" => "The messages",
        "limit" => "On a page",
        "token" => "Token",
        other => return bdi(other),
    };
    html! { (label) }
}

/// What says more of a field, for `aria-describedby`.
fn described(name: &str, hint: bool, errors: &Errors) -> Option<String> {
    let parts =
        [hint.then(|| format!("hint-{name}")), errors.about(name).map(|_| format!("error-{name}"))];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn error(name: &str, errors: &Errors) -> Markup {
    html! {
        @if let Some(what) = errors.about(name) {
            @let of_field = what.starts_with("is ") || what.starts_with("must ");
            p .field-error id={ "error-" (name) } {
                @if of_field { "This " (what) "." } @else { (sentence(what)) }
            }
        }
    }
}

/// A field of one line.
pub(super) fn input(name: &str, label: &str, kind: &str, value: &str, errors: &Errors) -> Markup {
    Field { kind, value, ..Field::new(name, label) }.show(errors)
}

/// A field of one line, with everything that can be said of it.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) label: &'a str,
    pub(super) kind: &'a str,
    pub(super) value: &'a str,
    pub(super) hint: &'a str,
    pub(super) required: bool,
    /// The greatest number.
    pub(super) most: Option<u32>,
    pub(super) longest: Option<usize>,
    pub(super) autocomplete: Option<&'a str>,
}

impl<'a> Field<'a> {
    pub(super) fn new(name: &'a str, label: &'a str) -> Self {
        Self {
            name,
            label,
            kind: "text",
            value: "",
            hint: "",
            required: false,
            most: None,
            longest: None,
            autocomplete: Some("off"),
        }
    }

    pub(super) fn show(self, errors: &Errors) -> Markup {
        let Self { name, label, kind, value, hint, required, most, longest, autocomplete } = self;
        html! {
            div .field {
                label for={ "field-" (name) } {
                    (label) @if !required && !hint.is_empty() { span .optional { " optional" } }
                }
                @if !hint.is_empty() { p .hint id={ "hint-" (name) } { (hint) } }
                input id={ "field-" (name) } name=(name) type=(kind) value=(value) required[required]
                    min=[most.map(|_| "1")] max=[most] maxlength=[longest]
                    step=[(kind == "datetime-local").then_some("1")]
                    inputmode=[most.map(|_| "numeric")] autocomplete=[autocomplete]
                    aria-invalid=[errors.about(name).map(|_| "true")]
                    aria-describedby=[described(name, !hint.is_empty(), errors)];
                (error(name, errors))
            }
        }
    }
}

/// What a select offers: the values with their words.
pub(super) struct Options<'a>(Vec<(&'a str, String)>);

impl<'a> Options<'a> {
    /// These, and one that says nothing, if it has a word.
    pub(super) fn of(nothing: &str, values: impl IntoIterator<Item = &'a str>) -> Self {
        let first = (!nothing.is_empty()).then(|| ("", nothing.to_owned()));
        let values = values.into_iter().map(|value| (value, value.replace('_', " ")));
        Self(first.into_iter().chain(values).collect())
    }
}

/// A field with a choice.
pub(super) fn select(
    name: &str,
    label: &str,
    options: &Options<'_>,
    chosen: &str,
    errors: &Errors,
) -> Markup {
    html! {
        div .field {
            label for={ "field-" (name) } { (label) }
            select id={ "field-" (name) } name=(name)
                aria-invalid=[errors.about(name).map(|_| "true")]
                aria-describedby=[described(name, false, errors)] {
                @for (value, word) in &options.0 {
                    option value=(value) selected[*value == chosen] { (word) }
                }
            }
            (error(name, errors))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kinds;

    #[test]
    fn what_the_api_finds_wrong_is_told_at_the_fields_it_came_from() {
        let problem = kinds::INVALID_REQUEST.problem().detail("4 fields are invalid");
        let problem = ["#/rate", "#/filter/reason", "#/ids/7", "#/expectedCount"]
            .into_iter()
            .fold(problem, |problem, place| problem.field_error(place, "is wrong"));
        let errors = Errors::of(&problem);
        for name in ["rate", "filterReason", "ids", "count"] {
            assert_eq!(errors.about(name), Some("is wrong"), "{name}");
        }
        let shown = input("rate", "Rate", "number", "<0>", &errors).into_string();
        assert!(shown.contains("aria-invalid=\"true\"") && shown.contains("value=\"&lt;0&gt;\""));
        assert!(
            shown.contains("aria-describedby=\"error-rate\"")
                && shown.contains("id=\"error-rate\"")
        );
        let of_all = Errors::of(&kinds::COUNT_DIFFERS.problem().detail("none is meant"));
        assert!(of_all.summary().into_string().contains("None is meant."));
        assert!(Errors::default().summary().into_string().is_empty());
    }
}
