//! The connections: accepting them, serving HTTP/1.1 on each, and ending them.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request as HttpRequest, Response as HttpResponse};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::core::Shared;
use super::faults::Loss;
use super::http;
use super::socket::{Peer, Socket};
use super::wire::REQUEST_ID;

/// For a request's head to be complete, counted from the connection's start or the answer before: it
/// closes idle connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// For open requests to end once the server is to stop; what is open then is cut.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long accepting rests when it fails for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves until `shutdown` is over; then ends the long polls and finishes what is under way.
pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&shared), stopping.clone()));
                }
                Err(error) => accept_failed(&error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    shared.end_long_polls();
    stop.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIMEOUT, ended).await.is_err() {
        tracing::warn!(open = connections.len(), "connections are cut that did not end in time");
        connections.shutdown().await;
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
    // Answers are small and awaited: they must not wait for more to fill a packet.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let peer = Peer::new(stream);
    let (stopped, of_requests) = (stopping.clone(), Arc::clone(&peer));
    let service = service_fn(move |request: HttpRequest<Incoming>| {
        let (shared, stopped, peer) =
            (Arc::clone(&shared), stopped.clone(), Arc::clone(&of_requests));
        async move {
            let _serving = peer.serving();
            tokio::select! {
                biased;
                answer = answer(&shared, stopped, request.map(Body::new)) => answer,
                // A long poll whose receiver has gone takes nothing.
                () = peer.gone() => Err(Loss::Dropped),
            }
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT);
    let io = TokioIo::new(Socket::new(Arc::clone(&peer)));
    let mut served = pin!(builder.serve_connection(io, service));
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = async { drop(stopping.wait_for(|stopped| *stopped).await) } => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
        peer.answer_garbage();
    }
}

/// An answer, or the end of the connection without one, which hyper brings about when a service has an
/// error.
async fn answer(
    shared: &Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
    request: HttpRequest<Body>,
) -> Result<HttpResponse<Body>, Loss> {
    match http::answer(shared, request).await {
        Ok(mut response) => {
            let id = || HeaderValue::from_str(&uuid::Uuid::new_v4().to_string());
            if !response.headers().contains_key(REQUEST_ID)
                && let Ok(id) = id()
            {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            Ok(response)
        }
        Err(Loss::Dropped) => Err(Loss::Dropped),
        Err(Loss::Hanging) => {
            let _ = stopped.wait_for(|stopped| *stopped).await;
            Err(Loss::Hanging)
        }
    }
}

/// Out of file descriptors, most likely: trying again at once would spin.
async fn accept_failed(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "accepting a connection failed");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a fault on purpose")
    }
}

impl std::error::Error for Loss {}
