//! A connection's bytes: a client that takes nothing is disconnected, and one that is still sending
//! when it has its answer gets to read it.

use super::connections::Place;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tokio_io_timeout::TimeoutStream;

/// For a client to stop sending once the connection is closed to it.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes of what it sends meanwhile that are read and thrown away.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// A connection whose end is gentle. To close a socket with unread bytes resets it, and the reset
/// takes from the client the answer that it has not read yet (RFC 9112, section 9.6): where a request
/// was not read to its end, the closing side says so and reads on for a while.
pub(super) struct Wire {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    place: Arc<Place>,
    end: End,
}

enum End {
    Open,
    Lingering { until: Pin<Box<Sleep>>, bytes: usize },
    Over,
}

impl Wire {
    /// A write that the client does not take for so long fails.
    pub(super) fn new(stream: TcpStream, place: Arc<Place>, write: Duration) -> Self {
        // Answers are small and complete: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(write));
        Self { stream: Box::pin(stream), place, end: End::Open }
    }

    fn written<T>(&self, result: Poll<T>) -> Poll<T> {
        self.place.note_stuck(result.is_pending());
        result
    }

    /// Reads and throws away; ready when the client has ended or has used up what it is given.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let End::Lingering { until, bytes } = &mut self.end else { return Poll::Ready(()) };
        let mut space = [0; 8 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match self.stream.as_mut().poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.place.note_unread(true);
                    *bytes = bytes.saturating_sub(buffer.filled().len());
                    if *bytes == 0 {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                // Nothing more to come, as far as is known.
                Poll::Pending if !self.place.has_unread() => return Poll::Ready(()),
                Poll::Pending => return until.as_mut().poll(cx),
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = self.stream.as_mut().poll_write(cx, bytes);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.stream.as_mut().poll_write_vectored(cx, bytes);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.end, End::Open) {
            ready!(self.stream.as_mut().poll_shutdown(cx))?;
            let until = Box::pin(tokio::time::sleep(LINGER));
            self.end = End::Lingering { until, bytes: LINGER_BYTES };
        }
        ready!(self.poll_discard(cx));
        self.end = End::Over;
        Poll::Ready(Ok(()))
    }
}
