//! What a request says of its content.

use axum::http::{HeaderMap, header};

/// `application/json` or a `+json` type, whatever its parameters. Two types are none.
pub fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else {
        return false;
    };
    // Almost all say it so.
    if value == "application/json" {
        return true;
    }
    let Ok(value) = value.to_str() else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    let Some((general, special)) = essence.split_once('/') else {
        return false;
    };
    let suffix = special.len().checked_sub("+json".len()).and_then(|start| special.get(start..));
    general.eq_ignore_ascii_case("application")
        && (special.eq_ignore_ascii_case("json")
            || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json")))
}
