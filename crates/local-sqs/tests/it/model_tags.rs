use std::collections::BTreeMap;

use local_sqs::model::api::{CreateQueueRequest, TagQueueRequest, UntagQueueRequest};
use local_sqs::model::{ApiError, ErrorKind};

use crate::rig::{QUEUE, Rig, refusal, refusal_in_words, url};

type Tags = BTreeMap<String, String>;

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn numbered(numbers: std::ops::Range<usize>) -> Tags {
    numbers.map(|n| (format!("key-{n}"), n.to_string())).collect()
}

fn tag(rig: &mut Rig, tags: Tags) -> Result<(), ApiError> {
    rig.sqs.tag_queue(rig.now, TagQueueRequest { queue_url: url(QUEUE), tags })
}

fn untag(rig: &mut Rig, keys: &[&str]) -> Result<(), ApiError> {
    let tag_keys = keys.iter().map(|key| (*key).to_owned()).collect();
    rig.sqs.untag_queue(rig.now, &UntagQueueRequest { queue_url: url(QUEUE), tag_keys })
}

fn create(rig: &mut Rig, tags: Tags) -> Result<(), ApiError> {
    let request =
        CreateQueueRequest { queue_name: Some(QUEUE.to_owned()), tags, ..Default::default() };
    rig.sqs.create_queue(rig.now, request).map(drop)
}

fn listed(rig: &mut Rig) -> Tags {
    rig.sqs.list_queue_tags(rig.now, &url(QUEUE)).unwrap().tags
}

fn invalid(text: &str) -> (ErrorKind, String) {
    (ErrorKind::InvalidParameterValue, text.to_owned())
}

#[test]
fn a_queue_has_no_tags_of_its_own() {
    assert_eq!(listed(&mut Rig::standard()), tags(&[]));
}

#[test]
fn tags_differ_in_case() {
    let mut rig = Rig::standard();
    let both = tags(&[("MyTag", "value1"), ("mytag", "value2")]);
    tag(&mut rig, both.clone()).unwrap();
    assert_eq!(listed(&mut rig), both);
    untag(&mut rig, &["MYTAG", "MyTag"]).unwrap();
    assert_eq!(listed(&mut rig), tags(&[("mytag", "value2")]));
}

#[test]
fn the_value_of_a_tag_may_be_empty_and_its_key_not() {
    let mut rig = Rig::standard();
    tag(&mut rig, tags(&[("key", "")])).unwrap();
    assert_eq!(listed(&mut rig), tags(&[("key", "")]));
    let text = "Tag keys must be between 1 and 128 characters in length.";
    assert_eq!(refusal_in_words(tag(&mut rig, tags(&[("", "value")]))), invalid(text));
    assert_eq!(refusal_in_words(untag(&mut rig, &[""])), invalid(text));
    assert_eq!(refusal_in_words(untag(&mut rig, &[])), invalid(text));
}

#[test]
fn the_key_of_a_tag_has_128_characters_at_most() {
    let mut rig = Rig::standard();
    for letter in ["k", "ü", "큐"] {
        let (longest, longer) = (letter.repeat(128), letter.repeat(129));
        tag(&mut rig, tags(&[(&longest, "value")])).unwrap();
        let text = "Tag keys must be between 1 and 128 characters in length.";
        let refused = tag(&mut rig, tags(&[(&longer, "value")]));
        assert_eq!(refusal_in_words(refused), invalid(text), "{letter}");
        assert_eq!(refusal_in_words(untag(&mut rig, &[&longer])), invalid(text), "{letter}");
        untag(&mut rig, &[&longest]).unwrap();
    }
    assert_eq!(listed(&mut rig), tags(&[]));
}

#[test]
fn the_value_of_a_tag_has_256_characters_at_most() {
    let mut rig = Rig::standard();
    for letter in ["v", "ü", "큐"] {
        tag(&mut rig, tags(&[("key", &letter.repeat(256))])).unwrap();
        let text = "Tag values must be between 0 and 256 characters in length.";
        let refused = tag(&mut rig, tags(&[("key", &letter.repeat(257))]));
        assert_eq!(refusal_in_words(refused), invalid(text), "{letter}");
    }
}

#[test]
fn tags_are_letters_digits_whitespace_and_eight_symbols() {
    let mut rig = Rig::standard();
    for good in ["aZ9", "Größe", "상품", "two words", "tab\tbed", "_.:/=+-@"] {
        tag(&mut rig, tags(&[(good, good)])).unwrap();
    }
    let text = |what: &str| {
        let text = format!(
            "Tag {what} may only contain unicode letters, digits, whitespace, or one of these symbols: _ . : / = + - @"
        );
        (ErrorKind::InvalidParameterValue, text)
    };
    for bad in ["!", "a#b", "50%", "a,b", "(x)", "\"", "\u{0}", "🙂"] {
        let refused = tag(&mut rig, tags(&[(bad, "value")]));
        assert_eq!(refusal_in_words(refused), text("keys"), "{bad}");
        let refused = tag(&mut rig, tags(&[("key", bad)]));
        assert_eq!(refusal_in_words(refused), text("values"), "{bad}");
    }
    assert_eq!(listed(&mut rig).len(), 6);
}

#[test]
fn the_prefix_aws_is_reserved_in_keys_and_values() {
    let mut rig = Rig::standard();
    for (key, value) in [("aws:team", "x"), ("AWS:team", "x"), ("team", "aws:x"), ("aws:", "")] {
        let text = "Tag keys and values cannot start with the reserved prefix aws:.";
        let refused = tag(&mut rig, tags(&[(key, value)]));
        assert_eq!(refusal_in_words(refused), invalid(text), "{key}={value}");
    }
    tag(&mut rig, tags(&[("aws", "aws"), ("team:aws:", "my aws:")])).unwrap();
}

#[test]
fn a_queue_has_fifty_tags_at_most_however_they_came() {
    let mut rig = Rig::standard();
    let text = "Too many tags added for queue q.";
    assert_eq!(refusal_in_words(tag(&mut rig, numbered(0..51))), invalid(text));
    assert_eq!(listed(&mut rig).len(), 0);
    tag(&mut rig, numbered(0..30)).unwrap();
    assert_eq!(refusal_in_words(tag(&mut rig, numbered(30..51))), invalid(text));
    tag(&mut rig, numbered(30..50)).unwrap();
    tag(&mut rig, tags(&[("key-7", "overwritten")])).unwrap();
    assert_eq!(listed(&mut rig).len(), 50);
    untag(&mut rig, &["key-7"]).unwrap();
    tag(&mut rig, numbered(50..51)).unwrap();
}

#[test]
fn a_refused_tag_takes_the_others_of_its_request_with_it() {
    let mut rig = Rig::standard();
    tag(&mut rig, tags(&[("team", "orders")])).unwrap();
    tag(&mut rig, tags(&[("a", "1"), ("team", "shipping"), ("z!", "2")])).unwrap_err();
    assert_eq!(listed(&mut rig), tags(&[("team", "orders")]));
}

#[test]
fn tagging_needs_tags() {
    let mut rig = Rig::standard();
    let text = "The request must contain the parameter Tags.".to_owned();
    let refused = refusal_in_words(tag(&mut rig, tags(&[])));
    assert_eq!(refused, (ErrorKind::MissingParameter, text));
}

#[test]
fn the_last_tag_can_be_taken_away() {
    let mut rig = Rig::standard();
    tag(&mut rig, tags(&[("a", "1"), ("b", "2")])).unwrap();
    untag(&mut rig, &["a", "b", "absent"]).unwrap();
    assert_eq!(listed(&mut rig), tags(&[]));
}

#[test]
fn tags_of_a_new_queue_keep_to_the_same_rules() {
    let long_key = "k".repeat(129);
    let long_value = "v".repeat(257);
    for (bad, value) in
        [("", "x"), (long_key.as_str(), "x"), ("key", &long_value), ("a!", "x"), ("aws:a", "x")]
    {
        let mut rig = Rig::empty();
        let refused = create(&mut rig, tags(&[(bad, value)]));
        assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue, "{bad}={value}");
        assert_eq!(rig.sqs.queue_names().count(), 0, "{bad}={value}");
    }
    let mut rig = Rig::empty();
    assert_eq!(refusal(create(&mut rig, numbered(0..51))), ErrorKind::InvalidParameterValue);
    create(&mut rig, numbered(0..50)).unwrap();
    assert_eq!(listed(&mut rig), numbered(0..50));
}

#[test]
fn creating_a_queue_again_with_other_tags_is_refused() {
    let mut rig = Rig::empty();
    create(&mut rig, tags(&[("team", "orders")])).unwrap();
    create(&mut rig, tags(&[("team", "orders")])).unwrap();
    create(&mut rig, tags(&[])).unwrap();
    for other in [[("team", "shipping")].as_slice(), &[("team", "orders"), ("env", "test")]] {
        let refused = create(&mut rig, tags(other));
        assert_eq!(refusal(refused), ErrorKind::QueueNameExists, "{other:?}");
    }
    assert_eq!(listed(&mut rig), tags(&[("team", "orders")]));
}

#[test]
fn tags_go_with_their_queue() {
    let mut rig = Rig::standard();
    tag(&mut rig, tags(&[("team", "orders")])).unwrap();
    rig.sqs.purge_queue(rig.now, &url(QUEUE)).unwrap();
    assert_eq!(listed(&mut rig).len(), 1);
    rig.sqs.delete_queue(rig.now, &url(QUEUE)).unwrap();
    rig.create(QUEUE, &[]).unwrap();
    assert_eq!(listed(&mut rig), tags(&[]));
}

#[test]
fn a_missing_queue_has_no_tags() {
    let mut rig = Rig::empty();
    let missing = ErrorKind::QueueDoesNotExist;
    assert_eq!(refusal(tag(&mut rig, tags(&[("t", "v")]))), missing);
    assert_eq!(refusal(untag(&mut rig, &["t"])), missing);
    assert_eq!(refusal(rig.sqs.list_queue_tags(rig.now, &url(QUEUE))), missing);
}
