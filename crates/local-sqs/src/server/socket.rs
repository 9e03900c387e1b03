//! A connection's socket, with what hyper leaves to be done.
//!
//! - Bytes that are no HTTP are answered by hyper with a bare status or not at all, before any code of
//!   ours sees them. They get an answer in AWS's shape.
//! - A head that has begun and does not go on is not waited for as long as one that has not begun.
//! - While hyper holds bytes of a next request it reads no more, and does not see that the peer has gone.

use std::future::pending;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::wire::REQUEST_ID;

/// For the rest of a head, once a part of it is there.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What a connection and the requests on it share.
#[derive(Debug)]
pub(super) struct Peer {
    stream: TcpStream,
    /// Whether bytes came that are not yet a request, nor answered.
    in_head: AtomicBool,
    serving: AtomicBool,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> Arc<Self> {
        let (in_head, serving) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { stream, in_head, serving })
    }

    /// Notes that a request's head is there, until what this returns is dropped.
    pub(super) fn serving(self: &Arc<Self>) -> Serving {
        self.in_head.store(false, Ordering::Relaxed);
        self.serving.store(true, Ordering::Relaxed);
        Serving(Arc::clone(self))
    }

    /// Ends when the peer has closed its side, whatever it has sent before. Never ends when that cannot
    /// be watched, for want of file descriptors.
    pub(super) async fn gone(&self) {
        if self.watch().await.is_err() {
            pending::<()>().await;
        }
    }

    async fn watch(&self) -> io::Result<()> {
        // A descriptor of its own has a readiness of its own, which nobody else uses up.
        let own = self.stream.as_fd().try_clone_to_owned()?;
        let watched = TcpStream::from_std(own.into())?;
        while !watched.ready(Interest::READABLE).await?.is_read_closed() {
            // Bytes came; they are hyper's. What matters is the next change.
            let _ = watched.try_io(Interest::READABLE, || {
                Err::<(), _>(io::Error::from(io::ErrorKind::WouldBlock))
            });
        }
        Ok(())
    }

    /// Answers bytes that became no request, when nothing else has.
    pub(super) fn answer_garbage(&self) {
        if self.in_head.swap(false, Ordering::Relaxed) {
            // If the peer does not take it, it is not there to read it.
            let _ = self.stream.try_write(&shaped("HTTP/1.1 400 Bad Request"));
        }
    }
}

/// A request that is being served.
pub(super) struct Serving(Arc<Peer>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.serving.store(false, Ordering::Relaxed);
    }
}

/// The socket as hyper reads and writes it.
#[derive(Debug)]
pub(super) struct Socket {
    peer: Arc<Peer>,
    head_timeout: Option<Pin<Box<Sleep>>>,
    /// What is still to be written in the place of a bare answer.
    replacement: Vec<u8>,
    /// How much of the bare answer it stands for.
    replaced: usize,
}

impl Socket {
    pub(super) const fn new(peer: Arc<Peer>) -> Self {
        Self { peer, head_timeout: None, replacement: Vec::new(), replaced: 0 }
    }

    fn poll_write_raw(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.peer.in_head.store(false, Ordering::Relaxed);
        loop {
            ready!(self.peer.stream.poll_write_ready(cx))?;
            match self.peer.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

/// The status line of a bare answer, when these bytes are one. Every answer of ours has an id.
fn bare_status(bytes: &[u8]) -> Option<&str> {
    if !bytes.starts_with(b"HTTP/1.1 4") || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?;
    head.lines().next().filter(|_| !head.contains(REQUEST_ID))
}

fn shaped(status: &str) -> Vec<u8> {
    let id = uuid::Uuid::new_v4();
    let body = r#"{"__type":"com.amazon.coral.service#SerializationException","message":"The request is not valid HTTP."}"#;
    format!(
        "{status}\r\ncontent-type: application/x-amz-json-1.0\r\n{REQUEST_ID}: {id}\r\nx-amzn-query-error: MalformedInput;Sender\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let peer = Arc::clone(&self.peer);
            match peer.stream.poll_read_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending if peer.in_head.load(Ordering::Relaxed) => {
                    let timeout = self
                        .head_timeout
                        .get_or_insert_with(|| Box::pin(tokio::time::sleep(HEAD_TIMEOUT)));
                    ready!(timeout.as_mut().poll(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Pending => {
                    self.head_timeout = None;
                    return Poll::Pending;
                }
            }
            match peer.stream.try_read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    if read > 0 && !peer.serving.load(Ordering::Relaxed) {
                        peer.in_head.store(true, Ordering::Relaxed);
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.replacement.is_empty() {
            let Some(status) = bare_status(bytes) else {
                return self.poll_write_raw(cx, bytes);
            };
            self.replacement = shaped(status);
            self.replaced = bytes.len();
        }
        while !self.replacement.is_empty() {
            let written = ready!(self.poll_write_raw(cx, &self.replacement))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.replacement.drain(..written);
        }
        Poll::Ready(Ok(self.replaced))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A bare answer is a head without a body: one buffer.
        if let [only] = buffers {
            return self.poll_write(cx, only);
        }
        loop {
            ready!(self.peer.stream.poll_write_ready(cx))?;
            match self.peer.stream.try_write_vectored(buffers) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let own = self.peer.stream.as_fd().try_clone_to_owned()?;
        Poll::Ready(std::net::TcpStream::from(own).shutdown(Shutdown::Write))
    }
}
