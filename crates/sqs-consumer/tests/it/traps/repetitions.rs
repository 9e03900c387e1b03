//! Trap 28 once more: what was done before comes again while what messages are handed to is down.

use sqs_consumer::scheduler::{Answer, Config, Ended, Fate};

use crate::fixture::{Fixture, SECOND, fifo};

const SHARED: Ended = Ended::Retry { not_before: None, shared: true };

#[test]
fn trap_28i_what_was_done_before_does_not_show_that_a_shared_failure_is_a_messages_own() {
    let mut f = Fixture::new(fifo());
    f.receive(&["bad/1", "again/1", "again/2", "again/3", "again/4", "again/5", "again/6"]);
    let (mut attempts, mut repetitions) = (Vec::new(), 0);
    for round in 0..120 {
        for (name, attempt) in f.started_attempts() {
            if name == "bad/1" {
                attempts.push(attempt);
                f.finish(&name, SHARED);
            } else {
                repetitions += 1;
                f.finish(&name, Ended::AlreadyDone);
            }
        }
        f.pass(SECOND);
        f.answer_all(Answer::Ok);
        if !f.polls().is_empty() {
            let name = format!("again/{}", 100 + round);
            f.receive(&[&name]);
        }
    }
    assert!(repetitions > 50, "{repetitions} between the attempts");
    assert_eq!(attempts[..3], [1, 2, 3]);
    assert!(attempts.len() > 3 && attempts[3..].iter().all(|&number| number == 3), "{attempts:?}");
    let ended = f.ended();
    assert!(ended.iter().all(|(_, fate)| *fate == Fate::Deleted), "{ended:?}");
}

#[test]
fn trap_28j_what_was_done_before_does_not_interrupt_a_run_of_shared_failures() {
    let mut f = Fixture::new(Config { concurrency: 20, ..fifo() });
    f.receive(&["a/1", "b/1", "c/1", "d/1", "again/1", "e/1"]);
    for name in ["a/1", "b/1", "c/1", "d/1"] {
        f.finish(name, SHARED);
    }
    f.finish("again/1", Ended::AlreadyDone);
    assert!(!f.stats().breaker_open);
    f.finish("e/1", SHARED);
    assert!(f.stats().breaker_open, "the fifth in a row");
}

#[test]
fn trap_28k_as_a_probe_what_was_done_before_shows_that_the_store_works_and_nothing_else() {
    // After it, all that waits starts, or one more.
    for (ended, starts) in [(Ended::Unavailable, 4), (SHARED, 1)] {
        let mut f = Fixture::new(Config { concurrency: 20, ..fifo() });
        let names = ["a/1", "b/1", "c/1", "d/1", "e/1"];
        f.receive(&names);
        for name in names {
            f.finish(name, ended);
        }
        assert!(f.stats().breaker_open);
        f.started();
        f.pass(SECOND);
        let probe = f.started();
        assert_eq!(probe.len(), 1, "{probe:?}");
        f.finish(&probe[0], Ended::AlreadyDone);
        assert_eq!(f.started().len(), starts, "after {ended:?}");
        assert_eq!(f.stats().breaker_open, starts == 1, "after {ended:?}");
    }
}
