//! Traps 1 to 6: the order within a group when something of it fails.

use std::{collections::BTreeSet, time::Duration};

use sqs_consumer::{
    Settings,
    aws::DEAD_LETTER_REASON,
    scheduler::{Answer, Ended, Fate},
};

use crate::{
    fixture::{AT_ONCE, Call, Fixture, SECOND, fifo},
    modelled::{FIFO, Fault, Modelled, Operation, Shape, What, steady},
    rig::{self, Diary, Doing, FIFO_DLQ, Rig, quick},
};

const DONE_AT_ONCE: Doing = Doing::Succeed(Duration::ZERO);

fn numbered(group: &str, count: u32) -> Vec<String> {
    (1..=count).map(|number| format!("{group}/{number}")).collect()
}

/// Whenever others could have got anything of a group, it was the first message that was left.
fn assert_nobody_saw_a_tail_before_its_head(queue: &Modelled, sent: &[String]) {
    let mut gone = BTreeSet::new();
    let mut looks = 0;
    for told in queue.timeline() {
        let seen: Vec<String> = match told.what {
            What::Deleted(bodies) => {
                gone.extend(bodies);
                continue;
            }
            What::Received(got) => got.into_iter().map(|(body, _)| body).collect(),
            What::Outside(seen) => seen,
            _ => continue,
        };
        if let Some(first) = seen.first() {
            let left = sent.iter().find(|body| !gone.contains(*body));
            assert_eq!(Some(first), left, "at {:?}: {seen:?}", told.at);
            looks += 1;
        }
    }
    assert!(looks > 1, "it was seen more than once");
}

#[test]
fn trap_01_the_head_of_a_group_fails_and_no_later_message_starts_before_it_is_settled() {
    for shared in [false, true] {
        head_fails(Ended::Retry { not_before: None, shared });
    }
    head_fails(Ended::Unavailable);
    head_fails(Ended::DeadLetter);
}

/// The head ends so forty times, if it lives that long, and then succeeds.
fn head_fails(ended: Ended) {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2", "a/3"]);
    let (mut failures, mut settled) = (0, false);
    for _ in 0..3_600 {
        for name in f.started() {
            if name != "a/1" {
                assert!(settled, "{name} started after {failures} times {ended:?}");
                assert_eq!(name, "a/2");
                return;
            }
            settled = failures == 40;
            f.finish("a/1", if settled { Ended::Done } else { ended });
            failures += 1;
        }
        f.pass(SECOND);
        if let Some(call) = f.call() {
            f.answer(Answer::Ok);
            // A dead-lettered head is settled when its delete is confirmed, not when its copy is.
            settled |= call == Call::Delete(vec!["a/1".to_owned()]);
        }
    }
    panic!("the lane stands still after {ended:?}");
}

#[tokio::test(start_paused = true)]
async fn trap_01b_heads_fail_panic_and_hang_in_two_workers_and_every_message_waits_for_the_last() {
    let queue = Modelled::new(FIFO);
    let groups = ["a", "b", "c", "d"];
    let sent: Vec<String> = groups.iter().flat_map(|group| numbered(group, 8)).collect();
    queue.send(&sent);
    let settings = Settings { handler_timeout: 5 * SECOND, concurrency: 3, ..steady() };
    for _ in 0..2 {
        queue.work(settings.clone(), |body, attempt| match (&body[2..], attempt.number) {
            ("1" | "4", 1) => Doing::Panic,
            ("1" | "5", 2) | ("7", 1) => Doing::Fail,
            ("3", 1) => Doing::Hang,
            _ => Doing::Succeed(SECOND / 10),
        });
    }
    queue.until_empty().await;
    let mut done = BTreeSet::new();
    for told in queue.timeline() {
        match told.what {
            What::Effect(body) => _ = done.insert(body),
            What::Started(body, _) => {
                let (group, number) = body.split_once('/').unwrap();
                let number: u32 = number.parse().unwrap();
                let before = format!("{group}/{}", number - 1);
                assert!(number == 1 || done.contains(&before), "{body} before {before}");
            }
            _ => {}
        }
    }
    assert_eq!((done.len(), queue.dead()), (sent.len(), vec![]));
}

#[test]
fn trap_02_the_tail_of_a_failed_head_stays_leased_and_is_resumed_here() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.finish("a/1", Ended::Retry { not_before: Some(45 * SECOND), shared: false });
    f.pass(21 * SECOND);
    let names = vec![("a/1".to_owned(), 30 * SECOND), ("a/2".to_owned(), 30 * SECOND)];
    assert_eq!(f.answer(Answer::Ok), Call::Extend(names));
    f.pass(20 * SECOND);
    f.answer_all(Answer::Ok);
    f.started();
    f.pass(10 * SECOND);
    assert_eq!(f.started(), ["a/1"], "Retry-After is a lower bound");
    assert_eq!(f.ended(), []);
}

#[tokio::test(start_paused = true)]
async fn trap_02b_the_tail_of_a_lost_head_is_visible_again_within_a_second() {
    let queue = Modelled::new(FIFO);
    let (mut lost, mut returns) = (false, 0);
    queue.faults(move |ask| {
        let head = ask.entries.iter().position(|(body, _)| body == "g/1");
        if ask.extends(FIFO.visibility) && !std::mem::replace(&mut lost, true) {
            let over = sqs_consumer::QueueError::LeaseOver("injected".to_owned());
            return Fault::entry(head.expect("all are extended together"), over);
        }
        // The first return fails as well.
        let returned = ask.entries.iter().any(|(_, length)| length.is_zero());
        if ask.is(Operation::ChangeVisibility) && returned {
            returns += 1;
            return if returns == 1 { Fault::unavailable() } else { Fault::default() };
        }
        Fault::default()
    });
    queue.send(numbered("g", 5));
    let settings = Settings { handler_timeout: 60 * SECOND, ..steady() };
    let worker = queue.work(settings, |_, attempt| {
        if attempt.number == 1 { Doing::Succeed(25 * SECOND) } else { DONE_AT_ONCE }
    });
    queue.until("the first extension", |_| worker.counter("test_leases_lost_total", "") > 0).await;
    let lost_at = queue.now();
    assert_eq!(queue.counts(), (0, 5), "the tail is not yet back");
    tokio::time::sleep(SECOND).await;
    assert_eq!(queue.counts(), (4, 1), "only the head waits for the queue's timeout");
    let effects = queue.effects();
    assert_eq!(effects, [""; 0], "the head's handler was stopped");
    queue.until_empty().await;
    assert!(queue.now() < lost_at + FIFO.visibility, "the rest took no second timeout");
    queue.assert_in_order();
    assert_eq!((queue.effects().len(), queue.dead()), (5, vec![]));
}

#[test]
fn trap_03_the_heads_backoff_is_set_first_and_then_its_tail_is_released() {
    let mut f =
        Fixture::new(sqs_consumer::scheduler::Config { dead_letter_queue: false, ..fifo() });
    f.receive(&["a/1", "a/2", "a/3"]);
    f.finish("a/1", Ended::DeadLetter);
    let Some(Call::Return(entries)) = f.call() else { panic!("{:?}", f.calls()) };
    assert_eq!(entries[0].0, "a/1");
    assert_eq!((entries.len(), f.calls().len()), (1, 1), "the tail waits for the head's answer");
    f.answer(Answer::Ok);
    let tail = vec![("a/2".to_owned(), AT_ONCE), ("a/3".to_owned(), AT_ONCE)];
    assert_eq!(f.answer(Answer::Ok), Call::Return(tail));
}

#[tokio::test(start_paused = true)]
async fn trap_03b_a_second_consumer_never_sees_the_tail_before_the_head() {
    let faults: [fn() -> Fault; 4] =
        [Fault::default, Fault::unavailable, Fault::lost, || Fault::slow_answer(2 * SECOND)];
    for fault in faults {
        let shape = Shape { max_receive_count: None, dead_letter_queue: false, ..FIFO };
        let queue = Modelled::new(shape);
        queue.observe();
        let mut returns = 0;
        queue.faults(move |ask| {
            let returned = ask.is(Operation::ChangeVisibility) && !ask.extends(shape.visibility);
            returns += u32::from(returned);
            if returned && returns <= 2 { fault() } else { Fault::default() }
        });
        let sent = numbered("g", 6);
        queue.send(&sent);
        // Without a dead-letter queue a head whose attempts are used up goes back with its lane.
        for _ in 0..2 {
            queue.work(steady(), |body, attempt| {
                if body == "g/1" && attempt.number <= 4 { Doing::Fail } else { DONE_AT_ONCE }
            });
        }
        queue.until_empty().await;
        assert_nobody_saw_a_tail_before_its_head(&queue, &sent);
        assert_eq!(queue.effects(), sent);
    }
}

#[tokio::test(start_paused = true)]
async fn trap_03c_a_stop_during_the_heads_backoff_shows_nobody_its_tail_first() {
    let queue = Modelled::new(FIFO);
    queue.observe();
    let sent = numbered("g", 6);
    queue.send(&sent);
    let settings = Settings { retry_backoff: 10 * SECOND, ..steady() };
    let first = queue.work(settings, |_, _| Doing::Fail);
    queue.until("the head has failed", |queue| queue.started().len() == 1).await;
    queue.work(steady(), |_, _| DONE_AT_ONCE);
    assert_eq!(first.stop().await.stranded, 0);
    queue.until_empty().await;
    assert_nobody_saw_a_tail_before_its_head(&queue, &sent);
    assert_eq!(queue.effects(), sent);
}

#[tokio::test]
async fn trap_04_a_head_is_dead_lettered_and_no_later_message_of_its_group_without_an_attempt() {
    let rig = Rig::start().await;
    rig.send(rig::FIFO, numbered("g", 5)).await;
    let diary =
        Diary::new(|body, _| if body == "g/1" { Doing::Fail } else { Doing::Succeed(AT_ONCE) });
    let consumer = rig.consume(rig::FIFO, &diary, quick());
    rig.until_empty(rig::FIFO).await;
    consumer.stop().await;
    assert_eq!(diary.attempts("g/1"), [1, 2, 3]);
    assert_eq!(diary.effects(), ["g/2", "g/3", "g/4", "g/5"]);
    for body in diary.effects() {
        assert_eq!(diary.attempts(&body), [1]);
    }
    let dead = rig
        .connection
        .receiving()
        .receive_message()
        .queue_url(rig.url(FIFO_DLQ))
        .max_number_of_messages(10)
        .message_attribute_names("All")
        .send()
        .await
        .unwrap()
        .messages
        .unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].body.as_deref(), Some("g/1"));
    let reason = &dead[0].message_attributes.as_ref().unwrap()[DEAD_LETTER_REASON];
    assert_eq!(reason.string_value.as_deref(), Some("test"));
}

#[test]
fn trap_04b_a_dead_letter_queue_that_refuses_uses_up_no_receive_of_the_innocent_tail() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.finish("a/1", Ended::DeadLetter);
    f.started();
    for _ in 0..300 {
        f.pass(SECOND);
        while let Some(call) = f.call() {
            let refused = matches!(call, Call::DeadLetter(_));
            f.answer(if refused { Answer::Refused } else { Answer::Ok });
        }
    }
    assert_eq!((f.started(), f.ended()), (vec![], vec![]), "both stay leased, in their places");
}

#[tokio::test(start_paused = true)]
async fn trap_04c_whatever_kills_the_head_its_tail_is_delivered_in_its_first_attempt() {
    let deaths: [fn() -> Doing; 4] =
        [|| Doing::Fail, || Doing::Panic, || Doing::Hang, || Doing::Reject];
    for death in deaths {
        let queue = Modelled::new(FIFO);
        // The dead-letter queue cannot be written for five minutes.
        queue.faults(|ask| {
            if ask.is(Operation::DeadLetter) && ask.at < 300 * SECOND {
                Fault::unavailable()
            } else {
                Fault::default()
            }
        });
        queue.send(numbered("g", 10));
        for _ in 0..2 {
            queue.work(steady(), move |body, _| if body == "g/1" { death() } else { DONE_AT_ONCE });
        }
        queue.until_empty().await;
        assert_eq!(queue.dead(), ["g/1"]);
        assert_eq!(queue.effects(), numbered("g", 10)[1..]);
        for body in queue.effects() {
            assert_eq!((queue.attempts(&body), queue.receives(&body)), (vec![1], 1), "{body}");
        }
    }
}

#[test]
fn trap_05_the_head_is_garbage_and_the_next_waits_until_it_is_disposed_of() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    assert_eq!(f.started(), ["a/1"]);
    f.finish("a/1", Ended::DeadLetter);
    let disposal = [
        (Call::DeadLetter("a/1".to_owned()), Answer::Failed),
        (Call::DeadLetter("a/1".to_owned()), Answer::Ok),
        (Call::Delete(vec!["a/1".to_owned()]), Answer::Failed),
        (Call::Delete(vec!["a/1".to_owned()]), Answer::Ok),
    ];
    for (call, answer) in disposal {
        assert_eq!(f.started(), [""; 0], "before {call:?}");
        assert_eq!(f.answer(answer), call);
        f.pass(2 * SECOND);
    }
    assert_eq!(f.ended(), [("a/1".to_owned(), Fate::DeadLettered)]);
    assert_eq!(f.started(), ["a/2"]);
}

#[tokio::test(start_paused = true)]
async fn trap_05b_a_worker_dies_between_the_copy_of_the_garbage_and_its_delete() {
    let queue = Modelled::new(FIFO);
    queue.faults(|ask| {
        let hangs = ask.is(Operation::Delete) && ask.worker == 0;
        if hangs { Fault::slow_request(SECOND) } else { Fault::default() }
    });
    queue.send(numbered("g", 3));
    let rule = |body: &str, _| if body == "g/1" { Doing::Reject } else { DONE_AT_ONCE };
    let first = queue.work(steady(), rule);
    queue.until("the copy is there", |queue| queue.dead() == ["g/1"]).await;
    first.kill();
    queue.work(steady(), rule);
    queue.until_empty().await;
    assert_eq!(queue.dead(), ["g/1"], "the second copy has the same deduplication id");
    let bodies: Vec<String> = queue.started().into_iter().map(|(body, _)| body).collect();
    assert_eq!(bodies, ["g/1", "g/1", "g/2", "g/3"]);
}

#[test]
fn trap_06_a_delete_fails_and_the_group_goes_on_in_order() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.done("a/1");
    f.pass(SECOND);
    assert_eq!(f.answer(Answer::Failed), Call::Delete(vec!["a/1".to_owned()]));
    f.done("a/2");
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    let mut ended = f.ended();
    ended.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(ended, [("a/1".to_owned(), Fate::Deleted), ("a/2".to_owned(), Fate::Deleted)]);
    assert_eq!(f.started(), ["a/1", "a/2"]);
}

#[test]
fn trap_06b_no_delete_gets_through_so_the_lost_lease_is_reported_and_the_lane_stops() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2", "a/3"]);
    f.done("a/1");
    for _ in 0..29 {
        f.pass(SECOND);
        // Whatever is asked for the first one is lost; the others' leases are extended.
        while f.call().is_some() {
            f.answer_each(|name| if name == "a/1" { Answer::Failed } else { Answer::Ok });
        }
    }
    let (started, ended) = (f.started(), f.ended());
    assert_eq!((started.len(), ended), (2, vec![]));
    f.pass(3 * SECOND);
    assert_eq!(f.ended(), [("a/1".to_owned(), Fate::Lost)]);
    assert_eq!(f.cancelled(), ["a/2"], "m1 will come back before it");
    assert_eq!(f.started(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn trap_06c_a_worker_that_can_settle_nothing_loses_its_leases_and_effects_stay_in_order() {
    let shape = Shape { visibility: 10 * SECOND, max_receive_count: Some(100), ..FIFO };
    let queue = Modelled::new(shape);
    queue.faults(|ask| {
        let settles = ask.is(Operation::Delete) || ask.is(Operation::ChangeVisibility);
        let cut_off = settles && ask.worker == 0 && ask.at < 40 * SECOND;
        if cut_off { Fault::unavailable() } else { Fault::default() }
    });
    queue.send(numbered("g", 20));
    queue.send(numbered("h", 20));
    let cut_off = queue.work(steady(), |_, _| Doing::Succeed(SECOND));
    queue.until("it has begun", |queue| queue.started().len() == 2).await;
    queue.work(steady(), |_, _| Doing::Succeed(SECOND));
    queue.until_empty().await;
    queue.assert_in_order();
    assert_eq!((queue.effects().len(), queue.dead()), (40, vec![]));
    assert!(cut_off.counter("test_leases_lost_total", "") > 0, "the loss is reported");
}
