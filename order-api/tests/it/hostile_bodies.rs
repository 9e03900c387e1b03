//! Bodies that are JSON and mean something else than they seem to, or are none: what is accepted is in
//! the queue exactly, and nothing else is.

use crate::harness::{Api, ORDER, call};
use crate::hostile::{Queue, Raw};
use order_events::OrderEvent;
use serde_json::Value;
use std::fmt::Write;

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// What becomes of a body.
enum Fate {
    /// Accepted; the message has this in it.
    Carried(&'static str),
    /// Refused with 400, at this place of the body.
    Refused(&'static str),
}
use Fate::{Carried, Refused};

/// Posts each body and holds the answer and the queue against its fate.
async fn meet(cases: impl IntoIterator<Item = (Vec<u8>, Fate)>) {
    let queue = Queue::start().await;
    let api = Api::start(queue.addr(), &[]).await;
    for (body, fate) in cases {
        let answer = call(api.addr, "POST /api/orders", &[JSON], &body).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let queued = queue.take_all().await;
        match fate {
            Carried(text) => {
                assert_eq!(answer.status, 202, "{shown}: {answer:?}");
                assert!(answer.body.contains(text), "{shown}: {answer:?}");
                assert_eq!(queued, [answer.body], "{shown}");
            }
            Refused(pointer) => {
                assert_eq!(answer.status, 400, "{shown}: {answer:?}");
                answer.problem();
                let errors = &answer.json()["errors"];
                assert_eq!(errors[0]["pointer"], pointer, "{shown}: {errors}");
                assert!(errors[0]["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
                assert_eq!(errors[1], Value::Null, "{shown}: {errors}");
                assert_eq!(queued, [""; 0], "{shown}");
            }
        }
    }
    api.stop().await;
}

fn replaced(from: &str, to: &str) -> Vec<u8> {
    assert!(ORDER.contains(from));
    ORDER.replacen(from, to, 1).into_bytes()
}

#[tokio::test]
async fn numbers_are_kept_digit_for_digit_or_refused() {
    let price = "#/items/0/price";
    let prices = [
        ("0", Carried(r#""price":0}],"totalAmount":0,"#)),
        ("-0", Carried(r#""price":0}],"totalAmount":0,"#)),
        ("-0.00", Carried(r#""price":0.00}],"totalAmount":0.00,"#)),
        ("0e400", Carried(r#""price":0}],"totalAmount":0,"#)),
        ("1E2", Carried(r#""price":100}],"totalAmount":200,"#)),
        ("1e+2", Carried(r#""price":100}],"totalAmount":200,"#)),
        ("12345e-4", Carried(r#""price":1.2345}],"totalAmount":2.4690,"#)),
        ("0.1", Carried(r#""price":0.1}],"totalAmount":0.2,"#)),
        ("1.0000", Carried(r#""price":1.0000}],"totalAmount":2.0000,"#)),
        ("1e12", Carried(r#""price":1000000000000}],"totalAmount":2000000000000,"#)),
        ("1e400", Refused(price)),
        ("1e-400", Refused(price)),
        ("-1e-400", Refused(price)),
        ("1e99999999999", Refused(price)),
        ("1234567890123456789012345678901234567890", Refused(price)),
        ("0.1234567890123456789012345678901234567890", Refused(price)),
        ("1.00000000000000000000000000000000000001", Refused(price)),
        ("\"12.50\"", Refused(price)),
        ("[12.50]", Refused(price)),
        ("01", Refused("#")),
        ("+1", Refused("#")),
        (".5", Refused("#")),
        ("1.", Refused("#")),
        ("0x10", Refused("#")),
        ("1_000", Refused("#")),
        ("NaN", Refused("#")),
        ("Infinity", Refused("#")),
        ("-", Refused("#")),
        ("1e", Refused("#")),
        ("１２", Refused("#")),
    ];
    let quantity = "#/items/0/quantity";
    let quantities = [
        ("-0", Refused(quantity)),
        ("2.5", Refused(quantity)),
        ("4294967298", Refused(quantity)),
        ("1e400", Refused(quantity)),
        ("18446744073709551618", Refused(quantity)),
        ("true", Refused(quantity)),
        ("2.0", Carried(r#""quantity":2,"#)),
        ("0.2e1", Carried(r#""quantity":2,"#)),
    ];
    let prices = prices.into_iter().map(|(text, fate)| (replaced("12.50", text), fate));
    let quantities = quantities
        .into_iter()
        .map(|(text, fate)| (replaced(r#""quantity":2"#, &format!(r#""quantity":{text}"#)), fate));
    Box::pin(meet(prices.chain(quantities))).await;
}

/// Which of two values counts would be another reader's guess.
#[tokio::test]
async fn a_field_that_is_given_twice_is_refused() {
    let item = r#""productId":"p1""#;
    let mut cases = Vec::new();
    for (name, place) in [
        (r#""customerId":"customer-001""#, "#"),
        (r#""customerId":"another""#, "#"),
        (r#""customer\u0049d":"customer-001""#, "#"),
        (r#""customerId":null"#, "#"),
        (r#""items":[]"#, "#"),
        (r#""items":null"#, "#"),
    ] {
        cases.push((replaced("{", &format!("{{{name},")), Refused(place)));
    }
    for name in [
        r#""productId":"p2""#,
        r#""productName":"another""#,
        r#""quantity":1"#,
        r#""price":0"#,
        r#""pr\u0069ce":12.50"#,
    ] {
        cases.push((replaced(item, &format!("{item},{name}")), Refused("#/items/0")));
    }
    // What nobody reads may be there as often as it likes.
    cases.push((
        replaced("{", r#"{"note":1,"note":2,"orderId":7,"totalAmount":0,"#),
        Carried("25.00"),
    ));
    cases.push((
        replaced("{", r#"{"CustomerId":"x","customerid":"y","__proto__":{},"#),
        Carried("customer-001"),
    ));
    meet(cases).await;
}

#[tokio::test]
async fn nesting_of_any_depth_ends_in_an_answer() {
    let depth = 100_000;
    let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let mut cases = Vec::new();
    for nested in [&lists, &objects] {
        cases.push((replaced("{", &format!(r#"{{"note":{nested},"#)), Carried("customer-001")));
        cases.push((replaced(r#""상품1""#, nested), Refused("#/items/0/productName")));
        cases.push((replaced("12.50", nested), Refused("#/items/0/price")));
        cases.push((replaced(r#""customer-001""#, nested), Refused("#/customerId")));
    }
    cases.push((replaced("[{", &format!("[{lists},{{")), Refused("#/items/0")));
    cases.push((lists.clone().into_bytes(), Refused("#")));
    cases.push(("[".repeat(depth).into_bytes(), Refused("#")));
    cases.push((r#"{"a":"#.repeat(depth).into_bytes(), Refused("#")));
    meet(cases).await;
}

#[tokio::test]
async fn only_whole_utf_8_is_text() {
    let utf_16 =
        |text: &str, order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect();
    let inserted = |bytes: &[u8]| {
        let at = ORDER.find("customer-001").expect("it is there");
        [&ORDER.as_bytes()[..at], bytes, &ORDER.as_bytes()[at..]].concat()
    };
    let mut cases: Vec<(Vec<u8>, Fate)> = vec![
        (utf_16(ORDER, u16::to_be_bytes), Refused("#")),
        (utf_16(ORDER, u16::to_le_bytes), Refused("#")),
        (utf_16(&format!("\u{feff}{ORDER}"), u16::to_le_bytes), Refused("#")),
        (format!("\u{feff}{ORDER}").into_bytes(), Refused("#")),
        (inserted("\u{feff}".as_bytes()), Carried("\"\u{feff}customer-001\"")),
        (inserted(b"\0"), Refused("#")),
        (inserted(b"\n"), Refused("#")),
        (inserted(b"\\x41"), Refused("#")),
        (inserted(b"\\u00"), Refused("#")),
        (Vec::new(), Refused("#")),
        (b"\0".to_vec(), Refused("#")),
        ([ORDER.as_bytes(), b"\0"].concat(), Refused("#")),
        ([ORDER.as_bytes(), b" \t\r\n"].concat(), Carried("customer-001")),
        ([ORDER.as_bytes(), ORDER.as_bytes()].concat(), Refused("#")),
    ];
    // Overlong, a surrogate's encoding, beyond Unicode, cut off, a lone continuation.
    for bytes in
        [&b"\xc0\xaf"[..], b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"\xff"]
    {
        cases.push((inserted(bytes), Refused("#")));
    }
    for lone in [r"\ud800", r"\udfff", r"\ud800\ud800", r"\ud800x"] {
        cases.push((inserted(lone.as_bytes()), Refused("#/customerId")));
    }
    cases.push((replaced("{", r#"{"\ud800":1,"#), Refused("#")));
    meet(cases).await;
}

/// SQS takes #x9, #xA, #xD, #x20 to #xD7FF, #xE000 to #xFFFD and #x10000 to #x10FFFF (AWS SQS API
/// reference, `SendMessage`). What else a text may hold travels as JSON's escapes.
#[tokio::test]
async fn every_character_is_carried_to_the_queue_exactly() {
    let queue = Queue::start().await;
    let api = Api::start(queue.addr(), &[]).await;
    let mut characters: Vec<char> = (0..0x100).filter_map(char::from_u32).collect();
    characters.extend("\u{2028}\u{202e}\u{d7ff}\u{e000}\u{fdd0}\u{fffd}\u{fffe}\u{ffff}".chars());
    characters.extend(
        "\u{10000}\u{1f600}\u{1fffe}\u{10ffff}<script>alert(1)</script>&amp;{{7*7}}'--".chars(),
    );
    let name: String = characters.iter().collect();
    let escaped = name.encode_utf16().fold(String::new(), |mut text, unit| {
        write!(text, "\\u{unit:04x}").expect("a String takes everything");
        text
    });
    let written = serde_json::to_string(&name).expect("a text");
    for text in [written, format!("\"{escaped}\"")] {
        let body = ORDER.replacen("\"상품1\"", &text, 1);
        let answer = call(api.addr, "POST /api/orders", &[JSON], body.as_bytes()).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "no page of a browser's"
        );
        let queued = queue.take_all().await;
        assert_eq!(queued, [answer.body]);
        let event = OrderEvent::from_json(&queued[0]).expect("an order");
        assert_eq!(event.items[0].product_name, name);
    }
    api.stop().await;
}

#[tokio::test]
async fn a_body_is_read_up_to_one_mebibyte_however_it_is_framed() {
    let queue = Queue::start().await;
    let api = Api::start(queue.addr(), &[]).await;
    let mebibyte = 1 << 20;
    for (length, status) in
        [(mebibyte - 1, 202), (mebibyte, 202), (mebibyte + 1, 413), (3 * mebibyte, 413)]
    {
        let body = format!("{ORDER}{}", " ".repeat(length - ORDER.len()));
        for chunk in [length, 65_536, 1000] {
            let mut request = String::from(
                "POST /api/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
            );
            for part in body.as_bytes().chunks(chunk) {
                let part = String::from_utf8_lossy(part);
                write!(request, "{:x}\r\n{part}\r\n", part.len())
                    .expect("a String takes everything");
            }
            let mut client = Raw::open(api.addr).await;
            client.send(request + "0\r\n\r\n").await;
            let replies = client.replies().await;
            assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [status]);
        }
    }
    assert_eq!(queue.take_all().await.len(), 6);
    api.stop().await;
}

/// A coding that nobody undoes would be a body of other bytes.
#[tokio::test]
async fn a_coded_body_is_refused_as_such() {
    let queue = Queue::start().await;
    let api = Api::start(queue.addr(), &[]).await;
    for coding in ["gzip", "br", "deflate", "GZIP", "identity, gzip", "gzip, gzip"] {
        let headers = [JSON, ("Content-Encoding", coding)];
        let answer = call(api.addr, "POST /api/orders", &headers, ORDER.as_bytes()).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (415, "unsupported-media-type"),
            "{coding}"
        );
    }
    let two = [JSON, ("Content-Type", "text/plain")];
    let answer = call(api.addr, "POST /api/orders", &two, ORDER.as_bytes()).await;
    assert_eq!(answer.status, 415, "two types are none");
    assert_eq!(queue.take_all().await, [""; 0]);
    let plain = [JSON, ("Content-Encoding", "identity")];
    let answer = call(api.addr, "POST /api/orders", &plain, ORDER.as_bytes()).await;
    assert_eq!((answer.status, queue.take_all().await.len()), (202, 1));
    api.stop().await;
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_refused_and_a_long_one_is_read() {
    let queue = Queue::start().await;
    let api = Api::start(queue.addr(), &[]).await;
    let long = format!("?{}queueType=standard", "a=b&".repeat(3000));
    for (query, status) in [
        ("?queueType=%", 400),
        ("?queueType=%zz", 400),
        ("?queueType=%ff%fe", 400),
        ("?queueType=standard%00", 400),
        ("?queueType=standard&queueType=fifo", 400),
        ("?queueType[]=standard", 202),
        ("?%=1&%zz=%zz", 202),
        ("?&&&===", 202),
        ("?queuetype=fifo", 202),
        (&*long, 202),
    ] {
        let answer =
            call(api.addr, &format!("POST /api/orders{query}"), &[JSON], ORDER.as_bytes()).await;
        assert_eq!(answer.status, status, "{query:.80}: {answer:?}");
        assert_eq!(queue.take_all().await.len(), usize::from(status == 202), "{query:.80}");
    }
    api.stop().await;
}
