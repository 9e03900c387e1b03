//! Which database: the value of `DATABASE_URL`.

use std::{fmt, path::PathBuf, str::FromStr};

use sqlx::postgres::PgConnectOptions;

/// Where the deliveries are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite://deliveries.db` (relative to the working directory) or `sqlite:///var/lib/deliveries.db`.
    Sqlite(PathBuf),
    /// `postgres://worker:secret@db.example:5432/deliveries?sslmode=verify-full`.
    Postgres(PostgresUrl),
}

/// A PostgreSQL database and how to get in. It is shown without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

/// The URL names no database that this program can use. It does not repeat the URL, which may hold a
/// password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected sqlite://<path of a file>, for example sqlite://deliveries.db, or \
     postgres://<user>:<password>@<host>:<port>/<database>?sslmode=<mode>"
)]
pub struct UnsupportedUrl;

/// What may stand behind the `?`: libpq's names (PostgreSQL: "Parameter Key Words") of what makes sense
/// for a service. Others are refused, so that a misspelt one is not taken for set.
const PARAMETERS: [&str; 10] = [
    "application_name",
    "dbname",
    "host",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
];

impl DatabaseUrl {
    /// What a `DATABASE_URL` may be, for the tables of settings.
    pub const ALLOWED: &str = "sqlite://<path of a file>, which is created if it does not exist, or postgres://<user>:<password>@<host>:<port>/<database>, with ?sslmode=verify-full and other parameters of libpq";

    /// The database for what is written beside the deliveries by other processes: of SQLite a file of
    /// its own, `deliveries-keys.db` beside `deliveries.db` for the name `keys`. A SQLite file has one
    /// writer at a time and no order among those who wait, so that a worker with a backlog keeps
    /// everybody else out for seconds. A PostgreSQL database is the same one.
    #[must_use]
    pub fn beside(self, name: &str) -> Self {
        match self {
            Self::Sqlite(path) => {
                let mut file = path.file_stem().unwrap_or_default().to_owned();
                file.push("-");
                file.push(name);
                if let Some(extension) = path.extension() {
                    file.push(".");
                    file.push(extension);
                }
                Self::Sqlite(path.with_file_name(file))
            }
            postgres @ Self::Postgres(_) => postgres,
        }
    }

    /// What the OpenTelemetry conventions call such a database in `db.system.name`.
    pub fn system(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = UnsupportedUrl;

    /// SQLite's path is taken as it is written: no percent-encoding, no query. Its in-memory databases
    /// are refused, since each connection would see one of its own. In PostgreSQL's URL user, password
    /// and parameters are percent-encoded; what it leaves out, such as the password, is looked for
    /// where libpq does (`PGPASSWORD`, `~/.pgpass`).
    fn from_str(url: &str) -> Result<Self, UnsupportedUrl> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            let unusable = path.is_empty()
                || path.ends_with('/')
                || path.contains(['?', '\0'])
                || path.starts_with(':');
            return if unusable { Err(UnsupportedUrl) } else { Ok(Self::Sqlite(path.into())) };
        }
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let (place, query) =
            rest.ok_or(UnsupportedUrl)?.split_once('?').unwrap_or((rest.unwrap_or_default(), ""));
        let mut names = query.split('&').filter(|pair| !pair.is_empty()).map(name_of);
        if !names.all(|name| PARAMETERS.contains(&name)) || place.contains('#') {
            return Err(UnsupportedUrl);
        }
        let url = PostgresUrl(url.to_owned());
        let options = url.options()?;
        // By itself the database would be the one that is named like the user, mostly by mistake.
        if options.get_database().is_none_or(str::is_empty) {
            return Err(UnsupportedUrl);
        }
        Ok(Self::Postgres(url))
    }
}

fn name_of(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

impl PostgresUrl {
    /// What the driver makes of the URL.
    pub(crate) fn options(&self) -> Result<PgConnectOptions, UnsupportedUrl> {
        self.0.parse().map_err(|_| UnsupportedUrl)
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(options) = self.options() else { return f.write_str("postgres://") };
        let host = options.get_socket().map_or_else(
            || options.get_host().to_owned(),
            |directory| directory.display().to_string(),
        );
        let database = options.get_database().unwrap_or_default();
        write!(f, "postgres://{}@{host}:{}/{database}", options.get_username(), options.get_port())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_beside_the_deliveries_has_a_file_of_its_own_in_sqlite() {
        for (url, beside) in [
            ("sqlite://deliveries.db", "deliveries-keys.db"),
            ("sqlite:///var/lib/fleet.d/deliveries", "/var/lib/fleet.d/deliveries-keys"),
            ("sqlite://./a.b.sqlite3", "./a.b-keys.sqlite3"),
        ] {
            let url: DatabaseUrl = url.parse().expect("it names a file");
            assert_eq!(url.beside("keys"), DatabaseUrl::Sqlite(beside.into()));
        }
        let postgres: DatabaseUrl = "postgres://a:b@c/d".parse().expect("it names a database");
        assert_eq!(postgres.clone().beside("keys"), postgres);
    }

    #[test]
    fn a_file_is_a_database_for_sqlite() {
        for (url, path) in [
            ("sqlite://deliveries.db", Some("deliveries.db")),
            ("sqlite:///var/lib/fleet/deliveries.db", Some("/var/lib/fleet/deliveries.db")),
            ("sqlite://./with space.db", Some("./with space.db")),
            ("sqlite://", None),
            ("sqlite:///var/lib/", None),
            ("sqlite://:memory:", None),
            ("sqlite::memory:", None),
            ("sqlite://a.db?mode=ro", None),
            ("mysql://fleet@localhost/deliveries", None),
            ("deliveries.db", None),
        ] {
            let expected = path.map(|path| DatabaseUrl::Sqlite(path.into())).ok_or(UnsupportedUrl);
            assert_eq!(url.parse(), expected, "{url}");
        }
    }

    #[test]
    fn a_postgresql_database_is_named_by_its_url_and_shown_without_the_password() {
        for (url, shown) in [
            ("postgres://fleet:s3cret@db:5433/deliveries", "postgres://fleet@db:5433/deliveries"),
            ("postgresql://fleet@db/deliveries", "postgres://fleet@db:5432/deliveries"),
            (
                "postgres://fleet:s3cret@db/deliveries?sslmode=verify-full&sslrootcert=/ca.pem",
                "postgres://fleet@db:5432/deliveries",
            ),
            (
                "postgres://fleet@localhost/deliveries?host=/run/postgresql&password=s3cret&port=5433",
                "postgres://fleet@/run/postgresql:5433/deliveries",
            ),
        ] {
            let parsed: DatabaseUrl = url.parse().unwrap_or_else(|_| panic!("{url}"));
            assert_eq!(format!("{parsed:?}"), format!("Postgres({shown})"));
        }
    }

    #[test]
    fn a_postgresql_url_with_a_mistake_is_refused_without_being_repeated() {
        for url in [
            "postgres://fleet:s3cret@db",
            "postgres://fleet:s3cret@db/",
            "postgres://fleet:s3cret@db:port/deliveries",
            "postgres://fleet:s3cret@db/deliveries?sslmode=sometimes",
            "postgres://fleet@db/deliveries?passwrd=s3cret",
            "postgres://fleet@db/deliveries?sslmod=require",
        ] {
            let parsed = url.parse::<DatabaseUrl>();
            assert_eq!(parsed, Err(UnsupportedUrl), "{url}");
            assert!(!UnsupportedUrl.to_string().contains("s3cret"));
        }
    }
}
