//! The arguments of `dlq-monitor dlq`.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

pub(super) const USAGE: &str = "\
Usage: dlq-monitor dlq COMMAND [OPTIONS]

Asks a running monitor over its HTTP API.

COMMANDS
  queues                     the queues, and how much of them was seen
  list [SELECTION]           dead letters, newest first
  show QUEUE MESSAGE_ID      one of them, with its body and its attempts
  redrive --queue QUEUE (--all | --id ID... | SELECTION)
                             sends them back to their source queue
  discard --queue QUEUE (--all | --id ID... | SELECTION) --reason TEXT
                             puts them into the archive
  jobs [--queue QUEUE]       jobs, newest first
  jobs JOB_ID                one of them, with its progress
  jobs JOB_ID --cancel       ends it early
  audit                      who did what and why

SELECTION
  --dead-reason REASON --customer ID --text TEXT --from TIME --to TIME
  and for list: --queue QUEUE --state STATE

OPTIONS
  --rate N                   messages per second, at most
  --canary N                 so many first; the others when these are delivered
  --allow-reorder            messages of a FIFO group may go back behind newer ones
  --method METHOD            auto, messages or moveTask
  --dry-run                  only say what would be done
  --expect N                 how many messages must be meant
  --reason TEXT, --by NAME   why, and who, for the audit log
  --wait                     until the job has ended; exit code 1 unless it is completed and
                             nothing of it was refused, failed, not found, left undeleted or
                             dealt with by others
  --limit N, --cursor C      a page of a list
  --json                     print the API's answer as it is
  --url URL, --token TOKEN   the monitor; the same as MONITOR_URL and MONITOR_TOKEN
";

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arguments {
    pub(super) asked: Asked,
    pub(super) json: bool,
    /// Until the job has ended.
    pub(super) wait: bool,
    /// Settings that flags stand for.
    pub(super) settings: Vec<(String, String)>,
}

/// The request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    Get { path: String, query: Vec<(&'static str, String)>, shown: Shown },
    Post { path: String, body: Value },
}

/// What an answer is shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    One,
    Letters,
    Jobs,
    Audit,
    Queues,
}

/// Why there is nothing to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Help is wanted.
    Help,
    /// The arguments are wrong.
    Usage(String),
}

const FLAGS: [&str; 6] = ["--json", "--wait", "--all", "--dry-run", "--allow-reorder", "--cancel"];
const OPTIONS: [&str; 18] = [
    "--queue",
    "--state",
    "--dead-reason",
    "--customer",
    "--text",
    "--from",
    "--to",
    "--limit",
    "--cursor",
    "--id",
    "--rate",
    "--canary",
    "--method",
    "--expect",
    "--reason",
    "--by",
    "--url",
    "--token",
];
/// Every command takes these.
const COMMON: [&str; 3] = ["--json", "--url", "--token"];
const SELECTION: [&str; 5] = ["--dead-reason", "--customer", "--text", "--from", "--to"];
const ACTING: [&str; 8] =
    ["--queue", "--all", "--id", "--rate", "--dry-run", "--expect", "--by", "--reason"];

/// Arguments, taken apart.
#[derive(Default)]
struct Given {
    words: Vec<String>,
    options: BTreeMap<&'static str, Vec<String>>,
}

impl Arguments {
    pub(super) fn parse(arguments: &[String]) -> Result<Self, Wrong> {
        let mut given = Given::read(arguments)?;
        if given.words.is_empty() {
            return Err(Wrong::Usage("a command is missing".to_owned()));
        }
        let command = given.words.remove(0);
        let asked = match command.as_str() {
            "queues" => given.list("/api/dlq/queues", Shown::Queues, &[], &[]),
            "list" => {
                let own = ["--queue", "--state", "--limit", "--cursor"];
                given.list("/api/dlq/messages", Shown::Letters, &own, &SELECTION)
            }
            "show" => given.show(),
            "redrive" => {
                given.act("redrive", &["--canary", "--allow-reorder", "--method", "--wait"])
            }
            "discard" => given.act("discard", &["--wait"]),
            "jobs" => given.jobs(),
            "audit" => given.list("/api/dlq/audit", Shown::Audit, &["--limit", "--cursor"], &[]),
            _ => Err(format!("there is no command {command}")),
        };
        let asked = asked.map_err(Wrong::Usage)?;
        let settings = [("--url", "MONITOR_URL"), ("--token", "MONITOR_TOKEN")];
        let settings = settings
            .into_iter()
            .filter_map(|(flag, setting)| Some((setting.to_owned(), given.last(flag)?.to_owned())));
        let settings = settings.collect();
        Ok(Self { asked, json: given.has("--json"), wait: given.has("--wait"), settings })
    }
}

impl Given {
    fn read(arguments: &[String]) -> Result<Self, Wrong> {
        let mut given = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if matches!(argument.as_str(), "--help" | "-h") {
                return Err(Wrong::Help);
            }
            if !argument.starts_with("--") {
                given.words.push(argument.clone());
                continue;
            }
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let usage = |what: &str| Wrong::Usage(format!("{name} {what}"));
            if let Some(flag) = FLAGS.into_iter().find(|flag| *flag == name) {
                if value.is_some() {
                    return Err(usage("takes no value"));
                }
                given.options.entry(flag).or_default().push(String::new());
            } else if let Some(option) = OPTIONS.into_iter().find(|option| *option == name) {
                let value = value.or_else(|| arguments.next().cloned());
                let value = value.ok_or_else(|| usage("needs a value"))?;
                given.options.entry(option).or_default().push(value);
            } else {
                return Err(usage("is unknown"));
            }
        }
        Ok(given)
    }

    fn has(&self, flag: &str) -> bool {
        self.options.contains_key(flag)
    }

    fn last(&self, option: &str) -> Option<&str> {
        self.options.get(option)?.last().map(String::as_str)
    }

    /// Nothing else may be given: so many words, and these options.
    fn only(&self, words: usize, known: &[&[&str]]) -> Result<(), String> {
        if self.words.len() != words {
            return Err(match self.words.get(words) {
                Some(word) => format!("{word} is too much"),
                None => "something is missing; see --help".to_owned(),
            });
        }
        let known: Vec<&str> = known.concat().into_iter().chain(COMMON).collect();
        match self.options.keys().find(|option| !known.contains(option)) {
            Some(option) => Err(format!("{option} means nothing here")),
            None => Ok(()),
        }
    }

    fn list(
        &self,
        path: &str,
        shown: Shown,
        own: &[&'static str],
        selection: &[&'static str],
    ) -> Result<Asked, String> {
        self.only(0, &[own, selection])?;
        let options = own.iter().chain(selection);
        let query =
            options.filter_map(|option| Some((field(option), self.last(option)?.to_owned())));
        Ok(Asked::Get { path: path.to_owned(), query: query.collect(), shown })
    }

    fn show(&self) -> Result<Asked, String> {
        self.only(2, &[])?;
        let [queue, id] = [&self.words[0], &self.words[1]].map(|word| part(word));
        let path = format!("/api/dlq/messages/{queue}/{id}");
        Ok(Asked::Get { path, query: Vec::new(), shown: Shown::One })
    }

    fn jobs(&self) -> Result<Asked, String> {
        let Some(id) = self.words.first() else {
            let own = ["--queue", "--state", "--limit", "--cursor"];
            return self.list("/api/dlq/jobs", Shown::Jobs, &own, &[]);
        };
        self.only(1, &[&["--cancel", "--reason", "--by"]])?;
        let path = format!("/api/dlq/jobs/{}", part(id));
        if !self.has("--cancel") {
            return Ok(Asked::Get { path, query: Vec::new(), shown: Shown::One });
        }
        let mut body = Map::new();
        for option in ["--reason", "--by"] {
            body.extend(self.last(option).map(|text| (field(option).to_owned(), json!(text))));
        }
        Ok(Asked::Post { path: format!("{path}/cancel"), body: Value::Object(body) })
    }

    fn act(&self, what: &str, own: &[&str]) -> Result<Asked, String> {
        self.only(0, &[&ACTING, &SELECTION, own])?;
        let mut body = Map::new();
        for option in ["--queue", "--reason", "--by", "--method"] {
            body.extend(self.last(option).map(|text| (field(option).to_owned(), json!(text))));
        }
        for option in ["--rate", "--canary", "--expect"] {
            let Some(text) = self.last(option) else { continue };
            let number: u64 =
                text.parse().map_err(|_| format!("{option} needs a whole number, not {text}"))?;
            body.insert(field(option).to_owned(), json!(number));
        }
        for option in ["--all", "--dry-run", "--allow-reorder"] {
            if self.has(option) {
                body.insert(field(option).to_owned(), json!(true));
            }
        }
        if let Some(ids) = self.options.get("--id") {
            body.insert("ids".to_owned(), json!(ids));
        }
        let filter = SELECTION
            .iter()
            .filter_map(|option| Some((field(option).to_owned(), json!(self.last(option)?))));
        let filter: Map<String, Value> = filter.collect();
        if !filter.is_empty() {
            body.insert("filter".to_owned(), Value::Object(filter));
        }
        Ok(Asked::Post { path: format!("/api/dlq/{what}"), body: Value::Object(body) })
    }
}

/// The API's name of an option.
fn field(option: &str) -> &'static str {
    match option {
        "--queue" => "queue",
        "--state" => "state",
        "--dead-reason" | "--reason" => "reason",
        "--customer" => "customerId",
        "--text" => "text",
        "--from" => "from",
        "--to" => "to",
        "--limit" => "limit",
        "--cursor" => "cursor",
        "--by" => "by",
        "--method" => "method",
        "--rate" => "rate",
        "--canary" => "canary",
        "--expect" => "expectedCount",
        "--all" => "all",
        "--dry-run" => "dryRun",
        _ => "allowReorder",
    }
}

/// A word as a part of a path.
fn part(word: &str) -> String {
    utf8_percent_encode(word, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, Wrong> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Arguments::parse(&arguments)
    }

    fn asked(line: &str) -> Asked {
        parse(line).expect("it is right").asked
    }

    #[test]
    fn a_list_is_narrowed_down() {
        let query = vec![
            ("queue", "dlq".to_owned()),
            ("limit", "7".to_owned()),
            ("reason", "forced".to_owned()),
            ("customerId", "c-1".to_owned()),
        ];
        let expected =
            Asked::Get { path: "/api/dlq/messages".to_owned(), query, shown: Shown::Letters };
        let line = "list --queue dlq --dead-reason=forced --customer c-1 --limit 7";
        assert_eq!(asked(line), expected);
        let Asked::Get { path, .. } = asked("show dlq.fifo a/b") else { panic!("it is read") };
        assert_eq!(path, "/api/dlq/messages/dlq%2Efifo/a%2Fb");
    }

    #[test]
    fn a_redrive_says_what_is_meant_and_how() {
        let line = "redrive --queue dlq --dead-reason forced --rate 5 --canary 2 --expect 9 --dry-run \
                    --reason mended --by me --method messages";
        let body = json!({
            "queue": "dlq", "filter": { "reason": "forced" }, "rate": 5, "canary": 2,
            "expectedCount": 9, "dryRun": true, "reason": "mended", "by": "me",
            "method": "messages",
        });
        assert_eq!(asked(line), Asked::Post { path: "/api/dlq/redrive".to_owned(), body });
        let body = json!({ "queue": "dlq", "ids": ["a", "b"], "reason": "tests" });
        let line = "discard --queue dlq --id a --id b --reason tests";
        assert_eq!(asked(line), Asked::Post { path: "/api/dlq/discard".to_owned(), body });
    }

    #[test]
    fn jobs_are_listed_shown_and_cancelled() {
        assert!(matches!(asked("jobs"), Asked::Get { shown: Shown::Jobs, .. }));
        assert!(matches!(asked("jobs id"), Asked::Get { shown: Shown::One, .. }));
        let body = json!({ "reason": "no" });
        let expected = Asked::Post { path: "/api/dlq/jobs/id/cancel".to_owned(), body };
        assert_eq!(asked("jobs id --cancel --reason no"), expected);
    }

    #[test]
    fn the_monitor_is_named_by_flags() {
        let arguments = parse("queues --json --url http://a --token=b").expect("it is right");
        assert!(arguments.json && !arguments.wait);
        let expected = [("MONITOR_URL", "http://a"), ("MONITOR_TOKEN", "b")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(arguments.settings, expected);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, wrong) in [
            ("", "a command is missing"),
            ("redrvie", "there is no command redrvie"),
            ("list --quee dlq", "--quee is unknown"),
            ("list --queue", "--queue needs a value"),
            ("list --json=1", "--json takes no value"),
            ("list extra", "extra is too much"),
            ("show dlq", "something is missing; see --help"),
            ("list --canary 1", "--canary means nothing here"),
            ("discard --canary 1", "--canary means nothing here"),
            ("redrive --rate fast", "--rate needs a whole number, not fast"),
        ] {
            assert_eq!(parse(line), Err(Wrong::Usage(wrong.to_owned())), "{line}");
        }
        assert_eq!(parse("list --help"), Err(Wrong::Help));
    }
}
