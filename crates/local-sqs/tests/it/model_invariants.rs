//! Invariants that AWS documents one by one, each against its own small oracle.

use std::collections::{BTreeMap, BTreeSet};

use local_sqs::model::api::{SendMessageRequest, SendMessageResult, StartMessageMoveTaskRequest};
use local_sqs::model::{MessageState, Millis};
use proptest::prelude::*;

use crate::rig::{FIFO, QUEUE, Rig, arn, receive_all, redrive_to, url};

const DLQ: &str = "dlq";
const MAX_RECEIVE_COUNT: u32 = 2;

#[derive(Debug, Clone)]
enum Step {
    Send { delay_seconds: i64 },
    Receive { most: i64, visibility: i64 },
    Delete { which: usize },
    Change { which: usize, seconds: i64 },
    Redrive { rate: i64 },
    Wait { millis: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop_oneof![Just(0), 0..20_i64].prop_map(|delay_seconds| Step::Send { delay_seconds }),
        4 => (1..=10_i64, 0..40_i64).prop_map(|(most, visibility)| Step::Receive { most, visibility }),
        2 => any::<usize>().prop_map(|which| Step::Delete { which }),
        2 => (any::<usize>(), 0..40_i64).prop_map(|(which, seconds)| Step::Change { which, seconds }),
        1 => (1..=500_i64).prop_map(|rate| Step::Redrive { rate }),
        3 => (0..20_000_u64).prop_map(|millis| Step::Wait { millis }),
    ]
}

/// What an outsider knows of the messages of a standard queue and its dead-letter queue.
#[derive(Default)]
struct Known {
    sent: BTreeSet<String>,
    deleted: BTreeSet<String>,
    handles: Vec<(String, String)>,
}

fn take(rig: &mut Rig, known: &mut Known, step: &Step) {
    match *step {
        Step::Send { delay_seconds } => {
            let body = known.sent.len().to_string();
            let request = SendMessageRequest {
                queue_url: url(QUEUE),
                message_body: body.clone(),
                delay_seconds: Some(delay_seconds),
                ..Default::default()
            };
            rig.send_request(request).unwrap();
            known.sent.insert(body);
        }
        Step::Receive { most, visibility } => {
            let mut request = receive_all(QUEUE, most);
            request.visibility_timeout = Some(visibility);
            let visible: BTreeSet<String> = rig
                .sqs
                .messages(QUEUE)
                .filter(|message| message.state == MessageState::Visible)
                .map(|message| message.body)
                .collect();
            for message in rig.receive_request(&request).unwrap() {
                assert!(visible.contains(&message.body), "only what is visible is received");
                known.handles.push((message.body, message.receipt_handle));
            }
        }
        Step::Delete { which } => {
            if let Some(index) = which.checked_rem(known.handles.len()) {
                let (body, handle) = known.handles[index].clone();
                let before = rig.sqs.messages(QUEUE).any(|message| message.body == body);
                rig.delete(QUEUE, &handle).unwrap();
                let after = rig.sqs.messages(QUEUE).any(|message| message.body == body);
                if before && !after {
                    known.deleted.insert(body);
                }
            }
        }
        Step::Change { which, seconds } => {
            if let Some(index) = which.checked_rem(known.handles.len()) {
                let (_, handle) = known.handles[index].clone();
                // Refused when the message is gone or was released, which is as it should be.
                let _ = rig.change(QUEUE, &handle, seconds);
            }
        }
        Step::Redrive { rate } => {
            let request = StartMessageMoveTaskRequest {
                source_arn: arn(DLQ),
                max_number_of_messages_per_second: Some(rate),
                ..Default::default()
            };
            // Refused while one is running.
            let _ = rig.sqs.start_message_move_task(rig.now, request);
        }
        Step::Wait { millis } => {
            rig.now = Millis(rig.now.0 + millis);
            rig.sqs.advance(rig.now);
        }
    }
}

/// Each message is in one place, in one state, and the counts say so.
fn check(rig: &Rig, known: &Known) {
    let mut seen = known.deleted.clone();
    for name in [QUEUE, DLQ] {
        let mut counts = (0, 0, 0);
        for message in rig.sqs.messages(name) {
            match message.state {
                MessageState::Visible => counts.0 += 1,
                MessageState::InFlight { until, since } => {
                    assert!(until > rig.now && since <= rig.now, "{message:?}");
                    counts.1 += 1;
                }
                MessageState::Delayed { until } => {
                    assert!(until > rig.now && message.receive_count == 0, "{message:?}");
                    counts.2 += 1;
                }
            }
            if name == QUEUE {
                assert!(message.receive_count <= MAX_RECEIVE_COUNT, "{message:?}");
            } else {
                assert_eq!(message.receive_count, MAX_RECEIVE_COUNT, "it had its receives");
            }
            assert!(seen.insert(message.body.clone()), "{} is in two places", message.body);
        }
        assert_eq!(rig.counts(name), counts, "{name}");
        assert_eq!(rig.sqs.has_receivable(name), counts.0 > 0, "{name}");
    }
    assert_eq!(seen, known.sent, "nothing is lost");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_in_exactly_one_state_of_one_queue_until_it_is_deleted(
        steps in proptest::collection::vec(step(), 1..100)
    ) {
        let mut rig = Rig::empty();
        rig.create(DLQ, &[]).unwrap();
        rig.create(QUEUE, &[("RedrivePolicy", &redrive_to(DLQ, MAX_RECEIVE_COUNT))]).unwrap();
        let mut known = Known::default();
        for step in &steps {
            take(&mut rig, &mut known, step);
            // A timeout of zero seconds is over when time next passes.
            rig.sqs.advance(rig.now);
            check(&rig, &known);
        }
    }

    #[test]
    fn a_deduplication_id_is_accepted_once_in_five_minutes_in_its_scope(
        per_group in any::<bool>(),
        sends in proptest::collection::vec((0..3_u8, 0..2_u8, 0..200_u64, any::<bool>()), 1..60),
    ) {
        let mut rig = Rig::empty();
        let scope = if per_group { "messageGroup" } else { "queue" };
        rig.create(FIFO, &[("FifoQueue", "true"), ("DeduplicationScope", scope)]).unwrap();
        let mut accepted: BTreeMap<(u8, Option<u8>), (Millis, SendMessageResult)> = BTreeMap::new();
        let mut waiting = 0;
        for (id, group, seconds, delete) in sends {
            rig.wait(seconds);
            let sent = rig.send_request(SendMessageRequest {
                queue_url: url(FIFO),
                message_body: "body".to_owned(),
                message_group_id: Some(group.to_string()),
                message_deduplication_id: Some(id.to_string()),
                ..Default::default()
            }).unwrap();
            let key = (id, per_group.then_some(group));
            match accepted.get(&key) {
                Some((at, first)) if rig.now.since(*at).as_secs() < 300 => {
                    prop_assert_eq!(&sent, first);
                }
                _ => {
                    waiting += 1;
                    accepted.insert(key, (rig.now, sent));
                }
            }
            if delete && let Some(message) = rig.receive(FIFO, 1).first() {
                rig.delete(FIFO, &message.receipt_handle).unwrap();
                waiting -= 1;
            }
            let (visible, in_flight, _) = rig.counts(FIFO);
            prop_assert_eq!(visible + in_flight, waiting);
        }
    }

    #[test]
    fn a_group_has_one_consumer_at_a_time_and_the_view_of_groups_says_who_can_be_served(
        groups in proptest::collection::vec(0..4_u8, 1..40),
        consumers in proptest::collection::vec((1..=4_i64, 0..40_u64, any::<bool>()), 1..60),
    ) {
        let mut rig = Rig::fifo();
        for (n, group) in groups.iter().enumerate() {
            rig.send_to_group(&group.to_string(), &n.to_string());
        }
        for (most, seconds, delete) in consumers {
            rig.wait(seconds);
            let before = rig.sqs.groups(FIFO);
            prop_assert_eq!(rig.sqs.has_receivable(FIFO), before.values().any(|group| group.servable));
            let received = rig.receive(FIFO, most);
            prop_assert_eq!(received.is_empty(), !before.values().any(|group| group.servable));
            for message in &received {
                let group = &before[message.attributes["MessageGroupId"].as_str()];
                prop_assert!(group.servable && group.counts.in_flight == 0, "{:?}", group);
                if delete {
                    rig.delete(FIFO, &message.receipt_handle).unwrap();
                }
            }
        }
    }
}
