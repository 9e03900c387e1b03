//! Runs plans and tells what came of it.

use std::fmt::Write as _;

use sqs_consumer::scheduler::Broken;

use super::{
    plan::Plan,
    run::{Outcome, run},
    shrink::shrink,
    symptoms::symptoms,
    trace::Trace,
    violation::Check,
};

/// Runs a plan.
pub(crate) fn examine(plan: &Plan) -> Outcome {
    run(plan, Trace::default())
}

/// What a violation is told with: its rule, its seed, the command to repeat it, and the story of the
/// smallest plan that shows it.
pub(crate) fn story(plan: &Plan) -> Option<String> {
    let violation = examine(plan).violation?;
    let small = shrink(plan, violation.check);
    let told = run(&small, Trace::on());
    let queue = if plan.fifo { "fifo" } else { "standard" };
    let mut text = format!("seed {} ({queue}) violates {violation}\n", plan.seed);
    if plan.broken.is_none() {
        _ = writeln!(
            text,
            "repeat: cargo run --release -p sqs-consumer --example simulate -- --seed {} \
             --queue {queue}",
            plan.seed
        );
    }
    let Some(violation) = told.violation else {
        text.push_str("and does not when it is repeated: the run is not deterministic\n");
        return Some(text);
    };
    _ = writeln!(
        text,
        "made smaller: {} messages, {} workers, visibility {:?}, concurrency {}, {} attempts, \
         {:?}, {:?}, {:?}, {:?}",
        small.messages.len(),
        small.workers,
        small.config.visibility,
        small.config.concurrency,
        small.config.max_attempts,
        small.network,
        small.handlers,
        small.windows,
        small.troubles
    );
    _ = writeln!(text, "{violation}\n{}", told.story);
    Some(text)
}

/// A broken scheduler that was noticed.
pub(crate) struct Caught {
    pub(crate) seeds: u64,
    pub(crate) seed: u64,
    pub(crate) fifo: bool,
    pub(crate) check: Check,
    /// The violation in full.
    told: String,
}

impl Caught {
    /// Whether what has noticed it is about the rule that is broken.
    pub(crate) fn is_about(&self, rule: Broken) -> bool {
        symptoms(rule).contains(&self.check)
    }
}

/// Runs seeds with a rule broken until one of them notices by what the rule is about, each for both
/// kinds of queue; else what was noticed first.
pub(crate) fn caught(rule: Broken, seeds: u64) -> Option<Caught> {
    let mut first = None;
    let about = (0..seeds).find_map(|seed| {
        [true, false].into_iter().find_map(|fifo| {
            let violation = examine(&Plan::draw(seed, fifo, Some(rule))).violation?;
            let (check, told) = (violation.check, violation.to_string());
            let caught = Caught { seeds: seed + 1, seed, fifo, check, told };
            if caught.is_about(rule) {
                return Some(caught);
            }
            first.get_or_insert(caught);
            None
        })
    });
    about.or(first)
}

/// The row of a broken scheduler in the table of those that must be noticed.
pub(crate) fn row(rule: Broken, caught: Option<&Caught>) -> String {
    let rule_name = format!("{rule:?}");
    match caught {
        None => format!("{rule_name:<28} NOT CAUGHT"),
        Some(caught) => {
            let queue = if caught.fifo { "fifo" } else { "standard" };
            let Caught { seeds, seed, check, told, .. } = caught;
            let mut row =
                format!("{rule_name:<28} {seeds:>6} seeds, by {check:?} (seed {seed}, {queue})");
            if !caught.is_about(rule) {
                let expected = symptoms(rule);
                _ = write!(row, ", NOT BY WHAT IT IS ABOUT, one of {expected:?}: {told}");
            }
            row
        }
    }
}
