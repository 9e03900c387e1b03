//! Answers to what is no HTTP at all, in AWS's shape.
//!
//! hyper answers bytes that it cannot read as a request by itself, with a bare status, before any code
//! of ours sees them. Such an answer is told from ours by what ours always have, and gets a body.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wire::REQUEST_ID;

/// A connection whose bare error answers get a body.
#[derive(Debug)]
pub(super) struct Shaped<T> {
    inner: T,
    /// What is still to be written in the place of a bare answer.
    pending: Vec<u8>,
    /// How much of the bare answer it stands for.
    replaced: usize,
}

impl<T> Shaped<T> {
    pub(super) const fn new(inner: T) -> Self {
        Self { inner, pending: Vec::new(), replaced: 0 }
    }
}

/// The status line of a bare answer, when these bytes are one.
fn bare_status(bytes: &[u8]) -> Option<&str> {
    let head = std::str::from_utf8(bytes).ok()?;
    let refusal = head.starts_with("HTTP/1.1 4") && head.ends_with("\r\n\r\n");
    let ours = head.contains(REQUEST_ID) || !head.contains("content-length: 0\r\n");
    head.lines().next().filter(|_| refusal && !ours)
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

impl<T: AsyncRead + Unpin> AsyncRead for Shaped<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Shaped<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.pending.is_empty() {
            let Some(status) = bare_status(bytes) else {
                return Pin::new(&mut self.inner).poll_write(cx, bytes);
            };
            self.pending = shaped(status);
            self.replaced = bytes.len();
        }
        while !self.pending.is_empty() {
            let this = &mut *self;
            let written = ready!(Pin::new(&mut this.inner).poll_write(cx, &this.pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.pending.drain(..written);
        }
        Poll::Ready(Ok(self.replaced))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A bare answer is a head without a body: one buffer.
        match buffers {
            [only] => self.poll_write(cx, only),
            _ => Pin::new(&mut self.inner).poll_write_vectored(cx, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
