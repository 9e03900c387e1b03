//! Serves HTTP/1.1 within limits.

use super::connections::{Connections, Place};
use crate::Shutdown;
use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_io_timeout::TimeoutStream;

/// What the server bears from its clients.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Connections served at once. Beyond that the one that has waited longest for a request is closed
    /// for a new one; when none waits, the new one has to.
    pub connections: usize,
    /// For a request's header to be complete, counted from the connection's start or the answer
    /// before: it also closes idle connections. Longer than the idle time of usual load balancers
    /// (60 s), which would otherwise send into a connection that is just being closed.
    pub header_read: Duration,
    /// For the client to take any further part of an answer.
    pub write: Duration,
    /// For open requests to end once the shutdown is requested; what is open then is cut.
    pub drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 1_000,
            header_read: Duration::from_secs(75),
            write: Duration::from_secs(10),
            drain: Duration::from_secs(10),
        }
    }
}

/// For an answer that is on its way to a connection that is to make room.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Serves HTTP/1.1 until the shutdown is requested, then lets open requests end within the limit.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: Shutdown,
    limits: ServeLimits,
) -> io::Result<()> {
    let idle = Connections::default();
    let mut connections = JoinSet::new();
    // Accepted, and not served yet.
    let mut newcomer = None;
    // One was told to close and has not ended yet; that none could be was said.
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
        if !full && let Some(stream) = newcomer.take() {
            let open = Connection { place: idle.place(), shutdown: shutdown.clone(), limits };
            connections.spawn(open.serve(stream, router.clone()));
        }
        tokio::select! {
            () = shutdown.requested() => break,
            accepted = listener.accept(), if newcomer.is_none() => match accepted {
                Ok((stream, _)) => newcomer = Some(stream),
                Err(error) => accept_failed(&error, &idle).await,
            },
            () = idle.one_more_waits(), if newcomer.is_some() && !closing => {}
            Some(_) = connections.join_next() => closing = false,
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, ended).await.is_err() {
        tracing::warn!(open = connections.len(), "connections are cut that did not end in time");
        connections.shutdown().await;
    }
    Ok(())
}

struct Connection {
    place: Arc<Place>,
    shutdown: Shutdown,
    limits: ServeLimits,
}

impl Connection {
    async fn serve(self, stream: TcpStream, router: Router) {
        // Answers are small and complete: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write));
        let router = TowerToHyperService::new(router);
        let service = service_fn(|request: Request<Incoming>| {
            let answering = self.place.answers();
            let answer = router.call(request);
            async move {
                let answer = answer.await;
                drop(answering);
                answer
            }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.limits.header_read);
        let mut served = pin!(builder.serve_connection(TokioIo::new(Box::pin(stream)), service));
        let ended = tokio::select! {
            ended = served.as_mut() => ended,
            () = self.place.closing() => {
                served.as_mut().graceful_shutdown();
                match tokio::time::timeout(LAST_ANSWER, served).await {
                    Ok(ended) => ended,
                    // It is in the middle of a header.
                    Err(_) => return,
                }
            }
            () = self.shutdown.requested() => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
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
