//! The model's invariants under random use.

use std::collections::{BTreeMap, BTreeSet};

use local_sqs::model::api::{ReceivedMessage, SendMessageRequest};
use local_sqs::model::{MessageState, MessageView};
use proptest::prelude::*;

use crate::rig::{FIFO, QUEUE, Rig, redrive_to, url};

const DLQ: &str = "dlq.fifo";
const MAX_RECEIVE_COUNT: u32 = 3;

#[derive(Debug, Clone)]
enum Step {
    Send { group: u8 },
    Receive { most: i64 },
    Delete { which: usize },
    Change { which: usize, seconds: i64 },
    GiveBack { most: i64 },
    Wait { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u8).prop_map(|group| Step::Send { group }),
        4 => (1..=10_i64).prop_map(|most| Step::Receive { most }),
        3 => any::<usize>().prop_map(|which| Step::Delete { which }),
        2 => (any::<usize>(), 0..60_i64).prop_map(|(which, seconds)| Step::Change { which, seconds }),
        1 => (1..=10_i64).prop_map(|most| Step::GiveBack { most }),
        2 => (0..40_u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// A run of the model and what an outsider knows of it.
struct Run {
    rig: Rig,
    sent: BTreeSet<String>,
    deleted: BTreeSet<String>,
    received: Vec<ReceivedMessage>,
    next_body: u32,
}

impl Run {
    fn start() -> Self {
        let mut rig = Rig::fifo();
        rig.create(DLQ, &[("FifoQueue", "true")]).unwrap();
        rig.set(FIFO, "RedrivePolicy", &redrive_to(DLQ, MAX_RECEIVE_COUNT)).unwrap();
        Self {
            rig,
            sent: BTreeSet::new(),
            deleted: BTreeSet::new(),
            received: Vec::new(),
            next_body: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Send { group } => {
                self.next_body += 1;
                let body = format!("{:06}", self.next_body);
                let sent = self.rig.send_to_group(&group.to_string(), &body);
                assert!(self.sent.insert(sent.message_id), "ids are distinct");
            }
            Step::Receive { most } => {
                let before = self.queue();
                let received = self.rig.receive(FIFO, most);
                assert_servable(&before, &received);
                self.received.extend(received);
            }
            Step::GiveBack { most } => {
                let before = self.queue();
                let request = crate::rig::receive_all(FIFO, most);
                let received = self.rig.sqs.receive_message(self.rig.now, &request).unwrap();
                self.rig.sqs.give_back(self.rig.now, received.lease);
                let mut after = self.queue();
                let dead: BTreeSet<String> =
                    self.rig.sqs.messages(DLQ).map(|message| message.message_id).collect();
                after.extend(before.iter().filter(|m| dead.contains(&m.message_id)).cloned());
                after.sort_by(|a, b| a.body.cmp(&b.body));
                assert_eq!(after, before, "a receive given back changes nothing but dead letters");
            }
            Step::Delete { which } => {
                if let Some(message) = self.pick(which) {
                    let id = message.message_id;
                    if self.rig.delete(FIFO, &message.receipt_handle).is_ok()
                        && !self.rig.sqs.messages(DLQ).any(|dead| dead.message_id == id)
                    {
                        self.deleted.insert(id);
                    }
                }
            }
            Step::Change { which, seconds } => {
                if let Some(message) = self.pick(which) {
                    // Refused when the handle has expired, which is as it should be.
                    let _ = self.rig.change(FIFO, &message.receipt_handle, seconds);
                }
            }
            Step::Wait { seconds } => self.rig.wait(seconds),
        }
    }

    fn queue(&mut self) -> Vec<MessageView> {
        self.rig.sqs.advance(self.rig.now);
        self.rig.sqs.messages(FIFO).collect()
    }

    fn pick(&self, which: usize) -> Option<ReceivedMessage> {
        let index = which.checked_rem(self.received.len())?;
        Some(self.received[index].clone())
    }

    /// Each message is in exactly one place, and the counts say so.
    fn check(&self) {
        let mut seen = self.deleted.clone();
        for name in [FIFO, DLQ] {
            let mut counts = (0, 0, 0);
            for message in self.rig.sqs.messages(name) {
                match message.state {
                    MessageState::Visible => counts.0 += 1,
                    MessageState::InFlight { .. } => counts.1 += 1,
                    MessageState::Delayed { .. } => counts.2 += 1,
                }
                assert!(seen.insert(message.message_id), "a message is in one place only");
                let limit = if name == FIFO { MAX_RECEIVE_COUNT } else { u32::MAX };
                assert!(message.receive_count <= limit, "nothing passes maxReceiveCount");
            }
            assert_eq!(self.rig.counts(name), counts);
        }
        assert_eq!(seen, self.sent, "nothing is lost, nothing is made up");
    }
}

/// What was received of each group is the run of visible messages at its front, in order, skipping
/// only what was dead-lettered.
fn assert_servable(before: &[MessageView], received: &[ReceivedMessage]) {
    let mut by_group: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for message in received {
        let group = message.attributes["MessageGroupId"].as_str();
        by_group.entry(group).or_default().push(&message.body);
    }
    for (group, bodies) in by_group {
        let front: Vec<&str> = before
            .iter()
            .filter(|message| message.group.as_deref() == Some(group))
            .take_while(|message| message.state == MessageState::Visible)
            .filter(|message| message.receive_count < MAX_RECEIVE_COUNT)
            .map(|message| message.body.as_str())
            .take(bodies.len())
            .collect();
        assert_eq!(bodies, front, "group {group}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_or_doubled_and_every_group_keeps_its_order(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let mut run = Run::start();
        for step in &steps {
            run.take(step);
            run.check();
        }
    }

    #[test]
    fn a_standard_queue_with_groups_delivers_every_message_and_counts_exactly(
        groups in proptest::collection::vec(proptest::option::of(0..3_u8), 1..80),
        batches in proptest::collection::vec((1..=10_i64, 0..40_u64, any::<bool>()), 1..40),
    ) {
        let mut rig = Rig::standard();
        let mut waiting = BTreeSet::new();
        for (n, group) in groups.iter().enumerate() {
            let request = SendMessageRequest {
                queue_url: url(QUEUE),
                message_body: n.to_string(),
                message_group_id: group.map(|group| group.to_string()),
                ..Default::default()
            };
            rig.send_request(request).unwrap();
            waiting.insert(n.to_string());
        }
        let drain = std::iter::repeat_n((10, 30, true), 8);
        for (most, seconds, delete) in batches.into_iter().chain(drain) {
            let before = rig.counts(QUEUE);
            let received = rig.receive(QUEUE, most);
            prop_assert_eq!(received.len(), before.0.min(most as usize), "whatever is visible can be had");
            for message in &received {
                prop_assert!(waiting.contains(&message.body), "what was deleted does not come back");
                if delete {
                    rig.delete(QUEUE, &message.receipt_handle).unwrap();
                    waiting.remove(&message.body);
                }
            }
            let (visible, in_flight, delayed) = rig.counts(QUEUE);
            prop_assert_eq!(visible + in_flight + delayed, waiting.len());
            rig.wait(seconds);
        }
        prop_assert!(waiting.is_empty());
    }

    #[test]
    fn the_same_seed_and_steps_give_the_same_run(
        steps in proptest::collection::vec(step(), 1..40)
    ) {
        let mut runs = [Run::start(), Run::start()];
        for run in &mut runs {
            for step in &steps {
                run.take(step);
            }
        }
        prop_assert_eq!(&runs[0].received, &runs[1].received);
    }
}
