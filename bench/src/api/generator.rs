//! A load generator that costs little beside what it measures, whose core it may have to share: one
//! thread, keep-alive connections, requests that are rendered once, nothing allocated for each, and
//! waits that end when they are to (tokio's own end up to two milliseconds later).

use std::{
    collections::VecDeque,
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

/// How long each request took since it was due, and by how much of that the generator itself was late;
/// from the shortest time to the longest. What a request waited for a connection is in the first only:
/// it is what is measured that keeps them.
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

/// When requests are due: at a rate, or whenever there is a connection for one.
struct Schedule {
    /// Those that are not due yet.
    left: usize,
    /// So far.
    begun: u64,
    per_second: Option<f64>,
    next: Instant,
    /// Those that are due, and have no connection yet.
    waiting: VecDeque<Due>,
}

/// A request that is due.
struct Due {
    at: Instant,
    /// When the generator first saw that it was.
    seen: Instant,
}

impl Schedule {
    fn new(count: usize, per_second: Option<f64>, next: Instant) -> Self {
        Self { left: count, begun: 0, per_second, next, waiting: VecDeque::new() }
    }

    /// Sees what has become due, whether or not there is a connection for it.
    fn look(&mut self, now: Instant) {
        let Some(per_second) = self.per_second else { return };
        while self.left > 0 && self.next <= now {
            self.waiting.push_back(Due { at: self.next, seen: now });
            self.begin();
            let part = fraction(self.begun, 4);
            self.next += Duration::from_secs_f64(-(1.0 - part).ln() / per_second);
        }
    }

    /// The next request to be sent, if one is due.
    fn take(&mut self, now: Instant) -> Option<Due> {
        if self.per_second.is_none() && self.left > 0 {
            self.begin();
            return Some(Due { at: now, seen: now });
        }
        self.look(now);
        self.waiting.pop_front()
    }

    fn begin(&mut self) {
        self.left -= 1;
        self.begun += 1;
    }

    /// Until a request becomes due; nothing when only an answer can change anything.
    fn pause(&self, now: Instant) -> Option<Duration> {
        let is_timed = self.per_second.is_some() && self.left > 0;
        is_timed.then(|| self.next.saturating_duration_since(now))
    }
}

impl Due {
    /// By how much the generator was late to see it, and then to send it, which it could from when a
    /// connection was free.
    fn late(&self, sent: Instant, free_since: Instant) -> Duration {
        let could_be_sent = self.seen.max(free_since);
        self.seen.saturating_duration_since(self.at) + sent.saturating_duration_since(could_be_sent)
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
        let mut schedule = Schedule::new(count, per_second, Instant::now());
        let mut free_since = Instant::now();
        while times.took.len() < count {
            let mut now = Instant::now();
            schedule.look(now);
            while !self.free.is_empty()
                && let Some(due) = schedule.take(now)
                && let Some(at) = self.free.pop()
            {
                times.late.push(due.late(now, free_since));
                self.connections[at].send(requests.render_next(), due.at)?;
                now = Instant::now();
            }
            let pause = schedule.pause(now);
            self.wait(pause.unwrap_or(LONGEST))?;
            ensure!(pause.is_some() || !self.events.is_empty(), "no answer in {LONGEST:?}");
            for event in self.events.drain(..) {
                let at = event.data.u64() as usize;
                let connection = &mut self.connections[at];
                if connection.receive()? {
                    let now = Instant::now();
                    times.took.push(now.saturating_duration_since(connection.due));
                    if self.free.is_empty() {
                        free_since = now;
                    }
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
    fn what_waits_for_a_connection_is_not_late_but_what_waits_for_the_generator_is() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut schedule = Schedule::new(2, Some(1e9), start);
        // Both are due at the start as good as, and seen 2 ms later; no connection is free until 50 ms.
        schedule.look(at(2));
        let [first, _] = [(); 2].map(|()| schedule.take(at(50)).expect("it is due"));
        assert!(schedule.take(at(50)).is_none() && schedule.pause(at(50)).is_none());
        assert_eq!(first.late(at(50), at(50)), Duration::from_millis(2));
        assert_eq!(
            first.late(at(53), at(50)),
            Duration::from_millis(5),
            "and sent 3 ms after that"
        );
        // With a connection that was free all the time, all of it is the generator's.
        assert_eq!(first.late(at(50), start), Duration::from_millis(50));
    }

    #[test]
    fn a_request_that_has_no_connection_is_seen_when_it_is_due_and_its_wait_is_measured() {
        let start = Instant::now();
        let mut schedule = Schedule::new(2, Some(1.0), start);
        schedule.look(start);
        let pause = schedule.pause(start).expect("the second is still to come");
        let due = start + pause;
        schedule.look(due);
        let long_after = due + Duration::from_secs(9);
        let taken = [(); 2].map(|()| schedule.take(long_after).expect("it is due"));
        assert_eq!(taken.map(|request| (request.at, request.seen)), [(start, start), (due, due)]);
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
