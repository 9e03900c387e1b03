//! What SQS refuses for long, one permission after the other, and queues that change while they are
//! consumed.

use std::time::Duration;

use sqs_consumer::{
    Attempt, DeadLetter, Handler, LONGEST_WORK, Message, QueueError, Settings, Verdict,
    scheduler::{Answer, Ended, Fate},
};
use tokio::time::{Instant, sleep};

use crate::{
    fixture::{AT_ONCE, Call, Fixture, SECOND, fifo, standard},
    modelled::{FIFO, Fault, Modelled, Operation, SHAPES, STANDARD, Shape, What, Worker, steady},
    rig::Doing,
};

/// Refuses an operation from now on, as without its permission.
fn deny(queue: &Modelled, operation: Operation) {
    queue.faults(move |ask| {
        let denied = || Fault::refused(QueueError::AccessDenied("injected".to_owned()));
        if ask.is(operation) { denied() } else { Fault::default() }
    });
}

/// Five messages a second, each of its own group, for ever.
fn keep_sending(queue: &Modelled) {
    let queue = queue.clone();
    tokio::spawn(async move {
        for number in 0.. {
            queue.send([format!("{number}/1")]);
            sleep(SECOND / 5).await;
        }
    });
}

/// For how many tenths of a second of the next ones the worker says that it fails.
async fn failing(worker: &Worker, tenths: u32) -> u32 {
    let mut failing = 0;
    for _ in 0..tenths {
        sleep(SECOND / 10).await;
        failing += u32::from(worker.is_failing());
    }
    failing
}

#[tokio::test(start_paused = true)]
async fn while_no_delete_works_one_at_a_time_is_tried_and_the_worker_is_not_ready() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        deny(&queue, Operation::Delete);
        keep_sending(&queue);
        // Long enough for extensions, which work.
        let settings = Settings { handler_timeout: 60 * SECOND, ..steady() };
        let worker = queue.work(settings, |_, _| Doing::Succeed(25 * SECOND));
        sleep(60 * SECOND).await;
        let (before, extensions) =
            (queue.asked(Operation::Delete).len(), queue.asked(Operation::ChangeVisibility).len());
        let failing = failing(&worker, 6_000).await;
        assert!(failing > 5_700, "{shape:?}: not ready for {failing} of 6000 tenths");
        let deletes = queue.asked(Operation::Delete).len() - before;
        assert!(deletes <= 300, "{shape:?}: {deletes} deletes in 600 s");
        assert!(queue.asked(Operation::ChangeVisibility).len() > extensions, "some are extended");
        queue.faults(|_| Fault::default());
        queue.until("it recovers", |_| !worker.is_failing()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn while_no_visibility_change_works_the_worker_is_not_ready_though_deletes_work() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        deny(&queue, Operation::ChangeVisibility);
        keep_sending(&queue);
        let settings = Settings { handler_timeout: 60 * SECOND, ..steady() };
        let worker = queue.work(settings, |body, _| {
            Doing::Succeed(if body.ends_with("0/1") { 40 * SECOND } else { SECOND / 10 })
        });
        sleep(60 * SECOND).await;
        let failing = failing(&worker, 3_000).await;
        assert!(failing > 2_700, "{shape:?}: not ready for {failing} of 3000 tenths");
    }
}

#[tokio::test(start_paused = true)]
async fn once_visibility_changes_work_again_so_does_a_worker_whose_handlers_need_none() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        deny(&queue, Operation::ChangeVisibility);
        queue.send((0..20).map(|group| format!("{group}/long")));
        let settings = Settings { handler_timeout: 60 * SECOND, ..steady() };
        let worker = queue.work(settings, |body, attempt| {
            let long = body.ends_with("long") && attempt.number == 1;
            Doing::Succeed(if long { 50 * SECOND } else { AT_ONCE })
        });
        sleep(120 * SECOND).await;
        assert!(worker.is_failing(), "{shape:?}: nothing could be extended");
        queue.until_empty().await;
        queue.faults(|_| Fault::slow_answer(SECOND / 200));
        // As slowly as it receives while calls fail, these would take an hour.
        queue.send((0..200).map(|group| format!("{group}/short")));
        let sent = Instant::now();
        queue.until_empty().await;
        assert!(sent.elapsed() < 120 * SECOND, "{shape:?}: {:?}", sent.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn once_deletes_work_again_so_does_a_worker_whose_messages_need_none() {
    let queue = Modelled::new(STANDARD);
    deny(&queue, Operation::Delete);
    queue.send((0..20).map(|number| format!("{number}/good")));
    let worker = queue.work(steady(), |body, _| {
        if body.ends_with("good") { Doing::Succeed(AT_ONCE) } else { Doing::Fail }
    });
    sleep(60 * SECOND).await;
    assert!(worker.is_failing(), "nothing is deleted");
    // No delete of them is left to be tried.
    queue.purge();
    queue.faults(|_| Fault::slow_answer(SECOND / 200));
    queue.send((0..20).map(|number| format!("{number}/bad")));
    let sent = Instant::now();
    queue.until("they are dead", |queue| queue.dead().len() == 20).await;
    // As slowly as it receives while calls fail, these would take half an hour.
    assert!(sent.elapsed() < 120 * SECOND, "{:?}", sent.elapsed());
    queue.until("it is ready", |_| !worker.is_failing()).await;
}

#[tokio::test(start_paused = true)]
async fn while_dead_letters_cannot_be_written_one_that_leaves_does_not_make_the_worker_ready() {
    let queue = Modelled::new(FIFO);
    deny(&queue, Operation::DeadLetter);
    queue.send((0..5).map(|group| format!("{group}/1")));
    let worker = queue.work(steady(), |_, _| Doing::Reject);
    sleep(5 * SECOND).await;
    assert_eq!(failing(&worker, 600).await, 600);
}

#[test]
fn what_sqs_does_not_move_though_its_receives_are_used_up_is_not_given_back_at_once() {
    let without = sqs_consumer::scheduler::Config { dead_letter_queue: false, ..standard() };
    for count in [3, 4, 20] {
        let mut f = Fixture::new(without.clone());
        f.receive_again(&["m"], count);
        f.fail("m");
        let Call::Return(entries) = f.answer(Answer::Ok) else { panic!("it goes back") };
        // At its last receive it is given to SQS, which moves it; if SQS has not, it will not.
        assert_eq!(entries[0].1 == AT_ONCE, count == 3, "receive {count}: {entries:?}");
        let mut f = Fixture::new(standard());
        f.receive_again(&["m"], count);
        f.fail("m");
        let call = f.answer(Answer::Ok);
        assert_eq!(
            call == Call::DeadLetter("m".to_owned()),
            count > 3,
            "receive {count}: {call:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_is_refused_once_is_tried_again_before_its_group_could_come_again() {
    let queue = Modelled::new(FIFO);
    let mut refused = false;
    queue.faults(move |ask| {
        let first = ask.entries.iter().position(|(body, _)| body == "g/1");
        match first.filter(|_| ask.is(Operation::Delete) && !std::mem::replace(&mut refused, true))
        {
            Some(at) => Fault::entry(at, QueueError::Rejected("injected".to_owned())),
            None => Fault::default(),
        }
    });
    queue.send((1..=10).map(|number| format!("g/{number}")));
    let settings = Settings { handler_timeout: 60 * SECOND, ..steady() };
    let workers = [0, 1].map(|_| queue.work(settings.clone(), |_, _| Doing::Succeed(20 * SECOND)));
    queue.until_empty().await;
    assert_eq!(queue.started(), (1..=10).map(|n| (format!("g/{n}"), 1)).collect::<Vec<_>>());
    assert!(workers.iter().all(|worker| worker.counter("test_leases_lost_total", "") == 0));
}

#[test]
fn a_receive_of_what_has_failed_in_place_takes_none_of_its_attempts() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1"]);
    f.fail("a/1");
    // Its answer was late: SQS has counted a second receive.
    f.receive_again(&["a/1"], 2);
    for _ in 0..2 {
        f.pass(5 * SECOND);
        f.finish("a/1", Ended::Retry { not_before: None, shared: false });
    }
    let attempts = [1, 2, 3].map(|number| ("a/1".to_owned(), number));
    assert_eq!(f.started_attempts(), attempts);
}

#[tokio::test(start_paused = true)]
async fn a_backoff_near_the_end_of_the_twelve_hours_is_no_longer_than_sqs_allows() {
    let queue = Modelled::new(STANDARD);
    queue.send(["m/1"]);
    let pause = 600 * SECOND;
    let settings = Settings {
        handler_timeout: LONGEST_WORK,
        retry_backoff: pause,
        retry_backoff_max: pause,
        ..steady()
    };
    let worker =
        queue.work_with(settings, |_, _| FailsAfter(LONGEST_WORK.saturating_sub(100 * SECOND)));
    sleep(LONGEST_WORK).await;
    queue.until_empty().await;
    assert_eq!(worker.counter("test_leases_lost_total", ""), 0);
    let received: Vec<_> = queue
        .timeline()
        .into_iter()
        .filter(|told| matches!(&told.what, What::Received(got) if !got.is_empty()))
        .map(|told| told.at)
        .collect();
    assert_eq!(received.len(), 2);
    assert!(
        received[1] > LONGEST_WORK,
        "not before what is left of the twelve hours: {received:?}"
    );
}

/// Fails in its first attempt.
struct FailsAfter(Duration);

impl Handler for FailsAfter {
    async fn handle(&self, _: &Message, attempt: Attempt) -> Verdict {
        if attempt.number > 1 {
            return Verdict::Done;
        }
        sleep(self.0).await;
        let letter = DeadLetter { reason: "test", detail: String::new() };
        Verdict::Retry { letter, not_before: None, shared: false }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fifo_queue_whose_leases_are_too_short_to_be_kept_is_refused() {
    let queue = Modelled::new(Shape { visibility: 5 * SECOND, ..FIFO });
    let settings = Settings { handler_timeout: SECOND, ..steady() };
    queue.send(["g/1"]);
    let worker = queue.work(settings, |_, _| Doing::Succeed(AT_ONCE));
    sleep(60 * SECOND).await;
    assert!(worker.is_failing() && queue.asked(Operation::Receive).is_empty());
}

#[test]
fn that_a_lease_is_over_is_an_answer_of_calls_that_work() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1"]);
    f.pass(19 * SECOND);
    f.receive(&["b/1"]);
    while !f.stats().settling_fails {
        f.pass(SECOND / 10);
        while f.call().is_some() {
            f.answer(Answer::Failed);
        }
    }
    while f.call().is_none() {
        f.pass(SECOND / 10);
    }
    let call = f.answer_each(|name| match name {
        "a/1" => Answer::LeaseOver,
        _ => Answer::NotMade,
    });
    assert!(matches!(call, Call::Extend(_)), "{call:?}");
    assert_eq!(f.ended(), [("a/1".to_owned(), Fate::Lost)]);
    assert!(!f.stats().settling_fails, "b/1 is still held");
}
