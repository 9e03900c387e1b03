//! Serves HTTP/1.1 within limits.

use super::{
    connections::{Connections, Place},
    exchange::{Arriving, Leaving},
    head,
    wire::Wire,
};
use crate::{Shutdown, open_files};
use axum::{
    Router,
    http::{HeaderValue, header},
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use hyper::{
    Request, Response,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use std::{convert::Infallible, io, net::IpAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What the server bears from its clients.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Connections served at once. Beyond that the one that has waited longest for its client - for a
    /// request, or for the rest of one - is closed for a new one; when none waits, the new one has to.
    /// Fewer, with a warning, where the process may not have so many files open, and some besides.
    pub connections: usize,
    /// Bytes of a request's header, at least 8 KiB; beyond that it is answered with 431. With the
    /// connections it bounds what clients that never end their requests can take of the memory: a header
    /// that is too long is noticed at less than twice this, and no more is read ahead of a body.
    pub header_bytes: usize,
    /// For a request's header to be complete, counted from the connection's start or the answer
    /// before: it also closes idle connections. Longer than the idle time of usual load balancers
    /// (60 s), which would otherwise send into a connection that is just being closed.
    pub header_read: Duration,
    /// For the client to take any further part of an answer.
    pub write: Duration,
    /// For the client to take the whole of an answer, counted from when it first keeps the server
    /// waiting; then the connection is cut. An answer is held in memory for as long, unless it
    /// [gives way](crate::GivesWay) before.
    pub answer: Duration,
    /// For which everything is still accepted and answered once the shutdown is requested, each answer
    /// being its connection's last: load balancers notice late that a service is no longer ready.
    pub delay: Duration,
    /// After that, for open requests to end; what is open then is cut.
    pub drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 1_000,
            header_bytes: 16 * 1024,
            header_read: Duration::from_secs(75),
            write: Duration::from_secs(10),
            answer: Duration::from_mins(1),
            delay: Duration::ZERO,
            drain: Duration::from_secs(10),
        }
    }
}

/// The other end of a request's connection: its client, or the last proxy before this server. It is among
/// the extensions of every request that [`serve`] hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// For a client that is to make room to take the rest of an answer that is on its way.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Serves HTTP/1.1 until the shutdown is requested and its delay is over, then lets open requests end
/// within the limit.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: Shutdown,
    limits: ServeLimits,
) -> io::Result<()> {
    let limits = ServeLimits { connections: open_files::connections(limits.connections), ..limits };
    let idle = Connections::default();
    let mut connections = JoinSet::new();
    let (begin_drain, drain) = Shutdown::new();
    let mut accepting_ends = pin!(accepting_ends(&shutdown, limits.delay));
    // Accepted, and not served yet.
    let mut newcomer = None;
    // One was told to close and is going to; that none could be was said.
    let (mut closing, mut told) = (false, false);
    loop {
        let full = connections.len() >= limits.connections;
        if full && newcomer.is_some() && !closing {
            closing = idle.close_longest_idle();
            if !closing && !std::mem::replace(&mut told, true) {
                let connections = connections.len();
                tracing::warn!(connections, "further connections have to wait: all are busy");
            }
        }
        if !full && let Some((stream, peer)) = newcomer.take() {
            let (place, shutdown, drain) = (idle.place(), shutdown.clone(), drain.clone());
            let open = Connection { place, peer, shutdown, drain, limits };
            connections.spawn(open.serve(stream, router.clone()));
        }
        tokio::select! {
            () = accepting_ends.as_mut() => break,
            accepted = listener.accept(), if newcomer.is_none() => match accepted {
                Ok((stream, peer)) => newcomer = Some((stream, Peer(peer.ip()))),
                Err(error) => accept_failed(&error, &idle).await,
            },
            () = idle.one_more_waits(), if newcomer.is_some() && !closing => {}
            () = idle.one_stays(), if closing => closing = false,
            Some(_) = connections.join_next() => closing = false,
        }
    }
    drop(listener);
    begin_drain.request();
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, ended).await.is_err() {
        tracing::warn!(open = connections.len(), "connections are cut that did not end in time");
        connections.shutdown().await;
    }
    Ok(())
}

/// Returns when the shutdown has been requested for as long as its delay.
async fn accepting_ends(shutdown: &Shutdown, delay: Duration) {
    shutdown.requested().await;
    if !delay.is_zero() {
        tracing::info!(?delay, "requests are still accepted for a while");
        tokio::time::sleep(delay).await;
    }
}

struct Connection {
    place: Arc<Place>,
    peer: Peer,
    /// From when on every answer is the connection's last.
    shutdown: Shutdown,
    /// From when on it is not to wait for a request.
    drain: Shutdown,
    limits: ServeLimits,
}

/// Why a connection is to end, but for its client.
enum End {
    /// A newcomer needs its place.
    MakeRoom,
    /// The server stops.
    Drain,
    /// The time for a request's head is over.
    HeadIsLate,
}

impl Connection {
    async fn serve(self, stream: TcpStream, router: Router) {
        let ServeLimits { write, answer, .. } = self.limits;
        let wire = Wire::new(stream, Arc::clone(&self.place), write, answer);
        let router = &TowerToHyperService::new(router);
        // The connection's own, so that requests on different processors do not count in one place.
        let shutdown = Arc::new(self.shutdown.clone());
        let service = service_fn(|request: Request<Incoming>| {
            let (place, shutdown) = (Arc::clone(&self.place), Arc::clone(&shutdown));
            let peer = self.peer;
            // All of it belongs to the first poll: of requests in a row the library reads the next
            // one as soon as it has an answer, and polls it when the client has taken that.
            async move {
                let (mut head, body) = request.into_parts();
                head.extensions.insert(peer);
                let refusal = head::refusal(&head);
                let body = Arriving::new(body, Arc::clone(&place));
                let number = body.request();
                let mut answer: Response<_> = match refusal {
                    Some(refusal) => refusal,
                    None => router.call(Request::from_parts(head, body)).await?,
                };
                if shutdown.is_requested() {
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(header::CONNECTION, close);
                }
                Ok::<_, Infallible>(Leaving::answer(answer, place, number))
            }
        });
        let mut builder = http1::Builder::new();
        // The library would set a timer for each request's head.
        builder
            .header_read_timeout(None)
            .max_header_size(self.limits.header_bytes)
            .max_buf_size(self.limits.header_bytes);
        let mut served = pin!(builder.serve_connection(TokioIo::new(wire), service));
        let mut ends = self.ends();
        let ended = loop {
            let end = tokio::select! {
                biased;
                ended = served.as_mut() => break ended,
                Some(end) = ends.next() => end,
            };
            served.as_mut().graceful_shutdown();
            match end {
                End::Drain => {}
                End::HeadIsLate => return tracing::debug!("a connection ended: no request came"),
                End::MakeRoom => tokio::select! {
                    biased;
                    ended = served.as_mut() => break ended,
                    // It is in the middle of a request.
                    () = self.may_be_cut() => return,
                },
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    /// Each is looked at when it is woken: the connection's task is at every step of a request.
    fn ends(&self) -> FuturesUnordered<BoxFuture<'_, End>> {
        let late = self.place.head_is_late(self.limits.header_read);
        FuturesUnordered::from_iter([
            self.place.closing().map(|()| End::MakeRoom).boxed(),
            self.drain.requested().map(|()| End::Drain).boxed(),
            late.map(|()| End::HeadIsLate).boxed(),
        ])
    }

    /// Returns when nothing is lost by cutting the connection; not while its answer would be.
    async fn may_be_cut(&self) {
        loop {
            let waits = self.place.waits_since();
            if self.place.is_stuck() {
                tokio::time::sleep(LAST_ANSWER).await;
            }
            if waits.is_some() && self.place.waits_since() == waits {
                return;
            }
            // A request was completed meanwhile: the connection ends with its answer, by itself or,
            // if the client does not take that, when it is told again.
            self.place.stays();
            self.place.closing().await;
        }
    }
}

/// Out of file descriptors, most likely: trying again at once would spin.
async fn accept_failed(error: &io::Error, idle: &Connections) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "accepting a connection failed");
        idle.close_longest_idle();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
