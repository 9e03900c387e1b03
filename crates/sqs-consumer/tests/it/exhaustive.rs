//! Every interleaving of small configurations: real schedulers, the pure model of the queue, and a
//! model checker that tries everything which can happen next, in every state that it meets.
//!
//! Where the simulation draws long random runs, this leaves nothing out of short ones. Messages,
//! workers and troubles are few, and time passes only from one deadline to the next; apart from that
//! every order of requests, answers, ends of handlers, losses, crashes, pauses and drains occurs.
//!
//! What is bounded or left out: messages are there from the start; a message has two attempts; a worker
//! has one receive under way; backoffs have no jitter, and all times are whole seconds; time passes
//! while a call is on its way as often as `delays` says; a long poll that finds nothing waits on, but
//! for a drain and where `empty_polls` says otherwise; of a batch only the first entry fails alone; the
//! twelve hours of a lease are far away. Workers are alike, so states that differ only in which worker
//! is which are one state, and so are states that differ only in what time it is.
//!
//! Each search prints how many states it saw. `EXHAUSTIVE=full` runs the large ones, which take
//! minutes in a release build:
//!
//! ```text
//! EXHAUSTIVE=full cargo test --release -p sqs-consumer --test it exhaustive -- --nocapture
//! ```

mod calls;
mod queue;
mod scene;
mod search;
mod shared;
mod shell;
mod state;
mod steps;
mod truth;
mod worker;

use sqs_consumer::scheduler::Broken;

use self::{
    scene::{NONE, Scene, Troubles},
    search::{Found, Search},
};

const FIFO: Scene = Scene {
    name: "",
    fifo: true,
    workers: 2,
    groups: &[2, 2],
    concurrency: 2,
    empty_polls: false,
    replaced: true,
    all_losses: true,
    long_pauses: true,
    max_receives: None,
    linger: 0,
    troubles: NONE,
    broken: None,
};

/// Searched in every `cargo test`.
fn quick() -> Vec<Scene> {
    let one = Scene { groups: &[2], ..FIFO };
    let standard = Scene { fifo: false, ..FIFO };
    vec![
        Scene { name: "two groups of two", ..FIFO },
        Scene { name: "one handler each", groups: &[2, 1], concurrency: 1, ..FIFO },
        Scene {
            name: "a crash",
            groups: &[2, 1],
            troubles: Troubles { crashes: 1, ..NONE },
            ..FIFO
        },
        Scene {
            name: "a crash and a loss",
            troubles: Troubles { crashes: 1, losses: 1, ..NONE },
            ..one
        },
        Scene {
            name: "a pause of any length",
            long_pauses: false,
            troubles: Troubles { pauses: 1, ..NONE },
            ..one
        },
        Scene {
            name: "a pause and a loss",
            troubles: Troubles { pauses: 1, losses: 1, ..NONE },
            ..one
        },
        Scene { name: "two losses", workers: 1, troubles: Troubles { losses: 2, ..NONE }, ..one },
        Scene {
            name: "a drain and a loss",
            troubles: Troubles { drains: 1, losses: 1, ..NONE },
            ..one
        },
        Scene {
            name: "a drain and a retry",
            groups: &[3],
            troubles: Troubles { drains: 1, retries: 1, ..NONE },
            ..one
        },
        Scene {
            name: "drains and the last receive",
            max_receives: Some(2),
            troubles: Troubles { drains: 2, retries: 1, ..NONE },
            ..one
        },
        Scene {
            name: "standard, drains and the last receive",
            groups: &[2],
            max_receives: Some(2),
            troubles: Troubles { drains: 2, retries: 1, ..NONE },
            ..standard
        },
        Scene {
            name: "a loss and a delay",
            troubles: Troubles { losses: 1, delays: 1, ..NONE },
            ..one
        },
        Scene {
            name: "retries up to the dead-letter queue, and a loss",
            troubles: Troubles { retries: 2, losses: 1, ..NONE },
            ..one
        },
        Scene {
            name: "a refusal, a loss and a crash",
            workers: 1,
            troubles: Troubles { refusals: 1, losses: 1, crashes: 1, ..NONE },
            ..one
        },
        Scene {
            name: "an outage",
            workers: 1,
            groups: &[1, 1],
            troubles: Troubles { outages: 1, shared: 3, retries: 1, ..NONE },
            ..FIFO
        },
        Scene {
            name: "a repetition, and failures that may be everyone's",
            workers: 1,
            groups: &[1, 1],
            troubles: Troubles { crashes: 1, shared: 2, ..NONE },
            ..FIFO
        },
        Scene {
            name: "deletes that wait for company, and a drain",
            linger: 1,
            troubles: Troubles { drains: 1, ..NONE },
            ..one
        },
        Scene {
            name: "polls that find nothing",
            empty_polls: true,
            troubles: Troubles { crashes: 1, ..NONE },
            ..one
        },
        Scene {
            name: "a refused call and a retry",
            troubles: Troubles { rejections: 1, retries: 1, ..NONE },
            ..one
        },
        Scene {
            name: "refused calls up to the dead-letter queue",
            workers: 1,
            troubles: Troubles { rejections: 2, refusals: 1, ..NONE },
            ..one
        },
        Scene {
            name: "a drain and a handler that does not stop",
            troubles: Troubles { drains: 1, stubborn: 1, ..NONE },
            ..one
        },
        Scene { name: "standard", ..standard },
        Scene {
            name: "standard, a refused call and a loss",
            groups: &[2],
            troubles: Troubles { rejections: 1, losses: 1, ..NONE },
            ..standard
        },
        Scene {
            name: "standard, a crash and a loss",
            groups: &[2],
            troubles: Troubles { crashes: 1, losses: 1, ..NONE },
            ..standard
        },
        Scene {
            name: "standard, a pause and a retry",
            workers: 1,
            groups: &[2],
            troubles: Troubles { pauses: 1, retries: 1, ..NONE },
            ..standard
        },
    ]
}

/// Searched on request.
fn full() -> Vec<Scene> {
    let one = Scene { groups: &[2], ..FIFO };
    let three = Scene { groups: &[2, 1], ..FIFO };
    let standard = Scene { fifo: false, ..FIFO };
    vec![
        Scene {
            name: "three messages, drains and the last receive",
            max_receives: Some(2),
            troubles: Troubles { drains: 2, retries: 1, ..NONE },
            ..three
        },
        Scene {
            name: "four messages, a crash and a loss",
            troubles: Troubles { crashes: 1, losses: 1, ..NONE },
            ..FIFO
        },
        Scene {
            name: "three messages, a crash and a pause",
            troubles: Troubles { crashes: 1, pauses: 1, ..NONE },
            ..three
        },
        Scene {
            name: "three messages, a loss and a pause",
            troubles: Troubles { losses: 1, pauses: 1, ..NONE },
            ..three
        },
        Scene {
            name: "four messages, a drain and a retry",
            troubles: Troubles { drains: 1, retries: 1, ..NONE },
            ..FIFO
        },
        Scene {
            name: "two losses and a delay",
            troubles: Troubles { losses: 2, delays: 1, ..NONE },
            ..one
        },
        Scene {
            name: "an outage in two groups",
            workers: 1,
            troubles: Troubles { outages: 1, shared: 2, retries: 1, ..NONE },
            ..FIFO
        },
        Scene {
            name: "a refusal, a retry, a loss and a delay",
            troubles: Troubles { refusals: 1, retries: 1, losses: 1, delays: 1, ..NONE },
            ..one
        },
        Scene {
            name: "two refused calls, a loss and a retry",
            troubles: Troubles { rejections: 2, losses: 1, retries: 1, ..NONE },
            ..one
        },
        Scene {
            name: "a drain, a loss and a handler that does not stop, twice",
            troubles: Troubles { drains: 1, losses: 1, stubborn: 2, ..NONE },
            ..one
        },
        Scene {
            name: "standard, four messages, a crash and a loss",
            troubles: Troubles { crashes: 1, losses: 1, ..NONE },
            ..standard
        },
        Scene {
            name: "three messages, a crash, a loss and a pause",
            replaced: false,
            all_losses: false,
            troubles: Troubles { crashes: 1, losses: 1, pauses: 1, ..NONE },
            ..three
        },
    ]
}

#[test]
fn no_interleaving_of_a_small_configuration_breaks_a_rule() {
    let (scenes, threads) = if is_full() { (full(), 2) } else { (quick(), 1) };
    let only = switch("EXHAUSTIVE_SCENE");
    for scene in scenes {
        if only.as_ref().is_none_or(|only| scene.name == only) {
            assert_holds(&scene, &Search::run(scene, threads));
        }
    }
}

/// Broken schedulers, each with a scene in which that shows.
///
/// Seven are left to the simulation. `RunsDuplicates` takes a message that is received again while its
/// lease still holds, and the queue gives that to nobody. `HoldsWithoutBound` takes more messages than
/// are there, `NoGroupLimit` a limit and `RoundAfterRound` more groups than handlers; `BeyondTwelveHours`
/// takes half a day. `NeverProbes` is slow only, after more failures than a scene has. And
/// `BatchFailsAsOne` repeats too many calls only, with the same outcome.
const BROKEN: [(Broken, &str); 21] = [
    (Broken::AnyMessageOfTheLane, "two groups of two"),
    (Broken::TailLeftBehind, "a drain and a loss"),
    (Broken::TailWithHead, "a drain and a loss"),
    (Broken::LaneGoesBackOnFailure, "a drain and a retry"),
    (Broken::OnBeforeDeadLetterIsDeleted, "a refusal, a loss and a crash"),
    (Broken::LaneGoesOnAfterLoss, "a pause and a loss"),
    (Broken::DeleteUnderOldLease, "a pause of any length"),
    (Broken::NoHeartbeatWhileWaiting, "a pause of any length"),
    (Broken::ReturnDuringExtension, "a drain and a loss"),
    (Broken::NoCancelOnLoss, "a pause of any length"),
    (Broken::HeartbeatAfterReturn, "a drain and a loss"),
    (Broken::LeaseFromAnswer, "a pause of any length"),
    (Broken::DropPollsOnDrain, "a drain and a loss"),
    (Broken::ReleaseUnderOwnPolls, "a drain and a loss"),
    (Broken::DropDeletesOnDrain, "a drain and a loss"),
    (Broken::NoPauseAfterFailedReceive, "a crash and a loss"),
    (Broken::OutageCountsAsAttempt, "an outage"),
    (Broken::RepetitionCountsAsSuccess, "a repetition, and failures that may be everyone's"),
    (Broken::LastReceiveGoesBack, "drains and the last receive"),
    (Broken::LastReceiveGoesBack, "standard, drains and the last receive"),
    (Broken::DropDeletesOnDrain, "standard, drains and the last receive"),
];

/// Else the search would leave out what only looks like what it has seen.
#[test]
fn states_that_are_taken_for_the_same_go_on_in_the_same_way() {
    let few = ["a crash and a loss", "a drain and a loss", "a pause of any length"];
    for scene in quick() {
        if is_full() || few.contains(&scene.name) {
            let again = Search::compare(scene);
            assert!(again > 500, "{}: only {again} states were met again", scene.name);
        }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "how much it takes is part of the result")]
fn a_broken_scheduler_is_found() {
    for (rule, name) in BROKEN {
        let scene = quick().into_iter().find(|scene| scene.name == name).expect("it is there");
        let found = Search::run(Scene { broken: Some(rule), ..scene }, 1);
        let (states, depth) = (found.states, found.depth);
        let (what, _) = found.violation.unwrap_or_else(|| panic!("{rule:?} is not found"));
        let what = what.lines().next().unwrap_or_default();
        println!("{rule:?}: after {states} states, at depth {depth}, in {name:?}: {what}");
        let drops = rule.false_fate().is_some();
        assert!(!drops || what.ends_with("in flight"), "{rule:?} is not found by that: {what}");
    }
}

fn is_full() -> bool {
    switch("EXHAUSTIVE").is_some_and(|what| what == "full")
}

#[expect(clippy::disallowed_methods, reason = "a test's own switch, not a setting")]
fn switch(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::print_stdout, reason = "how much was searched is part of the result")]
fn assert_holds(scene: &Scene, found: &Found) {
    let Found { states, steps, depth, took, violation, rests } = found;
    let name = scene.name;
    let rate = *states as f64 / took.as_secs_f64();
    println!(
        "{name}: {states} states, {steps} steps, depth {depth}, {took:.1?}, {rate:.0} states/s"
    );
    if let Some((what, path)) = violation {
        panic!("{name}: {what}\n{path}");
    }
    assert!(*rests, "{name}: nothing ever comes to rest");
}
