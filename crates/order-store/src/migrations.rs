//! The tables' versions: embedded, applied once, and never gone back behind.

use std::borrow::Cow;

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// What is applied already, in any database.
pub(crate) const APPLIED: &str =
    "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version";

/// A version, what it brings, and its SQL.
pub(crate) type Step = (i64, &'static str, &'static str);

/// Applies the steps; locking is the caller's.
pub(crate) fn migrator(steps: &[Step]) -> Migrator {
    let migration = |&(version, name, sql): &Step| {
        let sql = sql.into_sql_str();
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql, false)
    };
    let mut migrator = Migrator::with_migrations(steps.iter().map(migration).collect());
    migrator.set_locking(false);
    migrator
}

/// How a database's tables stand to this program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// They are as this program knows them.
    Current,
    /// They must be migrated, or something is wrong that the migration will say.
    Behind,
    /// They were made by a newer program, which changed what this one relies on.
    Newer {
        /// Their version.
        database: i64,
        /// The newest that this program knows.
        program: i64,
    },
}

impl Standing {
    /// Compares what is applied with the steps.
    pub(crate) fn of(applied: &[(i64, Vec<u8>)], steps: &[Step]) -> Self {
        let known = migrator(steps);
        let known: Vec<_> =
            known.iter().map(|step| (step.version, step.checksum.to_vec())).collect();
        let newest = known.last().map_or(0, |(version, _)| *version);
        match applied.last() {
            Some((version, _)) if *version > newest => {
                Self::Newer { database: *version, program: newest }
            }
            _ if applied == known => Self::Current,
            _ => Self::Behind,
        }
    }
}

/// The error for a database of the future.
pub(crate) fn newer(database: i64, program: i64) -> String {
    format!(
        "its tables are of version {database}, made by a newer program; this one knows them up to \
         version {program}: run the newer program"
    )
}
