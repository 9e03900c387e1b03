use local_sqs::model::ErrorKind;
use local_sqs::model::api::{
    Blob, MessageAttributeValue, SendMessageBatchRequest, SendMessageBatchRequestEntry,
    SendMessageRequest,
};

use crate::rig::{QUEUE, Rig, bodies, refusal, url};

fn message(body: &str) -> SendMessageRequest {
    SendMessageRequest {
        queue_url: url(QUEUE),
        message_body: body.to_owned(),
        ..Default::default()
    }
}

fn attribute(data_type: &str, value: &str) -> MessageAttributeValue {
    MessageAttributeValue {
        data_type: data_type.to_owned(),
        string_value: Some(value.to_owned()),
        ..Default::default()
    }
}

fn with_attribute(name: &str, value: MessageAttributeValue) -> SendMessageRequest {
    SendMessageRequest { message_attributes: [(name.to_owned(), value)].into(), ..message("body") }
}

fn batch(entries: &[(&str, &str)]) -> SendMessageBatchRequest {
    let entries = entries.iter().map(|(id, body)| SendMessageBatchRequestEntry {
        id: (*id).to_owned(),
        message_body: (*body).to_owned(),
        ..Default::default()
    });
    SendMessageBatchRequest { queue_url: url(QUEUE), entries: entries.collect() }
}

#[test]
fn the_answer_carries_the_md5_of_body_and_attributes() {
    let mut rig = Rig::standard();
    let mut request = with_attribute("Foo", attribute("String", "Bar"));
    request.message_body = "msg".to_owned();
    let sent = rig.send_request(request).unwrap();
    assert_eq!(sent.md5_of_message_body, "6e2baaf3b97dbeef01c0043275f9a0e7");
    // The digest that AWS gives for this attribute.
    assert_eq!(sent.md5_of_message_attributes.unwrap(), "ae7155c6026991b6d54b11589678bf9c");
    assert_eq!(sent.md5_of_message_system_attributes, None);
}

#[test]
fn a_message_may_be_one_mebibyte_long_and_not_a_byte_longer() {
    let mut rig = Rig::standard();
    rig.send(&"x".repeat(1_048_576));
    let refused = rig.send_request(message(&"x".repeat(1_048_577)));
    assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue);
}

#[test]
fn attributes_count_against_the_size() {
    let mut rig = Rig::standard();
    rig.set(QUEUE, "MaximumMessageSize", "1024").unwrap();
    let body = "x".repeat(1024 - "name".len() - "String".len() - "value".len());
    let mut request = with_attribute("name", attribute("String", "value"));
    request.message_body = body;
    rig.send_request(request.clone()).unwrap();
    request.message_body.push('x');
    assert_eq!(refusal(rig.send_request(request)), ErrorKind::InvalidParameterValue);
}

#[test]
fn an_empty_body_is_refused() {
    let mut rig = Rig::standard();
    assert_eq!(refusal(rig.send_request(message(""))), ErrorKind::MissingParameter);
}

#[test]
fn characters_outside_xml_are_refused_and_all_others_kept() {
    let mut rig = Rig::standard();
    for body in ["\u{0}", "a\u{b}b", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
        let refused = rig.send_request(message(body));
        assert_eq!(refusal(refused), ErrorKind::InvalidMessageContents, "{body:?}");
    }
    let body = "tab\t line\n return\r 상품 \u{10ffff} \u{fffd}";
    rig.send(body);
    assert_eq!(bodies(&rig.receive(QUEUE, 1)), [body]);
}

#[test]
fn a_message_s_own_delay_goes_before_the_queue_s() {
    let mut rig = Rig::standard();
    rig.set(QUEUE, "DelaySeconds", "60").unwrap();
    rig.send("as the queue says");
    rig.send_request(SendMessageRequest { delay_seconds: Some(0), ..message("now") }).unwrap();
    rig.send_request(SendMessageRequest { delay_seconds: Some(5), ..message("soon") }).unwrap();
    assert_eq!(rig.counts(QUEUE), (1, 0, 2));
    assert_eq!(bodies(&rig.receive(QUEUE, 10)), ["now"]);
    rig.wait(5);
    assert_eq!(bodies(&rig.receive(QUEUE, 10)), ["soon"]);
    rig.wait(55);
    assert!(bodies(&rig.receive(QUEUE, 10)).contains(&"as the queue says"));
    let refused =
        rig.send_request(SendMessageRequest { delay_seconds: Some(901), ..message("late") });
    assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue);
}

#[test]
fn bad_message_attributes_are_refused() {
    let mut rig = Rig::standard();
    let empty_binary =
        MessageAttributeValue { data_type: "Binary".to_owned(), ..Default::default() };
    let long_name = "n".repeat(257);
    for (name, value) in [
        ("AWS.reserved", attribute("String", "x")),
        ("amazon.reserved", attribute("String", "x")),
        (".first", attribute("String", "x")),
        ("last.", attribute("String", "x")),
        ("a..b", attribute("String", "x")),
        ("with space", attribute("String", "x")),
        (long_name.as_str(), attribute("String", "x")),
        ("empty", attribute("String", "")),
        ("type", attribute("", "x")),
        ("type", attribute("Float", "1")),
        ("number", attribute("Number", "twelve")),
        ("number", attribute("Number", "inf")),
        ("number", attribute("Number", &"1".repeat(39))),
        ("binary", empty_binary),
        ("characters", attribute("String", "\u{0}")),
    ] {
        assert!(rig.send_request(with_attribute(name, value.clone())).is_err(), "{name} {value:?}");
    }
    for (name, value) in [
        ("custom", attribute("String.uuid", "x")),
        ("number", attribute("Number.int", "-12.5e3")),
        ("number", attribute("Number", &"1".repeat(38))),
        ("a.b-c_D9", attribute("String", "x")),
    ] {
        rig.send_request(with_attribute(name, value)).unwrap();
    }
}

#[test]
fn ten_message_attributes_are_accepted_and_eleven_refused() {
    let mut rig = Rig::standard();
    let request = |number: usize| SendMessageRequest {
        message_attributes: (0..number)
            .map(|n| (format!("a{n}"), attribute("String", "x")))
            .collect(),
        ..message("body")
    };
    rig.send_request(request(10)).unwrap();
    assert_eq!(refusal(rig.send_request(request(11))), ErrorKind::InvalidParameterValue);
}

#[test]
fn binary_attributes_come_back_byte_for_byte() {
    let mut rig = Rig::standard();
    let value = MessageAttributeValue {
        data_type: "Binary.png".to_owned(),
        binary_value: Some(Blob(vec![0, 1, 254, 255])),
        ..Default::default()
    };
    rig.send_request(with_attribute("picture", value.clone())).unwrap();
    assert_eq!(rig.receive(QUEUE, 1)[0].message_attributes["picture"], value);
}

#[test]
fn the_trace_header_is_the_only_system_attribute_that_can_be_sent() {
    let mut rig = Rig::standard();
    let request = |name: &str| SendMessageRequest {
        message_system_attributes: [(name.to_owned(), attribute("String", "Root=1-5759e988"))]
            .into(),
        ..message("body")
    };
    let sent = rig.send_request(request("AWSTraceHeader")).unwrap();
    assert!(sent.md5_of_message_system_attributes.is_some());
    assert_eq!(rig.receive(QUEUE, 1)[0].attributes["AWSTraceHeader"], "Root=1-5759e988");
    assert_eq!(refusal(rig.send_request(request("Other"))), ErrorKind::InvalidParameterValue);
}

#[test]
fn a_deduplication_id_is_refused_on_a_standard_queue() {
    let mut rig = Rig::standard();
    let request =
        SendMessageRequest { message_deduplication_id: Some("id".to_owned()), ..message("body") };
    assert_eq!(refusal(rig.send_request(request)), ErrorKind::InvalidParameterValue);
}

#[test]
fn group_ids_are_limited_to_128_printable_ascii_characters() {
    let mut rig = Rig::standard();
    let request = |group: &str| SendMessageRequest {
        message_group_id: Some(group.to_owned()),
        ..message("body")
    };
    rig.send_request(request(&"g".repeat(128))).unwrap();
    rig.send_request(request("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")).unwrap();
    for group in ["", "with space", "고객", &"g".repeat(129)] {
        let refused = rig.send_request(request(group));
        assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue, "{group}");
    }
}

#[test]
fn malformed_batches_are_refused_whole() {
    let mut rig = Rig::standard();
    let eleven: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    let eleven: Vec<(&str, &str)> = eleven.iter().map(|id| (id.as_str(), "x")).collect();
    let long = "i".repeat(81);
    let half = "x".repeat(524_288);
    let big = [("a", half.as_str()), ("b", &half), ("c", "x")];
    for (entries, kind) in [
        (&[][..], ErrorKind::EmptyBatchRequest),
        (&eleven[..], ErrorKind::TooManyEntriesInBatchRequest),
        (&[("same", "x"), ("same", "y")][..], ErrorKind::BatchEntryIdsNotDistinct),
        (&[("bad id", "x")][..], ErrorKind::InvalidBatchEntryId),
        (&[("", "x")][..], ErrorKind::InvalidBatchEntryId),
        (&[(long.as_str(), "x")][..], ErrorKind::InvalidBatchEntryId),
        (&big[..], ErrorKind::BatchRequestTooLong),
    ] {
        assert_eq!(refusal(rig.sqs.send_message_batch(rig.now, batch(entries))), kind);
    }
    assert_eq!(rig.counts(QUEUE), (0, 0, 0));
    rig.sqs.send_message_batch(rig.now, batch(&big[..2])).unwrap();
}

#[test]
fn each_entry_of_a_batch_has_its_own_fate() {
    let mut rig = Rig::standard();
    let result = rig
        .sqs
        .send_message_batch(rig.now, batch(&[("good", "x"), ("bad", "\u{0}"), ("empty", "")]))
        .unwrap();
    assert_eq!(result.successful[0].id.as_deref(), Some("good"));
    let failed: Vec<_> =
        result.failed.iter().map(|f| (f.id.as_str(), f.code.as_str(), f.sender_fault)).collect();
    assert_eq!(
        failed,
        [("bad", "InvalidMessageContents", true), ("empty", "MissingParameter", true)]
    );
    assert_eq!(rig.counts(QUEUE), (1, 0, 0));
}
