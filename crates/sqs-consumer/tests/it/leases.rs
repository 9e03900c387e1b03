//! Leases: extended in time, never used when over.

use sqs_consumer::{
    Settings,
    scheduler::{Answer, Config, Ended, Fate},
};
use tokio::time::sleep;

use crate::{
    fixture::{Call, Fixture, SECOND, fifo, standard},
    modelled::{Fault, Modelled, Operation, SHAPES, Told, What, steady},
    rig::Doing,
};

#[test]
fn a_failed_extension_is_tried_again_until_the_lease_is_over() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    let mut tries = 0;
    for _ in 0..100 {
        f.pass(SECOND / 4);
        while f.call().is_some() {
            f.answer(Answer::Failed);
            tries += 1;
        }
    }
    assert!(f.ended().is_empty() && tries > 2, "{tries} tries");
    f.pass(10 * SECOND);
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Lost)]);
    assert!(tries < 40, "bounded: {tries}");
}

#[test]
fn a_message_whose_answer_came_too_late_starts_only_after_its_lease_is_confirmed() {
    let mut f = Fixture::new(Config { visibility: 4 * SECOND, ..fifo() });
    f.pause_process(5 * SECOND);
    f.receive(&["a/1"]);
    assert_eq!(f.started(), [""; 0]);
    assert!(matches!(f.answer(Answer::Ok), Call::Extend(_)));
    assert_eq!(f.started(), ["a/1"]);

    f.pause_process(2 * SECOND);
    f.done("a/1");
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    assert_eq!(f.ended(), [("a/1".to_owned(), Fate::Deleted)]);
}

#[test]
fn a_standard_message_whose_answer_came_too_late_is_somebody_elses() {
    let mut f = Fixture::new(Config { visibility: 4 * SECOND, ..standard() });
    f.pause_process(5 * SECOND);
    f.receive(&["m"]);
    // SQS would say yes to an extension and not mean it.
    assert_eq!(f.calls(), []);
    assert_eq!((f.started(), f.ended()), (vec![], vec![("m".to_owned(), Fate::Lost)]));
}

#[test]
fn a_late_message_whose_lease_is_over_is_forgotten_unstarted() {
    let mut f = Fixture::new(Config { visibility: 4 * SECOND, ..fifo() });
    f.pause_process(5 * SECOND);
    f.receive(&["a/1"]);
    f.answer(Answer::LeaseOver);
    assert_eq!(f.started(), [""; 0]);
    assert_eq!(f.ended(), [("a/1".to_owned(), Fate::Lost)]);
}

#[test]
fn a_second_receive_during_a_late_confirmation_replaces_the_lease_and_does_not_spin() {
    let mut f = Fixture::new(Config { visibility: 4 * SECOND, concurrency: 20, ..fifo() });
    f.pause_process(5 * SECOND);
    f.receive(&["a/1"]);
    // The confirmation hangs, and the message is handed out again meanwhile, late once more.
    f.pass(SECOND);
    f.pause_process(5 * SECOND);
    f.receive_again(&["a/1"], 2);
    f.advance();
    assert_eq!(f.started(), [""; 0]);
    // The older handle's answer says nothing about the newer lease.
    assert!(matches!(f.answer(Answer::LeaseOver), Call::Extend(_)));
    assert_eq!(f.ended(), []);
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    assert_eq!(f.started(), ["a/1"]);
}

#[test]
fn an_extension_is_tried_again_within_the_lease_however_long_other_calls_have_failed() {
    let mut f = Fixture::new(Config { visibility: 6 * SECOND, concurrency: 20, ..standard() });
    f.receive(&["long", "a"]);
    f.done("a");
    let mut extensions = 0;
    // All calls fail until half a second after the first extension was due.
    for _ in 0..45 {
        f.pass(SECOND / 10);
        while let Some(call) = f.call() {
            extensions += usize::from(matches!(call, Call::Extend(_)));
            f.answer(Answer::Failed);
        }
    }
    assert!(extensions > 0, "it was due");
    for _ in 0..300 {
        f.pass(SECOND / 10);
        f.answer_all(Answer::Ok);
    }
    assert_eq!(f.cancelled(), [""; 0], "its lease was extended after all");
    assert_eq!(f.ended().len(), 1, "only the other one has come to its end");
}

#[test]
fn leases_that_are_due_soon_after_another_share_its_call() {
    let mut f = Fixture::new(Config { concurrency: 20, ..standard() });
    f.receive(&["a"]);
    f.pass(SECOND);
    f.receive(&["b"]);
    let mut calls = Vec::new();
    for _ in 0..25 {
        f.pass(SECOND);
        while f.call().is_some() {
            calls.push(f.answer(Answer::Ok));
        }
    }
    assert_eq!(calls.len(), 1, "{calls:?}");
}

#[test]
fn a_standard_queues_yes_to_a_return_proves_nothing_once_the_lease_is_over() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.fail("m");
    assert!(matches!(f.call(), Some(Call::Return(_))));
    f.pause_process(40 * SECOND);
    f.answer(Answer::Ok);
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Lost)]);
}

#[test]
fn a_standard_message_received_again_while_it_goes_back_is_attempted_and_not_sent_round() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.started();
    let mut cancelled = Vec::new();
    for _ in 0..40 {
        f.pass(SECOND);
        if matches!(f.call(), Some(Call::Extend(_))) {
            f.answer(Answer::Refused);
        }
        cancelled.extend(f.cancelled());
        if matches!(f.call(), Some(Call::Return(_))) {
            break;
        }
    }
    assert_eq!(cancelled, ["m"], "its lease cannot be kept, so it is stopped and goes back");
    // Visible again at once, it comes to an own receive before the return's answer does.
    f.receive_again(&["m"], 2);
    f.answer(Answer::Ok);
    assert_eq!(f.started_attempts(), [("m".to_owned(), 2)]);
    assert!(!f.calls().iter().any(|call| matches!(call, Call::Return(_))), "it stays");
    assert_eq!(f.ended(), []);
    f.done("m");
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Deleted)]);
}

#[test]
fn a_failed_standard_message_received_again_before_its_return_is_answered_has_its_attempt() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.fail("m");
    assert!(matches!(f.call(), Some(Call::Return(_))));
    // It has gone back and come again while the answer is under way, or lost.
    f.pass(2 * SECOND);
    f.receive_again(&["m"], 2);
    f.answer(Answer::Failed);
    assert_eq!(f.ended(), []);
    for _ in 0..10 {
        f.pass(SECOND);
        f.answer_all(Answer::Ok);
    }
    assert_eq!(f.ended(), [], "given back again, it would lose the second attempt");
    let attempts = [1, 2].map(|number| ("m".to_owned(), number));
    assert_eq!(f.started_attempts(), attempts);
}

#[tokio::test(start_paused = true)]
async fn no_change_of_visibility_reaches_the_queue_after_the_lease_that_it_was_to_change() {
    for shape in SHAPES {
        let queue = Modelled::new(shape);
        queue.faults(|ask| {
            let slow = ask.is(Operation::ChangeVisibility);
            if slow { Fault::slow_request(15 * SECOND) } else { Fault::default() }
        });
        queue.send(["g/1"]);
        let settings = Settings { handler_timeout: 60 * SECOND, ..steady() };
        let _worker = queue.work(settings, |_, _| Doing::Succeed(40 * SECOND));
        sleep(100 * SECOND).await;
        let late = |told: &Told| matches!(told.what, What::Changed(_));
        assert!(!queue.asked(Operation::ChangeVisibility).is_empty());
        assert_eq!(queue.timeline().into_iter().find(late).map(|told| told.at), None, "{shape:?}");
    }
}

#[test]
fn a_message_whose_lease_is_nearly_over_does_not_share_the_call_of_those_whose_are_not() {
    let mut f = Fixture::new(standard());
    f.receive(&["old"]);
    f.pass(19 * SECOND);
    f.receive(&[]);
    f.pass(SECOND / 2);
    f.receive(&["new"]);
    f.fail("old");
    f.fail("new");
    // Those that fail are tried again together, as long as a call may take until either's end.
    let (mut together, mut apart) = (0, 0);
    for _ in 0..1_000 {
        f.pass(SECOND / 100);
        while let Some(call) = f.call() {
            let Call::Return(entries) = &call else { panic!("{call:?}") };
            together += u32::from(entries.len() == 2);
            apart += u32::from(entries.len() == 1 && together > 0);
            f.answer(Answer::Failed);
        }
    }
    assert!(together > 0 && apart > 1, "{together} together, {apart} apart");
    assert_eq!(f.ended(), []);
    f.pass(SECOND);
    assert_eq!(f.ended(), [("old".to_owned(), Fate::Lost)]);
}

#[test]
fn a_delete_that_a_standard_queue_confirms_after_the_leases_end_is_one_and_what_comes_again_is_tried()
 {
    for (ended, fate) in [(Ended::Done, Fate::Deleted), (Ended::DeadLetter, Fate::DeadLettered)] {
        let mut f = Fixture::new(standard());
        f.receive(&["m"]);
        f.finish("m", ended);
        if ended == Ended::DeadLetter {
            assert_eq!(f.answer(Answer::Ok), Call::DeadLetter("m".to_owned()));
        }
        f.pass(SECOND);
        assert_eq!(f.call(), Some(Call::Delete(vec!["m".to_owned()])));
        // Its answer has come when the process goes on.
        f.pause_process(40 * SECOND);
        f.answer(Answer::Ok);
        assert_eq!(f.ended(), [("m".to_owned(), fate)]);
        assert_eq!(f.started_attempts(), [("m".to_owned(), 1)]);
        f.end_receives();
        f.pass(2 * SECOND);
        f.receive_again(&["m"], 2);
        assert_eq!(f.started_attempts(), [("m".to_owned(), 2)], "it had not been deleted");
    }
}
