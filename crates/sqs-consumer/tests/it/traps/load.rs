//! Traps 22 to 24: what stalls others, what crowds them out, and what comes twice.

use std::time::Duration;

use sqs_consumer::{
    Settings,
    scheduler::{Answer, Config, Fate},
};
use tokio::time::sleep;

use crate::{
    fixture::{Call, Fixture, SECOND, fifo, standard},
    modelled::{self, Fault, Modelled, Shape, What, steady},
    rig::Doing,
};

#[test]
fn trap_22_one_slow_group_does_not_hold_up_the_others() {
    let mut f = Fixture::new(fifo());
    f.receive(&["slow/1", "slow/2", "b/1", "c/1", "d/1"]);
    for group in ["b", "c", "d"] {
        f.done(&format!("{group}/1"));
    }
    for round in 0..20 {
        f.pass(SECOND);
        f.answer_all(Answer::Ok);
        f.started();
        let name = format!("e/{round}");
        f.receive(&[&name]);
        assert_eq!(f.started(), [name.as_str()]);
        f.done(&name);
    }
    assert_eq!(f.stats().running, 1);
}

/// How long a hundred groups of twenty messages take beside one that misbehaves.
async fn time_of_the_others(
    (shape, group_concurrency): (Shape, Option<usize>),
    other: &[&str],
    doing: fn() -> Doing,
) -> Duration {
    const ALL: usize = 2_000;
    let queue = Modelled::new(shape);
    queue.faults(|_| Fault::slow_answer(SECOND / 200));
    queue.send(other);
    for number in 1..=ALL / 100 {
        queue.send((0..100).map(|group| format!("fast{group}/{number}")));
    }
    let settings = Settings { handler_timeout: 60 * SECOND, group_concurrency, ..steady() };
    queue.work(settings, move |body, _| {
        if body.starts_with("fast") { Doing::Succeed(SECOND / 5) } else { doing() }
    });
    let fast = |told: &What| matches!(told, What::Effect(body) if body.starts_with("fast"));
    let done = |queue: &Modelled| queue.timeline().iter().filter(|told| fast(&told.what)).count();
    queue.until("all others are done", |queue| done(queue) >= ALL).await;
    queue.timeline().iter().rfind(|told| fast(&told.what)).unwrap().at
}

#[tokio::test(start_paused = true)]
async fn trap_22b_one_slow_or_failing_group_costs_a_hundred_fast_ones_less_than_five_percent() {
    let group: Vec<String> = (1..=20).map(|number| format!("slow/{number}")).collect();
    let group: Vec<&str> = group.iter().map(String::as_str).collect();
    let slow: fn() -> Doing = || Doing::Succeed(40 * SECOND);
    for (queue, other, doing) in [
        ((modelled::FIFO, None), &group[..], slow),
        ((modelled::FIFO, None), &group, || Doing::Fail),
        ((modelled::FIFO, None), &group, || Doing::Hang),
        ((modelled::STANDARD, None), &["slow/1"], slow),
        ((modelled::STANDARD, Some(2)), &group, slow),
    ] {
        let alone = time_of_the_others(queue, &[], doing).await;
        let beside = time_of_the_others(queue, other, doing).await;
        assert!(beside < alone.mul_f64(1.05), "{queue:?}: {alone:?} alone, {beside:?} beside");
    }
}

#[test]
fn trap_23_a_hot_group_of_a_standard_queue_has_its_own_limit_and_leaves_room_to_receive_others() {
    let mut f = Fixture::new(Config { concurrency: 4, group_concurrency: 2, ..standard() });
    f.receive(&["hot/1", "hot/2", "hot/3", "hot/4"]);
    assert_eq!(f.started(), ["hot/1", "hot/2"]);
    assert!(!f.polls().is_empty(), "two handlers are idle");
    f.receive(&["cold/1", "hot/5"]);
    assert_eq!(f.started(), ["cold/1"]);
    f.done("hot/1");
    assert_eq!(f.started(), ["hot/3"]);
    f.done("cold/1");
    assert_eq!(f.started(), [""; 0]);
}

#[test]
fn trap_23b_groups_of_a_standard_queue_take_turns() {
    let mut f = Fixture::new(Config { concurrency: 4, ..standard() });
    f.receive(&["hot/1", "hot/2", "hot/3", "hot/4"]);
    f.pass(SECOND / 1_000);
    f.done("hot/1");
    f.receive(&["hot/5", "hot/6", "hot/7", "cold/1"]);
    f.started();
    f.done("hot/2");
    f.done("hot/3");
    assert!(f.started().contains(&"cold/1".to_owned()), "it does not wait for all of hot");
}

/// The most messages of the hot group that were held and that ran at once.
fn most_of_the_hot_group(queue: &Modelled) -> (usize, usize) {
    let hot = |bodies: &[String]| bodies.iter().filter(|body| body.starts_with("hot")).count();
    let (mut held, mut running, mut most) = (0, 0, (0, 0));
    for told in queue.timeline() {
        match told.what {
            What::Started(body, _) => running += hot(&[body]),
            What::Effect(body) => running -= hot(&[body]),
            What::Received(got) => {
                held += hot(&got.into_iter().map(|(body, _)| body).collect::<Vec<_>>());
            }
            What::Deleted(bodies) => held -= hot(&bodies),
            _ => {}
        }
        most = (most.0.max(held), most.1.max(running));
    }
    most
}

#[tokio::test(start_paused = true)]
async fn trap_23c_a_hot_group_that_has_been_there_for_long_does_not_keep_the_others_out() {
    const LIMIT: usize = 4;
    for shape in modelled::SHAPES {
        let queue = Modelled::new(shape);
        queue.send((1..=5_000).map(|number| format!("hot/{number}")));
        let settings = Settings { concurrency: 16, group_concurrency: Some(LIMIT), ..steady() };
        queue.work(settings, |_, _| Doing::Succeed(2 * SECOND));
        sleep(60 * SECOND).await;
        queue.send((0..20).map(|group| format!("g{group}/1")));
        let others =
            |queue: &Modelled| queue.effects().iter().filter(|b| b.starts_with('g')).count();
        queue.until("the others are done", |queue| others(queue) == 20).await;
        let took = queue.now().abs_diff(60 * SECOND);
        let (held, running) = most_of_the_hot_group(&queue);
        assert!(took < 10 * SECOND, "{shape:?}: two rounds of two seconds, and {took:?} it took");
        assert_eq!(running, if shape.fifo { 1 } else { LIMIT }, "{shape:?}");
        // A standard queue shows what is behind the hot group only to those that hold much of it.
        let most = if shape.fifo { 10 } else { 2_000 };
        assert!(held <= most, "{shape:?}: {held} of the hot group held");
    }
}

#[test]
fn trap_24_a_duplicate_that_arrives_while_the_first_copy_runs_has_no_second_effect() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.pass(2 * SECOND);
    f.receive_again(&["m", "n"], 2);
    assert_eq!(f.started(), ["m", "n"]);
    f.done("m");
    f.pass(SECOND);
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["m".to_owned()]));
}

#[test]
fn trap_24b_a_duplicate_that_arrives_while_the_delete_is_under_way_is_deleted_too() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.done("m");
    f.pass(SECOND);
    f.receive_again(&["m"], 2);
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["m".to_owned()]));
    assert_eq!(f.ended(), []);
    f.pass(SECOND);
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["m".to_owned()]));
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Deleted)]);
    assert_eq!(f.started(), ["m"]);
}

#[test]
fn trap_24c_an_older_receive_that_arrives_late_does_not_replace_the_newer_handle() {
    for config in [standard(), fifo()] {
        let mut f = Fixture::new(Config { concurrency: 40, ..config });
        // A full receive calls for a second one beside it.
        let names: Vec<String> = (0..10).map(|group| format!("{group}/1")).collect();
        f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(f.polls().len() >= 2, "{:?}", f.polls());
        f.receive_on(1, &["m/1"], 2);
        f.receive_on(0, &["m/1"], 1);
        assert_eq!((f.adopted(), f.ended()), (vec![], vec![("m/1".to_owned(), Fate::Lost)]));
        let started = f.started();
        assert_eq!(started.iter().filter(|name| *name == "m/1").count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn trap_24d_a_message_handed_out_three_times_while_it_runs_has_one_effect() {
    let queue = Modelled::new(modelled::STANDARD);
    queue.send(["m/1", "n/1"]);
    let settings = Settings { handler_timeout: 60 * SECOND, ..steady() };
    queue.work(settings, |_, _| Doing::Succeed(40 * SECOND));
    for _ in 0..2 {
        sleep(10 * SECOND).await;
        queue.hand_out_again("m/1");
    }
    queue.until_empty().await;
    assert_eq!(queue.receives("m/1"), 3);
    assert_eq!((queue.attempts("m/1").len(), queue.attempts("n/1").len()), (1, 1));
    assert_eq!((queue.effects().len(), queue.dead()), (2, vec![]));
}
