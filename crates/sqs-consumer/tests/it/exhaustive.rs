//! Every interleaving of small configurations: real schedulers, the pure model of the queue, and a
//! model checker that tries everything which can happen next, in every state that it meets.
//!
//! Where the simulation draws long random runs, this leaves nothing out of short ones. Messages,
//! workers and troubles are few, and time passes only from one deadline to the next; apart from that
//! every order of requests, answers, ends of handlers, losses, crashes, pauses and drains occurs.
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
mod state;
mod truth;
mod worker;

use self::{
    scene::{NONE, Scene, Troubles},
    search::{Found, Search},
};

const FIFO: Scene = Scene {
    name: "two groups of two",
    fifo: true,
    workers: 2,
    groups: &[2, 2],
    concurrency: 2,
    empty_polls: false,
    linger: 0,
    troubles: NONE,
    broken: None,
};

fn quick() -> Vec<Scene> {
    vec![
        Scene { name: "one handler", concurrency: 1, ..FIFO },
        FIFO,
        Scene { name: "a crash", groups: &[2], troubles: Troubles { crashes: 1, ..NONE }, ..FIFO },
        Scene { name: "a loss", groups: &[2], troubles: Troubles { losses: 1, ..NONE }, ..FIFO },
        Scene { name: "a pause", groups: &[2], troubles: Troubles { pauses: 1, ..NONE }, ..FIFO },
        Scene { name: "a drain", groups: &[2], troubles: Troubles { drains: 1, ..NONE }, ..FIFO },
        Scene { name: "a delay", groups: &[2], troubles: Troubles { delays: 1, ..NONE }, ..FIFO },
        Scene { name: "retries", groups: &[2], troubles: Troubles { retries: 2, ..NONE }, ..FIFO },
    ]
}

#[test]
fn no_interleaving_of_a_small_configuration_breaks_a_rule() {
    for scene in quick() {
        assert_holds(&scene, &Search::run(scene, 1));
    }
}

#[expect(clippy::print_stdout, reason = "how much was searched is part of the result")]
fn assert_holds(scene: &Scene, found: &Found) {
    let Found { states, steps, depth, took, violation, rests } = found;
    let name = scene.name;
    let rate = *states as f64 / took.as_secs_f64();
    println!("{name}: {states} states, {steps} steps, depth {depth}, {took:.1?}, {rate:.0} states/s");
    if let Some((what, path)) = violation {
        panic!("{name}: {what}\n{path}");
    }
    assert!(*rests, "{name}: nothing ever comes to rest");
}
