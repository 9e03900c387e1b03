//! Collects values and problems.

use super::{Problems, Secret, Setting, SettingProblem, names};
use config::{Config, ConfigError, File, FileFormat, Map, Source, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    ops::RangeInclusive,
    path::Path,
    str::FromStr,
    time::Duration,
};

/// Shown in place of a value of the file that is not a text, a number or a flag.
const NOT_A_TEXT: &str = "(a table or list)";

/// The values of one service's settings and every problem found in them.
///
/// Getters take the name of a row of the table that was loaded and panic on any other: that is a
/// mistake in the program. On a wrong value they note the problem and return a stand-in.
#[derive(Debug)]
pub struct Reader {
    table: Vec<Setting>,
    values: BTreeMap<&'static str, String>,
    /// Names of which the file or the environment says something.
    set: BTreeSet<&'static str>,
    problems: Vec<SettingProblem>,
}

impl Reader {
    /// Collects the values of `table`: its defaults, then the TOML file, then the environment.
    ///
    /// An empty environment variable is the same as an unset one for optional settings and for those
    /// of OpenTelemetry and logging (as the OpenTelemetry specification has it).
    pub fn load(
        table: Vec<Setting>,
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut reader =
            Self { table, values: BTreeMap::new(), set: BTreeSet::new(), problems: Vec::new() };
        let file = file.map(|path| reader.read_file(path)).unwrap_or_default();
        let env = reader.read_env(env);
        reader.merge(&file, &env);
        reader
    }

    /// The text of a setting that has a default.
    pub fn text(&mut self, name: &'static str) -> String {
        match self.optional(name) {
            Some(text) if !text.is_empty() => text,
            _ => {
                self.missing(name);
                String::new()
            }
        }
    }

    /// The text of a setting, nothing when it is not set.
    pub fn optional(&mut self, name: &'static str) -> Option<String> {
        self.row(name);
        self.values.get(name).cloned()
    }

    /// Whether the file or the environment says something of the setting, rather than its default.
    pub fn is_set(&self, name: &'static str) -> bool {
        self.row(name);
        self.set.contains(name)
    }

    /// The text of a setting that must not be shown.
    pub fn secret(&mut self, name: &'static str) -> Option<Secret> {
        self.optional(name).map(Secret::new)
    }

    /// A duration as humantime writes it (`30s`, `500ms`, `1m 30s`).
    pub fn duration(&mut self, name: &'static str, range: RangeInclusive<Duration>) -> Duration {
        let parse = |text: &str| humantime::parse_duration(text).ok();
        let fallback = *range.start();
        self.parsed(name, |text| parse(text).filter(|value| range.contains(value)), fallback)
    }

    /// A number within a range.
    pub fn number<T>(&mut self, name: &'static str, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Copy,
    {
        let fallback = *range.start();
        self.parsed(name, |text| text.parse().ok().filter(|value| range.contains(value)), fallback)
    }

    /// `true` or `false`, any case.
    pub fn flag(&mut self, name: &'static str) -> bool {
        self.parsed(name, |text| text.to_ascii_lowercase().parse().ok(), false)
    }

    /// An address to listen on, `ip:port`.
    pub fn socket_addr(&mut self, name: &'static str) -> SocketAddr {
        self.parsed(name, |text| text.parse().ok(), SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// One of a closed list of words, any case; the first is the stand-in for a wrong one.
    pub fn one_of<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> T {
        let choose = |text: &str| {
            choices
                .iter()
                .find(|(word, _)| word.eq_ignore_ascii_case(text))
                .map(|(_, value)| *value)
        };
        self.parsed(name, choose, choices[0].1)
    }

    /// An `http` or `https` URL with a host, nothing when it is not set.
    pub fn url(&mut self, name: &'static str) -> Option<String> {
        self.url_with(name, "")
    }

    /// The same with this in it, which stands for what is put in its place.
    pub fn url_with(&mut self, name: &'static str, place: &str) -> Option<String> {
        let text = self.optional(name)?;
        let filled = if place.is_empty() { text.clone() } else { text.replace(place, "0") };
        let uri = filled.parse::<axum::http::Uri>().ok();
        let valid = uri.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        if valid && text.contains(place) {
            return Some(text);
        }
        self.wrong(name, Some(text));
        None
    }

    /// Notes a problem that only several settings together make, or that the row's `allowed` does
    /// not say. The value of a secret is hidden.
    pub fn problem(&mut self, name: &str, value: &str, allowed: &str) {
        let secret = self.table.iter().any(|row| row.name == name && row.secret);
        let value = if secret { "***" } else { value };
        self.note(name.to_owned(), Some(value.to_owned()), allowed.to_owned());
    }

    /// The settings, or every problem that was noted.
    pub fn finish<T>(self, settings: T) -> Result<T, Problems> {
        if self.problems.is_empty() { Ok(settings) } else { Err(Problems(self.problems)) }
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
        fallback: T,
    ) -> T {
        let text = self.optional(name);
        if let Some(value) = text.as_deref().map(str::trim).and_then(parse) {
            return value;
        }
        self.wrong(name, text);
        fallback
    }

    fn missing(&mut self, name: &'static str) {
        let value = self.values.get(name).cloned();
        self.wrong(name, value);
    }

    fn wrong(&mut self, name: &'static str, value: Option<String>) {
        let row = self.row(name);
        let value = value.map(|value| if row.secret { "***".to_owned() } else { value });
        self.note(name.to_owned(), value, row.allowed.to_owned());
    }

    fn row(&self, name: &str) -> Setting {
        let row = self.table.iter().find(|row| row.name == name);
        *row.unwrap_or_else(|| panic!("{name} is not in the settings table"))
    }

    fn note(&mut self, name: String, value: Option<String>, allowed: String) {
        // A setting that is read twice is still wrong only once.
        let problem = SettingProblem { name, value, allowed };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The file's values by their names in the environment.
    fn read_file(&mut self, path: &Path) -> BTreeMap<String, Value> {
        let read = Config::builder()
            .add_source(File::from(path).format(FileFormat::Toml))
            .build()
            .and_then(|file| file.collect());
        match read {
            Ok(values) => values
                .into_iter()
                .filter_map(|(key, value)| self.file_entry(path, &key, value))
                .collect(),
            Err(error) => {
                let allowed = format!("a readable TOML file ({error})");
                self.note("--config".to_owned(), Some(path.display().to_string()), allowed);
                BTreeMap::new()
            }
        }
    }

    fn file_entry(&mut self, path: &Path, key: &str, value: Value) -> Option<(String, Value)> {
        let name = key.to_ascii_uppercase();
        let lower = key == key.to_ascii_lowercase();
        if lower && self.canonical(&name).is_some() {
            return Some((name, value));
        }
        if !(lower && names::FLEET_NAMES.contains(&name.as_str())) {
            let shown = value.into_string().unwrap_or_else(|_| NOT_A_TEXT.to_owned());
            let shown = hide_unknown(&name, shown);
            let hint = self.did_you_mean(&name).map(str::to_ascii_lowercase);
            self.note(
                format!("{key} (in {})", path.display()),
                Some(shown),
                unknown(hint.as_deref()),
            );
        }
        None
    }

    /// The environment's values of this table; notes unknown names that are meant for the fleet.
    fn read_env(
        &mut self,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> BTreeMap<String, Value> {
        let mut values = BTreeMap::new();
        for (name, value) in env {
            match self.canonical(&name) {
                Some(row) if value.is_empty() && empty_is_unset(row) => {}
                Some(_) => {
                    values.insert(name, Value::from(value));
                }
                None if names::FLEET_NAMES.contains(&name.as_str()) => {}
                None if names::is_foreign_mistake(&name) => {
                    let hint = unknown(self.did_you_mean(&name));
                    let value = hide_unknown(&name, value);
                    self.note(name, Some(value), hint);
                }
                None => {}
            }
        }
        values
    }

    /// Lets later sources win over earlier ones.
    fn merge(&mut self, file: &BTreeMap<String, Value>, env: &BTreeMap<String, Value>) {
        let mut builder = Config::builder();
        for row in &self.table {
            if let Some(default) = row.default {
                builder = builder
                    .set_default(row.name.to_ascii_lowercase(), default)
                    .expect("a setting's name is a valid key");
            }
        }
        let merged = builder
            .add_source(Layer::new(&self.table, file))
            .add_source(Layer::new(&self.table, env))
            .build()
            .and_then(|merged| merged.collect())
            .expect("sources in memory can be collected");
        let given = |name: &str| file.contains_key(name) || env.contains_key(name);
        let spelled = |row: &Setting| given(row.name) || row.aliases.iter().any(|name| given(name));
        self.set = self.table.iter().filter(|row| spelled(row)).map(|row| row.name).collect();
        for row in self.table.clone() {
            match merged.get(&row.name.to_ascii_lowercase()).cloned().map(Value::into_string) {
                Some(Ok(text)) => {
                    self.values.insert(row.name, text);
                }
                Some(Err(_)) => self.wrong(row.name, Some(NOT_A_TEXT.to_owned())),
                None => {}
            }
        }
    }

    /// The row that a name or an older spelling of it stands for.
    fn canonical(&self, name: &str) -> Option<&Setting> {
        self.table.iter().find(|row| row.name == name || row.aliases.contains(&name))
    }

    fn did_you_mean(&self, name: &str) -> Option<&'static str> {
        let own = self.table.iter().map(|row| row.name);
        names::nearest(name, own.chain(names::FLEET_NAMES.iter().copied()))
    }
}

/// One source's values as crate `config` merges them, under the rows' own names in lower case.
#[derive(Clone, Debug)]
struct Layer(Map<String, Value>);

impl Layer {
    fn new(table: &[Setting], values: &BTreeMap<String, Value>) -> Self {
        let value_of = |row: &Setting| {
            let mut spellings = std::iter::once(&row.name).chain(row.aliases);
            spellings.find_map(|spelling| values.get(*spelling)).cloned()
        };
        let named = |row: &Setting| Some((row.name.to_ascii_lowercase(), value_of(row)?));
        Self(table.iter().filter_map(named).collect())
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

fn empty_is_unset(row: &Setting) -> bool {
    row.default.is_none()
        || row.name.starts_with("OTEL_")
        || matches!(row.name, "LOG_FORMAT" | "RUST_LOG")
}

fn unknown(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("no setting has this name; did you mean {nearest}?"),
        None => "no setting has this name; --help lists them".to_owned(),
    }
}

/// An unknown name may be a misspelt secret.
fn hide_unknown(name: &str, value: String) -> String {
    let secret = ["SECRET", "TOKEN", "PASSWORD", "KEY", "DATABASE", "CREDENTIAL"];
    if secret.iter().any(|word| name.contains(word)) { "***".to_owned() } else { value }
}
