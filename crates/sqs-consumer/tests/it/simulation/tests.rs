//! Thousands of seeds, and the proof that they would notice a scheduler that breaks a rule.

use sqs_consumer::scheduler::Broken;

use super::{Plan, caught, examine, row, story};

/// Seeds for each kind of queue. The command runs as many as asked:
/// `cargo run --release -p sqs-consumer --example simulate -- --seeds 100000`.
const SEEDS: u64 = 2_000;
/// A broken rule must be noticed within so many.
const SEEDS_TO_NOTICE: u64 = 2_000;

#[test]
fn a_fifo_queue_stays_in_order_and_loses_nothing_whatever_happens() {
    no_seed_violates_a_rule(true);
}

#[test]
fn a_standard_queue_loses_nothing_whatever_happens() {
    no_seed_violates_a_rule(false);
}

fn no_seed_violates_a_rule(fifo: bool) {
    for seed in 0..SEEDS {
        let plan = Plan::draw(seed, fifo, None);
        let violated = examine(&plan).violated();
        assert!(!violated, "{}", story(&plan).unwrap_or_default());
    }
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..50 {
        let plan = Plan::draw(seed, true, None);
        assert_eq!(examine(&plan).digest, examine(&plan).digest, "seed {seed} runs differently");
    }
}

#[test]
fn every_broken_scheduler_is_caught_by_a_check_that_is_about_its_rule() {
    let mut wrong = Vec::new();
    for rule in Broken::ALL {
        let caught = caught(rule, SEEDS_TO_NOTICE);
        let row = row(rule, caught.as_ref());
        print_row(&row);
        if !caught.is_some_and(|caught| caught.is_about(rule)) {
            wrong.push(row);
        }
    }
    assert!(wrong.is_empty(), "not noticed, or by something else:\n{}", wrong.join("\n"));
}

#[expect(clippy::print_stdout, reason = "the table is what the test shows")]
fn print_row(row: &str) {
    println!("{row}");
}
