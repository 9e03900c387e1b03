//! What browsers of other origins may do, and answers in fewer bytes: both off unless asked for.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, Uri, header},
};
use std::time::Duration;
use tower_http::{
    compression::{CompressionLayer, DefaultPredicate, Predicate, predicate::SizeAbove},
    cors::{Any, CorsLayer},
};

/// For which a browser remembers what it may do.
const PREFLIGHT_AGE: Duration = Duration::from_mins(10);
/// Below which compressing costs more than it saves, bytes: an answer in one packet stays as it is.
const SMALLEST_COMPRESSED: u16 = 1400;

/// Whose pages may use the API from a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Anybody's.
    Any,
    /// Those of these origins, as browsers write them.
    Listed(Vec<HeaderValue>),
}

impl Origins {
    /// Reads `*`, or a list of origins such as `https://shop.example, http://localhost:3000`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(Self::Any);
        }
        text.split(',')
            .map(|origin| parse_origin(origin.trim()))
            .collect::<Option<_>>()
            .map(Self::Listed)
    }
}

/// An origin is a scheme, a host and a port that is not the scheme's own (RFC 6454, section 6.2), in
/// lower case: it is compared byte by byte with what a browser sends.
fn parse_origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let bare = text == format!("{scheme}://{authority}") && !authority.as_str().contains('@');
    let port = authority.port_u16();
    let port_is_one = authority.as_str().len() == authority.host().len() || port.is_some();
    let valid = bare && port_is_one && port != Some(usual) && !authority.host().is_empty();
    // A pattern would never match: a browser sends the host's name.
    let valid = valid && !text.contains('*');
    let lower = text.chars().all(|char| !char.is_ascii_uppercase());
    (valid && lower).then(|| text.parse().ok()).flatten()
}

/// Lets pages of these origins use the API: its methods, the headers it reads, and those of its
/// answers that a client needs. Without credentials: the API knows none.
pub(crate) fn allow(router: Router, origins: &Origins) -> Router {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("traceparent"),
        ])
        .expose_headers([header::LOCATION, header::RETRY_AFTER])
        .max_age(PREFLIGHT_AGE);
    router.layer(match origins {
        Origins::Any => layer.allow_origin(Any),
        Origins::Listed(origins) => layer.allow_origin(origins.clone()),
    })
}

/// Compresses larger answers for clients that take gzip.
pub(crate) fn compress(router: Router) -> Router {
    let large = DefaultPredicate::new().and(SizeAbove::new(SMALLEST_COMPRESSED));
    router.layer(CompressionLayer::new().compress_when(large))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_those_that_browsers_send_and_nothing_else_is() {
        assert_eq!(Origins::parse(" * "), Some(Origins::Any));
        let listed =
            Origins::parse("https://shop.example, http://localhost:3000,http://[::1]:8080");
        let Some(Origins::Listed(listed)) = listed else { panic!("{listed:?}") };
        assert_eq!(listed, ["https://shop.example", "http://localhost:3000", "http://[::1]:8080"]);
        for wrong in [
            "",
            ",",
            "https://shop.example,",
            "https://shop.example/",
            "https://shop.example/path",
            "https://shop.example?a",
            "https://Shop.example",
            "https://shop.example:443",
            "https://shop.example:",
            "https://shop.example:http",
            "https://user@shop.example",
            "https://*.shop.example",
            "*, https://shop.example",
            "shop.example",
            "ftp://shop.example",
            "null",
        ] {
            assert_eq!(Origins::parse(wrong), None, "{wrong}");
        }
    }
}
