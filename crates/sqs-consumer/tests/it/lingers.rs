//! How long what can share a call waits for company.

use std::time::Duration;

use sqs_consumer::scheduler::{Answer, Config, Timing};

use crate::fixture::{Call, Fixture, SECOND, standard};

/// After so many messages, the handlers' time is known.
const KNOWN: usize = 100;

/// One whose handlers are known to take this long, and that has nothing to do.
fn with_handlers_of(time: Duration, fifo: bool) -> Fixture {
    // No lease ends or is extended.
    let mut f =
        Fixture::new(Config { fifo, concurrency: 64, visibility: 3_600 * SECOND, ..standard() });
    for n in 0..KNOWN {
        let name = format!("known-{n}/1");
        until_polled(&mut f);
        f.receive(&[&name]);
        f.pass(time);
        f.done(&name);
        f.pass(SECOND);
        f.answer_all(Answer::Ok);
    }
    f.started();
    until_polled(&mut f);
    f
}

fn until_polled(f: &mut Fixture) {
    while f.polls().is_empty() {
        f.pass(SECOND / 1_000);
    }
}

/// How long the delete of a message that has just ended, and has no company, is put off.
fn put_off(f: &mut Fixture, name: &str) -> Duration {
    f.receive(&[name]);
    f.pass(SECOND / 1_000);
    f.done(name);
    waited(f, |f| f.calls() == [Call::Delete(vec![name.to_owned()])])
}

fn waited(f: &mut Fixture, until: impl Fn(&Fixture) -> bool) -> Duration {
    let mut waited = Duration::ZERO;
    while !until(f) {
        assert!(waited < 10 * SECOND, "nothing happens");
        f.pass(SECOND / 1_000);
        waited += SECOND / 1_000;
    }
    waited
}

fn assert_near(time: Duration, wanted: Duration) {
    // The one that has just ended was quick, and has made the mean time shorter by a tenth.
    let wanted = wanted.as_secs_f64();
    assert!(
        (0.85 * wanted..=1.1 * wanted).contains(&time.as_secs_f64()),
        "{time:?}, not {wanted} s"
    );
}

#[test]
fn a_delete_waits_for_company_longer_where_handlers_are_slow() {
    let delete_waits = |handlers| put_off(&mut with_handlers_of(handlers, false), "a/1");
    let Timing { acknowledge_linger, longest_linger, .. } = Timing::default();
    assert_eq!(delete_waits(SECOND / 100), acknowledge_linger);
    assert_near(delete_waits(SECOND), SECOND / 4);
    assert_eq!(delete_waits(60 * SECOND), longest_linger);
}

#[test]
fn the_last_of_a_group_waits_longer_where_handlers_are_slow_unless_the_group_has_more() {
    let delete_waits = |handlers| put_off(&mut with_handlers_of(handlers, true), "a/1");
    let Timing { idle_linger, urgent_linger, longest_linger, .. } = Timing::default();
    assert_eq!(delete_waits(SECOND / 100), idle_linger);
    assert_near(delete_waits(SECOND), SECOND / 4);
    assert_eq!(delete_waits(60 * SECOND), longest_linger);

    let mut f = with_handlers_of(SECOND, true);
    let names: Vec<String> = (0..10).map(|n| format!("long/{n}")).collect();
    f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names[..9] {
        f.done(name);
    }
    f.pass(SECOND);
    f.answer_all(Answer::Ok);
    f.done(&names[9]);
    assert_eq!(waited(&mut f, |f| !f.calls().is_empty()), urgent_linger);
}

/// A receive is put off only if two messages or more come meanwhile, and for no longer than a quarter of what
/// they take anyway.
#[test]
fn a_receive_is_put_off_for_longer_where_handlers_are_slow() {
    let receive_waits = |handlers: Duration, spacing: Duration| {
        let mut f = with_handlers_of(handlers, false);
        // Few enough that there is room for more.
        for round in 0..10 {
            f.pass(4 * spacing);
            until_polled(&mut f);
            let names: Vec<String> = (0..4).map(|n| format!("{round}-{n}/1")).collect();
            f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
        }
        waited(&mut f, |f| !f.polls().is_empty())
    };
    let spacing = SECOND / 500;
    assert_eq!(receive_waits(SECOND / 1_000, spacing), Timing::default().receive_linger);
    let put_off = receive_waits(2 * SECOND, spacing);
    assert!(put_off > Timing::default().receive_linger && put_off <= SECOND / 2, "{put_off:?}");
    assert_eq!(receive_waits(2 * SECOND, SECOND), Duration::ZERO, "they come one by one");
}

#[test]
fn a_drain_waits_for_no_company() {
    let mut f = with_handlers_of(60 * SECOND, false);
    f.receive(&["a/1"]);
    f.done("a/1");
    f.drain();
    assert_eq!(f.calls(), [Call::Delete(vec!["a/1".to_owned()])]);
}
