//! What PostgreSQL's errors mean for the store (PostgreSQL: "Appendix A. Error Codes").

use crate::StoreError;

/// Data exceptions (22), constraints (23) and limits of a row (54) speak of the record; everything else
/// of the database.
pub(super) fn classify(error: &sqlx::Error) -> StoreError {
    let class = code(error).map(|code| code.chars().take(2).collect::<String>());
    match (error, class.as_deref()) {
        (sqlx::Error::Encode(_), _) | (_, Some("22" | "23" | "54")) => {
            StoreError::Refused(error.to_string())
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// The server gave the transaction up for the sake of another, or a row went away between two of its
/// statements: the same again may succeed.
pub(super) fn is_given_up(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("40001" | "40P01"))
        || matches!(error, sqlx::Error::RowNotFound)
}

/// The connection is of no use any more, but the database may be: it was restarted, or an administrator
/// or a firewall ended the connection.
pub(super) fn is_connection_lost(error: &sqlx::Error) -> bool {
    match code(error).as_deref() {
        Some(code) => {
            code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P05" | "25P03")
        }
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)),
    }
}

/// A server that starts, or to which there is no way yet.
pub(super) fn is_not_yet_up(error: &sqlx::Error) -> bool {
    is_connection_lost(error) || matches!(code(error).as_deref(), Some("57P03" | "53300"))
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}
