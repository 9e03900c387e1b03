//! A connection's bytes: a client that takes nothing of its answer, or all of it too slowly, is
//! disconnected, and one that is still sending when it has its answer gets to read it.

use super::{connections::Place, gives_way::Stuck};
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
    time::{Instant, Sleep},
};
use tokio_io_timeout::TimeoutStream;

/// For a client to stop sending once the connection is closed to it.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes of what it sends meanwhile that are read and thrown away.
const LINGER_BYTES: usize = 16 * 1024 * 1024;
/// An answer of so few bytes is copied into one piece: the system takes that sooner than several.
const ONE_PIECE: usize = 1024;

/// A connection whose end is gentle. To close a socket with unread bytes resets it, and the reset
/// takes from the client the answer that it has not read yet (RFC 9112, section 9.6): where a request
/// was not read to its end, the closing side says so and reads on for a while.
pub(super) struct Wire<S = TcpStream> {
    stream: Pin<Box<TimeoutStream<S>>>,
    place: Arc<Place>,
    patience: Patience,
    end: End,
}

/// The time for the whole of an answer. Each part that a client takes renews its time for the next one;
/// without this it could have an answer held for it for ever. An answer of which nothing is being
/// taken may have to give way before that.
struct Patience {
    limit: Duration,
    /// The answer for which the client has been waited for last, and when the time for it is over.
    until: Option<(u64, Pin<Box<Sleep>>)>,
    /// Made anew whenever nothing is taken any more, and dropped when something is.
    stuck: Option<Stuck>,
}

enum End {
    Open,
    Lingering { until: Pin<Box<Sleep>>, bytes: usize },
    Over,
}

impl Patience {
    /// Ready when the client has had its time for the latest answer, counted from when it was first
    /// waited for, or when that answer gives way.
    fn poll_over(&mut self, place: &Place, cx: &mut Context<'_>) -> Poll<()> {
        let stuck = self.stuck.get_or_insert_with(|| place.answer_is_stuck());
        if stuck.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let (limit, answer) = (self.limit, place.answer());
        let (of, until) =
            self.until.get_or_insert_with(|| (answer, Box::pin(tokio::time::sleep(limit))));
        if *of != answer {
            *of = answer;
            until.as_mut().reset(Instant::now() + limit);
        }
        until.as_mut().poll(cx)
    }
}

impl Wire {
    /// `write` is the client's time to take any further part, `answer` that for the whole of an answer;
    /// beyond either a write fails.
    pub(super) fn new(
        stream: TcpStream,
        place: Arc<Place>,
        write: Duration,
        answer: Duration,
    ) -> Self {
        // Answers are small and complete: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        Self::over(stream, place, write, answer)
    }
}

impl<S: AsyncRead + AsyncWrite> Wire<S> {
    fn over(stream: S, place: Arc<Place>, write: Duration, answer: Duration) -> Self {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(write));
        let patience = Patience { limit: answer, until: None, stuck: None };
        Self { stream: Box::pin(stream), place, patience, end: End::Open }
    }

    /// What a write has come to, the client's patience considered.
    fn written(
        &mut self,
        result: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.place.note_stuck(result.is_pending());
        let result = match result {
            Poll::Ready(result) => result,
            Poll::Pending => {
                ready!(self.patience.poll_over(&self.place, cx));
                Err(io::ErrorKind::TimedOut.into())
            }
        };
        self.patience.stuck = None;
        Poll::Ready(result)
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

impl<S: AsyncRead + AsyncWrite> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = self.stream.as_mut().poll_write(cx, bytes);
        self.written(result, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = bytes.iter().map(|part| part.len()).sum();
        let result = if length <= ONE_PIECE {
            let mut piece = [0; ONE_PIECE];
            let mut end = 0;
            for part in bytes {
                piece[end..end + part.len()].copy_from_slice(part);
                end += part.len();
            }
            self.stream.as_mut().poll_write(cx, &piece[..end])
        } else {
            self.stream.as_mut().poll_write_vectored(cx, bytes)
        };
        self.written(result, cx)
    }

    /// Where it is not, the HTTP library copies what it is given to write: an answer would be let go of,
    /// with all that it holds, before any of it is written.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{GivesWay, connections::Connections};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    const WRITE: Duration = Duration::from_secs(10);
    const ANSWER: Duration = Duration::from_mins(1);

    /// A wire that holds a byte, and a client that takes it whenever the time for a part is almost over.
    fn slow() -> Wire<DuplexStream> {
        let (mut client, server) = tokio::io::duplex(1);
        tokio::spawn(async move {
            let mut byte = [0];
            while client.read(&mut byte).await.is_ok_and(|read| read > 0) {
                tokio::time::sleep(WRITE.saturating_sub(Duration::from_secs(1))).await;
            }
        });
        Wire::over(server, Connections::default().place(), WRITE, ANSWER)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_taken_part_by_part_is_given_up_when_the_time_for_the_whole_is_over() {
        let (mut wire, began) = (slow(), Instant::now());
        wire.place.answer_begins(None);
        let error = wire.write_all(&[0; 100]).await.expect_err("it takes too long");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let took = began.elapsed();
        assert!((ANSWER..ANSWER + WRITE).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_answer_of_a_connection_has_its_own_time() {
        let (mut wire, began) = (slow(), Instant::now());
        for answer in 1..=3 {
            wire.place.answer_begins(None);
            wire.write_all(&[0; 5]).await.unwrap_or_else(|error| panic!("{answer}: {error}"));
        }
        assert!(began.elapsed() > ANSWER, "all of them together may take longer");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_gives_way_while_nothing_of_it_is_taken_counted_from_the_last_part() {
        let gives_way = |after| Some(GivesWay::new(move || tokio::time::sleep(after)));
        let mut wire = slow();
        wire.place.answer_begins(gives_way(WRITE));
        wire.write_all(&[0; 5]).await.expect("it has more time than for one part");
        wire.place.answer_begins(gives_way(Duration::from_secs(1)));
        let error = wire.write_all(&[0; 5]).await.expect_err("it gives way");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
