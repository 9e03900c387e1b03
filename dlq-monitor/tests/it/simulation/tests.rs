//! Thousands of seeds, every step of a kill, and the proof that they would notice a plan that breaks a
//! rule.

use dlq_monitor::jobs::plan::Broken;
use order_store::JobKind;

use super::{Scenario, checks::symptom, run};

/// Seeds for each kind of queue.
const SEEDS: u64 = 3_000;
/// A broken rule must be noticed within so many, of each kind.
const SEEDS_TO_NOTICE: u64 = 3_000;

#[test]
fn jobs_on_a_fifo_queue_keep_order_and_lose_nothing_whatever_happens() {
    no_seed_violates_a_rule(true);
}

#[test]
fn jobs_on_a_standard_queue_lose_nothing_whatever_happens() {
    no_seed_violates_a_rule(false);
}

fn no_seed_violates_a_rule(fifo: bool) {
    for seed in 0..SEEDS {
        if let Err(violation) = run(&Scenario::draw(seed, fifo, None)) {
            panic!("seed {seed}, fifo {fifo}: {violation}");
        }
    }
}

#[test]
fn a_job_that_is_killed_at_any_step_is_finished_by_another_process_and_loses_nothing() {
    for fifo in [true, false] {
        for kind in [JobKind::Redrive, JobKind::Discard] {
            let mut scenario = Scenario::plain(fifo, kind);
            let actions = run(&scenario).unwrap_or_else(|violation| panic!("{violation}"));
            assert!(actions > 10, "there is something to kill: {actions}");
            for action in 1..=actions {
                for arrives in [true, false] {
                    scenario.kill_at = Some((action, arrives));
                    if let Err(violation) = run(&scenario) {
                        panic!(
                            "{kind:?}, fifo {fifo}, killed at {action} ({arrives}): {violation}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..50 {
        let scenario = Scenario::draw(seed, true, None);
        assert_eq!(run(&scenario).ok(), run(&scenario).ok(), "seed {seed} runs differently");
    }
}

#[test]
fn every_broken_plan_is_caught_by_the_check_that_is_about_its_rule() {
    let mut missed = Vec::new();
    for rule in Broken::ALL {
        let seeds = (0..SEEDS_TO_NOTICE).flat_map(|seed| [(seed, true), (seed, false)]);
        let mut caught = seeds.filter_map(|(seed, fifo)| {
            run(&Scenario::draw(seed, fifo, Some(rule))).err().map(|found| (seed, fifo, found))
        });
        match caught.find(|(_, _, violation)| violation.check == symptom(rule)) {
            Some((seed, fifo, violation)) => {
                say(&format!("{rule:?}: seed {seed}, fifo {fifo}: {violation}"));
            }
            None => missed.push(rule),
        }
    }
    assert!(missed.is_empty(), "not noticed, or by something else: {missed:?}");
}

#[expect(clippy::print_stdout, reason = "the seeds are what the test shows")]
fn say(line: &str) {
    println!("{line}");
}
