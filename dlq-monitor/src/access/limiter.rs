//! A limit of failed logins.
//!
//! Each client has its own, so that one who guesses keeps nobody else out, and there is one for all
//! together, so that one with many addresses guesses no faster. Where the common one is used up those who
//! have logged in from their address before go on, and so does whoever shows the token as a bearer token.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::{HeaderMap, request::Parts};
use service_kit::Peer;
use tokio::time::Instant;

/// Failures of one client that are borne, and after how long one more is.
const OF_ONE: Limit = Limit { failures: 5, refill: Duration::from_secs(12) };
/// The same of all that have not logged in before.
const OF_ALL: Limit = Limit { failures: 60, refill: Duration::from_secs(1) };
/// Clients that are remembered: beyond that the one is forgotten that was here longest ago.
const CLIENTS: usize = 1_000;

#[derive(Clone, Copy)]
struct Limit {
    failures: u32,
    refill: Duration,
}

/// Where a login comes from: the connection's other end, and whom that one names as its own client, as a
/// proxy does. A client that names others gets the limit of each, and no more than all together have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Client {
    peer: Option<IpAddr>,
    behind: Option<IpAddr>,
}

impl Client {
    pub(super) fn of(head: &Parts) -> Self {
        let peer = head.extensions.get::<Peer>().map(|peer| network(peer.0));
        Self { peer, behind: last_forwarded(&head.headers).map(network) }
    }
}

/// The last hop of `X-Forwarded-For`: the nearest proxy's own word.
fn last_forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

/// Of IPv6 a client has a /64 at least.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[derive(Debug, Default)]
pub(super) struct Limiter(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    clients: HashMap<Client, Tries>,
    all: Failures,
}

#[derive(Debug, Default)]
struct Tries {
    failures: Failures,
    has_logged_in: bool,
    last: Option<Instant>,
}

#[derive(Debug, Default)]
struct Failures {
    count: u32,
    since: Option<Instant>,
}

impl Limiter {
    /// Takes one of the client's tries; an error says how long to wait.
    pub(super) fn take(&self, client: Client, now: Instant) -> Result<(), Duration> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { clients, all } = &mut *known;
        let one = clients.get_mut(&client);
        let is_trusted = one.as_ref().is_some_and(|tries| tries.has_logged_in);
        if let Some(tries) = one {
            tries.failures.may_grow(OF_ONE, now)?;
        }
        if !is_trusted {
            all.may_grow(OF_ALL, now)?;
            all.count += 1;
        }
        if !clients.contains_key(&client) && clients.len() >= CLIENTS {
            forget_one(clients);
        }
        let tries = clients.entry(client).or_default();
        tries.failures.since.get_or_insert(now);
        tries.failures.count += 1;
        tries.last = Some(now);
        Ok(())
    }

    /// Gives it back: it was right.
    pub(super) fn give_back(&self, client: Client) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { clients, all } = &mut *known;
        let Some(tries) = clients.get_mut(&client) else { return };
        tries.failures.count = tries.failures.count.saturating_sub(1);
        if !std::mem::replace(&mut tries.has_logged_in, true) {
            all.count = all.count.saturating_sub(1);
        }
    }
}

/// Forgets who was here longest ago, of those that have not logged in where there are such.
fn forget_one(clients: &mut HashMap<Client, Tries>) {
    let oldest = clients.iter().min_by_key(|(_, tries)| (tries.has_logged_in, tries.last));
    if let Some(client) = oldest.map(|(client, _)| *client) {
        clients.remove(&client);
    }
}

impl Failures {
    /// Whether one more is borne; an error says how long to wait.
    fn may_grow(&mut self, limit: Limit, now: Instant) -> Result<(), Duration> {
        let since = self.since.get_or_insert(now);
        while self.count > 0 && now >= *since + limit.refill {
            self.count -= 1;
            *since += limit.refill;
        }
        if self.count == 0 {
            *since = now;
        }
        if self.count >= limit.failures {
            return Err((*since + limit.refill).saturating_duration_since(now));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> Client {
        Client { peer: Some(IpAddr::V4(number.into())), behind: None }
    }

    /// Tries of one client until it has to wait.
    fn tries(limiter: &Limiter, client: Client, now: Instant) -> usize {
        std::iter::repeat_with(|| limiter.take(client, now)).take_while(Result::is_ok).count()
    }

    #[test]
    fn after_some_failures_one_has_to_wait_for_each_further_one() {
        let (limiter, now, one) = (Limiter::default(), Instant::now(), client(1));
        assert_eq!(tries(&limiter, one, now), 5);
        assert_eq!(limiter.take(one, now), Err(OF_ONE.refill));
        let later = now + OF_ONE.refill;
        assert_eq!(tries(&limiter, one, later), 1);
        assert_eq!(limiter.take(one, later), Err(OF_ONE.refill));
        limiter.give_back(one);
        assert_eq!(limiter.take(one, later), Ok(()));
        assert_eq!(tries(&limiter, one, now + OF_ONE.refill * 100), 5);
    }

    #[test]
    fn one_that_guesses_keeps_no_other_out() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        assert_eq!(tries(&limiter, client(1), now), 5);
        assert_eq!(limiter.take(client(2), now), Ok(()));
        // Behind one proxy.
        let behind = |address: &str| Client { behind: address.parse().ok(), ..client(3) };
        assert_eq!(tries(&limiter, behind("192.0.2.1"), now), 5);
        assert_eq!(limiter.take(behind("192.0.2.2"), now), Ok(()));
    }

    #[test]
    fn many_that_guess_are_no_faster_and_keep_out_nobody_who_has_logged_in() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        assert_eq!(limiter.take(client(0), now), Ok(()));
        limiter.give_back(client(0));
        let guesses: usize = (1..100).map(|number| tries(&limiter, client(number), now)).sum();
        assert_eq!(guesses, OF_ALL.failures as usize);
        assert_eq!(limiter.take(client(1_000), now), Err(OF_ALL.refill));
        assert_eq!(limiter.take(client(0), now), Ok(()), "it has logged in before");
        limiter.give_back(client(0));
        assert_eq!(limiter.take(client(1_000), now), Err(OF_ALL.refill), "that gives nobody more");
        assert_eq!(limiter.take(client(1_000), now + OF_ALL.refill), Ok(()));
    }

    #[test]
    fn no_more_clients_are_remembered_than_there_is_room_for() {
        let (limiter, mut now) = (Limiter::default(), Instant::now());
        assert_eq!(limiter.take(client(0), now), Ok(()));
        limiter.give_back(client(0));
        for number in 1..2 * CLIENTS as u32 {
            now += OF_ALL.refill;
            assert_eq!(limiter.take(client(number), now), Ok(()));
        }
        let known = limiter.0.lock().expect("nobody broke");
        assert_eq!(known.clients.len(), CLIENTS);
        assert!(known.clients[&client(0)].has_logged_in, "who has logged in is kept");
    }

    #[test]
    fn a_client_is_its_address_or_its_network_and_whom_its_proxy_names() {
        let of = |peer: &str, forwarded: &[&str]| {
            let mut request = axum::http::Request::new(());
            request.extensions_mut().insert(Peer(peer.parse().expect("an address")));
            for line in forwarded {
                request.headers_mut().append("x-forwarded-for", line.parse().expect("a value"));
            }
            Client::of(&request.into_parts().0)
        };
        assert_eq!(of("::ffff:192.0.2.1", &[]), of("192.0.2.1", &[]));
        assert_ne!(of("192.0.2.1", &[]), of("192.0.2.2", &[]));
        assert_eq!(of("2001:db8::1", &[]), of("2001:db8::ffff:2", &[]), "one network");
        assert_ne!(of("2001:db8::1", &[]), of("2001:db8:0:1::1", &[]));
        let proxied = of("10.0.0.1", &["192.0.2.9"]);
        assert_eq!(of("10.0.0.1", &["evil, 192.0.2.7", "192.0.2.8, 192.0.2.9"]), proxied);
        assert_ne!(of("10.0.0.1", &["192.0.2.8"]), proxied);
        assert_eq!(of("10.0.0.1", &["unknown"]), of("10.0.0.1", &[]));
    }
}
