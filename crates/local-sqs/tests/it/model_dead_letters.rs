use local_sqs::model::ErrorKind;
use local_sqs::model::api::{
    CancelMessageMoveTaskRequest, ListDeadLetterSourceQueuesRequest, ListMessageMoveTasksRequest,
    ListMessageMoveTasksResultEntry, StartMessageMoveTaskRequest, StartMessageMoveTaskResult,
};
use local_sqs::model::{ApiError, Millis};

use crate::rig::{FIFO, QUEUE, Rig, arn, bodies, redrive_to, refusal, url};

const DLQ: &str = "dlq";
const FIFO_DLQ: &str = "dlq.fifo";

fn with_dlq(max_receive_count: u32) -> Rig {
    let mut rig = Rig::standard();
    rig.create(DLQ, &[]).unwrap();
    rig.set(QUEUE, "RedrivePolicy", &redrive_to(DLQ, max_receive_count)).unwrap();
    rig
}

fn with_fifo_dlq(max_receive_count: u32) -> Rig {
    let mut rig = Rig::fifo();
    rig.create(FIFO_DLQ, &[("FifoQueue", "true")]).unwrap();
    rig.set(FIFO, "RedrivePolicy", &redrive_to(FIFO_DLQ, max_receive_count)).unwrap();
    rig
}

/// Lets the queue's one message run out of receives.
fn exhaust(rig: &mut Rig, name: &str, receives: usize) {
    for _ in 0..receives {
        assert_eq!(rig.receive(name, 1).len(), 1);
        rig.wait(30);
    }
}

#[test]
fn a_message_is_moved_when_its_receive_count_would_pass_max_receive_count() {
    let mut rig = with_dlq(3);
    let sent = rig.send("order");
    exhaust(&mut rig, QUEUE, 3);
    assert_eq!(rig.counts(QUEUE), (1, 0, 0), "three receives are allowed");
    assert!(rig.receive(QUEUE, 10).is_empty());
    assert_eq!(rig.counts(QUEUE), (0, 0, 0));
    let dead = rig.receive(DLQ, 10);
    assert_eq!(bodies(&dead), ["order"]);
    assert_eq!(dead[0].message_id, sent.message_id);
    assert_eq!(dead[0].attributes["DeadLetterQueueSourceArn"], arn(QUEUE));
    assert_eq!(dead[0].attributes["ApproximateReceiveCount"], "4", "counted across queues");
}

#[test]
fn a_standard_dead_letter_queue_keeps_the_time_from_which_retention_counts() {
    let mut rig = with_dlq(1);
    rig.set(DLQ, "MessageRetentionPeriod", "60").unwrap();
    rig.send("order");
    let sent_at = rig.now;
    exhaust(&mut rig, QUEUE, 1);
    rig.receive(QUEUE, 1);
    let dead = rig.receive(DLQ, 1);
    assert_eq!(dead[0].attributes["SentTimestamp"], sent_at.0.to_string());
    rig.wait(30);
    assert_eq!(rig.counts(DLQ), (0, 0, 0));
}

#[test]
fn a_fifo_dead_letter_queue_starts_the_time_anew_and_takes_the_message_id_for_deduplication() {
    let mut rig = with_fifo_dlq(1);
    let sent = rig.send_to_group("a", "order");
    exhaust(&mut rig, FIFO, 1);
    rig.receive(FIFO, 1);
    let dead = rig.receive(FIFO_DLQ, 1);
    assert_eq!(dead[0].message_id, sent.message_id);
    assert_eq!(dead[0].attributes["SentTimestamp"], rig.now.0.to_string());
    assert_eq!(dead[0].attributes["MessageDeduplicationId"], sent.message_id);
    assert_eq!(dead[0].attributes["MessageGroupId"], "a");
}

#[test]
fn after_the_head_of_a_group_is_dead_lettered_the_same_receive_serves_the_next_message() {
    let mut rig = with_fifo_dlq(1);
    rig.send_to_group("a", "a1");
    rig.send_to_group("a", "a2");
    exhaust(&mut rig, FIFO, 1);
    assert_eq!(bodies(&rig.receive(FIFO, 1)), ["a2"]);
    assert_eq!(bodies(&rig.receive(FIFO_DLQ, 10)), ["a1"]);
}

#[test]
fn a_dead_letter_queue_that_was_deleted_leaves_messages_where_they_are() {
    let mut rig = with_dlq(1);
    rig.send("order");
    rig.sqs.delete_queue(rig.now, &url(DLQ)).unwrap();
    exhaust(&mut rig, QUEUE, 3);
}

#[test]
fn redrive_policies_that_cannot_work_are_refused() {
    let mut rig = with_dlq(3);
    rig.create(FIFO_DLQ, &[("FifoQueue", "true")]).unwrap();
    rig.create("closed", &[("RedriveAllowPolicy", r#"{"redrivePermission":"denyAll"}"#)]).unwrap();
    let allow = format!(r#"{{"redrivePermission":"byQueue","sourceQueueArns":["{}"]}}"#, arn("x"));
    rig.create("picky", &[("RedriveAllowPolicy", &allow)]).unwrap();
    let missing_count = format!(r#"{{"deadLetterTargetArn":"{}"}}"#, arn(DLQ));
    for policy in [
        redrive_to("nowhere", 3).as_str(),
        &redrive_to(FIFO_DLQ, 3),
        &redrive_to("closed", 3),
        &redrive_to("picky", 3),
        &redrive_to(DLQ, 0),
        &redrive_to(DLQ, 1001),
        &missing_count,
        r#"{"maxReceiveCount":3}"#,
        "not json",
    ] {
        let refused = rig.set(QUEUE, "RedrivePolicy", policy);
        assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue, "{policy}");
    }
    assert_eq!(rig.attribute(QUEUE, "RedrivePolicy"), Some(redrive_to(DLQ, 3)));
}

#[test]
fn an_empty_redrive_policy_takes_it_away() {
    let mut rig = with_dlq(1);
    rig.set(QUEUE, "RedrivePolicy", "").unwrap();
    assert_eq!(rig.attribute(QUEUE, "RedrivePolicy"), None);
}

#[test]
fn the_sources_of_a_dead_letter_queue_are_listed() {
    let mut rig = with_dlq(3);
    rig.create("another", &[("RedrivePolicy", &redrive_to(DLQ, 3))]).unwrap();
    let request = ListDeadLetterSourceQueuesRequest { queue_url: url(DLQ), ..Default::default() };
    let listed = rig.sqs.list_dead_letter_source_queues(rig.now, &request).unwrap();
    assert_eq!(listed.queue_urls, ["/000000000000/another", "/000000000000/q"]);
}

fn start(
    rig: &mut Rig,
    to: Option<&str>,
    rate: Option<i64>,
) -> Result<StartMessageMoveTaskResult, ApiError> {
    let request = StartMessageMoveTaskRequest {
        source_arn: arn(DLQ),
        destination_arn: to.map(arn),
        max_number_of_messages_per_second: rate,
    };
    rig.sqs.start_message_move_task(rig.now, request)
}

fn latest_task(rig: &mut Rig) -> ListMessageMoveTasksResultEntry {
    let request = ListMessageMoveTasksRequest { source_arn: arn(DLQ), max_results: None };
    rig.sqs.list_message_move_tasks(rig.now, &request).unwrap().results.remove(0)
}

fn with_dead_letters(number: usize) -> Rig {
    let mut rig = with_dlq(1);
    for n in 0..number {
        rig.send(&format!("order-{n}"));
    }
    while rig.counts(QUEUE).0 > 0 {
        rig.receive(QUEUE, 10);
    }
    rig.wait(30);
    rig.receive(QUEUE, 1);
    assert_eq!(rig.counts(DLQ), (number, 0, 0));
    rig
}

#[test]
fn a_move_task_returns_messages_to_their_source_as_new_ones() {
    let mut rig = with_dead_letters(20);
    start(&mut rig, None, None).unwrap();
    rig.wait(1);
    assert_eq!((rig.counts(DLQ), rig.counts(QUEUE)), ((0, 0, 0), (20, 0, 0)));
    let task = latest_task(&mut rig);
    assert_eq!(
        (task.status.as_str(), task.approximate_number_of_messages_moved),
        ("COMPLETED", 20)
    );
    assert_eq!(task.task_handle, None, "only a running task can be cancelled");
    let back = rig.receive(QUEUE, 1);
    assert_eq!(back[0].attributes["ApproximateReceiveCount"], "1");
    assert!(!back[0].attributes.contains_key("DeadLetterQueueSourceArn"));
}

#[test]
fn a_move_task_keeps_to_its_rate_and_can_be_cancelled() {
    let mut rig = with_dead_letters(20);
    rig.create("elsewhere", &[]).unwrap();
    let task = start(&mut rig, Some("elsewhere"), Some(2)).unwrap();
    assert_eq!(refusal(start(&mut rig, None, None)), ErrorKind::InvalidParameterValue);
    rig.wait(4);
    assert_eq!(rig.counts("elsewhere").0, 9, "one at once, then two a second");
    let cancel = CancelMessageMoveTaskRequest { task_handle: task.task_handle };
    let cancelled = rig.sqs.cancel_message_move_task(rig.now, &cancel).unwrap();
    assert_eq!(cancelled.approximate_number_of_messages_moved, 9);
    rig.wait(60);
    assert_eq!(rig.counts("elsewhere").0, 9);
    assert_eq!(latest_task(&mut rig).status, "CANCELLED");
    let again = rig.sqs.cancel_message_move_task(rig.now, &cancel);
    assert_eq!(refusal(again), ErrorKind::InvalidParameterValue);
}

#[test]
fn a_move_task_fails_on_a_message_that_was_never_dead_lettered() {
    let mut rig = with_dlq(1);
    let request = local_sqs::model::api::SendMessageRequest {
        queue_url: url(DLQ),
        message_body: "sent here directly".to_owned(),
        ..Default::default()
    };
    rig.send_request(request).unwrap();
    start(&mut rig, None, None).unwrap();
    rig.wait(1);
    let task = latest_task(&mut rig);
    assert_eq!(task.status, "FAILED");
    assert_eq!(task.failure_reason.as_deref(), Some("CouldNotDetermineMessageSource"));
    assert_eq!(rig.counts(DLQ), (1, 0, 0));
}

#[test]
fn a_move_task_needs_a_dead_letter_queue_that_exists_and_a_sane_rate() {
    let mut rig = with_dlq(1);
    let from =
        |name: &str| StartMessageMoveTaskRequest { source_arn: arn(name), ..Default::default() };
    let refused = rig.sqs.start_message_move_task(rig.now, from(QUEUE));
    assert_eq!(refusal(refused), ErrorKind::InvalidParameterValue);
    let refused = rig.sqs.start_message_move_task(rig.now, from("nowhere"));
    assert_eq!(refusal(refused), ErrorKind::ResourceNotFound);
    assert_eq!(refusal(start(&mut rig, Some("nowhere"), None)), ErrorKind::ResourceNotFound);
    assert_eq!(refusal(start(&mut rig, None, Some(501))), ErrorKind::InvalidParameterValue);
}

#[test]
fn time_does_not_go_back() {
    let mut rig = Rig::standard();
    rig.send("one");
    rig.receive(QUEUE, 1);
    rig.sqs.advance(Millis(rig.now.0 + 30_000));
    rig.sqs.advance(Millis(0));
    assert_eq!(rig.counts(QUEUE), (1, 0, 0));
}
