//! Requests, byte by byte.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The last part of a problem's type.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        let kind = json["type"].as_str().expect("a problem has a type");
        kind.rsplit('/').next().expect("a slug").to_owned()
    }
}

/// Sends a request on a connection of its own. What a documented route answers must be documented.
pub(crate) async fn call(
    addr: SocketAddr,
    request_line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let stream = TcpStream::connect(addr).await.expect("it listens");
    call_on(stream, addr, request_line, headers, body).await
}

/// The same from another address of this machine.
pub(crate) async fn call_from(
    from: [u8; 4],
    addr: SocketAddr,
    request_line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((from, 0))).expect("all of 127 is this machine");
    let stream = socket.connect(addr).await.expect("it listens");
    call_on(stream, addr, request_line, headers, body).await
}

async fn call_on(
    mut stream: TcpStream,
    addr: SocketAddr,
    request_line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut head = format!(
        "{request_line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    let host = ("host", &*addr.to_string());
    let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    for (name, value) in headers.iter().chain((!named).then_some(&host)) {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.expect("the head is sent");
    // A server may refuse a body before it has read it.
    _ = stream.write_all(body).await;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("it answers");
    let text = String::from_utf8(bytes).expect("the answer is text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    crate::document::assert_documented(request_line, &answer);
    answer
}

/// Status and body of a GET.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let answer = call(addr, &format!("GET {path}"), &[], b"").await;
    (answer.status, answer.body)
}
