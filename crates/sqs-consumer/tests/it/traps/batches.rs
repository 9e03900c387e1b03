//! Traps 14 to 16, 25 and 26: one entry of a batch, or one send of a group, and the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_sqs::types::MessageAttributeValue;
use local_sqs::{FaultRule, Faults};
use sqs_consumer::{
    BatchResult, Message, Queue, QueueError, ReceiptHandle, ReceiveRequest, Settings,
    aws::{AwsQueue, DEAD_LETTER_REASON},
    scheduler::{Answer, Ended, Fate},
};

use crate::{
    fixture::{AT_ONCE, Call, Fixture, SECOND, fifo, standard},
    modelled::{self, Fault, Modelled, Operation, steady},
    rig::{Diary, Doing, FIFO, FIFO_DLQ, Rig, STANDARD, STANDARD_DLQ, quick, until},
};

/// Receives so many messages at once, for ten seconds.
async fn receive(queue: &AwsQueue, count: usize) -> Vec<Message> {
    let visibility = 10 * SECOND;
    let request = ReceiveRequest { max_messages: 10, wait: Duration::ZERO, visibility };
    let messages = queue.receive(request).await.unwrap();
    assert_eq!(messages.len(), count);
    messages
}

fn kinds(result: &BatchResult) -> Vec<&'static str> {
    result.iter().map(|fate| fate.as_ref().map_or_else(QueueError::kind, |()| "ok")).collect()
}

#[tokio::test]
async fn trap_14_the_same_message_twice_in_one_batch_is_no_error_of_the_batch() {
    for name in [STANDARD, FIFO] {
        let rig = Rig::start().await;
        let queue = rig.connection.queue(&rig.url(name), None);
        rig.send(name, ["a/1".to_owned(), "b/1".to_owned()]).await;
        let handles = receive(&queue, 2).await.into_iter().map(|m| m.receipt_handle);
        let [first, second]: [ReceiptHandle; 2] = handles.collect::<Vec<_>>().try_into().unwrap();
        let thrice = vec![first.clone(), second, first];
        let changes = thrice.iter().map(|handle| (handle.clone(), 20 * SECOND)).collect();
        assert_eq!(kinds(&queue.change_visibility(changes).await), ["ok"; 3]);
        assert_eq!(kinds(&queue.delete(thrice).await), ["ok"; 3]);
        assert_eq!(rig.counts(name), (0, 0));
    }
}

#[test]
fn trap_14b_a_message_received_again_while_its_delete_waits_for_company_is_in_the_batch_once() {
    let mut f = Fixture::new(standard());
    f.receive(&["m", "n"]);
    f.done("m");
    f.done("n");
    f.receive_again(&["m"], 2);
    assert_eq!(f.adopted(), ["m"]);
    f.pass(SECOND);
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["m".to_owned(), "n".to_owned()]));
    assert_eq!((f.calls(), f.ended().len()), (vec![], 2));
}

/// Each entry of a batch of four comes to another end.
fn each_its_own(name: &str) -> Answer {
    match name.split('/').next().unwrap() {
        "failed" => Answer::Failed,
        "refused" => Answer::Refused,
        "over" => Answer::LeaseOver,
        _ => Answer::Ok,
    }
}

const FOUR: [&str; 4] = ["ok/1", "failed/1", "refused/1", "over/1"];

fn four_ended(f: &mut Fixture, fates: &[(&str, Fate)]) {
    let mut ended = f.ended();
    ended.sort_by(|a, b| a.0.cmp(&b.0));
    let expected: Vec<_> = fates.iter().map(|(name, fate)| ((*name).to_owned(), *fate)).collect();
    assert_eq!(ended, expected);
    assert_eq!(f.stats().held, 4 - fates.len(), "only what may work later is still held");
}

#[test]
fn trap_15_a_delete_batch_fails_in_part_and_each_entry_has_its_own_fate() {
    for config in [standard(), fifo()] {
        let is_fifo = config.fifo;
        let mut f = Fixture::new(config);
        f.receive(&FOUR);
        for name in FOUR {
            f.done(name);
        }
        f.pass(SECOND);
        assert!(matches!(f.answer_each(each_its_own), Call::Delete(names) if names.len() == 4));
        // One whose lease is over, and was not by our clock, was deleted before without an answer.
        let fates = [("ok/1", Fate::Deleted), ("over/1", Fate::Deleted), ("refused/1", Fate::Lost)];
        // The group of one that is refused could come again beside itself.
        four_ended(&mut f, if is_fifo { &fates[..2] } else { &fates });
        f.pass(10 * SECOND);
        let again = if is_fifo { vec!["failed/1", "refused/1"] } else { vec!["failed/1"] };
        let mut names = Vec::new();
        while let Some(Call::Delete(deleted)) = f.call() {
            names.extend(deleted);
            f.answer(Answer::Ok);
        }
        names.sort();
        assert_eq!(names, again);
        assert_eq!((f.calls(), f.stats().held), (vec![], 0));
    }
}

#[test]
fn trap_15b_a_batch_of_backoffs_fails_in_part_and_each_entry_has_its_own_fate() {
    let mut f = Fixture::new(standard());
    f.receive(&FOUR);
    f.started();
    // One after another: their backoffs share a call once the first one is answered.
    for name in FOUR {
        f.fail(name);
    }
    let mut returned = BTreeSet::new();
    for _ in 0..f.calls().len() {
        let Call::Return(entries) = f.answer_each(each_its_own) else { panic!("a return") };
        returned.extend(entries.into_iter().map(|(name, _)| name));
    }
    assert_eq!(returned.len(), 4);
    let lost = |name| (name, Fate::Lost);
    four_ended(&mut f, &[("ok/1", Fate::BackedOff), lost("over/1"), lost("refused/1")]);
    f.pass(10 * SECOND);
    assert!(matches!(f.answer(Answer::Ok), Call::Return(entries) if entries[0].0 == "failed/1"));
    assert_eq!((f.calls(), f.stats().held), (vec![], 0));
}

#[test]
fn trap_15c_a_batch_of_extensions_fails_in_part_and_each_entry_has_its_own_fate() {
    let mut f = Fixture::new(standard());
    f.receive(&FOUR);
    f.pass(20 * SECOND);
    assert!(matches!(f.answer_each(each_its_own), Call::Extend(entries) if entries.len() == 4));
    assert_eq!(f.cancelled(), ["over/1"], "only its lease is known to be over");
    f.pass(5 * SECOND);
    let again = vec![("failed/1".to_owned(), 30 * SECOND)];
    assert_eq!(f.answer(Answer::Ok), Call::Extend(again), "sender faults are not repeated");
    f.pass(4 * SECOND);
    assert_eq!(f.cancelled(), ["refused/1"], "its lease is about to end unextended");
    assert_eq!(f.answer(Answer::Ok), Call::Return(vec![("refused/1".to_owned(), AT_ONCE)]));
    f.pass(5 * SECOND);
    assert_eq!((f.calls(), f.stats().running), (vec![], 2), "the others are not concerned");
}

#[test]
fn trap_15f_a_dead_lettered_head_whose_delete_is_refused_still_comes_before_the_rest_of_its_group()
{
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.finish("a/1", Ended::DeadLetter);
    f.started();
    assert_eq!(f.answer(Answer::Ok), Call::DeadLetter("a/1".to_owned()));
    f.pass(SECOND);
    for _ in 0..3 {
        assert_eq!(f.answer(Answer::Refused), Call::Delete(vec!["a/1".to_owned()]));
        assert_eq!((f.started(), f.ended()), (vec![], vec![]), "it could come again");
        // The pauses grow.
        let pauses = (0..10).take_while(|_| {
            f.pass(SECOND);
            f.call().is_none()
        });
        assert!(pauses.count() < 10, "it is tried again");
    }
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["a/1".to_owned()]));
    assert_eq!(f.started(), ["a/2"]);
}

#[tokio::test]
async fn trap_15d_on_the_wire_a_bad_entry_fails_alone() {
    let rig = Rig::start().await;
    let queue = rig.connection.queue(&rig.url(FIFO), None);
    rig.send(FIFO, ["a/1", "b/1"].map(str::to_owned)).await;
    let old = receive(&queue, 2).await;
    rig.server.skip(11 * SECOND);
    rig.send(FIFO, ["c/1", "d/1"].map(str::to_owned)).await;
    let new = receive(&queue, 4).await;
    let current = new.iter().filter(|message| message.body != "a/1");
    let mut handles: Vec<_> = current.map(|message| message.receipt_handle.clone()).collect();
    handles.insert(1, old[0].receipt_handle.clone());
    handles.insert(3, "garbage".into());
    let changes = handles.iter().map(|handle| (handle.clone(), 20 * SECOND)).collect();
    let own = ["ok", "lease_over", "ok", "lease_over", "ok"];
    assert_eq!(kinds(&queue.change_visibility(changes).await), own);
    assert_eq!(kinds(&queue.delete(handles.clone()).await), own);
    assert_eq!(rig.counts(FIFO), (0, 1), "a/1, whose newer handle was not used");

    // What is SQS's fault may work later.
    let rule = FaultRule { entry_error_rate: 1.0, ..FaultRule::default() };
    rig.server.set_faults(Faults { seed: 1, rules: vec![rule] });
    let newest = new.into_iter().find(|message| message.body == "a/1").unwrap().receipt_handle;
    assert_eq!(kinds(&queue.delete(vec![newest.clone()]).await), ["unavailable"]);
    rig.server.set_faults(Faults::default());
    assert_eq!(kinds(&queue.delete(vec![newest]).await), ["ok"]);
}

#[tokio::test(start_paused = true)]
async fn trap_15e_when_an_entry_of_every_batch_fails_nothing_is_lost_and_groups_stay_in_order() {
    for shape in modelled::SHAPES {
        let queue = Modelled::new(modelled::Shape { max_receive_count: Some(100), ..shape });
        let mut calls = 0;
        queue.faults(move |ask| {
            if ask.entries.is_empty() || calls > 60 {
                return Fault::default();
            }
            calls += 1;
            let text = "injected".to_owned();
            let errors: [fn(String) -> QueueError; 4] = [
                QueueError::Unavailable,
                QueueError::Rejected,
                QueueError::Throttled,
                QueueError::LeaseOver,
            ];
            Fault::entry(calls % ask.entries.len(), errors[calls % 4](text))
        });
        for group in ["a", "b", "c", "d", "e"] {
            queue.send((1..=20).map(|number| format!("{group}/{number}")));
        }
        queue.work(steady(), |body, attempt| {
            let fails = body.ends_with('5') && attempt.number == 1;
            if fails { Doing::Fail } else { Doing::Succeed(SECOND / 10) }
        });
        queue.until_empty().await;
        assert_eq!((queue.effects().len(), queue.dead()), (100, vec![]), "{shape:?}");
        queue.assert_in_order_if_fifo();
    }
}

/// A worker sends nothing but copies to a dead-letter queue, each by itself. The publisher of orders
/// has its own tests of this name.
#[tokio::test(start_paused = true)]
async fn trap_16_a_groups_copies_are_sent_in_order_though_each_has_to_be_tried_again() {
    let queue = Modelled::new(modelled::FIFO);
    let mut tries = BTreeMap::<String, u32>::new();
    queue.faults(move |ask| {
        if !ask.is(Operation::DeadLetter) {
            return Fault::default();
        }
        let tries = tries.entry(ask.entries[0].0.clone()).or_default();
        *tries += 1;
        match tries {
            1 => Fault::unavailable(),
            // It was accepted, and the worker cannot know.
            2 => Fault::lost(),
            _ => Fault::default(),
        }
    });
    let groups = ["a", "b", "c"];
    let of = |group: &str| (1..=5).map(|number| format!("{group}/{number}")).collect::<Vec<_>>();
    queue.send(groups.iter().flat_map(|group| of(group)));
    for _ in 0..2 {
        queue.work(steady(), |_, _| Doing::Reject);
    }
    queue.until_empty().await;
    for group in groups {
        let dead = queue.dead().into_iter().filter(|body| body.starts_with(group));
        assert_eq!(dead.collect::<Vec<_>>(), of(group));
    }
}

#[tokio::test]
async fn trap_25_a_message_with_ten_attributes_is_dead_lettered_all_the_same() {
    for (name, dead) in [(STANDARD, STANDARD_DLQ), (FIFO, FIFO_DLQ)] {
        for attributes in [9, 10] {
            let rig = Rig::start().await;
            let text = |value: &str| {
                let builder = MessageAttributeValue::builder().data_type("String");
                builder.string_value(value).build().unwrap()
            };
            let sending = rig.connection.sending();
            let mut call = sending.send_message().queue_url(rig.url(name)).message_body("g/1");
            call = call.message_attributes("traceparent", text("00-1-2-01"));
            for number in 1..attributes {
                call = call.message_attributes(format!("a{number}"), text("v"));
            }
            if name == FIFO {
                call = call.message_group_id("g").message_deduplication_id("1");
            }
            call.send().await.unwrap();
            let diary = Diary::new(|_, _| Doing::Reject);
            let consumer = rig.consume(name, &diary, quick());
            until("it is dead-lettered", || rig.counts(dead) == (1, 0)).await;
            rig.until_empty(name).await;
            consumer.stop().await;
            assert_eq!(diary.attempts("g/1"), [1]);
            let copy = receive(&rig.connection.queue(&rig.url(dead), None), 1).await.remove(0);
            assert_eq!(copy.attributes.len(), 10);
            assert_eq!(copy.attributes["traceparent"].as_str(), Some("00-1-2-01"));
            let has_reason = copy.attributes.contains_key(DEAD_LETTER_REASON);
            assert_eq!(has_reason, attributes == 9, "the sender's ten are kept");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trap_26_one_bad_message_never_fails_its_batch() {
    let bad: [fn() -> Doing; 4] =
        [|| Doing::Panic, || Doing::Fail, || Doing::Reject, || Doing::Hang];
    for shape in modelled::SHAPES {
        for bad in bad {
            let queue = Modelled::new(shape);
            let sent: Vec<String> = (0..10).map(|group| format!("{group}/1")).collect();
            queue.send(&sent);
            let settings = Settings { handler_timeout: 5 * SECOND, ..steady() };
            queue.work(
                settings,
                move |body, _| {
                    if body == "4/1" { bad() } else { Doing::Succeed(SECOND) }
                },
            );
            queue.until_empty().await;
            assert_eq!(queue.dead(), ["4/1"], "{shape:?}");
            let good: Vec<_> = sent.into_iter().filter(|body| body != "4/1").collect();
            let mut effects = queue.effects();
            effects.sort();
            assert_eq!(effects, good);
            for body in good {
                assert_eq!((queue.receives(&body), queue.attempts(&body)), (1, vec![1]), "{body}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trap_26b_one_message_that_can_never_be_deleted_does_not_hold_up_the_others() {
    let queue = Modelled::new(modelled::STANDARD);
    queue.faults(|ask| {
        let bad = ask.entries.iter().position(|(body, _)| body == "4/1");
        let refused = || QueueError::Rejected("injected".to_owned());
        match bad.filter(|_| ask.is(Operation::Delete)) {
            Some(position) => Fault::entry(position, refused()),
            None => Fault::default(),
        }
    });
    queue.send((0..10).map(|group| format!("{group}/1")));
    queue.work(steady(), |_, _| Doing::Succeed(SECOND));
    queue.until("nine are gone", |queue| queue.counts() == (0, 1)).await;
    assert!(queue.now() < 5 * SECOND, "{:?}", queue.now());
    // The queue's own policy ends it: its work was done each time, and can be repeated.
    queue.until_empty().await;
    assert_eq!((queue.dead(), queue.attempts("4/1")), (vec!["4/1".to_owned()], vec![1, 2, 3]));
}
