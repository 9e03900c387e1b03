//! The whole consumer against a server in this process.

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use local_sqs::{FaultRule, Faults};
use sqs_consumer::{Drained, Health, Queue, Settings};

use crate::rig::{
    Diary, Doing, FIFO, FIFO_DLQ, Rig, STANDARD, STANDARD_DLQ, Warnings, quick, until,
};

const AT_ONCE: Duration = Duration::ZERO;

fn numbered(group: &str, count: u32) -> impl Iterator<Item = String> {
    (1..=count).map(move |i| format!("{group}/{i}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_standard_message_takes_effect_and_is_deleted() {
    let rig = Rig::start().await;
    rig.send(STANDARD, numbered("m", 500)).await;
    let diary = Diary::new(|_, _| Doing::Succeed(AT_ONCE));
    let consumer = rig.consume(STANDARD, &diary, quick());
    diary.until(500).await;
    assert_eq!(consumer.stop().await.stranded, 0);
    assert_eq!(rig.counts(STANDARD), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_keep_their_order_through_failures_and_failed_deletes() {
    let rig = Rig::start().await;
    let failing = |operation: &str, error_rate| FaultRule {
        operation: Some(operation.to_owned()),
        error_rate,
        ..FaultRule::default()
    };
    let rules = vec![failing("DeleteMessageBatch", 0.3), failing("ReceiveMessage", 0.1)];
    rig.server.set_faults(Faults { seed: 3, rules });
    for group in 0..10 {
        rig.send(FIFO, numbered(&format!("g{group}"), 20)).await;
    }
    let diary = Diary::new(|body, attempt| {
        let number: u32 = body.split_once('/').unwrap().1.parse().unwrap();
        if number.is_multiple_of(7) && attempt.number == 1 {
            Doing::Fail
        } else {
            Doing::Succeed(AT_ONCE)
        }
    });
    let mut settings = quick();
    settings.timing.poll_backoff = Duration::from_millis(10);
    settings.timing.settle_retry = Duration::from_millis(10);
    let consumer = rig.consume(FIFO, &diary, settings);
    diary.until(200).await;
    rig.until_empty(FIFO).await;
    assert_eq!(consumer.stop().await, Drained::default());
    for (group, numbers) in diary.by_group() {
        assert_eq!(numbers, (1..=20).collect::<Vec<_>>(), "{group}");
    }
}

#[tokio::test]
async fn a_standard_message_that_always_fails_dies_by_the_queues_own_policy_after_three_receives() {
    let rig = Rig::start().await;
    rig.send(STANDARD, ["bad/1".to_owned(), "good/1".to_owned()]).await;
    let diary =
        Diary::new(|body, _| if body == "bad/1" { Doing::Fail } else { Doing::Succeed(AT_ONCE) });
    let consumer = rig.consume(STANDARD, &diary, quick());
    until("the message is in the dead-letter queue", || rig.counts(STANDARD_DLQ) == (1, 0)).await;
    consumer.stop().await;
    assert_eq!(diary.attempts("bad/1"), [1, 2, 3]);
    assert_eq!(diary.attempts("good/1"), [1]);
    assert_eq!(rig.counts(STANDARD), (0, 0));
}

#[tokio::test]
async fn of_a_message_that_is_received_again_only_the_first_receive_is_a_wait_in_the_queue() {
    let rig = Rig::start().await;
    rig.send(STANDARD, numbered("m", 1)).await;
    let diary = Diary::new(|_, _| Doing::Fail);
    let consumer = rig.consume(STANDARD, &diary, quick());
    until("it is dead", || rig.counts(STANDARD_DLQ).0 == 1).await;
    let families = consumer.registry.gather();
    let observed = |name: &str| {
        let family = families.iter().find(|family| family.name() == name).expect("it is there");
        family.get_metric()[0].get_histogram().get_sample_count()
    };
    assert_eq!((observed("test_receive_count"), observed("test_queue_wait_seconds")), (3, 1));
    consumer.stop().await;
}

#[tokio::test]
async fn a_handler_that_panics_or_hangs_costs_an_attempt_and_nothing_else() {
    let rig = Rig::start().await;
    let bodies = ["panics/1", "hangs/1", "rejects/1", "fine/1"];
    rig.send(FIFO, bodies.map(str::to_owned)).await;
    let diary = Diary::new(|body, attempt| match (body, attempt.number) {
        ("panics/1", 1) => Doing::Panic,
        ("hangs/1", 1) => Doing::Hang,
        ("rejects/1", _) => Doing::Reject,
        _ => Doing::Succeed(AT_ONCE),
    });
    let settings = Settings { handler_timeout: Duration::from_millis(100), ..quick() };
    let consumer = rig.consume(FIFO, &diary, settings);
    rig.until_empty(FIFO).await;
    consumer.stop().await;
    assert_eq!(diary.attempts("panics/1"), [1, 2]);
    assert_eq!(diary.attempts("hangs/1"), [1, 2]);
    assert_eq!(diary.attempts("rejects/1"), [1]);
    assert_eq!(rig.counts(FIFO_DLQ), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_leaves_nothing_in_flight() {
    for queue in [STANDARD, FIFO] {
        let rig = Rig::start().await;
        for group in 0..30 {
            rig.send(queue, numbered(&format!("g{group}"), 20)).await;
        }
        let diary = Diary::new(|_, _| Doing::Succeed(Duration::from_millis(20)));
        let consumer = rig.consume(queue, &diary, quick());
        diary.until(50).await;
        let drained = consumer.stop().await;
        assert_eq!(drained.stranded, 0);
        let (visible, in_flight) = rig.counts(queue);
        assert_eq!(in_flight, 0, "{queue}");
        assert_eq!(visible as usize + diary.effects().len(), 600, "{queue}: nothing is lost");
        assert!(visible > 0, "{queue}: it was stopped in the middle");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_gone_for_a_while_loses_nothing() {
    let rig = Rig::start().await;
    for group in 0..10 {
        rig.send(FIFO, numbered(&format!("g{group}"), 30)).await;
    }
    let diary = Diary::new(|_, _| Doing::Succeed(Duration::from_millis(2)));
    let mut settings = quick();
    settings.timing.poll_backoff = Duration::from_millis(50);
    settings.timing.poll_backoff_max = Duration::from_millis(50);
    let consumer = rig.consume(FIFO, &diary, settings);
    diary.until(30).await;
    let gone = FaultRule { drop_request_rate: 1.0, ..FaultRule::default() };
    rig.server.set_faults(Faults { seed: 1, rules: vec![gone] });
    // Every message held is leased past its timeout meanwhile.
    rig.server.skip(Duration::from_secs(31));
    until("the consumer has noticed", || matches!(*consumer.health.borrow(), Health::Failing(_)))
        .await;
    rig.server.set_faults(Faults::default());
    diary.until(300).await;
    rig.until_empty(FIFO).await;
    consumer.stop().await;
    for (group, numbers) in diary.by_group() {
        assert_eq!(numbers, (1..=30).collect::<Vec<_>>(), "{group}");
    }
    assert_eq!(rig.counts(FIFO_DLQ), (0, 0), "no innocent message is dead-lettered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_consumers_share_a_fifo_queue_and_groups_stay_in_order() {
    let rig = Rig::start().await;
    for group in 0..20 {
        rig.send(FIFO, numbered(&format!("g{group}"), 30)).await;
    }
    let diary = Diary::new(|_, _| Doing::Succeed(Duration::from_millis(1)));
    let first = rig.consume(FIFO, &diary, Settings { concurrency: 5, ..quick() });
    let second = rig.consume(FIFO, &diary, Settings { concurrency: 5, ..quick() });
    diary.until(200).await;
    assert_eq!(first.stop().await.stranded, 0);
    diary.until(600).await;
    rig.until_empty(FIFO).await;
    second.stop().await;
    for (group, numbers) in diary.by_group() {
        assert_eq!(numbers, (1..=30).collect::<Vec<_>>(), "{group}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_would_lose_messages_is_refused_with_what_to_change_and_consumed_once_it_is_mended()
 {
    let rig = Rig::start().await;
    let client = rig.connection.sending();
    client.create_queue().queue_name("bare").send().await.unwrap();
    rig.send("bare", ["m/1".to_owned()]).await;
    let diary = Diary::new(|_, _| Doing::Succeed(AT_ONCE));
    let consumer = rig.consume_with("bare", None, &diary, quick());
    let says = |what: &str| match &*consumer.health.borrow() {
        Health::Failing(reason) => reason.contains(what),
        _ => false,
    };
    until("it is refused", || says("RedrivePolicy")).await;
    assert_eq!((rig.counts("bare"), diary.effects().len()), ((1, 0), 0), "nothing is received");

    let policy = |dead: &str| {
        format!(
            r#"{{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:{dead}","maxReceiveCount":"3"}}"#
        )
    };
    // Mended only half: the dead-letter queue that is named is deleted.
    let redrive = QueueAttributeName::RedrivePolicy;
    client.create_queue().queue_name("gone").send().await.unwrap();
    rig.set_attribute("bare", redrive.clone(), &policy("gone")).await;
    client.delete_queue().queue_url(rig.url("gone")).send().await.unwrap();
    until("it is refused for that", || says("the dead-letter queue (")).await;
    assert_eq!((rig.counts("bare"), diary.effects().len()), ((1, 0), 0), "nothing is received");

    rig.set_attribute("bare", redrive, &policy(STANDARD_DLQ)).await;
    rig.until_empty("bare").await;
    assert_eq!(diary.effects(), ["m/1"]);
    assert!(matches!(*consumer.health.borrow(), Health::Receiving));
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_queue_that_cannot_be_one_is_refused_with_what_to_change() {
    let rig = Rig::start().await;
    rig.send(FIFO, ["g/1".to_owned()]).await;
    for (dead, told) in [
        (FIFO, "its own dead-letter queue"),
        (STANDARD, "of the same kind"),
        ("absent.fifo", "the dead-letter queue ("),
    ] {
        let diary = Diary::new(|_, _| Doing::Succeed(AT_ONCE));
        let consumer = rig.consume_with(FIFO, Some(dead), &diary, quick());
        until("it is refused", || match &*consumer.health.borrow() {
            Health::Failing(reason) => reason.contains(told),
            _ => false,
        })
        .await;
        assert_eq!((rig.counts(FIFO), diary.effects().len()), ((1, 0), 0), "nothing is received");
        consumer.stop().await;
    }
}

#[tokio::test]
async fn a_policy_that_names_another_dead_letter_queue_than_the_settings_is_noticed() {
    let rig = Rig::start().await;
    let client = rig.connection.sending();
    client.create_queue().queue_name("elsewhere").send().await.unwrap();
    let split = async |dead: Option<&str>| {
        let dead = dead.map(|dead| rig.url(dead));
        let queue = rig.connection.queue(&rig.url(STANDARD), dead.as_deref());
        queue.attributes().await.unwrap().split_dead_letters
    };
    assert_eq!(split(None).await, None, "the policy's own is used");
    assert_eq!(split(Some(STANDARD_DLQ)).await, None);
    let both = split(Some("elsewhere")).await.expect("it is noticed");
    assert_eq!(both.by_policy, rig.url(STANDARD_DLQ));
    assert_eq!(both.by_consumer, rig.url("elsewhere"));
}

#[tokio::test]
async fn messages_that_find_a_common_need_down_together_make_one_warning() {
    let (warnings, _guard) = Warnings::collect();
    let rig = Rig::start().await;
    rig.send(STANDARD, numbered("m", 10)).await;
    let diary = Diary::new(|_, _| Doing::Unavailable);
    let consumer = rig.consume(STANDARD, &diary, quick());
    let attempted = || numbered("m", 10).filter(|body| !diary.attempts(body).is_empty()).count();
    until("several messages are attempted", || attempted() >= 5).await;
    consumer.stop().await;
    let text = warnings.text();
    assert_eq!(text.matches("pausing: a common need is down").count(), 1, "{text}");
}
