//! Logins: a cookie that says until when, signed with a key that is made of the token.
//!
//! Nothing of a login is kept: it holds on all replicas and across restarts, and ends with its time or
//! with the token. Where there is no token the same makes the cookie that goes with the forms of a
//! page; it says nothing of who somebody is, and its key is the process's own.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use rand::RngExt;
use sha2::{Digest, Sha256};

use super::{is_same, login::is_secure};

/// With the port behind them: a browser sends the cookies of one port of a machine to all of them, and
/// what one monitor sets would take the place of another's.
const COOKIE: &str = "dlq_monitor_session_";
const FORMS_COOKIE: &str = "dlq_monitor_forms_";
/// Before the name where the browser speaks TLS: it takes such a cookie only from this very host, over TLS
/// and for all of its paths (RFC 6265bis, 4.1.3.2), so that no other host of the domain can plant one.
const OF_HOST: &str = "__Host-";
/// How long a login holds.
const LASTS: Duration = Duration::from_hours(8);
/// When it ends, in seconds since the epoch, and some bytes of its own.
const HEAD: usize = 8 + 16;
/// SHA-256's.
const BLOCK: usize = 64;

/// Makes and checks logins.
#[derive(Clone)]
pub(super) struct Sessions {
    key: [u8; 32],
    /// Without what stands before it over TLS.
    cookie: String,
}

/// A login.
pub(super) struct Session {
    /// The whole `Set-Cookie`.
    pub(super) cookie: String,
    /// Goes with each request to act.
    pub(super) csrf: String,
}

impl Sessions {
    /// Logins with this token, at this port.
    pub(super) fn new(token: &str, port: u16) -> Self {
        let key = hmac(token.as_bytes(), &[b"dlq-monitor sessions"]);
        Self { key, cookie: format!("{COOKIE}{port}") }
    }

    /// What goes with forms where nobody logs in, at this port.
    pub(super) fn of_forms(port: u16) -> Self {
        Self { key: rand::rng().random(), cookie: format!("{FORMS_COOKIE}{port}") }
    }

    /// A login that begins at this time. `secure`: the browser speaks TLS.
    pub(super) fn begin(&self, now_seconds: u64, secure: bool) -> Session {
        let ends = now_seconds + LASTS.as_secs();
        let own: [u8; 16] = rand::rng().random();
        let mut value = ends.to_be_bytes().to_vec();
        value.extend(own);
        let csrf = self.csrf(&value);
        let signature = self.signature(&value);
        value.extend(signature);
        let cookie = self.set_cookie(&BASE64.encode(value), LASTS, secure);
        Session { cookie, csrf }
    }

    /// The cookie that ends a login.
    pub(super) fn end(&self, secure: bool) -> String {
        self.set_cookie("", Duration::ZERO, secure)
    }

    fn set_cookie(&self, value: &str, lasts: Duration, secure: bool) -> String {
        let (before, behind) = if secure { (OF_HOST, "; Secure") } else { ("", "") };
        let (cookie, seconds) = (&self.cookie, lasts.as_secs());
        format!(
            "{before}{cookie}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{behind}"
        )
    }

    /// The token against forged requests of the login that a request's cookie is of.
    pub(super) fn csrf_of(&self, headers: &HeaderMap) -> Option<String> {
        let now = jiff::Timestamp::now().as_second().cast_unsigned();
        let cookies =
            headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split(';'));
        let before = if is_secure(headers) { OF_HOST } else { "" };
        pairs.find_map(|pair| {
            let value = pair.trim().strip_prefix(before)?.strip_prefix(&self.cookie)?;
            self.check(value.strip_prefix('=')?, now)
        })
    }

    fn check(&self, value: &str, now_seconds: u64) -> Option<String> {
        let value = BASE64.decode(value).ok()?;
        let (head, signature) = value.split_at_checked(HEAD)?;
        if !is_same(signature, &self.signature(head)) {
            return None;
        }
        let ends = u64::from_be_bytes(head[..8].try_into().ok()?);
        (now_seconds < ends).then(|| self.csrf(head))
    }

    fn signature(&self, head: &[u8]) -> [u8; 32] {
        hmac(&self.key, &[b"session", head])
    }

    fn csrf(&self, head: &[u8]) -> String {
        BASE64.encode(hmac(&self.key, &[b"csrf", head]))
    }
}

/// HMAC-SHA-256 (RFC 2104) of the parts, one behind the other.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x36));
    for part in parts {
        inner.update(part);
    }
    let mut outer = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn value(session: &Session) -> &str {
        let (pair, _) = session.cookie.split_once(';').expect("a cookie");
        pair.split_once('=').expect("a value").1
    }

    #[test]
    fn a_login_holds_for_its_time_and_with_its_token_only() {
        let sessions = Sessions::new("token", 8082);
        let session = sessions.begin(1_000, true);
        let ends = 1_000 + LASTS.as_secs();
        assert_eq!(sessions.check(value(&session), ends - 1), Some(session.csrf.clone()));
        assert_eq!(sessions.check(value(&session), ends), None);
        assert_eq!(Sessions::new("another", 8082).check(value(&session), 1_000), None);
        let other = sessions.begin(1_000, true);
        assert_ne!(value(&session), value(&other));
        assert_ne!(session.csrf, other.csrf, "one login's does not do for another");
        for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Secure"] {
            assert!(session.cookie.contains(part), "{}", session.cookie);
        }
    }

    #[test]
    fn a_login_is_of_its_port_and_over_tls_of_its_host() {
        let now = jiff::Timestamp::now().as_second().cast_unsigned();
        let (one, other) = (Sessions::new("token", 8082), Sessions::new("token", 8083));
        let sent = |session: &Session, tls: bool| {
            let pair = session.cookie.split(';').next().expect("a pair");
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, format!("a=b; {pair}").parse().expect("a header"));
            if tls {
                headers.insert("x-forwarded-proto", "https".parse().expect("a header"));
            }
            headers
        };
        let (plain, secure) = (one.begin(now, false), one.begin(now, true));
        assert!(plain.cookie.starts_with("dlq_monitor_session_8082="), "{}", plain.cookie);
        assert!(secure.cookie.starts_with("__Host-dlq_monitor_session_8082="), "{}", secure.cookie);
        assert_eq!(one.csrf_of(&sent(&plain, false)), Some(plain.csrf.clone()));
        assert_eq!(one.csrf_of(&sent(&secure, true)), Some(secure.csrf.clone()));
        assert_eq!(one.csrf_of(&sent(&plain, true)), None, "another host may have set it");
        assert_eq!(other.csrf_of(&sent(&plain, false)), None);
        assert_ne!(one.end(false), other.end(false), "each ends its own");
        assert!(one.end(true).starts_with("__Host-dlq_monitor_session_8082=; "));
        assert!(one.end(true).contains("Max-Age=0") && one.end(true).ends_with("; Secure"));
    }

    #[test]
    fn a_cookie_that_was_tampered_with_is_none() {
        let sessions = Sessions::new("token", 8082);
        let session = sessions.begin(1_000, false);
        let bytes = BASE64.decode(value(&session)).expect("base64");
        for position in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[position] ^= 1;
            assert_eq!(sessions.check(&BASE64.encode(forged), 1_000), None, "{position}");
        }
        for odd in ["", "!", "AAAA", &BASE64.encode(&bytes[..HEAD])] {
            assert_eq!(sessions.check(odd, 1_000), None, "{odd}");
        }
    }

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        // Test cases 2 and 6.
        for (key, data, expected) in [
            (
                b"Jefe".to_vec(),
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 131],
                "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            let (first, second) = data.split_at(7);
            let made = hmac(&key, &[first.as_bytes(), second.as_bytes()]);
            let hex = made.iter().fold(String::new(), |mut hex, byte| {
                _ = write!(hex, "{byte:02x}");
                hex
            });
            assert_eq!(hex, expected);
        }
    }
}
