//! Settings: one table per service, read from defaults, a TOML file and the environment.
//!
//! A service describes each setting once, as a [`Setting`]. That row is the source of `--help`, of
//! the README's table ([`settings_markdown`]) and of what an error says is allowed. A [`Reader`]
//! collects the values, later sources over earlier ones:
//!
//! 1. the row's default;
//! 2. the file of `--config`, TOML, with the names in lower case (`worker_concurrency = 64`);
//! 3. the environment (`WORKER_CONCURRENCY=64`).
//!
//! Nothing fails at the first problem: getters note it and return something of the right type, and
//! [`Reader::finish`] gives either the settings or every [`Problems`] at once.
//!
//! All binaries of the fleet may share one environment and one file, so a name of another binary
//! ([`FLEET_NAMES`]) is not unknown. Other names are problems: any in the file, and in the
//! environment those that start with one of [`FLEET_PREFIXES`] and are not Kubernetes service links
//! (`*_SERVICE_HOST`, `*_SERVICE_PORT`, `*_PORT`, `*_PORT_*`).

mod common;
mod names;
mod problems;
mod reader;
mod render;

pub use common::{
    AwsAccess, Common, Keys, LogFormat, Otlp, QueueUrls, Sampler, TelemetrySettings, common,
    listeners,
};
pub use names::{FLEET_NAMES, FLEET_PREFIXES};
pub use problems::{Problems, SettingProblem};
pub use reader::Reader;
pub use render::{settings_help, settings_markdown};

use std::fmt;

/// One row of the settings table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The name in the environment; the file has it in lower case.
    pub name: &'static str,
    /// The value when nobody sets one; a setting without default is optional.
    pub default: Option<&'static str>,
    /// Which values are allowed, for people.
    pub allowed: &'static str,
    /// What the setting does, for people.
    pub about: &'static str,
    /// Whether the value must not be shown.
    pub secret: bool,
    /// Older spellings that still work; the name itself wins over them.
    pub aliases: &'static [&'static str],
}

impl Setting {
    /// An optional setting.
    pub const fn optional(name: &'static str, allowed: &'static str, about: &'static str) -> Self {
        Self { name, default: None, allowed, about, secret: false, aliases: &[] }
    }

    /// A setting with a default.
    pub const fn new(
        name: &'static str,
        default: &'static str,
        allowed: &'static str,
        about: &'static str,
    ) -> Self {
        Self { name, default: Some(default), allowed, about, secret: false, aliases: &[] }
    }

    /// The same with a value that is never shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The same with older spellings.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
}

/// A text that neither `Debug` nor a log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
