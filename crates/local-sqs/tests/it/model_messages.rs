use local_sqs::model::ErrorKind;
use local_sqs::model::api::{
    Blob, MessageAttributeValue, MessageAttributes, ReceiveMessageRequest, SendMessageRequest,
};

use crate::rig::{FIFO, QUEUE, Rig, attribute, message, receive_all, refusal, refusal_in_words};

const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

fn with(attributes: &[(&str, MessageAttributeValue)]) -> SendMessageRequest {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    SendMessageRequest { message_attributes: attributes.collect(), ..message("body") }
}

fn text(value: &str) -> MessageAttributeValue {
    attribute("String", value)
}

fn binary(data_type: &str, bytes: &[u8]) -> MessageAttributeValue {
    MessageAttributeValue {
        data_type: data_type.to_owned(),
        binary_value: Some(Blob(bytes.to_vec())),
        ..Default::default()
    }
}

fn traced(value: MessageAttributeValue) -> SendMessageRequest {
    SendMessageRequest {
        message_system_attributes: [("AWSTraceHeader".to_owned(), value)].into(),
        ..message("body")
    }
}

fn invalid(text: impl Into<String>) -> (ErrorKind, String) {
    (ErrorKind::InvalidParameterValue, text.into())
}

#[test]
fn the_names_of_message_attributes_are_letters_digits_and_three_symbols() {
    let mut rig = Rig::standard();
    let (longest, longer) = ("n".repeat(256), "n".repeat(257));
    for good in ["a", "9", "_", "-", "a.b-c_D9", "attr.1øßä", "AWSome", "Amazon", &longest] {
        rig.send_request(with(&[(good, text("x"))])).expect(good);
        let received = rig.receive(QUEUE, 1).remove(0);
        assert_eq!(received.message_attributes[good], text("x"), "{good}");
    }
    for bad in [
        "", &longer, "AWS.x", "aWs.x", "AMAZON.x", ".first", "last.", "a..b", "a!b", "a§b", "a(b",
        "a?b", "a b", "속성",
    ] {
        let refused = rig.send_request(with(&[(bad, text("x"))]));
        assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue, "{bad}");
    }
}

#[test]
fn the_names_of_message_attributes_differ_in_case() {
    let mut rig = Rig::standard();
    rig.send_request(with(&[("name", text("small")), ("NAME", text("capital"))])).unwrap();
    assert_eq!(rig.receive(QUEUE, 1)[0].message_attributes.len(), 2);
}

#[test]
fn the_type_of_a_message_attribute_is_one_of_three_with_a_label_of_any_kind() {
    let mut rig = Rig::standard();
    let longest = "String.".to_owned() + &"x".repeat(249);
    for good in ["String", "Number", "String.uuid", "Number.int", "Number.größe", &longest] {
        rig.send_request(with(&[("a", attribute(good, "1"))])).expect(good);
        assert_eq!(rig.receive(QUEUE, 1)[0].message_attributes["a"].data_type, good);
    }
    rig.send_request(with(&[("a", binary("Binary.png", b"1"))])).unwrap();
    for bad in ["", "string", "Float", "Stringly", "uuid.String", &(longest + "x")] {
        let refused = rig.send_request(with(&[("a", attribute(bad, "1"))]));
        assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue, "{bad}");
    }
}

#[test]
fn a_number_has_38_digits_at_most_and_lies_between_ten_to_the_minus_128_and_to_the_126() {
    let mut rig = Rig::standard();
    let longest = "1".repeat(38);
    let fraction = format!("-0.{longest}");
    for good in
        ["0", "-1", "12.50", "-12.5e3", "1e126", "-1e126", "1e-128", &longest, &fraction, "0017"]
    {
        rig.send_request(with(&[("n", attribute("Number", good))])).expect(good);
    }
    let longer = "1".repeat(39);
    for bad in ["twelve", "1,5", "0x10", "1 2", "NaN", "inf", "1e127", "1e-129", &longer] {
        let refused = rig.send_request(with(&[("n", attribute("Number", bad))]));
        let reason = "Can't cast the value of message (user) attribute 'n' to a number.";
        assert_eq!(refusal_in_words(refused), invalid(reason), "{bad}");
    }
}

#[test]
fn a_message_attribute_has_one_value_that_is_not_empty() {
    let mut rig = Rig::standard();
    let none = |data_type: &str| MessageAttributeValue {
        data_type: data_type.to_owned(),
        ..Default::default()
    };
    for (bad, base) in [
        (text(""), "String"),
        (none("String"), "String"),
        (attribute("Number.int", ""), "Number"),
        (none("Number"), "Number"),
        (binary("Binary", b""), "Binary"),
        (none("Binary.png"), "Binary"),
    ] {
        let reason = format!(
            "Message (user) attribute 'a' must contain a non-empty value of type '{base}'."
        );
        let refused = rig.send_request(with(&[("a", bad.clone())]));
        assert_eq!(refusal_in_words(refused), invalid(reason), "{bad:?}");
    }
    let double =
        MessageAttributeValue { string_value: Some("x".to_owned()), ..binary("String", b"x") };
    let reason = "Message (user) attribute 'a' must have a single value.";
    assert_eq!(refusal_in_words(rig.send_request(with(&[("a", double)]))), invalid(reason));
}

#[test]
fn the_value_of_a_message_attribute_is_of_its_type() {
    let mut rig = Rig::standard();
    for bad in [binary("String", b"x"), binary("Number", b"1"), attribute("Binary", "x")] {
        let refused = rig.send_request(with(&[("a", bad.clone())]));
        assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue, "{bad:?}");
    }
}

#[test]
fn lists_of_values_are_not_supported() {
    let mut rig = Rig::standard();
    for list in [
        MessageAttributeValue { string_list_values: vec!["y".to_owned()], ..text("x") },
        MessageAttributeValue { binary_list_values: vec![Blob(vec![1])], ..text("x") },
    ] {
        let refused = refusal_in_words(rig.send_request(with(&[("a", list)])));
        let reason = "Message attribute list values in SendMessage operation are not supported.";
        assert_eq!(refused, (ErrorKind::UnsupportedOperation, reason.to_owned()));
    }
}

#[test]
fn characters_outside_xml_are_refused_otherwise_in_an_attribute_than_in_the_body() {
    let mut rig = Rig::standard();
    for bad in ["\u{0}", "Invalid-\u{8},\u{b}", "\u{ffff}"] {
        let in_body = refusal(rig.send_request(message(bad)));
        assert_eq!(in_body, ErrorKind::InvalidMessageContents, "{bad:?}");
        let in_attribute = refusal(rig.send_request(with(&[("a", text(bad))])));
        assert_eq!(in_attribute, ErrorKind::InvalidParameterValue, "{bad:?}");
    }
    let good = "\t\n\r \u{d7ff}\u{e000}\u{fffd}\u{10000}\u{10ffff}";
    rig.send_request(SendMessageRequest {
        message_body: good.to_owned(),
        ..with(&[("a", text(good))])
    })
    .unwrap();
    rig.send_request(with(&[("a", binary("Binary", b"\0\x08\xff"))])).unwrap();
}

#[test]
fn a_message_has_ten_attributes_at_most() {
    let mut rig = Rig::standard();
    let numbered = |most: usize| -> MessageAttributes {
        (0..most).map(|n| (format!("a{n}"), text("x"))).collect()
    };
    let request =
        |most| SendMessageRequest { message_attributes: numbered(most), ..message("body") };
    rig.send_request(request(10)).unwrap();
    assert_eq!(rig.receive(QUEUE, 1)[0].message_attributes, numbered(10));
    let reason = "Number of message attributes [11] exceeds the allowed maximum [10].";
    assert_eq!(refusal_in_words(rig.send_request(request(11))), invalid(reason));
}

/// The digests are those that AWS was recorded to answer.
#[test]
fn the_digest_of_message_attributes_is_aws_s() {
    let traceparent = b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01";
    let three = [("Help.Me", text("Me")), ("Hello", text("There")), ("General", text("Kenobi"))];
    for (attributes, digest) in [
        (&three[..], "4c360f3fdafd970e05fae2f149d997f5"),
        (&[("MyAttribute", text("foobar"))], "adb59cd4678ea5a855436b949cd07ab6"),
        (&[("attr1", binary("Binary", traceparent))], "8cbe4db156db8a94db8b801b7addb984"),
        (
            &[("timestamp", attribute("Number", "1493147359900"))],
            "235c5c510d26fb653d073faed50ae77c",
        ),
    ] {
        let mut rig = Rig::standard();
        let sent = rig.send_request(with(attributes)).unwrap();
        assert_eq!(sent.md5_of_message_attributes.as_deref(), Some(digest));
        let received = rig.receive(QUEUE, 1).remove(0);
        assert_eq!(received.md5_of_message_attributes.as_deref(), Some(digest));
    }
}

#[test]
fn a_receive_gives_the_message_attributes_that_are_asked_for_and_their_digest() {
    let mut rig = Rig::standard();
    rig.set(QUEUE, "VisibilityTimeout", "0").unwrap();
    let three = [("Help.Me", text("Me")), ("Hello", text("There")), ("General", text("Kenobi"))];
    rig.send_request(with(&three)).unwrap();
    let all = (&["General", "Hello", "Help.Me"][..], "4c360f3fdafd970e05fae2f149d997f5");
    let none = (&[][..], "");
    for (wanted, (names, digest)) in [
        (&[][..], none),
        (&["All"], all),
        (&["*"], all),
        (&[".*"], all),
        (&["Foo", "Help", "hello"], none),
        (&["Hello", "General"], (&["General", "Hello"], "fca026605781cb4126a1e9044df24232")),
        (&["Foo", "Hello"], (&["Hello"], "a311262e065454b75da111d535b8dacd")),
        (&["Hel.*"], (&["Hello", "Help.Me"], "83fee93c1bcd8b9a5a923ffacdc636c7")),
        (&["AWS."], none),
        (&["..foo"], none),
    ] {
        let message_attribute_names = wanted.iter().map(|name| (*name).to_owned()).collect();
        let request = ReceiveMessageRequest { message_attribute_names, ..receive_all(QUEUE, 1) };
        let received = rig.receive_request(&request).unwrap().remove(0);
        let told: Vec<&String> = received.message_attributes.keys().collect();
        assert_eq!(told, names, "{wanted:?}");
        assert_eq!(received.md5_of_message_attributes.unwrap_or_default(), digest, "{wanted:?}");
    }
}

#[test]
fn the_trace_header_has_its_own_digest_and_counts_for_no_size() {
    let mut rig = Rig::standard();
    rig.set(QUEUE, "MaximumMessageSize", "1024").unwrap();
    let request = SendMessageRequest { message_body: "x".repeat(1024), ..traced(text(TRACE)) };
    let sent = rig.send_request(request).unwrap();
    let digest = "5ae4d5d7636402d80f4eb6d213245a88";
    assert_eq!(sent.md5_of_message_system_attributes.as_deref(), Some(digest));
    assert_eq!(sent.md5_of_message_attributes, None);
    assert_eq!(rig.receive(QUEUE, 1)[0].attributes["AWSTraceHeader"], TRACE);
}

#[test]
fn the_trace_header_is_a_string_that_is_not_empty() {
    let mut rig = Rig::standard();
    for bad in [text(""), attribute("Number", "1"), binary("Binary", b"x"), binary("String", b"x")]
    {
        let refused = rig.send_request(traced(bad.clone()));
        assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue, "{bad:?}");
    }
}

#[test]
fn system_attributes_can_be_asked_for_in_either_list_or_in_both() {
    let mut rig = Rig::fifo();
    rig.set(FIFO, "VisibilityTimeout", "0").unwrap();
    rig.send_to_group("a", "body");
    let all = [
        "ApproximateFirstReceiveTimestamp",
        "ApproximateReceiveCount",
        "MessageDeduplicationId",
        "MessageGroupId",
        "SenderId",
        "SentTimestamp",
        "SequenceNumber",
    ];
    for (newer, older, names) in [
        (&[][..], &[][..], &[][..]),
        (&["All"], &[], &all),
        (&[], &["All"], &all),
        (&["All"], &["SenderId"], &all),
        (&["SenderId"], &["MessageGroupId"], &["MessageGroupId", "SenderId"]),
        (&["SenderId", "AWSTraceHeader"], &["VisibilityTimeout"], &["SenderId"]),
    ] {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let request = ReceiveMessageRequest {
            message_system_attribute_names: list(newer),
            attribute_names: list(older),
            ..receive_all(FIFO, 1)
        };
        let received = rig.receive_request(&request).unwrap().remove(0);
        let told: Vec<&String> = received.attributes.keys().collect();
        assert_eq!(told, names, "{newer:?} {older:?}");
    }
}
