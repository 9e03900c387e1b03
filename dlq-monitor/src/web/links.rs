//! Addresses of pages.

use axum::http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The page of a message.
pub(super) fn message(queue: &str, message_id: &str) -> String {
    let part = |text| utf8_percent_encode(text, RESERVED);
    format!("/messages/{}/{}", part(queue), part(message_id))
}

/// The body of a message, as a file.
pub(super) fn body(queue: &str, message_id: &str) -> String {
    format!("{}/body", message(queue, message_id))
}

/// The page of a job.
pub(super) fn job(id: Uuid) -> String {
    format!("/jobs/{id}")
}

/// The list of dead letters of a queue and of a reason.
pub(super) fn messages(queue: Option<&str>, reason: Option<&str>) -> String {
    let pairs = [("queue", queue), ("reason", reason)];
    let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
    with_query("/messages", pairs)
}

/// A path with a query, where there is something to say in it.
pub(super) fn with_query<'a>(
    path: &str,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// The login that leads to this page.
pub(crate) fn login_for(wanted: &str) -> HeaderValue {
    let path =
        if wanted == "/" { "/login".to_owned() } else { with_query("/login", [("next", wanted)]) };
    HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/login"))
}

/// Where a login leads: a page of this server, and of no other one.
pub(super) fn own(path: Option<&str>) -> &str {
    let is_own = |path: &&str| {
        let rest = path.strip_prefix('/');
        // Browsers take a backslash for a slash, and leave tabs and line ends out.
        rest.is_some_and(|rest| !rest.starts_with(['/', '\\']))
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && !path.starts_with("/login")
    };
    path.filter(is_own).unwrap_or("/")
}

/// Fields of a query or a form that say something: a browser sends those that were left empty, too.
pub(super) fn said(query: &str) -> Vec<(String, String)> {
    let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
    pairs.filter(|(_, value)| !value.trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_pages_of_this_server_only() {
        for path in ["/", "/jobs", "/messages?queue=a&text=%2F%2F", "/messages/a.fifo/1"] {
            assert_eq!(own(Some(path)), path);
        }
        for path in [
            "",
            "jobs",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "\\/evil.example",
            "https://evil.example/",
            "/a\r\nSet-Cookie: b",
            "/login?next=/",
            "javascript:alert(1)",
        ] {
            assert_eq!(own(Some(path)), "/", "{path}");
        }
        assert_eq!(own(None), "/");
    }

    #[test]
    fn what_is_in_a_name_stays_in_its_part_of_the_address() {
        assert_eq!(message("a/b", "?x=1#<"), "/messages/a%2Fb/%3Fx%3D1%23%3C");
        assert_eq!(messages(Some("a&b"), None), "/messages?queue=a%26b");
        assert_eq!(login_for("/messages?text=a&b"), "/login?next=%2Fmessages%3Ftext%3Da%26b");
        assert_eq!(said("a=&b=+&c=1&c=2").len(), 2);
    }
}
