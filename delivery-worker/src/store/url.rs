//! Which database: the value of `DATABASE_URL`.

use std::{path::PathBuf, str::FromStr};

/// Where the deliveries are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite://deliveries.db` (relative to the working directory) or `sqlite:///var/lib/deliveries.db`.
    Sqlite(PathBuf),
}

/// The URL names no database that this program can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected sqlite://<path of a file>, for example sqlite://deliveries.db")]
pub struct UnsupportedUrl;

impl FromStr for DatabaseUrl {
    type Err = UnsupportedUrl;

    /// The path is taken as it is written: no percent-encoding, no query. SQLite's in-memory
    /// databases are refused, since each connection would see one of its own.
    fn from_str(url: &str) -> Result<Self, UnsupportedUrl> {
        let path = url.strip_prefix("sqlite://").ok_or(UnsupportedUrl)?;
        if path.is_empty()
            || path.ends_with('/')
            || path.contains(['?', '\0'])
            || path.starts_with(':')
        {
            return Err(UnsupportedUrl);
        }
        Ok(Self::Sqlite(path.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_for_sqlite_is_a_database() {
        for (url, path) in [
            ("sqlite://deliveries.db", Some("deliveries.db")),
            ("sqlite:///var/lib/fleet/deliveries.db", Some("/var/lib/fleet/deliveries.db")),
            ("sqlite://./with space.db", Some("./with space.db")),
            ("sqlite://", None),
            ("sqlite:///var/lib/", None),
            ("sqlite://:memory:", None),
            ("sqlite::memory:", None),
            ("sqlite://a.db?mode=ro", None),
            ("postgres://fleet@localhost/deliveries", None),
            ("deliveries.db", None),
        ] {
            let expected = path.map(|path| DatabaseUrl::Sqlite(path.into())).ok_or(UnsupportedUrl);
            assert_eq!(url.parse(), expected, "{url}");
        }
    }
}
