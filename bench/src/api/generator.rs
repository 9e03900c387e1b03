//! A load generator that costs little beside what it measures, whose core it may have to share: one
//! thread, keep-alive connections, requests that are rendered once, nothing allocated for each, and
//! waits that end when they are to (tokio's own end up to two milliseconds later).

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    ops::Range,
    os::fd::OwnedFd,
    time::Duration,
};

use anyhow::{Context, ensure};
use httparse::{EMPTY_HEADER, Response, Status};
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
    io::{read, retry_on_intr},
};
use tokio::time::Instant;

use crate::role::fraction;

/// Nothing that is asked here takes this long unless its process hangs.
const LONGEST: Duration = Duration::from_secs(20);
/// Answers that are read before the next look at what is due.
const ANSWERS: usize = 16;
/// Bytes of an answer, all of them fewer than this.
const ANSWER_BYTES: usize = 4096;

/// Requests of some kinds in turn, each with a number of its own.
pub(crate) struct Requests {
    kinds: Vec<Template>,
    rendered: u64,
}

/// A request that is rendered but for the digits in its rows.
struct Template {
    bytes: Vec<u8>,
    rows: Vec<Row>,
}

/// A row of `#` takes the last digits of the request's number, a row of `~` random ones, the same
/// for each row of the request.
struct Row {
    at: Range<usize>,
    random: bool,
}

impl Requests {
    /// Each kind is a POST: what follows the method, without `Host` and length, and the body.
    pub(super) fn new(kinds: impl IntoIterator<Item = (String, String)>) -> Self {
        let kinds = kinds.into_iter().map(|(head, body)| Template::new(&head, &body));
        Self { kinds: kinds.collect(), rendered: 0 }
    }

    fn render_next(&mut self) -> &[u8] {
        let number = self.rendered;
        self.rendered += 1;
        let kind = number as usize % self.kinds.len();
        self.kinds[kind].render(number)
    }
}

impl Template {
    fn new(head: &str, body: &str) -> Self {
        let length = body.len();
        let bytes = format!("POST {head}\r\nhost: bench\r\ncontent-length: {length}\r\n\r\n{body}")
            .into_bytes();
        let mut rows: Vec<Row> = Vec::new();
        for (at, byte) in bytes.iter().enumerate().filter(|(_, byte)| b"#~".contains(byte)) {
            let random = *byte == b'~';
            match rows.last_mut() {
                Some(row) if row.at.end == at && row.random == random => row.at.end += 1,
                _ => rows.push(Row { at: at..at + 1, random }),
            }
        }
        Self { bytes, rows }
    }

    fn render(&mut self, number: u64) -> &[u8] {
        let random = (fraction(number, 5) * 1e9) as u64;
        for row in &self.rows {
            let mut rest = if row.random { random } else { number };
            for digit in self.bytes[row.at.clone()].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        &self.bytes
    }
}

/// Sends over connections of its own, one request at a time over each.
pub(crate) struct Generator {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// Connections without a request. The one that was answered last is the next to be used: no
    /// more of them are in use than must be.
    free: Vec<usize>,
    events: Vec<epoll::Event>,
}

struct Connection {
    stream: TcpStream,
    /// When the request was due that is under way.
    due: Instant,
    /// What has come of its answer.
    answer: Vec<u8>,
}

/// How long each request took since it was due, and how long after that it was sent; from the
/// shortest time to the longest.
#[derive(Default)]
pub(super) struct Times {
    pub(super) took: Vec<Duration>,
    pub(super) late: Vec<Duration>,
}

impl Times {
    pub(super) fn add(&mut self, other: Self) {
        for (times, others) in [(&mut self.took, other.took), (&mut self.late, other.late)] {
            times.extend(others);
            times.sort_unstable();
        }
    }
}

impl Generator {
    pub(crate) fn open(addr: SocketAddr, connections: usize) -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let free: Vec<usize> = (0..connections).collect();
        let mut connections = Vec::with_capacity(connections);
        for at in &free {
            let stream = TcpStream::connect(addr)?;
            stream.set_nodelay(true)?;
            let data = epoll::EventData::new_u64(*at as u64);
            epoll::add(&epoll, &stream, data, epoll::EventFlags::IN)?;
            let answer = Vec::with_capacity(ANSWER_BYTES);
            connections.push(Connection { stream, due: Instant::now(), answer });
        }
        Ok(Self { epoll, connections, free, events: Vec::with_capacity(ANSWERS) })
    }

    /// Sends the next request over each connection when the last one is answered; how long each
    /// took, from the shortest time to the longest. An answer that is no success is an error.
    pub(crate) fn closed_loop(
        &mut self,
        requests: &mut Requests,
        count: usize,
    ) -> anyhow::Result<Vec<Duration>> {
        self.run(requests, count, None).map(|times| times.took)
    }

    /// Sends so many a second, with exponential times between them, whatever becomes of the earlier
    /// ones. One that finds every connection busy waits for the first that is not.
    pub(super) fn at_rate(
        &mut self,
        requests: &mut Requests,
        count: usize,
        per_second: f64,
    ) -> anyhow::Result<Times> {
        self.run(requests, count, Some(per_second))
    }

    fn run(
        &mut self,
        requests: &mut Requests,
        count: usize,
        per_second: Option<f64>,
    ) -> anyhow::Result<Times> {
        let mut times = Times { took: Vec::with_capacity(count), late: Vec::with_capacity(count) };
        let mut due = Instant::now();
        while times.took.len() < count {
            let mut now = Instant::now();
            while times.late.len() < count
                && due <= now
                && let Some(at) = self.free.pop()
            {
                if per_second.is_none() {
                    due = now;
                }
                times.late.push(now.saturating_duration_since(due));
                self.connections[at].send(requests.render_next(), due)?;
                if let Some(per_second) = per_second {
                    let part = fraction(times.late.len() as u64, 4);
                    due += Duration::from_secs_f64(-(1.0 - part).ln() / per_second);
                }
                now = Instant::now();
            }
            let sends = times.late.len() < count && !self.free.is_empty();
            let pause = if sends { due.saturating_duration_since(now) } else { LONGEST };
            self.wait(pause)?;
            ensure!(sends || !self.events.is_empty(), "no answer in {LONGEST:?}");
            for event in self.events.drain(..) {
                let at = event.data.u64() as usize;
                let connection = &mut self.connections[at];
                if connection.receive()? {
                    times.took.push(connection.due.elapsed());
                    self.free.push(at);
                }
            }
        }
        times.took.sort_unstable();
        times.late.sort_unstable();
        Ok(times)
    }

    /// Waits until there are answers, or the time is over.
    fn wait(&mut self, pause: Duration) -> anyhow::Result<()> {
        let pause = Timespec::try_from(pause)?;
        retry_on_intr(|| epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&pause)))?;
        Ok(())
    }
}

impl Connection {
    fn send(&mut self, request: &[u8], due: Instant) -> anyhow::Result<()> {
        self.due = due;
        Ok(self.stream.write_all(request)?)
    }

    /// Reads what has come. Whether that is the whole answer.
    fn receive(&mut self) -> anyhow::Result<bool> {
        let read = read(&self.stream, spare_capacity(&mut self.answer))?;
        ensure!(read > 0, "a connection is closed, or an answer is too long");
        let is_whole = is_whole(&self.answer)?;
        if is_whole {
            self.answer.clear();
        }
        Ok(is_whole)
    }
}

/// Whether an answer has come to its end. One that is no success is an error.
fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    let mut headers = [EMPTY_HEADER; 32];
    let mut response = Response::new(&mut headers);
    let Status::Complete(head) = response.parse(answer)? else { return Ok(false) };
    let text = String::from_utf8_lossy(answer);
    ensure!(matches!(response.code, Some(200..=299)), "{text}");
    let length =
        response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok());
    let length: usize = length.context("an answer tells its length")?.parse()?;
    ensure!(answer.len() <= head + length, "more than an answer: {text}");
    Ok(answer.len() == head + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_row_takes_the_last_digits_of_the_requests_number() {
        let kinds = ["/a", "/b"].map(|head| (head.to_owned(), "###, #".to_owned()));
        let mut requests = Requests::new(kinds);
        requests.rendered = 1_234;
        for (head, body) in [("POST /a", "\r\n\r\n234, 4"), ("POST /b", "\r\n\r\n235, 5")] {
            let request = std::str::from_utf8(requests.render_next()).unwrap();
            assert!(request.starts_with(head) && request.ends_with(body), "{request}");
            assert!(request.contains("\r\ncontent-length: 6\r\n"), "{request}");
        }
    }

    #[test]
    fn rows_of_random_digits_are_alike_in_a_request_and_differ_between_requests() {
        let mut requests = Requests::new([("/a".to_owned(), "~~~~ ~~~~".to_owned())]);
        let bodies: BTreeSet<String> = (0..100)
            .map(|_| {
                let request = String::from_utf8(requests.render_next().to_vec()).unwrap();
                let (one, other) = request[request.len() - 9..].split_once(' ').unwrap();
                assert_eq!(one, other);
                one.to_owned()
            })
            .collect();
        assert!(bodies.len() > 90, "a hundred of ten thousand: {bodies:?}");
    }

    #[test]
    fn an_answer_is_whole_with_the_last_of_its_body_and_a_refusal_is_an_error() {
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
        for come in 0..answer.len() {
            assert!(!is_whole(&answer[..come]).unwrap(), "{come}");
        }
        assert!(is_whole(answer).unwrap());
        for wrong in [
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nmore",
        ] {
            assert!(is_whole(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
