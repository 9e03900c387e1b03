//! Draws plans. Most runs are small, so that many fit into a test; a few are large.

use std::time::Duration;

use rand::{RngExt, rngs::SmallRng};
use sqs_consumer::scheduler::{Broken, Config, Timing};

use super::{
    CALM, Down, HandlerTime, Handlers, Nature, Network, Plan, Planned, Resume, Trouble, What,
    Window,
};
use crate::simulation::dice::{About, Dice};

/// Enough for each of some workers to show how fast it receives.
const WAVE: usize = 30;

pub(super) fn plan(seed: u64, fifo: bool, broken: Option<Broken>) -> Plan {
    let mut random = Dice(seed).about(About::Plan, u64::from(fifo), 0);
    let random = &mut random;
    let visibility = pick(random, &[(3, 2..6), (6, 5..31), (1, 30..61)]);
    let redrive = chance(random, 0.4).then(|| random.random_range(3..6));
    let calm = chance(random, 0.15);
    let config = config(random, fifo, visibility, redrive, calm);
    let network = network(random, visibility * 1000, calm);
    let handlers = handlers(random, visibility * 1000, calm);
    let mut troubles_random = Dice(seed).about(About::Troubles, u64::from(fifo), 0);
    let length = pick(random, &[(2, 1..2_000), (4, 2_000..60_000), (1, 60_000..200_000)]);
    let (windows, troubles) = if calm {
        (Vec::new(), Vec::new())
    } else {
        let dead_letters = redrive.is_some();
        (
            windows(&mut troubles_random, length.max(20_000)),
            troubles(&mut troubles_random, length.max(20_000), visibility * 1000, dead_letters),
        )
    };
    let can_dead_letter = config.dead_letter_queue || redrive.is_some();
    let mut messages_random = Dice(seed).about(About::Messages, u64::from(fifo), 0);
    let messages = messages(&mut messages_random, fifo, length, can_dead_letter);
    let wave = if windows.is_empty() { 0.02 } else { 0.3 };
    let wave = if chance(&mut troubles_random, wave) { WAVE } else { 0 };
    let mut plan = Plan {
        seed,
        fifo,
        broken,
        messages,
        workers: pick(random, &[(4, 1..2), (5, 2..4), (1, 4..7)]) as usize,
        config,
        network,
        handlers,
        windows,
        troubles,
        redrive,
        in_flight_limit: (!calm && chance(random, 0.04)).then(|| random.random_range(12..40)),
    };
    add_wave(&mut plan, wave);
    plan
}

/// Messages that come when all has been well for long.
fn add_wave(plan: &mut Plan, count: usize) {
    let from = plan.calm_from() + CALM + 1;
    for number in 0..count as u64 {
        let key = plan.messages.len() as u64;
        // Nothing of what came before holds them up.
        let group = plan.fifo.then_some(u32::MAX - key as u32);
        let at = from + 100 * number;
        let nature = Nature::FailsFirst(0);
        let in_calm = true;
        plan.messages.push(Planned { key, at, group, nature, shared_failures: 0, in_calm });
    }
}

fn chance(random: &mut SmallRng, of: f64) -> bool {
    random.random_bool(of)
}

/// One of several ranges by their weights, then a number of it.
fn pick(random: &mut SmallRng, ranges: &[(u32, std::ops::Range<u64>)]) -> u64 {
    let total: u32 = ranges.iter().map(|(weight, _)| weight).sum();
    let mut left = random.random_range(0..total);
    for (weight, range) in ranges {
        if left < *weight {
            return random.random_range(range.clone());
        }
        left -= weight;
    }
    unreachable!("the weights add up to the total")
}

fn config(
    random: &mut SmallRng,
    fifo: bool,
    visibility: u64,
    redrive: Option<u32>,
    calm: bool,
) -> Config {
    let concurrency = pick(random, &[(2, 1..2), (6, 2..8), (2, 8..33)]) as usize;
    let attempts = match redrive {
        Some(redrive) if chance(random, 0.7) => redrive,
        _ => random.random_range(1..5),
    };
    // Few enough to be reached now and then.
    let max_unacknowledged = pick(random, &[(4, 1_000..1_001), (1, 2..100)]) as usize;
    let max_copies = pick(random, &[(3, 16..17), (1, 1..4)]) as usize;
    let max_held_bytes = pick(random, &[(4, 1_000_000..1_000_001), (1, 1..300)]) as usize;
    Config {
        fifo,
        visibility: Duration::from_secs(visibility),
        concurrency,
        group_concurrency: if fifo || chance(random, 0.5) {
            concurrency
        } else {
            random.random_range(1..=concurrency)
        },
        max_attempts: attempts,
        max_receive_count: redrive,
        dead_letter_queue: calm || chance(random, 0.8),
        wait: Duration::from_secs(random.random_range(0..21)),
        retry_backoff: Duration::from_secs(1),
        retry_backoff_max: Duration::from_secs(8),
        drain_timeout: Duration::from_secs(random.random_range(1..26)),
        // Each worker has one of its own.
        seed: 0,
        timing: Timing { max_unacknowledged, max_held_bytes, max_copies, ..Timing::default() },
    }
}

fn network(random: &mut SmallRng, visibility: u64, calm: bool) -> Network {
    let latency = pick(random, &[(4, 1..10), (4, 10..200), (1, 200..800)]);
    let patient = chance(random, 0.3);
    let timeout = if patient {
        random.random_range(4_000..=4_000 + 2 * visibility)
    } else {
        random.random_range(3_000..=5_000)
    };
    let mut trouble = |often: f64, most: f64| {
        let drawn = chance(random, often).then(|| random.random_range(0.005..most));
        drawn.filter(|_| !calm).unwrap_or(0.0)
    };
    Network {
        latency: latency.min(visibility / 5),
        lost: trouble(0.35, 0.12),
        late_answer: trouble(0.25, 0.1),
        late_request: trouble(0.2, 0.08),
        repeated: trouble(0.15, 0.05),
        partial: trouble(0.25, 0.15),
        refused: trouble(0.15, 0.1),
        timeout,
        receive_margin: if patient { 2 * visibility } else { random.random_range(5_000..10_001) },
    }
}

fn handlers(random: &mut SmallRng, visibility: u64, calm: bool) -> Handlers {
    let time = pick(random, &[(2, 1..10), (5, 10..1_000), (2, 1_000..5_000)]);
    let time = match random.random_range(0..3) {
        0 => HandlerTime::Constant(time),
        1 => HandlerTime::Uniform(time),
        _ => HandlerTime::LogNormal(time),
    };
    let outliers = if chance(random, 0.3) { random.random_range(0.01..0.2) } else { 0.0 };
    let outlier = if chance(random, 0.005) && visibility >= 10_000 {
        // Beyond the twelve hours for which SQS hides a message at most. With short visibility
        // timeouts so many extensions take too long to simulate.
        13 * 3_600_000
    } else {
        random.random_range(visibility / 2..4 * visibility)
    };
    let not_before = if chance(random, 0.3) { random.random_range(0.1..1.0) } else { 0.0 };
    let not_yet = if chance(random, 0.15) { random.random_range(0.02..0.3) } else { 0.0 };
    let stubborn = if !calm && chance(random, 0.2) { random.random_range(0.05..0.8) } else { 0.0 };
    Handlers { time, outlier, outliers, not_before, not_yet, stubborn }
}

fn messages(random: &mut SmallRng, fifo: bool, length: u64, can_dead_letter: bool) -> Vec<Planned> {
    let count = pick(random, &[(10, 4..25), (5, 25..60), (2, 60..150), (1, 150..400)]) as usize;
    let groups = pick(random, &[(3, 1..2), (5, 2..12), (2, 12..101)]) as u32;
    let grouped = fifo || chance(random, 0.6);
    let skew = if chance(random, 0.5) { random.random_range(0.5..1.5) } else { 0.0 };
    let weights: Vec<f64> = (1..=groups).map(|rank| f64::from(rank).powf(-skew)).collect();
    let total: f64 = weights.iter().sum();
    let bursts = chance(random, 0.4).then(|| random.random_range(1..6));
    let poison = if chance(random, 0.4) { random.random_range(0.02..0.2) } else { 0.0 };
    let failing = if chance(random, 0.5) { random.random_range(0.02..0.4) } else { 0.0 };
    let shared = if chance(random, 0.2) { random.random_range(0.02..0.3) } else { 0.0 };
    let mut messages: Vec<Planned> = (0..count)
        .map(|_| {
            let at = match bursts {
                Some(bursts) => length / bursts * random.random_range(0..bursts),
                None => random.random_range(0..length),
            };
            let nature = if can_dead_letter && chance(random, poison) {
                if chance(random, 0.6) { Nature::Poison } else { Nature::Unparseable }
            } else if chance(random, failing) {
                Nature::FailsFirst(random.random_range(1..5))
            } else {
                Nature::FailsFirst(0)
            };
            let shared_failures =
                if chance(random, shared) { random.random_range(1..9) } else { 0 };
            let mut left = random.random_range(0.0..total);
            let group = weights.iter().position(|weight| {
                left -= weight;
                left < 0.0
            });
            let group = group.unwrap_or(0) as u32;
            let group = grouped.then_some(group);
            Planned { key: 0, at, group, nature, shared_failures, in_calm: false }
        })
        .collect();
    messages.sort_by_key(|message| message.at);
    for (key, message) in (0..).zip(&mut messages) {
        message.key = key;
    }
    messages
}

fn windows(random: &mut SmallRng, length: u64) -> Vec<Window> {
    let mut windows = Vec::new();
    for (what, often) in [
        (Down::Carrier, 0.2),
        (Down::Store, 0.15),
        (Down::Receives, 0.15),
        (Down::Settling, 0.1),
        (Down::Deletes, 0.05),
        (Down::Changes, 0.05),
        (Down::Copies, 0.05),
        (Down::Refused, 0.05),
    ] {
        if chance(random, often) {
            let from = random.random_range(0..length);
            let until = from + random.random_range(1_000..90_000);
            windows.push(Window { from, until, what });
        }
    }
    windows
}

fn troubles(
    random: &mut SmallRng,
    length: u64,
    visibility: u64,
    dead_letters: bool,
) -> Vec<Trouble> {
    let count = pick(random, &[(4, 0..1), (5, 1..3), (2, 3..7)]);
    let trouble = |_| {
        let at = random.random_range(0..length);
        let worker = random.random_range(0..6);
        let what = match random.random_range(0..13) {
            0..3 => What::Crash {
                worker,
                replaced_after: random.random_range(0..10_000),
                polls_live_on: if chance(random, 0.3) { 15_000 } else { 0 },
            },
            3..6 => What::Pause {
                worker,
                length: random.random_range(100..3 * visibility),
                resume: [Resume::TimersFirst, Resume::FactsFirst, Resume::InTurn]
                    [random.random_range(0..3)],
            },
            6..8 => What::ScaleIn { worker },
            8 => What::ScaleOut,
            9 => What::StopAll,
            10 | 11 => What::Replace { worker },
            _ => What::Redrive { mended: chance(random, 0.6) },
        };
        Trouble { at, what }
    };
    let troubles = (0..count).map(trouble);
    troubles.filter(|t| dead_letters || !matches!(t.what, What::Redrive { .. })).collect()
}
