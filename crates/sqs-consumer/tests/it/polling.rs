//! Receives: enough to keep the handlers busy, few when there is nothing to do.

use std::time::Duration;

use sqs_consumer::scheduler::{Answer, Config};

use crate::fixture::{Fixture, SECOND, fifo, standard};

#[test]
fn an_idle_queue_costs_one_long_poll_at_a_time() {
    let mut f = Fixture::new(standard());
    let mut receives = 0;
    let mut elapsed = Duration::ZERO;
    while elapsed < 3600 * SECOND {
        let polls = f.polls();
        assert!(polls.len() <= 1);
        let wait = polls.first().map_or(SECOND, |poll| poll.wait);
        f.pass(wait);
        elapsed += wait;
        if !polls.is_empty() {
            f.receive(&[]);
            receives += 1;
        }
    }
    assert!(receives <= 190, "{receives} receives in an hour");
}

#[test]
fn a_server_that_answers_empty_at_once_is_not_asked_in_a_hot_loop() {
    let mut f = Fixture::new(Config { wait: Duration::ZERO, ..standard() });
    let mut receives = 0;
    for _ in 0..600 {
        while !f.polls().is_empty() {
            f.receive(&[]);
            receives += 1;
        }
        f.pass(SECOND / 10);
    }
    assert!(receives <= 61, "{receives} receives in a minute");
}

#[test]
fn no_more_is_received_than_can_start_soon() {
    let mut f = Fixture::new(Config { concurrency: 4, ..standard() });
    assert_eq!(f.polls()[0].max_messages, 4, "nothing is known of the handler's time yet");
    f.receive(&["1", "2", "3", "4"]);
    assert!(f.polls().is_empty(), "every handler is busy");
    f.pass(5 * SECOND);
    f.done("1");
    assert_eq!(f.polls()[0].max_messages, 1, "handlers of five seconds: no prefetch");
}

#[test]
fn fast_handlers_are_kept_fed_with_full_batches() {
    let mut f = Fixture::new(Config { concurrency: 20, ..standard() });
    f.receive(&["0"]);
    f.pass(SECOND / 100);
    f.done("0");
    for round in 0..5 {
        let names: Vec<String> = (0..10).map(|i| format!("{round}-{i}")).collect();
        f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(f.polls().iter().all(|poll| poll.max_messages == 10), "{:?}", f.polls());
        f.pass(SECOND / 100);
        for name in &names {
            f.done(name);
        }
        f.answer_all(Answer::Ok);
    }
    assert!(f.polls().len() > 1, "receives that come back full call for more of them");
}

#[test]
fn deletes_travel_in_batches_of_ten() {
    let mut f = Fixture::new(Config { concurrency: 40, ..standard() });
    let names: Vec<String> = (0..25).map(|i| i.to_string()).collect();
    f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        f.done(name);
    }
    f.pass(SECOND);
    assert_eq!(f.calls().len(), 3);
}

/// A blip costs each receive that is outstanding, but it is one failure.
#[test]
fn receives_that_fail_together_make_one_short_pause() {
    let mut f = Fixture::new(Config { concurrency: 200, ..standard() });
    // The more of them come back full, the more are sent.
    for round in 0..10 {
        f.pass(SECOND / 10);
        for poll in 0..f.polls().len() {
            let names: Vec<String> =
                (0..f.polls()[0].max_messages).map(|i| format!("{round}-{poll}-{i}")).collect();
            f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
        }
        for name in f.started() {
            f.done(&name);
        }
        f.answer_all(Answer::Ok);
    }
    let outstanding = f.polls().len();
    assert!(outstanding >= 8, "{outstanding} receives at once");
    for _ in 0..outstanding {
        f.fail_receive();
    }
    assert!(f.polls().is_empty(), "no hot loop");
    f.pass(SECOND);
    assert!(!f.polls().is_empty(), "{outstanding} receives have failed once");
    f.fail_receive();
    f.pass(SECOND / 2);
    assert!(f.polls().is_empty(), "this one has failed after the pause: the next is longer");
}

#[test]
fn while_another_queue_of_the_process_is_busy_a_quiet_one_is_polled_for_a_second_at_a_time() {
    let mut f = Fixture::new(standard());
    f.pass(60 * SECOND);
    f.receive(&[]);
    assert_eq!(f.polls()[0].wait, 20 * SECOND);
    f.active_elsewhere();
    f.receive(&[]);
    f.pass(SECOND);
    assert_eq!(f.polls()[0].wait, SECOND, "the process could be told to stop any moment");
}

/// A standard queue's messages may all be of one group, and as many handlers as there are may run for it.
#[test]
fn messages_of_one_group_are_received_as_fast_as_those_without() {
    let received = |group: &str| {
        let mut f = Fixture::new(Config { concurrency: 4, group_concurrency: 4, ..standard() });
        let mut received = 0;
        for _ in 0..200 {
            // The round trip is much longer than a handler's time: much is received ahead.
            f.pass(SECOND / 20);
            for _ in 0..f.polls().len() {
                let names = received..received + f.polls()[0].max_messages;
                let names: Vec<String> = names.map(|name| format!("{group}{name}")).collect();
                f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
                received += names.len();
            }
            f.pass(SECOND / 1_000);
            for _ in 0..20 {
                for name in f.started() {
                    f.done(&name);
                }
            }
            f.answer_all(Answer::Ok);
        }
        received
    };
    assert_eq!(received("group/"), received(""));
}

/// Ten of the largest messages are 10 MiB: a number of messages is no bound on memory.
#[test]
fn receiving_pauses_while_what_is_held_has_so_many_bytes() {
    let mut config = Config { concurrency: 100, ..standard() };
    config.timing.max_held_bytes = 1_000;
    let mut f = Fixture::new(config);
    f.receive(&["a:400"]);
    f.pass(SECOND);
    assert_eq!(f.polls()[0].max_messages, 1, "so large a one fits once more");
    f.receive(&["b:400"]);
    f.pass(SECOND);
    assert!(f.polls().is_empty(), "800 bytes are held, and another 400 may come");
    f.done("a:400");
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    f.pass(SECOND);
    assert_eq!(f.polls().len(), 1);
    f.receive(&["c:5000"]);
    f.pass(SECOND);
    assert!(f.polls().is_empty(), "too much is held, and handlers are idle");
    f.done("b:400");
    f.done("c:5000");
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    f.pass(SECOND);
    assert_eq!(f.polls().len(), 1, "with nothing held one is received however large");
}

#[test]
fn what_is_held_is_bounded_even_while_handlers_are_idle() {
    let mut config = Config { concurrency: 10, retry_backoff: 600 * SECOND, ..fifo() };
    config.retry_backoff_max = config.retry_backoff;
    config.visibility = 3_600 * SECOND;
    config.timing.max_unacknowledged = 10;
    let most = 4 * ((config.concurrency + 10) * 20 + config.timing.max_unacknowledged);
    let mut f = Fixture::new(config);
    let mut group = 0;
    // Five minutes in which each message fails and waits in its place for longer.
    for _ in 0..3_000 {
        while let Some(poll) = f.polls().first() {
            let names = (0..poll.max_messages).map(|n| format!("g{}/1", group + n));
            let names: Vec<String> = names.collect();
            group += names.len();
            f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
            for name in f.started() {
                f.fail(&name);
            }
        }
        f.pass(SECOND / 10);
    }
    let held = f.stats().held;
    assert!(held <= most && held + 10 > most, "{held} are held, and {most} may be");
}
