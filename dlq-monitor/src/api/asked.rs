//! What a request to act asks for: read as a whole, with everything that is wrong told at once.

use order_store::JobKind;
use serde_json::{Map, Value};
use service_kit::{FieldErrors, Problem};

use super::{kinds, query};
use crate::jobs::request::{FilterRequest, JobRequest};

/// Bounds of what is asked for.
pub(crate) mod limits {
    /// Ids of one request.
    pub(crate) const IDS: usize = 1_000;
    /// Bytes of one id.
    pub(crate) const ID: usize = 128;
    /// Messages per second, as SQS takes it for a move task.
    pub(crate) const RATE: u32 = 500;
    /// Messages that go first.
    pub(crate) const CANARY: u32 = 1_000;
    /// Bytes of why it is done; more are not kept.
    pub(crate) const WHY: usize = 1_000;
    /// Bytes of who does it.
    pub(crate) const WHO: usize = 200;
}

/// How a redrive is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// As fits.
    Auto,
    /// Message by message.
    Messages,
    /// By SQS's move task.
    MoveTask,
}

/// A redrive or a discard that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) request: JobRequest,
    pub(crate) method: Method,
    pub(crate) dry_run: bool,
    pub(crate) expected: Option<u64>,
    pub(crate) who: Option<String>,
    pub(crate) why: String,
}

impl Asked {
    pub(crate) fn read(kind: JobKind, object: Map<String, Value>) -> Result<Self, Problem> {
        let mut fields = Fields { object, at: "#".to_owned(), errors: FieldErrors::default() };
        let asked = fields.asked(kind);
        fields.finish(asked)
    }
}

/// Why a job is ended, and by whom.
pub(crate) fn cancel(object: Map<String, Value>) -> Result<(Option<String>, String), Problem> {
    let mut fields = Fields { object, at: "#".to_owned(), errors: FieldErrors::default() };
    let who = fields.words("by", limits::WHO);
    let why = fields.words("reason", limits::WHY).unwrap_or_default();
    fields.finish((who, why))
}

/// The fields of an object, taken out one by one; what is left in the end is unknown.
struct Fields {
    object: Map<String, Value>,
    at: String,
    errors: FieldErrors,
}

impl Fields {
    fn asked(&mut self, kind: JobKind) -> Asked {
        let redrives = kind == JobKind::Redrive;
        let queue = self.text("queue", limits::ID);
        if queue.is_none() && !self.has_error("queue") {
            self.wrong("queue", "is missing: the name of a dead-letter queue");
        }
        let all = self.flag("all");
        let (ids, filter) = (self.ids(), self.filter());
        let meant = [all, ids.is_some(), filter.is_some()].into_iter().filter(|said| *said).count();
        if meant != 1 && self.errors.is_empty() {
            self.wrong("", "must have exactly one of \"all\": true, ids and filter");
        }
        let request = JobRequest {
            queue: queue.unwrap_or_default(),
            ids,
            filter,
            rate: self.number("rate", limits::RATE),
            canary: if redrives { self.number("canary", limits::CANARY) } else { None },
            allow_reorder: redrives && self.flag("allowReorder"),
        };
        let method = if redrives { self.method() } else { Method::Messages };
        let why = self.words("reason", limits::WHY);
        if !redrives && why.is_none() && !self.has_error("reason") {
            self.wrong("reason", "is missing: why are these messages discarded?");
        }
        if method == Method::MoveTask && (!request.is_everything() || request.canary.is_some()) {
            self.wrong("method", "moveTask moves a whole queue, without a canary");
        }
        Asked {
            request,
            method,
            dry_run: self.flag("dryRun"),
            expected: self.number("expectedCount", u32::MAX).map(u64::from),
            who: self.words("by", limits::WHO),
            why: why.unwrap_or_default(),
        }
    }

    fn method(&mut self) -> Method {
        match self.text("method", limits::ID).as_deref() {
            None | Some("auto") => Method::Auto,
            Some("messages") => Method::Messages,
            Some("moveTask") => Method::MoveTask,
            Some(_) => {
                self.wrong("method", "must be auto, messages or moveTask");
                Method::Auto
            }
        }
    }

    fn ids(&mut self) -> Option<Vec<String>> {
        let bound = format!("must be a list of 1 to {} message ids", limits::IDS);
        let Value::Array(list) = self.take("ids")? else {
            self.wrong("ids", &bound);
            return None;
        };
        if !(1..=limits::IDS).contains(&list.len()) {
            self.wrong("ids", &bound);
            return None;
        }
        let mut ids = Vec::with_capacity(list.len());
        for (position, id) in list.into_iter().enumerate() {
            match id {
                Value::String(id) if (1..=limits::ID).contains(&id.len()) => {
                    if !ids.contains(&id) {
                        ids.push(id);
                    }
                }
                _ => self.wrong(&format!("ids/{position}"), "must be a message id"),
            }
        }
        Some(ids)
    }

    fn filter(&mut self) -> Option<FilterRequest> {
        let Value::Object(object) = self.take("filter")? else {
            self.wrong("filter", "must be an object");
            return None;
        };
        let at = format!("{}/filter", self.at);
        let mut fields = Fields { object, at, errors: FieldErrors::default() };
        let filter = FilterRequest {
            reason: fields.parsed("reason", query::reason),
            customer_id: fields.parsed("customerId", query::customer),
            text: fields.parsed("text", query::text),
            from: fields.parsed("from", query::time),
            to: fields.parsed("to", query::time),
        };
        if let (Some(from), Some(to)) = (filter.from, filter.to)
            && from >= to
        {
            fields.wrong("to", "must be later than from");
        }
        fields.unknown();
        if fields.errors.is_empty() && filter == FilterRequest::default() {
            fields.wrong("", "must say something; \"all\": true means the whole queue");
        }
        self.errors.append(fields.errors);
        Some(filter)
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str, longest: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if (1..=longest).contains(&text.len()) => Some(text),
            _ => {
                self.wrong(name, &format!("must be a text of 1 to {longest} bytes"));
                None
            }
        }
    }

    /// What somebody says, without the blanks around it.
    fn words(&mut self, name: &str, longest: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if (1..=longest).contains(&text.trim().len()) => {
                Some(text.trim().to_owned())
            }
            _ => {
                self.wrong(
                    name,
                    &format!("must be a text of 1 to {longest} bytes, not only blanks"),
                );
                None
            }
        }
    }

    fn parsed<T>(&mut self, name: &str, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let parsed = match self.take(name)? {
            Value::String(text) => parse(&text),
            _ => Err("must be a text".to_owned()),
        };
        parsed.map_err(|detail| self.wrong(name, &detail)).ok()
    }

    fn number(&mut self, name: &str, most: u32) -> Option<u32> {
        let number = self.take(name)?.as_u64().and_then(|number| u32::try_from(number).ok());
        let least = u32::from(most != u32::MAX);
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.wrong(name, &format!("must be a whole number from {least} to {most}"));
        }
        number
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.take(name) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.wrong(name, "must be true or false");
                false
            }
        }
    }

    fn wrong(&mut self, name: &str, detail: &str) {
        let separator = if name.is_empty() { "" } else { "/" };
        self.errors.note(format!("{}{separator}{name}", self.at), detail);
    }

    /// Whether something is wrong with this field already.
    fn has_error(&self, name: &str) -> bool {
        let pointer = format!("{}/{name}", self.at);
        self.errors.clone().into_listed().any(|error| error.pointer == pointer)
    }

    fn unknown(&mut self) {
        for name in std::mem::take(&mut self.object).into_iter().map(|(name, _)| name) {
            let name = &name[..name.floor_char_boundary(64)];
            self.wrong(&name.replace('~', "~0").replace('/', "~1"), "is unknown");
        }
    }

    fn finish<T>(mut self, asked: T) -> Result<T, Problem> {
        self.unknown();
        if self.errors.is_empty() {
            return Ok(asked);
        }
        let detail = self.errors.summary();
        Err(self.errors.listed_in(kinds::INVALID_REQUEST.problem().detail(detail)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(kind: JobKind, value: Value) -> Result<Asked, Problem> {
        let Value::Object(object) = value else { panic!("an object") };
        Asked::read(kind, object)
    }

    #[test]
    fn a_redrive_is_read_with_everything_that_can_be_said() {
        let asked = read(
            JobKind::Redrive,
            json!({
                "queue": "dlq", "filter": { "reason": "forced", "from": "2025-09-30T14:10:38Z" },
                "rate": 5, "canary": 2, "allowReorder": true, "dryRun": true, "expectedCount": 0,
                "reason": "the rule is off", "by": "고객센터", "method": "messages",
            }),
        )
        .expect("it is right");
        assert_eq!((asked.request.rate, asked.request.canary), (Some(5), Some(2)));
        assert!(asked.request.allow_reorder && asked.dry_run && asked.method == Method::Messages);
        assert_eq!((asked.expected, asked.who.as_deref()), (Some(0), Some("고객센터")));
        let all = read(JobKind::Redrive, json!({ "queue": "dlq", "all": true })).expect("right");
        assert!(all.request.is_everything() && all.method == Method::Auto);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let problem = read(
            JobKind::Discard,
            json!({
                "ids": ["a", 7], "rate": 0, "dryRun": "yes", "expectedCount": -1, "by": "",
                "canary": 1, "nonsense/~": 1,
                "filter": { "reason": "bored", "text": 1, "from": "now", "age": "1d" },
            }),
        )
        .expect_err("much is wrong")
        .to_json();
        for pointer in [
            "#/queue",
            "#/ids/1",
            "#/rate",
            "#/dryRun",
            "#/expectedCount",
            "#/by",
            "#/reason",
            "#/canary",
            "#/nonsense~1~0",
            "#/filter/reason",
            "#/filter/text",
            "#/filter/from",
            "#/filter/age",
        ] {
            assert!(problem.contains(&format!("\"{pointer}\"")), "{pointer}: {problem}");
        }
    }

    #[test]
    fn blanks_are_no_reason() {
        for blank in ["", " ", "\t\n", "\u{3000}\u{a0}"] {
            let asked = json!({ "queue": "dlq", "all": true, "reason": blank });
            for kind in [JobKind::Discard, JobKind::Redrive] {
                let problem = read(kind, asked.clone()).expect_err("nothing is said").to_json();
                assert!(problem.contains("\"#/reason\""), "{problem}");
            }
            let Value::Object(object) = json!({ "reason": blank, "by": blank }) else {
                panic!("an object")
            };
            let problem = cancel(object).expect_err("nothing is said").to_json();
            assert!(problem.contains("\"#/reason\"") && problem.contains("\"#/by\""), "{problem}");
        }
        let asked = json!({ "queue": "dlq", "all": true, "reason": " garbage\n", "by": " me " });
        let asked = read(JobKind::Discard, asked).expect("it is right");
        assert_eq!((asked.why.as_str(), asked.who.as_deref()), ("garbage", Some("me")));
    }

    #[test]
    fn exactly_one_selection_is_needed() {
        for selection in [
            json!({ "queue": "dlq" }),
            json!({ "queue": "dlq", "all": false }),
            json!({ "queue": "dlq", "all": true, "ids": ["a"] }),
            json!({ "queue": "dlq", "ids": [] }),
            json!({ "queue": "dlq", "filter": {} }),
            json!({ "queue": "dlq", "all": true, "canary": 1, "method": "moveTask" }),
        ] {
            assert!(read(JobKind::Redrive, selection.clone()).is_err(), "{selection}");
        }
        let twice = json!({ "queue": "dlq", "ids": ["a", "a"] });
        let asked = read(JobKind::Redrive, twice).expect("it is right");
        assert_eq!(asked.request.ids, Some(vec!["a".to_owned()]));
    }
}
