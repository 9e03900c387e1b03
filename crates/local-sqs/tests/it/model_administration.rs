use std::time::Duration;

use local_sqs::model::api::{
    CreateQueueRequest, GetQueueAttributesRequest, GetQueueUrlRequest, ListQueuesRequest,
    TagQueueRequest, UntagQueueRequest,
};
use local_sqs::model::{ErrorKind, Limits, ModelSettings};

use crate::rig::{FIFO, QUEUE, Rig, arn, receive_all, refusal, url};

#[test]
fn creating_a_queue_again_with_the_same_attributes_succeeds() {
    let mut rig = Rig::empty();
    rig.create(QUEUE, &[("VisibilityTimeout", "60")]).unwrap();
    rig.create(QUEUE, &[("VisibilityTimeout", "60")]).unwrap();
    rig.create(QUEUE, &[]).unwrap();
    let refused = rig.create(QUEUE, &[("VisibilityTimeout", "61")]);
    assert_eq!(refusal(refused), ErrorKind::QueueNameExists);
}

#[test]
fn bad_queue_names_are_refused() {
    let mut rig = Rig::empty();
    let long = "n".repeat(81);
    for name in ["with space", "a/b", "a.b", "큐", "no-type.fifo", "", &long] {
        let refused = rig.create(name, &[]);
        assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue, "{name}");
    }
    let nameless = rig.sqs.create_queue(rig.now, CreateQueueRequest::default());
    assert_eq!(refusal(nameless), ErrorKind::MissingParameter);
    let long_fifo = format!("{}.fifo", "n".repeat(76));
    for name in ["no-suffix", ".fifo", &long_fifo] {
        let refused = rig.create(name, &[("FifoQueue", "true")]);
        assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue, "{name}");
    }
    rig.create(&"n".repeat(80), &[]).unwrap();
    rig.create("Under_score-9", &[]).unwrap();
}

#[test]
fn unknown_and_out_of_range_attributes_are_refused() {
    let mut rig = Rig::empty();
    for (name, value, kind) in [
        ("Nonsense", "1", ErrorKind::InvalidAttributeName),
        ("QueueArn", "x", ErrorKind::InvalidAttributeName),
        ("DelaySeconds", "901", ErrorKind::InvalidAttributeValue),
        ("DelaySeconds", "-1", ErrorKind::InvalidAttributeValue),
        ("MaximumMessageSize", "1023", ErrorKind::InvalidAttributeValue),
        ("MaximumMessageSize", "1048577", ErrorKind::InvalidAttributeValue),
        ("MessageRetentionPeriod", "59", ErrorKind::InvalidAttributeValue),
        ("MessageRetentionPeriod", "1209601", ErrorKind::InvalidAttributeValue),
        ("ReceiveMessageWaitTimeSeconds", "21", ErrorKind::InvalidAttributeValue),
        ("VisibilityTimeout", "43201", ErrorKind::InvalidAttributeValue),
        ("VisibilityTimeout", "soon", ErrorKind::InvalidAttributeValue),
        ("Policy", "not json", ErrorKind::InvalidAttributeValue),
        ("KmsDataKeyReusePeriodSeconds", "59", ErrorKind::InvalidAttributeValue),
        ("FifoQueue", "false", ErrorKind::InvalidAttributeName),
        ("ContentBasedDeduplication", "true", ErrorKind::InvalidAttributeName),
        ("DeduplicationScope", "queue", ErrorKind::InvalidAttributeName),
    ] {
        assert_eq!(refusal(rig.create(QUEUE, &[(name, value)])), kind, "{name}={value}");
    }
    let too_fine = [("FifoQueue", "true"), ("FifoThroughputLimit", "perMessageGroupId")];
    assert_eq!(refusal(rig.create(FIFO, &too_fine)), ErrorKind::InvalidAttributeValue);
    assert_eq!(rig.sqs.queue_names().count(), 0);
}

#[test]
fn the_type_of_a_queue_cannot_be_changed() {
    let mut rig = Rig::standard();
    assert_eq!(refusal(rig.set(QUEUE, "FifoQueue", "true")), ErrorKind::InvalidAttributeName);
    let mut rig = Rig::fifo();
    assert_eq!(refusal(rig.set(FIFO, "FifoQueue", "false")), ErrorKind::InvalidAttributeValue);
    rig.set(FIFO, "FifoQueue", "True").unwrap();
}

#[test]
fn attributes_are_told_with_their_defaults() {
    let mut rig = Rig::fifo();
    let request =
        GetQueueAttributesRequest { queue_url: url(FIFO), attribute_names: vec!["All".to_owned()] };
    let all = rig.sqs.get_queue_attributes(rig.now, &request).unwrap().attributes;
    for (name, value) in [
        ("QueueArn", arn(FIFO).as_str()),
        ("ApproximateNumberOfMessages", "0"),
        ("ApproximateNumberOfMessagesDelayed", "0"),
        ("ApproximateNumberOfMessagesNotVisible", "0"),
        ("CreatedTimestamp", "1700000000"),
        ("LastModifiedTimestamp", "1700000000"),
        ("DelaySeconds", "0"),
        ("MaximumMessageSize", "1048576"),
        ("MessageRetentionPeriod", "345600"),
        ("ReceiveMessageWaitTimeSeconds", "0"),
        ("VisibilityTimeout", "30"),
        ("SqsManagedSseEnabled", "true"),
        ("FifoQueue", "true"),
        ("ContentBasedDeduplication", "true"),
        ("DeduplicationScope", "queue"),
        ("FifoThroughputLimit", "perQueue"),
    ] {
        assert_eq!(all.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(all.len(), 16);
    let unknown =
        GetQueueAttributesRequest { attribute_names: vec!["Nonsense".to_owned()], ..request };
    let refused = rig.sqs.get_queue_attributes(rig.now, &unknown);
    assert_eq!(refusal(refused), ErrorKind::InvalidAttributeName);
}

#[test]
fn a_missing_queue_is_said_to_be_missing() {
    let mut rig = Rig::standard();
    let refused = rig.receive_request(&receive_all("nowhere", 1));
    assert_eq!(refusal(refused), ErrorKind::QueueDoesNotExist);
    let request = GetQueueUrlRequest { queue_name: "nowhere".to_owned(), ..Default::default() };
    assert_eq!(refusal(rig.sqs.get_queue_url(rig.now, &request)), ErrorKind::QueueDoesNotExist);
    rig.sqs.delete_queue(rig.now, &url(QUEUE)).unwrap();
    let refused = rig.receive_request(&receive_all(QUEUE, 1));
    assert_eq!(refusal(refused), ErrorKind::QueueDoesNotExist);
}

#[test]
fn queues_are_listed_by_prefix_and_page() {
    let mut rig = Rig::empty();
    for name in ["a-1", "a-2", "a-3", "b-1"] {
        rig.create(name, &[]).unwrap();
    }
    let mut list = |token: Option<String>, most: Option<i64>| {
        let request = ListQueuesRequest {
            queue_name_prefix: Some("a-".to_owned()),
            next_token: token,
            max_results: most,
        };
        let page = rig.sqs.list_queues(rig.now, &request).unwrap();
        (page.queue_urls, page.next_token)
    };
    assert_eq!(list(None, None).0.len(), 3);
    let (first, token) = list(None, Some(2));
    assert_eq!(first, ["/000000000000/a-1", "/000000000000/a-2"]);
    let (second, token) = list(token, Some(2));
    assert_eq!((second, token), (vec!["/000000000000/a-3".to_owned()], None));
}

#[test]
fn tags_are_kept_overwritten_and_taken_away() {
    let mut rig = Rig::empty();
    let tags = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let create = CreateQueueRequest {
        queue_name: Some(QUEUE.to_owned()),
        tags: tags(&[("team", "orders")]),
        ..Default::default()
    };
    rig.sqs.create_queue(rig.now, create).unwrap();
    let more = TagQueueRequest {
        queue_url: url(QUEUE),
        tags: tags(&[("team", "shipping"), ("env", "test")]),
    };
    rig.sqs.tag_queue(rig.now, more).unwrap();
    let less = UntagQueueRequest {
        queue_url: url(QUEUE),
        tag_keys: vec!["env".to_owned(), "absent".to_owned()],
    };
    rig.sqs.untag_queue(rig.now, &less).unwrap();
    let listed = rig.sqs.list_queue_tags(rig.now, &url(QUEUE)).unwrap();
    assert_eq!(listed.tags, tags(&[("team", "shipping")]));
}

#[test]
fn a_purge_empties_the_queue_and_is_refused_twice_in_a_minute() {
    let mut rig = Rig::standard();
    rig.send("visible");
    rig.send("in flight");
    let handle = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    rig.sqs.purge_queue(rig.now, &url(QUEUE)).unwrap();
    assert_eq!(rig.counts(QUEUE), (0, 0, 0));
    rig.delete(QUEUE, &handle).unwrap();
    rig.wait(59);
    let refused = rig.sqs.purge_queue(rig.now, &url(QUEUE));
    assert_eq!(refusal(refused), ErrorKind::PurgeQueueInProgress);
    rig.wait(1);
    rig.sqs.purge_queue(rig.now, &url(QUEUE)).unwrap();
}

#[test]
fn a_deleted_name_can_be_held_back_as_aws_does() {
    let limits = Limits { deleted_name_interval: Duration::from_mins(1), ..Limits::default() };
    let mut rig = Rig::with_settings(ModelSettings { limits, ..ModelSettings::default() });
    rig.create(QUEUE, &[]).unwrap();
    rig.sqs.delete_queue(rig.now, &url(QUEUE)).unwrap();
    assert_eq!(refusal(rig.create(QUEUE, &[])), ErrorKind::QueueDeletedRecently);
    rig.wait(60);
    rig.create(QUEUE, &[]).unwrap();
}

#[test]
fn only_the_account_and_the_name_of_a_queue_url_matter() {
    let mut rig = Rig::standard();
    rig.send("one");
    for queue_url in [
        "http://elsewhere:1/000000000000/q",
        "https://sqs.eu-west-1.amazonaws.com/000000000000/q",
        "/000000000000/q",
        "http://host/some/prefix/000000000000/q/",
        "q",
    ] {
        assert_eq!(&*rig.sqs.queue_name(queue_url).unwrap(), QUEUE);
    }
    for queue_url in ["http://host/111111111111/q", "other", "/q/", "http://host/000000000000/x"] {
        assert_eq!(refusal(rig.sqs.queue_name(queue_url)), ErrorKind::QueueDoesNotExist);
    }
    for queue_url in ["http://host/", "http://host", "http://host/q"] {
        assert_eq!(refusal(rig.sqs.queue_name(queue_url)), ErrorKind::InvalidAddress);
    }
    assert_eq!(refusal(rig.sqs.queue_name("")), ErrorKind::MissingParameter);
}
