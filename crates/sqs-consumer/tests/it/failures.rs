//! Failed attempts on a standard queue, duplicates, and what all messages need being down.

use sqs_consumer::scheduler::{Answer, Config, Ended, Fate};

use crate::fixture::{AT_ONCE, Call, Fixture, SECOND, fifo, standard};

#[test]
fn a_standard_message_that_failed_is_given_back_with_a_growing_backoff() {
    let mut f = Fixture::new(standard());
    f.receive_again(&["m"], 2);
    f.fail("m");
    let Call::Return(entries) = f.answer(Answer::Ok) else { panic!("a visibility change") };
    assert!(entries[0].1 >= SECOND && entries[0].1 <= 2 * SECOND, "{entries:?}");
    assert_eq!(f.ended(), [("m".to_owned(), Fate::BackedOff)]);
}

#[test]
fn after_the_last_attempt_a_standard_message_is_visible_at_once_for_sqs_to_move_it() {
    let mut f = Fixture::new(standard());
    f.receive_again(&["m"], 3);
    f.fail("m");
    assert_eq!(f.answer(Answer::Ok), Call::Return(vec![("m".to_owned(), AT_ONCE)]));
}

#[test]
fn without_a_redrive_policy_the_worker_dead_letters_a_standard_message_itself() {
    let mut f = Fixture::new(Config { max_receive_count: None, ..standard() });
    f.receive_again(&["m"], 3);
    f.fail("m");
    assert_eq!(f.answer(Answer::Ok), Call::DeadLetter("m".to_owned()));
}

#[test]
fn a_permanent_failure_is_dead_lettered_in_its_first_attempt() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.finish("m", Ended::DeadLetter);
    f.answer(Answer::Ok);
    f.pass(SECOND);
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["m".to_owned()]));
    assert_eq!(f.ended(), [("m".to_owned(), Fate::DeadLettered)]);
}

#[test]
fn work_resumes_when_the_probe_succeeds() {
    let mut f = Fixture::new(fifo());
    f.receive(&["a/1", "a/2"]);
    f.finish("a/1", Ended::Unavailable);
    f.started();
    f.pass(SECOND);
    assert_eq!(f.started(), ["a/1"]);
    f.done("a/1");
    assert!(!f.stats().breaker_open);
    assert_eq!(f.started(), ["a/2"]);
}

#[test]
fn a_standard_message_whose_copy_fails_goes_back_to_the_queues_own_policy() {
    let mut f = Fixture::new(standard());
    f.receive(&["m"]);
    f.finish("m", Ended::DeadLetter);
    while matches!(f.call(), None | Some(Call::DeadLetter(_))) {
        while let Some(Call::DeadLetter(_)) = f.call() {
            f.answer(Answer::Failed);
        }
        f.pass(SECOND);
    }
    assert!(matches!(f.answer(Answer::Ok), Call::Return(_)));
    assert_eq!(f.ended(), [("m".to_owned(), Fate::BackedOff)]);
}

#[test]
fn failing_deletes_are_repeated_ever_more_slowly() {
    let mut f = Fixture::new(Config { visibility: 600 * SECOND, ..standard() });
    f.receive(&["m"]);
    f.done("m");
    let mut tries = 0;
    for _ in 0..240 {
        f.pass(SECOND / 4);
        while f.call().is_some() {
            f.answer(Answer::Failed);
            tries += 1;
        }
    }
    assert!((8..30).contains(&tries), "{tries} deletes in a minute");
}

#[test]
fn one_answer_that_asks_for_an_hour_does_not_stop_the_others_for_an_hour() {
    let mut f = Fixture::new(Config { concurrency: 20, ..fifo() });
    f.receive(&["a/1", "b/1", "c/1", "d/1", "e/1", "f/1"]);
    f.started();
    let shared = |not_before| Ended::Retry { not_before, shared: true };
    for name in ["a/1", "b/1", "c/1", "d/1", "e/1"] {
        f.finish(name, shared(None));
    }
    assert!(f.stats().breaker_open);
    f.finish("f/1", shared(Some(3_600 * SECOND)));
    for _ in 0..30 {
        f.pass(SECOND);
        f.answer_all(Answer::Ok);
    }
    let again = f.started();
    assert!(!again.is_empty() && again[0] != "f/1", "{again:?}");
    f.done(&again[0]);
    f.ended();
    for _ in 0..60 {
        f.answer_all(Answer::Ok);
        f.pass(SECOND);
    }
    assert!(f.ended().iter().all(|(name, _)| name != "f/1"), "it is held");
    assert!(!f.started().contains(&"f/1".to_owned()), "the message itself waits");
}
