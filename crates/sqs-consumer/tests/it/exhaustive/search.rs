//! The search itself, by stateright, and its report.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fmt::Write as _,
    sync::Mutex,
    time::Duration,
};

use stateright::{Checker, HasDiscoveries, Model, Property};
use tokio::time::Instant;

use super::{
    calls::Way,
    scene::Scene,
    shared::Shared,
    state::{START, State},
    steps::Step,
};

/// A fair run without further trouble is at rest after so many steps.
const STEPS_TO_REST: usize = 1_000;

/// So many of them are shown if it is not.
const LAST_STEPS: usize = 60;

pub(super) struct Search {
    scene: Scene,
    /// States from which a fair run is known to come to rest.
    comes_to_rest: Mutex<HashSet<u64>>,
    shared: Shared,
}

impl Model for Search {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.scene)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        actions.extend(state.steps());
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.after(&self.scene, step, &self.shared);
        if step == Step::TimePasses {
            self.check_rest(&mut next);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(RULES, |_, state: &State| !state.truth.is_violated()),
            Property::sometimes(REST, |_, state: &State| state.is_at_rest()),
        ]
    }
}

const RULES: &str = "no rule is broken";
const REST: &str = "everything comes to rest";

/// What a search has found.
pub(super) struct Found {
    pub(super) states: usize,
    pub(super) steps: usize,
    pub(super) depth: usize,
    pub(super) took: Duration,
    /// The rule that is broken, and the shortest way to that.
    pub(super) violation: Option<(String, String)>,
    /// Whether there is a way to rest at all.
    pub(super) rests: bool,
}

impl Search {
    pub(super) fn run(scene: Scene, threads: usize) -> Found {
        let began = Instant::now();
        let search = Self { scene, comes_to_rest: Mutex::default(), shared: Shared::default() };
        let builder = search.checker().threads(threads);
        let checker = builder.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let violation = checker.discovery(RULES).map(|path| {
            let what = path.last_state().truth.violation().unwrap_or_default().to_owned();
            (what, describe(&path.into_vec()))
        });
        Found {
            states: checker.unique_state_count(),
            steps: checker.state_count(),
            depth: checker.max_depth(),
            took: began.elapsed(),
            violation,
            rests: checker.discovery(REST).is_some(),
        }
    }

    /// Compares what follows on each state with what follows on the one that it is taken for. Returns
    /// how often there was something to compare.
    pub(super) fn compare(scene: Scene) -> usize {
        // Nothing is shared, or what is compared would have been made the same.
        let after = |state: &State| -> Vec<State> {
            let after = |step| state.after(&scene, step, &Shared::default());
            state.steps().into_iter().map(after).collect()
        };
        let mut seen = HashMap::<u64, Vec<u64>>::new();
        let mut again = 0;
        let mut left = vec![State::new(&scene)];
        while let Some(state) = left.pop() {
            let next = after(&state);
            let mut digests: Vec<u64> = next.iter().map(State::digest).collect();
            digests.sort_unstable();
            match seen.entry(state.digest()) {
                Entry::Vacant(entry) => {
                    entry.insert(digests);
                    left.extend(next);
                }
                Entry::Occupied(entry) => {
                    assert_eq!(*entry.get(), digests, "states are taken for the same and are not");
                    again += 1;
                }
            }
        }
        again
    }

    /// Each state, if nothing goes wrong from then on, must come to rest: nothing held, nothing in
    /// flight. Looked at where time has passed, since every way without an end comes by there.
    fn check_rest(&self, state: &mut State) {
        let mut seen = Vec::new();
        let mut run = state.clone();
        let mut way = Vec::new();
        for _ in 0..STEPS_TO_REST {
            let known = self.comes_to_rest.lock().expect("no panic").contains(&run.digest());
            if known || run.is_at_rest() || run.truth.is_violated() {
                self.comes_to_rest.lock().expect("no panic").extend(seen);
                return;
            }
            seen.push(run.digest());
            let Some(step) = run.steps().into_iter().find(|step| !step.is_trouble()) else {
                break;
            };
            let next = run.after(&self.scene, step, &self.shared);
            way.push((std::mem::replace(&mut run, next), Some(step)));
        }
        let (steps, now) = (way.len(), run.now.saturating_since(state.now));
        way.drain(..way.len().saturating_sub(LAST_STEPS));
        let way = describe(&way);
        state.truth.violate(format!("not at rest after {steps} more steps and {now:?}:\n{way}"));
    }
}

/// A way through the states, for readers.
fn describe(path: &[(State, Option<Step>)]) -> String {
    let mut text = String::new();
    for (state, step) in path {
        let at = state.now.saturating_since(START).as_secs_f64();
        let Some(step) = step else { continue };
        let call = |at: usize| {
            let call = &state.calls[at];
            let worker = call.worker;
            match &call.way {
                Way::ToQueue(asked) => format!("worker {worker} -> queue: {asked:?}"),
                Way::Waits(poll, _) => format!("queue has something for worker {worker}: {poll:?}"),
                Way::ToWorker(told) => format!("queue -> worker {worker}: {told:?}"),
            }
        };
        let what = match *step {
            Step::Reaches(at) | Step::Serves(at) | Step::Answers(at) => call(at),
            Step::IsLost(at) => format!("LOST: {}", call(at)),
            Step::GivesUp(at) => format!("GIVEN UP: {}", call(at)),
            Step::HalfFails(at) => format!("FIRST ENTRY FAILS: {}", call(at)),
            Step::IsRefused(at) => format!("REFUSED: {}", call(at)),
            Step::IsNotMade(at) => format!("NOT SENT, HANDLERS RUN: {}", call(at)),
            Step::Ends(at, ticket, ended) => {
                let receipt = state.workers[at].slots[&ticket].receipt;
                format!("worker {at}: the handler of {receipt:?} ends: {ended:?}")
            }
            Step::Wakes(at) => format!("worker {at} wakes"),
            Step::Crashes(at) => format!("worker {at} CRASHES"),
            Step::Drains(at) => format!("worker {at} DRAINS"),
            Step::Pauses(at) => format!("worker {at} STANDS STILL"),
            Step::Resumes(at) => format!("worker {at} goes on"),
            Step::TimePasses => "time passes".to_owned(),
        };
        _ = writeln!(text, "{at:7.3}s  {what}");
    }
    if let Some((last, _)) = path.last() {
        _ = writeln!(text, "          => {}", last.truth.violation().unwrap_or("nothing"));
    }
    text
}
