//! Several workers' real schedulers against the pure model of the queue, on a virtual clock.
//!
//! A seed decides everything: arrivals, handler times, failures, latencies, lost requests and
//! answers, crashes, scale-in. After the run nothing may be lost, effects of a group must be in
//! order, and nobody may have been dead-lettered without an attempt of its own. A violation prints
//! its seed; `SIMULATION_SEED=<seed>` repeats it alone, with a trace; `SIMULATION_SEEDS=<n>` runs more.

mod model_queue;
mod worker;

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::{cmp::Reverse, time::Duration};

use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};
use sqs_consumer::{
    Time,
    scheduler::{Config, PollId, Ticket, Timing},
};

use self::{
    model_queue::{Asked, ModelQueue, Told},
    worker::Worker,
};

const SEEDS: u64 = 200;
const MESSAGES: u64 = 60;

#[test]
fn a_fifo_queue_stays_in_order_and_loses_nothing_whatever_happens() {
    run_seeds(true);
}

#[test]
fn a_standard_queue_loses_nothing_whatever_happens() {
    run_seeds(false);
}

fn run_seeds(fifo: bool) {
    let repeated = switch("SIMULATION_SEED");
    let count = switch("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let seeds = repeated.map_or(0..count, |seed| seed..seed + 1);
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| {
            Simulation::new(seed, fifo, repeated.is_some()).run();
        });
        assert!(outcome.is_ok(), "violated by seed {seed} (fifo: {fifo})");
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own switch, not a setting")]
fn switch(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// What happens at a time.
enum Event {
    Send {
        group: u32,
        number: u32,
    },
    /// A call reaches the queue.
    Request {
        worker: usize,
        asked: Asked,
        answered: bool,
    },
    /// An answer reaches its worker.
    Answer {
        worker: usize,
        told: Told,
    },
    HandlerEnds {
        worker: usize,
        ticket: Ticket,
    },
    Wakeup {
        worker: usize,
    },
    /// The queue has something that a waiting long poll may take, or a poll's time is up.
    Queue,
    Crash {
        worker: usize,
    },
    ScaleIn {
        worker: usize,
    },
}

struct Scheduled {
    at: Time,
    order: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// What the run must not exceed and what the messages do.
struct Plan {
    /// Chance of a request or of its answer to be lost.
    lost: f64,
    latency_ms: u64,
    handler_ms: u64,
    fails: f64,
    /// Bodies that always fail.
    poison: BTreeSet<String>,
    config: Config,
}

struct Simulation {
    now: Time,
    order: u64,
    events: BinaryHeap<Reverse<Scheduled>>,
    random: SmallRng,
    plan: Plan,
    queue: ModelQueue,
    workers: Vec<Worker>,
    /// Bodies in order of effect; only the first one counts.
    effects: Vec<String>,
    seen: BTreeSet<String>,
    attempts: BTreeMap<String, u32>,
    /// Groups with a running handler, and whose.
    running: BTreeMap<String, usize>,
    sent: u64,
    wakeups: u64,
    trace: bool,
}

impl Simulation {
    fn new(seed: u64, fifo: bool, trace: bool) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let lost = if random.random_bool(0.5) { 0.0 } else { random.random_range(0.0..0.1) };
        let plan = Plan {
            lost,
            latency_ms: random.random_range(1..200),
            handler_ms: random.random_range(1..3_000),
            fails: if random.random_bool(0.5) { 0.0 } else { random.random_range(0.0..0.3) },
            poison: BTreeSet::new(),
            config: Config {
                fifo,
                visibility: Duration::from_secs(random.random_range(5..31)),
                concurrency: random.random_range(1..8),
                group_concurrency: usize::MAX,
                max_attempts: 3,
                max_receive_count: Some(1_000),
                dead_letter_queue: true,
                wait: Duration::from_secs(random.random_range(0..21)),
                retry_backoff: Duration::from_secs(1),
                retry_backoff_max: Duration::from_secs(8),
                drain_timeout: Duration::from_secs(25),
                seed: random.random(),
                timing: Timing::default(),
            },
        };
        let workers = random.random_range(1..4);
        let mut simulation = Self {
            now: Time::ZERO,
            order: 0,
            events: BinaryHeap::new(),
            queue: ModelQueue::new(fifo, seed),
            workers: Vec::new(),
            plan,
            random,
            effects: Vec::new(),
            seen: BTreeSet::new(),
            attempts: BTreeMap::new(),
            running: BTreeMap::new(),
            sent: 0,
            wakeups: 0,
            trace,
        };
        simulation.arrivals();
        for _ in 0..workers {
            simulation.add_worker();
        }
        simulation.troubles(workers);
        simulation
    }

    fn arrivals(&mut self) {
        let groups = self.random.random_range(1..12);
        let within = self.random.random_range(1..60_000);
        let mut next = BTreeMap::<u32, u32>::new();
        for i in 0..MESSAGES {
            // Skewed towards the first groups.
            let group =
                self.random.random_range(0..groups).min(self.random.random_range(0..groups));
            let number = next.entry(group).or_default();
            *number += 1;
            let number = *number;
            if self.random.random_bool(0.05) {
                self.plan.poison.insert(format!("{group}/{number}"));
            }
            let at = Duration::from_millis(within * i / MESSAGES);
            self.at(at, Event::Send { group, number });
        }
    }

    /// Up to two workers crash or are scaled in; another takes their place.
    fn troubles(&mut self, workers: usize) {
        for _ in 0..self.random.random_range(0..3) {
            let worker = self.random.random_range(0..workers);
            let at = Duration::from_millis(self.random.random_range(0..60_000));
            let event = if self.random.random_bool(0.5) {
                Event::Crash { worker }
            } else {
                Event::ScaleIn { worker }
            };
            self.at(at, event);
        }
    }

    fn add_worker(&mut self) {
        let mut config = self.plan.config.clone();
        config.seed = self.random.next_u64();
        let worker = Worker::new(config, self.now);
        self.workers.push(worker);
        self.step(self.workers.len() - 1);
    }

    fn run(mut self) {
        let limit = Time::new(Duration::from_hours(4));
        while let Some(Reverse(next)) = self.events.pop() {
            assert!(next.at <= limit, "no quiescence: {:?}", self.queue.left());
            self.now = next.at;
            self.happens(next.event);
            if self.sent == MESSAGES && self.queue.is_empty() && self.all_idle() {
                break;
            }
        }
        self.check();
    }

    fn all_idle(&self) -> bool {
        self.workers.iter().all(|worker| worker.stats().held == 0)
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Send { group, number } => {
                self.queue.send(self.now, &group.to_string(), &format!("{group}/{number}"));
                self.sent += 1;
                self.serve_polls();
            }
            Event::Request { worker, asked, answered } => {
                self.say(|| format!("queue <- worker {worker}: {asked:?}"));
                if let Some(told) = self.queue.ask(self.now, worker, asked) {
                    self.answer(worker, told, answered);
                }
                self.serve_polls();
            }
            Event::Answer { worker, told } => {
                if self.workers[worker].is_alive() {
                    self.say(|| format!("worker {worker} <- {told:?}"));
                    self.workers[worker].told(self.now, told);
                    self.step(worker);
                }
            }
            Event::HandlerEnds { worker, ticket } => self.handler_ends(worker, ticket),
            Event::Wakeup { worker } => {
                if self.workers[worker].is_alive() {
                    self.wakeups += 1;
                    assert!(self.wakeups < 500_000, "a hot loop");
                    self.step(worker);
                }
            }
            Event::Queue => self.serve_polls(),
            Event::Crash { worker } => {
                if self.workers[worker].is_alive() {
                    self.say(|| format!("worker {worker} crashes"));
                    self.workers[worker].die();
                    self.queue.gone(worker);
                    self.running.retain(|_, running| *running != worker);
                    self.add_worker();
                }
            }
            Event::ScaleIn { worker } => {
                if self.workers[worker].is_alive() {
                    self.say(|| format!("worker {worker} drains"));
                    self.workers[worker].drain(self.now);
                    self.step(worker);
                    self.add_worker();
                }
            }
        }
    }

    fn handler_ends(&mut self, worker: usize, ticket: Ticket) {
        let Some(body) = self.workers[worker].running_body(ticket) else {
            return;
        };
        let group = body.split('/').next().unwrap().to_owned();
        self.running.remove(&group);
        let failed = self.plan.poison.contains(&body) || self.random.random_bool(self.plan.fails);
        self.say(|| format!("worker {worker}: {body} {}", if failed { "fails" } else { "done" }));
        if !failed && self.seen.insert(body.clone()) {
            self.effects.push(body);
        }
        self.workers[worker].finished(self.now, ticket, failed);
        self.step(worker);
    }

    /// Lets a worker's scheduler act, and sends what it asks for.
    fn step(&mut self, worker: usize) {
        let acts = self.workers[worker].advance(self.now);
        for body in acts.cancelled {
            self.running.remove(body.split('/').next().unwrap());
        }
        for (ticket, body) in acts.started {
            self.say(|| format!("worker {worker}: {body} starts"));
            *self.attempts.entry(body.clone()).or_default() += 1;
            let group = body.split('/').next().unwrap().to_owned();
            if self.plan.config.fifo {
                let other = self.running.insert(group, worker);
                assert_eq!(other, None, "two handlers of one group run: {body}");
            }
            let time = self.random.random_range(0..=self.plan.handler_ms * 2);
            self.after(Duration::from_millis(time), Event::HandlerEnds { worker, ticket });
        }
        for asked in acts.calls {
            let lost = self.random.random_bool(self.plan.lost);
            let answered = !self.random.random_bool(self.plan.lost);
            let latency = self.latency();
            if lost {
                // The caller notices by its own timeout.
                let told = asked.failure();
                self.after(Duration::from_secs(4), Event::Answer { worker, told });
            } else {
                self.after(latency, Event::Request { worker, asked, answered });
            }
        }
        if let Some(at) = self.workers[worker].next_wakeup(self.now) {
            assert!(at > self.now, "a wakeup that is not in the future would spin");
            self.schedule(at, Event::Wakeup { worker });
        }
    }

    fn answer(&mut self, worker: usize, told: Told, answered: bool) {
        if answered {
            let latency = self.latency();
            self.after(latency, Event::Answer { worker, told });
        } else {
            let told = told.failure();
            self.after(Duration::from_secs(4), Event::Answer { worker, told });
        }
    }

    /// Long polls that can be answered now are; the queue's next change is an event.
    fn serve_polls(&mut self) {
        for (worker, told) in self.queue.serve_polls(self.now) {
            let answered = !self.random.random_bool(self.plan.lost);
            self.answer(worker, told, answered);
        }
        if let Some(at) = self.queue.next_change(self.now) {
            self.schedule(at, Event::Queue);
        }
    }

    fn check(&self) {
        let dead = self.queue.dead_bodies();
        for (body, attempts) in dead.iter().map(|body| (body, self.attempts.get(body))) {
            assert!(attempts.is_some(), "{body} was dead-lettered without an attempt");
        }
        let mut last = BTreeMap::<&str, u32>::new();
        for body in &self.effects {
            let (group, number) = body.split_once('/').unwrap();
            let number: u32 = number.parse().unwrap();
            if self.plan.config.fifo {
                let before = last.insert(group, number);
                assert!(before < Some(number), "{body} took effect after {before:?}");
            }
        }
        for body in self.queue.all_sent() {
            let ended = self.seen.contains(body) || dead.contains(body);
            assert!(ended, "{body} is lost");
            let poison = self.plan.poison.contains(body);
            assert!(!poison || dead.contains(body), "{body} always fails and is not dead");
        }
        for (index, worker) in self.workers.iter().enumerate() {
            worker.check(index);
        }
    }

    fn latency(&mut self) -> Duration {
        Duration::from_millis(self.random.random_range(1..=self.plan.latency_ms))
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.schedule(self.now + delay, event);
    }

    fn at(&mut self, since_start: Duration, event: Event) {
        self.schedule(Time::new(since_start), event);
    }

    fn schedule(&mut self, at: Time, event: Event) {
        self.order += 1;
        let order = self.order;
        self.events.push(Reverse(Scheduled { at, order, event }));
    }

    #[expect(clippy::print_stderr, reason = "the trace of one seed, on request")]
    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{} {}", self.now, what());
        }
    }
}

/// Named in requests so that an answer finds its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PollKey(usize, PollId);
