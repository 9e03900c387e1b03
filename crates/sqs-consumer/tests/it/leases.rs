//! Leases: extended in time, never used when over.

use sqs_consumer::scheduler::{Answer, Config, Ended, Fate};

use crate::fixture::{Call, Fixture, SECOND, fifo, standard};

#[test]
fn waiting_messages_are_extended_with_the_running_one() {
    let mut f = Fixture::new(Config { visibility: 8 * SECOND, ..fifo() });
    let names: Vec<String> = (1..=10).map(|i| format!("a/{i}")).collect();
    f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        for _ in 0..5 {
            f.pass(SECOND);
            f.answer_all(Answer::Ok);
        }
        f.done(name);
    }
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    assert!(f.ended().iter().all(|(_, fate)| *fate == Fate::Deleted));
    assert_eq!(f.started(), names);
}

#[test]
fn a_process_that_slept_past_its_lease_stops_the_lane_and_deletes_nothing() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.started();
    f.pause_process(40 * SECOND);
    f.done("a/1");
    assert_eq!(f.calls(), []);
    assert_eq!(f.started(), [""; 0]);
    let ended = f.ended();
    assert_eq!(ended.len(), 2);
    assert!(ended.iter().all(|(_, fate)| *fate == Fate::Lost));
}

#[test]
fn a_refused_extension_cancels_the_handler_and_acknowledges_nothing() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.pass(21 * SECOND);
    assert!(matches!(f.answer(Answer::LeaseOver), Call::Extend(_)));
    assert_eq!(f.cancelled(), ["m"]);
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Lost)]);
    assert_eq!(f.calls(), []);
}

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
fn a_backoff_waits_for_the_extension_under_way_so_that_it_is_not_overwritten() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.pass(21 * SECOND);
    f.fail("m");
    assert_eq!(f.calls().len(), 1, "only the extension is under way");
    assert!(matches!(f.answer(Answer::Ok), Call::Extend(_)));
    assert!(matches!(f.answer(Answer::Ok), Call::Return(_)));
    assert_eq!(f.ended(), [("m".to_owned(), Fate::BackedOff)]);
}

#[test]
fn an_extension_that_comes_late_does_not_revive_a_deleted_message() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.pass(21 * SECOND);
    f.done("m");
    f.pass(SECOND);
    let calls = f.calls();
    assert!(matches!(&calls[..], [Call::Extend(_), Call::Delete(_)]), "{calls:?}");
    f.answer(Answer::LeaseOver);
    f.answer(Answer::Ok);
    assert_eq!(f.ended(), [("m".to_owned(), Fate::Deleted)]);
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
fn no_lease_is_extended_after_its_message_has_ended() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "b/1", "c/1"]);
    f.done("a/1");
    f.finish("b/1", Ended::DeadLetter);
    f.answer_all(Answer::Ok);
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    f.pass(25 * SECOND);
    assert_eq!(f.calls(), [Call::Extend(vec![("c/1".to_owned(), 30 * SECOND)])]);
}

#[test]
fn after_twelve_hours_the_handler_is_stopped_and_the_message_goes_back() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    for _ in 0..(12 * 60 * 6) {
        f.pass(10 * SECOND);
        while let Some(Call::Extend(_)) = f.call() {
            f.answer(Answer::Ok);
        }
    }
    assert_eq!(f.cancelled(), ["m"]);
    f.answer_all(Answer::Ok);
    assert_eq!(f.ended().len(), 1);
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
