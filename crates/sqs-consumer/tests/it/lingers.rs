//! How long what can share a call waits for company.

use std::time::Duration;

use sqs_consumer::scheduler::{Answer, Config, Ended, Timing};

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

/// How long the delete of a message that has just ended, and has no company, is put off, if its handler took so
/// long.
fn put_off(f: &mut Fixture, name: &str, took: Duration) -> Duration {
    f.receive(&[name]);
    f.pass(took);
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

#[test]
fn a_delete_waits_for_company_longer_where_handlers_are_slow() {
    let delete_waits = |took| put_off(&mut with_handlers_of(took, false), "a/1", took);
    let Timing { acknowledge_linger, longest_linger, .. } = Timing::default();
    assert_eq!(delete_waits(SECOND / 100), acknowledge_linger);
    assert_eq!(delete_waits(SECOND), SECOND / 4);
    assert_eq!(delete_waits(60 * SECOND), longest_linger);
}

#[test]
fn the_last_of_a_group_waits_longer_where_handlers_are_slow_unless_the_group_has_more() {
    let delete_waits = |took| put_off(&mut with_handlers_of(took, true), "a/1", took);
    let Timing { idle_linger, urgent_linger, longest_linger, .. } = Timing::default();
    assert_eq!(delete_waits(SECOND / 100), idle_linger);
    assert_eq!(delete_waits(SECOND), SECOND / 4);
    assert_eq!(delete_waits(60 * SECOND), longest_linger);

    let mut f = with_handlers_of(SECOND, true);
    let names: Vec<String> = (0..10).map(|n| format!("long/{n}")).collect();
    f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names[..9] {
        f.pass(SECOND);
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

#[test]
fn quick_handlers_do_not_wait_for_slow_ones_nor_a_slow_one_makes_quick_ones_wait() {
    let Timing { idle_linger, .. } = Timing::default();
    let mut f = with_handlers_of(10 * SECOND, true);
    assert_eq!(put_off(&mut f, "quick/1", SECOND / 100), idle_linger);
    let mut f = with_handlers_of(SECOND / 100, true);
    put_off(&mut f, "slow/1", 20 * SECOND);
    f.answer_all(Answer::Ok);
    until_polled(&mut f);
    assert_eq!(put_off(&mut f, "quick/1", SECOND / 100), idle_linger);
}

/// Few come for a long time, and then very many at once: they are received as fast as handlers can take them.
#[test]
fn a_burst_is_not_put_off_while_handlers_are_idle() {
    let mut f = with_handlers_of(2 * SECOND, false);
    let spacing = SECOND / 5;
    let mut passed = Duration::ZERO;
    while f.stats().running < 30 {
        f.pass(spacing);
        passed += spacing + waited(&mut f, |f| !f.polls().is_empty());
        let mut names = Vec::new();
        while passed >= spacing {
            passed -= spacing;
            names.push(format!("few-{}-{}/1", f.stats().running, names.len()));
        }
        f.receive(&names.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let few = f.started().len();
    // The receive that brings the first of them may be put off already.
    until_polled(&mut f);
    let mut waited = Duration::ZERO;
    let mut started = 0;
    for round in 0.. {
        while f.polls().is_empty() && few + started < 48 {
            f.pass(SECOND / 1_000);
            waited += SECOND / 1_000;
        }
        if f.polls().is_empty() {
            break;
        }
        let names = (0..f.polls()[0].max_messages).map(|n| format!("burst-{round}-{n}/1"));
        f.receive(&names.collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>());
        started += f.started().len();
    }
    assert!(waited <= SECOND / 50, "{waited:?} until three quarters of the handlers were busy");
}

#[test]
fn a_delete_does_not_wait_until_its_lease_has_to_be_extended() {
    let visibility = 30 * SECOND;
    let mut f = Fixture::new(Config { concurrency: 64, visibility, ..standard() });
    f.receive(&["slow/1", "last/1"]);
    f.pass(15 * SECOND);
    f.done("slow/1");
    f.pass(4 * SECOND + SECOND * 4 / 5);
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["slow/1".to_owned()]));
    f.done("last/1");
    // 19.8 s of 20 until its extension, and half a second for company.
    f.pass(SECOND / 5 + SECOND / 500);
    assert_eq!(f.calls(), [Call::Delete(vec!["last/1".to_owned()])]);
    f.answer(Answer::Failed);
    f.pass(6 * SECOND);
    let extends = |call: &Call| matches!(call, Call::Extend(entries) if entries[0].0 == "last/1");
    assert!(f.calls().iter().any(extends), "{:?}", f.calls());
}

#[test]
fn a_delete_for_which_its_group_stands_still_does_not_wait() {
    let urgent = Timing::default().urgent_linger;
    let mut f = with_handlers_of(10 * SECOND, true);
    f.receive(&["a/1", "a/2"]);
    f.pass(10 * SECOND);
    f.finish("a/1", Ended::DeadLetter);
    assert_eq!(f.answer(Answer::Ok), Call::DeadLetter("a/1".to_owned()));
    f.pass(urgent);
    assert_eq!(f.answer(Answer::Ok), Call::Delete(vec!["a/1".to_owned()]));
    assert_eq!(f.started(), ["a/1", "a/2"]);

    let mut f =
        Fixture::new(Config { fifo: true, concurrency: 64, visibility: 30 * SECOND, ..standard() });
    f.receive(&["b/1", "b/2", "b/3"]);
    f.pass(20 * SECOND);
    f.done("b/1");
    assert!(matches!(f.call(), Some(Call::Extend(_))));
    // The second is lost, so the third is to go back, but not before the first is deleted.
    f.answer_each(|name| if name == "b/2" { Answer::LeaseOver } else { Answer::Ok });
    f.pass(urgent);
    assert_eq!(f.calls(), [Call::Delete(vec!["b/1".to_owned()])]);
}
