use std::time::Duration;

use local_sqs::model::api::{
    GetQueueUrlRequest, ListDeadLetterSourceQueuesRequest, ListMessageMoveTasksRequest,
    ListQueuesRequest, ReceiveMessageRequest, SendMessageRequest, StartMessageMoveTaskRequest,
};
use local_sqs::model::{ApiError, ErrorKind};

use crate::rig::{
    FIFO, QUEUE, Rig, arn, fifo_message, message, receive_all, redrive_to, refusal,
    refusal_in_words, url,
};

fn invalid(text: impl Into<String>) -> (ErrorKind, String) {
    (ErrorKind::InvalidParameterValue, text.into())
}

/// A rig whose queue has a dead-letter queue, `dlq`.
fn with_dlq() -> Rig {
    let mut rig = Rig::standard();
    rig.create("dlq", &[]).unwrap();
    rig.set(QUEUE, "RedrivePolicy", &redrive_to("dlq", 1)).unwrap();
    rig
}

#[test]
fn numeric_attributes_are_whole_numbers_within_their_range() {
    for (name, least, most) in [
        ("DelaySeconds", 0_i64, 900),
        ("MaximumMessageSize", 1_024, 1_048_576),
        ("MessageRetentionPeriod", 60, 1_209_600),
        ("ReceiveMessageWaitTimeSeconds", 0, 20),
        ("VisibilityTimeout", 0, 43_200),
        ("KmsDataKeyReusePeriodSeconds", 60, 86_400),
    ] {
        for good in [least, most].map(|number| number.to_string()) {
            let mut rig = Rig::empty();
            rig.create(QUEUE, &[("KmsMasterKeyId", "key"), (name, &good)]).unwrap();
            assert_eq!(rig.attribute(QUEUE, name).as_ref(), Some(&good), "{name}={good} created");
            let mut rig = Rig::standard();
            rig.set(QUEUE, "KmsMasterKeyId", "key").unwrap();
            rig.set(QUEUE, name, &good).unwrap();
            assert_eq!(rig.attribute(QUEUE, name).as_ref(), Some(&good), "{name}={good} set");
        }
        let text = format!("Invalid value for the parameter {name}.");
        let refused = (ErrorKind::InvalidAttributeValue, text);
        let beyond = [least - 1, most + 1].map(|number| number.to_string());
        let no_numbers = ["", "ten", "60.5", " 60", "1e2"].map(str::to_owned);
        for bad in beyond.iter().chain(&no_numbers) {
            let created = Rig::empty().create(QUEUE, &[(name, bad)]);
            assert_eq!(refusal_in_words(created), refused, "{name}={bad} created");
            let set = Rig::standard().set(QUEUE, name, bad);
            assert_eq!(refusal_in_words(set), refused, "{name}={bad} set");
        }
    }
}

#[test]
fn a_message_is_delayed_by_15_minutes_at_most() {
    let mut rig = Rig::standard();
    let mut send = |seconds| {
        let request = SendMessageRequest { delay_seconds: Some(seconds), ..message("body") };
        rig.send_request(request)
    };
    for seconds in [0, 900] {
        send(seconds).unwrap();
    }
    for seconds in [-1, 901] {
        let text = format!(
            "Value {seconds} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
        );
        assert_eq!(refusal_in_words(send(seconds)), invalid(text));
    }
    assert_eq!(rig.counts(QUEUE), (1, 0, 1));
    rig.wait(900);
    assert_eq!(rig.counts(QUEUE), (2, 0, 0));
}

#[test]
fn a_receive_waits_20_seconds_at_most_and_as_the_queue_says_by_default() {
    let mut rig = Rig::standard();
    rig.set(QUEUE, "ReceiveMessageWaitTimeSeconds", "7").unwrap();
    let request =
        |wait_time_seconds| ReceiveMessageRequest { wait_time_seconds, ..receive_all(QUEUE, 1) };
    for (wanted, seconds) in [(Some(0), 0), (Some(20), 20), (None, 7)] {
        let wait = rig.sqs.receive_wait(&request(wanted)).unwrap();
        assert_eq!(wait, Duration::from_secs(seconds), "{wanted:?}");
    }
    for seconds in [-1, 21] {
        let text = format!(
            "Value {seconds} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided."
        );
        let refused = rig.receive_request(&request(Some(seconds)));
        assert_eq!(refusal_in_words(refused), invalid(text));
    }
}

#[test]
fn a_receive_takes_from_one_message_to_ten() {
    let mut rig = Rig::standard();
    for n in 0..20 {
        rig.send(&n.to_string());
    }
    assert_eq!(rig.receive(QUEUE, 1).len(), 1);
    assert_eq!(rig.receive(QUEUE, 10).len(), 10);
    for most in [-1, 0, 11] {
        let text = format!(
            "Value {most} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."
        );
        let refused = rig.receive_request(&receive_all(QUEUE, most));
        assert_eq!(refusal_in_words(refused), invalid(text));
    }
}

#[test]
fn a_message_is_invisible_for_12_hours_at_most() {
    let mut rig = Rig::standard();
    rig.send("one");
    let request = |seconds| ReceiveMessageRequest {
        visibility_timeout: Some(seconds),
        ..receive_all(QUEUE, 1)
    };
    let handle = rig.receive(QUEUE, 1).remove(0).receipt_handle;
    for seconds in [-1, 43_201] {
        let text = format!(
            "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= 43200, if provided."
        );
        let refused = rig.receive_request(&request(seconds));
        assert_eq!(refusal_in_words(refused), invalid(text));
        let changed = rig.change(QUEUE, &handle, seconds);
        assert_eq!(refusal(changed), ErrorKind::InvalidParameterValue, "{seconds}");
    }
    for seconds in [43_200, 0] {
        rig.change(QUEUE, &handle, seconds).unwrap();
    }
    assert_eq!(rig.receive_request(&request(0)).unwrap().len(), 1);
    assert_eq!(rig.receive_request(&request(43_200)).unwrap().len(), 1);
    rig.wait(43_199);
    assert_eq!(rig.counts(QUEUE), (0, 1, 0));
    rig.wait(1);
    assert_eq!(rig.counts(QUEUE), (1, 0, 0));
}

#[test]
fn a_queue_s_own_maximum_size_is_counted_in_bytes() {
    let mut rig = Rig::standard();
    rig.set(QUEUE, "MaximumMessageSize", "1024").unwrap();
    for good in ["x".repeat(1024), "ü".repeat(512), "큐".repeat(341)] {
        rig.send(&good);
    }
    for bad in ["x".repeat(1025), "ü".repeat(512) + "x", "큐".repeat(342)] {
        let text =
            "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.";
        assert_eq!(refusal_in_words(rig.send_request(message(&bad))), invalid(text));
    }
}

#[test]
fn the_name_of_a_fifo_queue_has_80_characters_with_its_suffix() {
    let mut rig = Rig::empty();
    let (longest, longer) = ("n".repeat(75) + ".fifo", "n".repeat(76) + ".fifo");
    rig.create(&longest, &[("FifoQueue", "true")]).unwrap();
    rig.create("n.fifo", &[("FifoQueue", "true")]).unwrap();
    let text = "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.";
    let refused = rig.create(&longer, &[("FifoQueue", "true")]);
    assert_eq!(refusal_in_words(refused), invalid(text));
    let text =
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
    assert_eq!(refusal_in_words(rig.create(&"n".repeat(81), &[])), invalid(text));
}

#[test]
fn the_names_of_queues_differ_in_case() {
    let mut rig = Rig::standard();
    let find = |rig: &mut Rig, name: &str| {
        let request = GetQueueUrlRequest { queue_name: name.to_owned(), ..Default::default() };
        rig.sqs.get_queue_url(rig.now, &request)
    };
    assert_eq!(refusal(find(&mut rig, "Q")), ErrorKind::QueueDoesNotExist);
    rig.create("Q", &[]).unwrap();
    assert_eq!(find(&mut rig, "Q").unwrap().queue_url, "/000000000000/Q");
}

#[test]
fn the_ids_of_fifo_messages_and_receive_attempts_have_128_characters_at_most() {
    let mut rig = Rig::fifo();
    let longest = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".repeat(4);
    let longer = longest.clone() + "x";
    let text = |parameter: &str, value: &str| {
        let text = format!(
            "Value {value} for parameter {parameter} is invalid. Reason: {parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length."
        );
        invalid(text)
    };
    let deduplicated = |id: &str| SendMessageRequest {
        message_deduplication_id: Some(id.to_owned()),
        ..fifo_message("a", "body")
    };
    let attempt = |id: &str| ReceiveMessageRequest {
        receive_request_attempt_id: Some(id.to_owned()),
        ..receive_all(FIFO, 1)
    };
    rig.send_request(deduplicated(&longest)).unwrap();
    rig.send_request(fifo_message(&longest, "body")).unwrap();
    assert_eq!(rig.receive_request(&attempt(&longest)).unwrap().len(), 1);
    for bad in ["", "group 123", "ü", &longer] {
        let refused = rig.send_request(deduplicated(bad));
        assert_eq!(refusal_in_words(refused), text("MessageDeduplicationId", bad));
        let refused = rig.send_request(fifo_message(bad, "body"));
        assert_eq!(refusal_in_words(refused), text("MessageGroupId", bad));
        let refused = rig.receive_request(&attempt(bad));
        assert_eq!(refusal_in_words(refused), text("ReceiveRequestAttemptId", bad));
    }
}

#[test]
fn a_page_of_queues_has_1000_at_most_and_is_continued_only_if_its_size_was_asked_for() {
    let mut rig = with_dlq();
    for n in 0..1000 {
        rig.create(&n.to_string(), &[("RedrivePolicy", &redrive_to("dlq", 1))]).unwrap();
    }
    let mut list = |max_results| {
        let all = ListQueuesRequest { max_results, ..Default::default() };
        let all = rig.sqs.list_queues(rig.now, &all)?;
        let request = ListDeadLetterSourceQueuesRequest {
            queue_url: url("dlq"),
            max_results,
            ..Default::default()
        };
        let sources = rig.sqs.list_dead_letter_source_queues(rig.now, &request)?;
        assert_eq!(sources.queue_urls.len(), all.queue_urls.len());
        assert_eq!(sources.next_token.is_some(), all.next_token.is_some());
        Ok::<_, ApiError>((all.queue_urls.len(), all.next_token.is_some()))
    };
    assert_eq!(list(Some(1)), Ok((1, true)));
    assert_eq!(list(Some(1000)), Ok((1000, true)));
    assert_eq!(list(None), Ok((1000, false)));
    for most in [-1, 0, 1001] {
        let text = "Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and 1000.";
        assert_eq!(refusal_in_words(list(Some(most))), invalid(text), "{most}");
    }
}

#[test]
fn the_ten_latest_move_tasks_are_listed_and_one_by_default() {
    let mut rig = with_dlq();
    for rate in 1..=11 {
        let request = StartMessageMoveTaskRequest {
            source_arn: arn("dlq"),
            max_number_of_messages_per_second: Some(rate),
            ..Default::default()
        };
        rig.sqs.start_message_move_task(rig.now, request).unwrap();
        rig.wait(1);
    }
    let mut list = |max_results| {
        let request = ListMessageMoveTasksRequest { source_arn: arn("dlq"), max_results };
        let listed = rig.sqs.list_message_move_tasks(rig.now, &request)?;
        let rates = listed.results.iter().map(|task| task.max_number_of_messages_per_second);
        Ok::<Vec<u32>, ApiError>(rates.map(Option::unwrap).collect())
    };
    assert_eq!(list(None), Ok(vec![11]));
    assert_eq!(list(Some(1)), Ok(vec![11]));
    assert_eq!(list(Some(10)), Ok((2..=11).rev().collect()));
    for most in [-1, 0, 11] {
        let refused = list(Some(most));
        assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue, "{most}");
    }
}

#[test]
fn a_move_task_moves_500_messages_a_second_at_most() {
    let start = |rate| {
        let mut rig = with_dlq();
        let request = StartMessageMoveTaskRequest {
            source_arn: arn("dlq"),
            max_number_of_messages_per_second: Some(rate),
            ..Default::default()
        };
        rig.sqs.start_message_move_task(rig.now, request)
    };
    assert!(start(1).is_ok() && start(500).is_ok());
    for rate in [-1, 0, 501] {
        assert_eq!(refusal(start(rate)), ErrorKind::InvalidParameterValue, "{rate}");
    }
}

#[test]
fn a_queue_has_120000_messages_in_flight_at_most() {
    let mut rig = Rig::standard();
    for _ in 0..=120_000 {
        rig.send("x");
    }
    for _ in 0..12_000 {
        assert_eq!(rig.receive(QUEUE, 10).len(), 10);
    }
    let refused = rig.receive_request(&receive_all(QUEUE, 1));
    assert_eq!(refusal(refused), ErrorKind::OverLimit);
}
