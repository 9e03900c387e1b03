//! Whole consumers in bad weather: calls that fail, come late or lose their answers, handlers that fail
//! and panic, workers that are stopped, paused and killed, all at random and repeatable from a seed.
//!
//! The simulation searches among schedulers and checks every step. This is for the shell around them:
//! only loss, order and what is left at the end are checked.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use sqs_consumer::Settings;
use tokio::time::sleep;

use crate::{
    fixture::SECOND,
    modelled::{Ask, Fault, Modelled, SHAPES, Shape, Worker, steady, unavailable},
    rig::Doing,
};

const SEEDS: u64 = 25;
const GROUPS: u32 = 8;
const EACH: u32 = 12;
/// How long the weather is bad.
const STORM: Duration = Duration::from_mins(2);

#[tokio::test(start_paused = true)]
async fn whatever_happens_to_calls_handlers_and_workers_nothing_is_lost_and_groups_stay_in_order() {
    for seed in 0..SEEDS {
        for shape in SHAPES {
            storm(seed, shape).await;
        }
    }
}

async fn storm(seed: u64, shape: Shape) {
    // Crashes and lost answers use up receives, as they do on AWS.
    let queue = Modelled::new(Shape { max_receive_count: Some(1_000), ..shape });
    let mut random = SmallRng::seed_from_u64(seed);
    let mut weather = SmallRng::seed_from_u64(!seed);
    queue.faults(move |ask| fault(ask, &mut weather));
    for number in 1..=EACH {
        queue.send((0..GROUPS).map(|group| format!("{group}/{number}")));
    }
    let mut workers = vec![worker(&queue, 0), worker(&queue, 1), worker(&queue, 2)];
    while queue.now() < STORM {
        sleep(random.random_range(Duration::ZERO..10 * SECOND)).await;
        let one = workers.swap_remove(random.random_range(0..workers.len()));
        match random.random_range(0..4) {
            0 => one.kill(),
            1 => _ = tokio::spawn(one.stop()),
            _ => {
                one.pause();
                sleep(random.random_range(Duration::ZERO..60 * SECOND)).await;
                one.resume();
                workers.push(one);
                continue;
            }
        }
        workers.push(worker(&queue, random.random_range(2..u64::MAX)));
    }
    queue.until_empty().await;
    assert_eq!(queue.effects().len() as u32, GROUPS * EACH, "seed {seed}, {shape:?}");
    assert_eq!(queue.dead(), [""; 0], "seed {seed}, {shape:?}");
    queue.assert_in_order_if_fifo();
    for worker in workers {
        let left = worker.stop().await.stranded;
        assert_eq!((left, queue.counts()), (0, (0, 0)), "seed {seed}, {shape:?}");
    }
}

fn worker(queue: &Modelled, seed: u64) -> Worker {
    let settings = Settings {
        seed: Some(seed),
        concurrency: 5,
        max_attempts: Some(1_000),
        handler_timeout: 10 * SECOND,
        ..steady()
    };
    let chances = std::sync::Mutex::new(SmallRng::seed_from_u64(seed));
    queue.work(settings, move |_, _| {
        let mut random = chances.lock().expect("it does not panic with it");
        match random.random_range(0..20) {
            0 => Doing::Fail,
            1 => Doing::FailShared,
            2 => Doing::Unavailable,
            3 => Doing::Hang,
            4 => Doing::Panic,
            _ => Doing::Succeed(random.random_range(Duration::ZERO..3 * SECOND)),
        }
    })
}

fn fault(ask: &Ask, random: &mut SmallRng) -> Fault {
    if ask.at >= STORM {
        return Fault::default();
    }
    let mut takes = || random.random_range(Duration::ZERO..2 * SECOND);
    let (request_takes, answer_takes) = (takes(), takes());
    let slow = Fault { request_takes, answer_takes, ..Fault::default() };
    match random.random_range(0..20) {
        0 => Fault { refused: Some(unavailable()), ..slow },
        1 => Fault { answered_with: Some(unavailable()), ..slow },
        2 => Fault { answer_takes: 25 * SECOND, ..slow },
        3 if !ask.entries.is_empty() => {
            let position = random.random_range(0..ask.entries.len());
            Fault { entries: [(position, unavailable())].into(), ..slow }
        }
        _ => slow,
    }
}
