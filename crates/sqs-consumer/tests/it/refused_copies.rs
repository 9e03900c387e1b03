//! Copies that the dead-letter queue will not take, such as those of messages that are too large for it.

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use sqs_consumer::{
    DeadLetter, Queue, QueueError, ReceiveRequest,
    aws::DEAD_LETTER_REASON,
    scheduler::{Answer, Ended},
};
use tokio::time::sleep;

use crate::{
    fixture::{AT_ONCE, Call, Fixture, SECOND, standard},
    modelled::{FIFO, Fault, Modelled, Operation, SHAPES, STANDARD, Shape, steady},
    rig::{Doing, Rig, STANDARD as QUEUE, STANDARD_DLQ, Warnings},
};

const HOUR: Duration = Duration::from_hours(1);

/// Refuses the copies of first messages of a group for so long.
fn refuse(queue: &Modelled, until: Duration) {
    queue.faults(move |ask| {
        let first = ask.entries.iter().any(|(body, _)| body.ends_with("/1"));
        if ask.is(Operation::DeadLetter) && first && ask.at < until {
            Fault::refused(QueueError::Rejected("longer than 1024 bytes".to_owned()))
        } else {
            Fault::default()
        }
    });
}

/// First messages cannot be done, all others can.
fn rule(body: &str) -> Doing {
    if body.ends_with("/1") { Doing::Reject } else { Doing::Succeed(AT_ONCE) }
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_head_is_refused_waits_in_order_and_others_do_not() {
    let (warnings, _guard) = Warnings::collect();
    let queue = Modelled::new(FIFO);
    refuse(&queue, HOUR);
    let groups = (0..20).map(|group| format!("g{group}"));
    queue.send(groups.clone().flat_map(|g| (1..=3).map(move |number| format!("{g}/{number}"))));
    let workers = [0, 1].map(|_| queue.work(steady(), |body, _| rule(body)));
    sleep(30 * SECOND).await;
    queue.send((2..50).map(|number| format!("good/{number}")));
    sleep(59 * 60 * SECOND).await;
    assert_eq!(queue.effects().len(), 48, "others go on");
    assert!(queue.effects().iter().all(|body| body.starts_with("good/")), "and no tail");
    let (waiting, held) = queue.counts();
    assert_eq!((queue.dead().len(), waiting + held), (0, 60), "all are kept");
    let tries = queue.asked(Operation::DeadLetter).len();
    assert!((20 * 60..20 * 130).contains(&tries), "{tries} tries of 20 copies in an hour");
    assert!(workers.iter().any(crate::modelled::Worker::is_failing));
    let text = warnings.text();
    let told = text.matches("the dead-letter queue refuses a message").count();
    assert!((50..=2 * 60).contains(&told), "told {told} times by two workers in an hour");
    assert!(text.contains("longer than 1024 bytes") && text.contains("waiting="), "{text}");

    queue.until_empty().await;
    assert_eq!((queue.dead().len(), queue.effects().len()), (20, 48 + 40));
    queue.assert_in_order();
    for body in groups.flat_map(|g| (1..=3).map(move |number| format!("{g}/{number}"))) {
        assert_eq!((queue.attempts(&body), queue.receives(&body)), (vec![1], 1), "{body}");
    }
    assert!(!workers.iter().any(crate::modelled::Worker::is_failing));
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_head_is_refused_for_longer_than_a_lease_can_last_stays_in_order() {
    let queue = Modelled::new(FIFO);
    refuse(&queue, 13 * HOUR);
    queue.send((1..=12).map(|number| format!("g/{number}")));
    for _ in 0..2 {
        queue.work(steady(), |body, _| rule(body));
    }
    sleep(13 * HOUR).await;
    assert_eq!((queue.effects(), queue.dead()), (vec![], vec![]));
    queue.until_empty().await;
    assert_eq!(queue.dead(), ["g/1"]);
    assert_eq!(queue.effects(), (2..=12).map(|n| format!("g/{n}")).collect::<Vec<_>>());
    assert_eq!(queue.receives("g/1"), 2, "once for each twelve hours");
}

#[tokio::test(start_paused = true)]
async fn a_standard_message_that_is_refused_is_left_to_the_queues_own_policy() {
    let queue = Modelled::new(STANDARD);
    refuse(&queue, Duration::MAX);
    queue.send(["m/1", "m/2"]);
    queue.work(steady(), |body, _| rule(body));
    queue.until("SQS has moved it", |queue| queue.dead() == ["m/1"]).await;
    assert_eq!((queue.effects(), queue.counts()), (vec!["m/2".to_owned()], (0, 0)));
    assert!(queue.asked(Operation::DeadLetter).len() <= 3, "once for each receive");
}

#[tokio::test(start_paused = true)]
async fn a_standard_message_that_is_refused_and_that_nobody_else_moves_is_tried_ever_less_often() {
    let queue = Modelled::new(Shape { max_receive_count: None, ..STANDARD });
    refuse(&queue, HOUR);
    queue.send(["m/1"]);
    let worker = queue.work(steady(), |body, _| rule(body));
    sleep(HOUR).await;
    let tries = queue.asked(Operation::DeadLetter).len();
    assert!((50..=130).contains(&tries), "{tries} tries in an hour");
    queue.until_empty().await;
    assert_eq!((queue.dead(), queue.effects()), (vec!["m/1".to_owned()], vec![]));
    queue.until("the worker is ready", |_| !worker.is_failing()).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_back_a_group_whose_head_is_refused() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        refuse(&queue, Duration::MAX);
        queue.send((1..=4).map(|number| format!("g/{number}")));
        let settings = sqs_consumer::Settings { concurrency: 1, ..steady() };
        let worker = queue.work(settings, |body, _| rule(body));
        queue.until("it is refused", |queue| !queue.asked(Operation::DeadLetter).is_empty()).await;
        let drained = worker.stop().await;
        assert_eq!(drained.stranded, 0, "{shape:?}");
        assert_eq!(queue.counts().0 + queue.effects().len() as u64, 4 - queue.counts().1);
        if shape.fifo {
            queue.until("its pause is over", |queue| queue.counts() == (4, 0)).await;
            assert_eq!(queue.seen_from_outside(), ["g/1", "g/2", "g/3", "g/4"]);
        }
    }
}

#[test]
fn in_a_drain_one_refusal_does_not_keep_others_from_being_copied() {
    for (answer, copied) in [(Answer::Refused, true), (Answer::Failed, false)] {
        let mut f = Fixture::new(standard());
        f.receive(&["large", "small"]);
        f.drain();
        f.finish("large", Ended::DeadLetter);
        assert_eq!(f.answer(answer), Call::DeadLetter("large".to_owned()));
        f.finish("small", Ended::DeadLetter);
        let is_copied = f.calls().contains(&Call::DeadLetter("small".to_owned()));
        assert_eq!(is_copied, copied, "{answer:?}");
    }
}

#[tokio::test]
async fn the_limit_of_the_dead_letter_queue_is_read_and_what_is_added_to_a_copy_keeps_to_it() {
    let rig = Rig::start().await;
    rig.set_attribute(STANDARD_DLQ, QueueAttributeName::MaximumMessageSize, "1024").await;
    let queue = rig.connection.queue(&rig.url(QUEUE), None);
    let attributes = queue.attributes().await.unwrap();
    assert_eq!(attributes.dead_letter_max_message_size, Some(1024));
    assert_eq!(attributes.max_message_size, Some(1_048_576));
    let sizes = [(900, true), (1_010, false), (1_024, false)];
    rig.send(QUEUE, sizes.iter().map(|(size, _)| "x".repeat(*size))).await;
    rig.send(QUEUE, ["x".repeat(1_025)]).await;
    let request = ReceiveRequest { max_messages: 10, wait: SECOND, visibility: 30 * SECOND };
    let letter = DeadLetter { reason: "test", detail: "d".repeat(50) };
    let mut copied = 0;
    while copied < 4 {
        for message in queue.receive(request).await.unwrap() {
            let result = queue.dead_letter(&message, &letter, 3).await;
            assert_eq!(result.is_ok(), message.body.len() <= 1_024, "{result:?}");
            assert!(result.is_ok() || !result.unwrap_err().is_transient());
            copied += 1;
        }
    }
    let dead = rig.connection.queue(&rig.url(STANDARD_DLQ), None);
    let mut found = Vec::new();
    while found.len() < 3 {
        for copy in dead.receive(request).await.unwrap() {
            assert!(copy.bytes() <= 1_024);
            found.push((copy.body.len(), copy.attributes.contains_key(DEAD_LETTER_REASON)));
        }
    }
    found.sort_unstable();
    assert_eq!(found, sizes);
}
