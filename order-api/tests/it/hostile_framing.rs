//! Where a request ends must have one answer: whatever could be read in two ways is refused and its
//! connection closed, or read as the standard says (RFC 9112) with nothing behind it taken for a
//! request.

use crate::harness::Api;
use crate::hostile::{Queue, Raw, order, request, still_serves};

const POST: &str = "POST /api/orders HTTP/1.1\r\n";
const JSON: &str = "Host: test\r\nContent-Type: application/json\r\n";

/// A request of the first customer with these lines about its length, and this body.
fn framed(lines: &str, body: &str) -> String {
    format!("{POST}{JSON}{lines}\r\n\r\n{body}")
}

/// The order as one chunk, and the end.
fn chunked(order: &str) -> String {
    format!("{:x}\r\n{order}\r\n0\r\n\r\n", order.len())
}

/// Sends what may be a request, and a second one behind it that must not be answered as long as the
/// first is not sound. The statuses until the connection is closed.
async fn statuses(api: &Api, first: &[u8]) -> Vec<u16> {
    let mut client = Raw::open(api.addr).await;
    client.send([first, request("smuggled").as_bytes()].concat()).await;
    client.replies().await.iter().map(|reply| reply.status).collect()
}

/// Nothing but one refusal, and nothing in the queue.
async fn are_refused(cases: impl IntoIterator<Item = (&'static str, Vec<u8>)>) {
    let queue = Queue::start().await;
    let api = Api::start(queue.addr(), &[]).await;
    for (name, first) in cases {
        let statuses = statuses(&api, &first).await;
        assert!(matches!(statuses[..], [400..=499]), "{name}: {statuses:?}");
        assert_eq!(queue.take_all().await, [""; 0], "{name}");
    }
    still_serves(&api).await;
    api.stop().await;
}

#[tokio::test]
async fn lengths_that_contradict_each_other_or_are_no_numbers_are_refused() {
    let order = order("first");
    let length = order.len();
    let mut cases = vec![
        ("two lengths", format!("Content-Length: {length}\r\nContent-Length: 5")),
        (
            "two lengths, the shorter first",
            format!("Content-Length: 5\r\nContent-Length: {length}"),
        ),
        ("a list of lengths", format!("Content-Length: {length}, {length}")),
        ("a folded length", format!("Content-Length:\r\n {length}")),
        ("a space before the colon", format!("Content-Length : {length}")),
        ("a space before the name", format!("Accept: */*\r\n Content-Length: {length}")),
        ("a control character", format!("Content-Length: \u{b}{length}")),
    ];
    for value in ["+5", "-5", "5 5", "0x5", "5.0", "1e2", "five", "", "٥", "18446744073709551616"]
    {
        cases.push(("no number", format!("Content-Length: {value}")));
    }
    are_refused(cases.into_iter().map(|(name, lines)| (name, framed(&lines, &order).into()))).await;
}

#[tokio::test]
async fn transfer_codings_other_than_chunked_alone_are_refused() {
    let cases = [
        "chunked, chunked",
        "chunked, identity",
        "identity, chunked",
        "gzip, chunked",
        "identity",
        "chunked,",
        ",chunked",
        "chunked;q=1",
        "\"chunked\"",
        "xchunked",
        "chunked\u{b}",
        "chunked\0",
        "chu\u{212a}ed",
        "",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "identity\r\nTransfer-Encoding: chunked",
        "\r\n chunked",
    ];
    let lines = cases.map(|value| format!("Transfer-Encoding: {value}"));
    let more = ["Transfer-Encoding : chunked", " Transfer-Encoding: chunked"].map(str::to_owned);
    let old = format!(
        "POST /api/orders HTTP/1.0\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n{}",
        chunked(&order("first"))
    );
    let cases =
        lines.into_iter().chain(more).map(|lines| framed(&lines, &chunked(&order("first"))));
    are_refused(cases.chain([old]).map(|first| ("a transfer coding", first.into()))).await;
}

#[tokio::test]
async fn broken_chunks_are_refused() {
    let (order, length) = (order("first"), format!("{:x}", order("first").len()));
    let cases = [
        ("a size that overflows", format!("1{}{length}\r\n{order}\r\n0\r\n\r\n", "0".repeat(16))),
        ("a size with a prefix", format!("0x{length}\r\n{order}\r\n0\r\n\r\n")),
        ("a size with a sign", format!("+{length}\r\n{order}\r\n0\r\n\r\n")),
        ("a negative size", format!("-{length}\r\n{order}\r\n0\r\n\r\n")),
        ("two sizes", format!("{length} {length}\r\n{order}\r\n0\r\n\r\n")),
        ("no size", format!("\r\n{order}\r\n0\r\n\r\n")),
        ("a size that ends with a line feed", format!("{length}\n{order}\r\n0\r\n\r\n")),
        ("an extension that ends with a line feed", format!("{length};a=b\n{order}\r\n0\r\n\r\n")),
        ("a chunk that ends with a line feed", format!("{length}\r\n{order}\n0\r\n\r\n")),
        ("a chunk without an end", format!("{length}\r\n{order}0\r\n\r\n")),
        ("a chunk that is longer than its size", format!("5\r\n{order}\r\n0\r\n\r\n")),
        ("an extension without an end", format!("{length};{}", "a".repeat(100_000))),
        (
            "trailers without an end",
            format!("{length}\r\n{order}\r\n0\r\n{}", "A: b\r\n".repeat(10_000)),
        ),
    ];
    let lines = "Transfer-Encoding: chunked";
    are_refused(cases.map(|(name, body)| (name, framed(lines, &body).into()))).await;
}

#[tokio::test]
async fn heads_that_are_no_heads_are_refused() {
    let length = format!("Content-Length: {}", order("first").len());
    let with = |lines: &str| framed(&format!("{lines}\r\n{length}"), &order("first"));
    let head = |line: &str| format!("{line}\r\n{JSON}{length}\r\n\r\n{}", order("first"));
    let hosted = |hosts: &str| {
        format!("{POST}{hosts}Content-Type: application/json\r\n{length}\r\n\r\n{}", order("first"))
    };
    let many = "X-A: 1\r\n".repeat(101);
    let cases = [
        ("NUL in a value", with("X-A: a\0b")),
        ("NUL in a name", with("X\0A: b")),
        ("a lone carriage return in a value", with("X-A: a\rX-B: b")),
        ("a line without a colon", with("X-A")),
        ("a line without a name", with(": a")),
        ("a name with a space", with("X A: b")),
        ("a folded line", with("X-A: a\r\n\tb")),
        ("too many lines", with(many.trim_end())),
        ("a line that is too long", with(&format!("X-A: {}", "a".repeat(40_000)))),
        ("a target that is too long", head(&format!("POST /{} HTTP/1.1", "a".repeat(70_000)))),
        (
            "a query that is too long",
            head(&format!("POST /api/orders?{} HTTP/1.1", "a".repeat(40_000))),
        ),
        ("a target with a space", head("POST /api/ orders HTTP/1.1")),
        ("a target with a control character", head("POST /api/\u{1}orders HTTP/1.1")),
        ("no target", head("POST  HTTP/1.1")),
        ("a method with a colon", head("PO:ST /api/orders HTTP/1.1")),
        ("no version", head("POST /api/orders")),
        ("a version that is none", head("POST /api/orders HTTP/1.x")),
        ("version 2 without its preface", head("POST /api/orders HTTP/2.0")),
        ("a version in small letters", head("POST /api/orders http/1.1")),
        ("an answer", head("HTTP/1.1 200 OK")),
        ("no host", hosted("")),
        ("two hosts", hosted("Host: test\r\nHost: test\r\n")),
        ("a host with a path", hosted("Host: test/api\r\n")),
        ("a host with a user", hosted("Host: user@test\r\n")),
        ("HTTP/0.9", "GET /\r\n".to_owned()),
        ("nonsense", "\u{1}\u{2}\u{3}\u{4}\r\n\r\n".to_owned()),
        ("another protocol", "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned()),
    ];
    Box::pin(are_refused(cases.map(|(name, first)| (name, first.into())))).await;
}

/// Beginnings of other protocols that have no place for an HTTP answer: closing is enough.
#[tokio::test]
async fn other_protocols_get_no_answer_but_an_end() {
    let queue = Queue::start().await;
    let api = Api::start(queue.addr(), &[]).await;
    let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    hello.extend_from_slice(&[0x5a; 512]);
    for first in [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &hello, &[0xff; 1000], &[0; 1000]] {
        let statuses = statuses(&api, first).await;
        assert!(matches!(statuses[..], [] | [400..=499]), "{first:?}: {statuses:?}");
    }
    assert_eq!(queue.take_all().await, [""; 0]);
    api.stop().await;
}

/// What the standard reads in one way is read in that way, and no other.
#[tokio::test]
async fn unusual_framing_that_the_standard_allows_is_read_as_it_says() {
    let queue = Queue::start().await;
    let api = Api::start(queue.addr(), &[]).await;
    let (order, length) = (order("first"), order("first").len());
    let closing = |lines: &str, body: &str| framed(&format!("{lines}\r\nConnection: close"), body);
    let both =
        |first: &str, second: &str| framed(&format!("{first}\r\n{second}"), &chunked(&order));
    let cases = [
        // The coding counts, and the connection is closed after it.
        ("a length, then a coding", both("Content-Length: 5", "Transfer-Encoding: chunked")),
        ("a coding, then a length", both("Transfer-Encoding: chunked", "Content-Length: 5")),
        (
            "the same length twice",
            closing(&format!("Content-Length: {length}\r\nContent-Length: {length}"), &order),
        ),
        (
            "a length with spaces around",
            closing(&format!("Content-Length: \t {length} \t"), &order),
        ),
        ("a length with zeros in front", closing(&format!("Content-Length: 000{length}"), &order)),
        ("a coding in capitals", closing("Transfer-Encoding: CHUNKED", &chunked(&order))),
        (
            "chunk extensions",
            closing(
                "Transfer-Encoding: chunked",
                &format!("{length:X};a=\"b\";c\r\n{order}\r\n0;d\r\n\r\n"),
            ),
        ),
        (
            "zeros before a chunk's size",
            closing(
                "Transfer-Encoding: chunked",
                &format!("0000{length:x}\r\n{order}\r\n000\r\n\r\n"),
            ),
        ),
        (
            "trailers that speak of lengths",
            closing(
                "Transfer-Encoding: chunked",
                &format!("{length:x}\r\n{order}\r\n0\r\nContent-Length: 5\r\nHost: a\r\n\r\n"),
            ),
        ),
        (
            "lines that end with line feeds",
            closing(&format!("Content-Length: {length}"), "").replace("\r\n", "\n") + &order,
        ),
        (
            "empty lines before the request",
            format!("\r\n\r\n{}", closing(&format!("Content-Length: {length}"), &order)),
        ),
        (
            "an absolute target",
            closing(&format!("Content-Length: {length}"), &order).replacen(
                " /api",
                " http://elsewhere/api",
                1,
            ),
        ),
        (
            "HTTP/1.0",
            closing(&format!("Content-Length: {length}"), &order)
                .replacen("HTTP/1.1", "HTTP/1.0", 1),
        ),
    ];
    for (name, first) in cases {
        let mut client = Raw::open(api.addr).await;
        client.send(first + &request("smuggled")).await;
        let replies = client.replies().await;
        let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses, [202], "{name}: {replies:?}");
        assert_eq!(queue.take_all().await, [replies[0].body.clone()], "{name}");
        assert!(replies[0].body.contains(r#""customerId":"first""#), "{name}: {replies:?}");
    }
    api.stop().await;
}

/// A body that nobody read is no request, however the request before it was answered.
#[tokio::test]
async fn the_body_of_a_refused_request_is_never_taken_for_a_request() {
    let queue = Queue::start().await;
    let api = Api::start(queue.addr(), &[]).await;
    let smuggled = request("smuggled");
    // Longer than any buffer, so that what follows is read apart from the head.
    let padding = "x".repeat(300_000);
    for (line, status) in [
        ("POST /nowhere", 404),
        ("PUT /api/orders", 405),
        ("post /api/orders", 405),
        ("GET /api/orders", 405),
        ("GET /api/orders/health", 200),
        ("POST /api/orders", 415),
        ("POST *", 404),
        ("OPTIONS *", 404),
        ("POST /api/orders/../orders", 404),
    ] {
        for body in [smuggled.clone(), format!("{padding}{smuggled}")] {
            for expect in ["", "Expect: 100-continue\r\n"] {
                let head = format!(
                    "{line} HTTP/1.1\r\nHost: test\r\nContent-Type: text/plain\r\n{expect}Content-Length: {}\r\n\r\n",
                    body.len()
                );
                let mut client = Raw::open(api.addr).await;
                client.send(head + &body).await;
                client.finish().await;
                let replies = client.replies().await;
                let mut statuses = replies.iter().map(|reply| reply.status);
                let first = statuses.find(|status| *status != 100);
                assert_eq!((first, statuses.next()), (Some(status), None), "{line}: {replies:?}");
            }
        }
    }
    assert_eq!(queue.take_all().await, [""; 0]);
    api.stop().await;
}
