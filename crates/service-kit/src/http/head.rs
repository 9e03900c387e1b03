//! What is wrong with a request's head that the HTTP library lets pass.
//!
//! The library refuses by itself what cannot be framed: lengths that contradict each other or are no
//! numbers, a transfer coding that does not end in `chunked`, folded lines, spaces before colons. With
//! both a length and a transfer coding it goes by the coding and closes the connection after the answer
//! (RFC 9112, section 6.1). What is left are heads that another server on the way may have read in
//! another way.

use super::BAD_REQUEST;
use crate::Problem;
use axum::{
    http::{HeaderMap, HeaderValue, Version, header, request::Parts, uri::Authority},
    response::{IntoResponse, Response},
};

/// The answer that refuses a request for its head, and closes its connection: what follows on it is not
/// to be trusted. Nothing when the head is sound.
pub(super) fn refusal(head: &Parts) -> Option<Response> {
    let detail = fault(head.version, &head.headers)?;
    let mut response = Problem::of(BAD_REQUEST).detail(detail).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Some(response)
}

fn fault(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && !(coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none())
    {
        return Some("Transfer-Encoding must be chunked and nothing else");
    }
    // RFC 9112, section 3.2: a request of HTTP/1.1 has one Host, and no request has two.
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => Some("Host must be given once"),
        (None, _) if version == Version::HTTP_11 => Some("Host is missing"),
        (Some(host), _) if !is_host(host.as_bytes()) => Some("Host must be a name and a port"),
        _ => None,
    }
}

/// An empty value is right where the target has no authority.
fn is_host(value: &[u8]) -> bool {
    value.is_empty()
        || is_usual_host(value)
        || (!value.contains(&b'@') && Authority::try_from(value).is_ok())
}

/// Names and addresses of the usual kind: most can be told without a look at every rule.
fn is_usual_host(value: &[u8]) -> bool {
    let mut parts = value.splitn(2, |byte| *byte == b':');
    let (name, port) = (parts.next().unwrap_or_default(), parts.next());
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let is_port = |port: &[u8]| !port.is_empty() && port.iter().all(u8::is_ascii_digit);
    !name.is_empty() && name.iter().all(is_name) && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faulty(version: Version, lines: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        fault(version, &headers).is_some()
    }

    #[test]
    fn a_request_has_one_host_that_can_be_one() {
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        for host in ["", "a", "a.example:80", "127.0.0.1:8080", "[::1]:8080", "a_b"] {
            assert!(!faulty(new, &[("host", host)]), "{host}");
        }
        for host in ["a", "a.example:80", "127.0.0.1:8080", "-:00000", "a..b", "a:65536"] {
            assert!(is_usual_host(host.as_bytes()), "{host}");
            assert!(Authority::try_from(host).is_ok(), "{host} is taken by the rules as well");
        }
        for host in ["a b", "a/b", "user@a", "http://a", "a:b:c"] {
            assert!(faulty(new, &[("host", host)]), "{host}");
        }
        assert!(faulty(new, &[]) && !faulty(old, &[]));
        for version in [old, new] {
            assert!(faulty(version, &[("host", "a"), ("host", "a")]));
        }
    }

    #[test]
    fn the_only_transfer_coding_is_chunked_once() {
        let coded = |values: &[&'static str]| {
            let lines = values.iter().map(|value| ("transfer-encoding", *value));
            let lines: Vec<_> = lines.chain([("host", "a")]).collect();
            faulty(Version::HTTP_11, &lines)
        };
        assert!(!coded(&["chunked"]) && !coded(&["Chunked"]));
        for values in [
            &["chunked, chunked"][..],
            &["gzip, chunked"],
            &["identity, chunked"],
            &["chunked,"],
            &["chunked;q=1"],
            &["chunked", "chunked"],
            &["identity", "chunked"],
        ] {
            assert!(coded(values), "{values:?}");
        }
    }
}
