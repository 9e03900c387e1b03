//! The pure scheduler's cost per message, while it holds few others or very many.
//!
//! `cargo bench -p sqs-consumer`. No event's cost may grow with what is held: the figures of a group
//! are to be compared with each other.

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sqs_consumer::{
    MAX_BATCH, Time,
    scheduler::{Action, Answer, Arrival, Config, Ended, PollId, Scheduler, Ticket, Timing},
};

const SIZES: [usize; 3] = [1, 1_000, 100_000];
const VISIBILITY: Duration = Duration::from_hours(1);

/// A scheduler, its clock, and what answers it: everything at once and well.
#[derive(Clone)]
struct Bench {
    scheduler: Scheduler,
    now: Time,
    next: u64,
    settled: usize,
}

impl Bench {
    fn new(fifo: bool, concurrency: usize) -> Self {
        let config = Config {
            fifo,
            visibility: VISIBILITY,
            concurrency,
            group_concurrency: concurrency,
            max_attempts: 3,
            max_receive_count: Some(3),
            dead_letter_queue: true,
            wait: Duration::from_secs(20),
            retry_backoff: Duration::from_secs(1),
            retry_backoff_max: Duration::from_mins(1),
            drain_timeout: Duration::from_secs(25),
            seed: 1,
            timing: Timing::default(),
        };
        let now = Time::ZERO;
        Self { scheduler: Scheduler::new(config, now), now, next: 0, settled: 0 }
    }

    /// Receives messages, each of a group of its own, or all of one.
    fn receive(&mut self, count: usize, one_group: bool) {
        let arrivals = (0..count)
            .map(|_| {
                let number = self.next;
                self.next += 1;
                let group = if one_group { "one".into() } else { number.to_string().into() };
                Arrival {
                    ticket: Ticket(number),
                    message_id: number.to_string().as_str().into(),
                    group: Some(group),
                    receive_count: 1,
                    bytes: 500,
                }
            })
            .collect();
        self.scheduler.received(self.now, PollId(u64::MAX), self.now, arrivals);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Lets the scheduler act. Of the handlers that start, those of messages from `done` on end at
    /// once.
    fn step(&mut self, done: u64) {
        loop {
            let actions = self.scheduler.advance(self.now);
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.act(action, done);
            }
        }
    }

    fn act(&mut self, action: Action, done: u64) {
        let now = self.now;
        match action {
            Action::Start { ticket, .. } if ticket.0 >= done => {
                self.scheduler.finished(now, ticket, Ended::Done);
            }
            Action::Delete { tickets } => {
                let answers: Vec<_> = tickets.into_iter().map(|t| (t, Answer::Ok)).collect();
                self.scheduler.deleted(now, &answers);
            }
            Action::Return { entries } => {
                let answers: Vec<_> = entries.into_iter().map(|(t, _)| (t, Answer::Ok)).collect();
                self.scheduler.returned(now, &answers);
            }
            Action::Extend { entries } => {
                let answers: Vec<_> =
                    entries.into_iter().map(|(t, length)| (t, length, Answer::Ok)).collect();
                self.scheduler.extended(now, now, &answers);
            }
            Action::Receive { poll, .. } => self.scheduler.receive_failed(now, poll),
            Action::Forget { .. } => self.settled += 1,
            _ => {}
        }
    }

    /// Ten messages from their receive to their delete.
    fn cycle(&mut self) {
        let before = self.settled;
        let first = self.next;
        self.receive(MAX_BATCH, false);
        self.step(first);
        self.pass(Duration::from_millis(200));
        self.step(first);
        assert_eq!(self.settled - before, MAX_BATCH, "all are settled");
    }
}

/// A message's whole way while others are held: running, or waiting behind the head of their lane.
fn cycles(criterion: &mut Criterion) {
    for (name, fifo, one_group) in [
        ("fifo_cycle_beside_running_groups", true, false),
        ("fifo_cycle_beside_a_long_lane", true, true),
        ("standard_cycle_beside_running_messages", false, false),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(MAX_BATCH as u64));
        for size in SIZES {
            let mut bench = Bench::new(fifo, 200_000);
            bench.receive(size, one_group);
            bench.step(u64::MAX);
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| black_box(&mut bench).cycle());
            });
        }
        group.finish();
    }
}

/// Every lease extended once, per message.
fn heartbeats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("heartbeats");
    for size in SIZES {
        let mut bench = Bench::new(true, 200_000);
        bench.receive(size, false);
        bench.step(u64::MAX);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                bench.pass(VISIBILITY.mul_f64(0.7));
                bench.step(u64::MAX);
            });
        });
        assert_eq!(bench.scheduler.stats().held, size, "no lease was lost");
    }
    group.finish();
}

/// A drain that gives everything back, per message.
fn drains(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("drain");
    for size in SIZES {
        // One handler runs, the other messages wait, each in its lane.
        let mut bench = Bench::new(true, 1);
        bench.receive(size, false);
        bench.step(u64::MAX);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter_batched(
                || bench.clone(),
                |mut bench| {
                    bench.scheduler.drain(bench.now);
                    bench.pass(Duration::from_secs(25));
                    bench.step(u64::MAX);
                    assert!(bench.scheduler.is_drained(), "nothing is left");
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, cycles, heartbeats, drains);
criterion_main!(benches);
