//! Breaks workers at random, from a seed, and replaces them.

#![expect(clippy::disallowed_types, reason = "acts on other processes, in real time")]

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    fleet::{Fleet, State, VISIBILITY},
    queues,
};

/// How the monkey behaves.
struct Habits {
    /// Between two deeds, on average.
    interval: Duration,
    /// Workers that run side by side, paused ones not counted.
    workers: RangeInclusive<usize>,
    /// How much longer than the visibility timeout a pause is.
    pause_beyond: RangeInclusive<f64>,
    /// A worker is left alone until it has had time to be up.
    infancy: Duration,
    /// Between two stops of the whole fleet; the first comes after a third of it.
    whole_fleet: Duration,
}

const HABITS: Habits = Habits {
    interval: Duration::from_secs(4),
    workers: 2..=5,
    pause_beyond: 1.0..=3.0,
    infancy: Duration::from_secs(2),
    whole_fleet: Duration::from_secs(90),
};

/// Where the monkey is on the way to stopping all workers at once.
enum Phase {
    Mischief,
    /// Waits until no lease is left of workers that were killed or paused.
    Calm,
    /// All workers have been told to stop.
    Stopping,
}

pub(super) struct Monkey {
    random: StdRng,
    target: usize,
    next: Instant,
    whole_fleet: Instant,
    /// When a worker last lost leases.
    last_harm: Instant,
    phase: Phase,
}

impl Monkey {
    pub(super) fn new(seed: u64) -> Self {
        let now = Instant::now();
        Self {
            random: StdRng::seed_from_u64(seed),
            target: 3,
            next: now + HABITS.interval,
            whole_fleet: now + HABITS.whole_fleet / 3,
            last_harm: now,
            phase: Phase::Mischief,
        }
    }

    /// Does what is due; to be called often.
    pub(super) async fn act(&mut self, fleet: &mut Fleet) -> anyhow::Result<()> {
        fleet.look()?;
        if fleet.workers.iter().any(|worker| matches!(worker.state, State::Paused { .. })) {
            self.last_harm = Instant::now();
        }
        match self.phase {
            Phase::Mischief => {
                self.keep_target(fleet)?;
                let now = Instant::now();
                if now >= self.whole_fleet {
                    self.phase = Phase::Calm;
                } else if now >= self.next {
                    let waits = -(1.0 - self.random.random::<f64>()).ln();
                    self.next = now + HABITS.interval.mul_f64(waits);
                    self.deed(fleet)?;
                }
            }
            Phase::Calm => {
                self.keep_target(fleet)?;
                let margin = Duration::from_secs(2);
                let settled = fleet.workers.len() == fleet.running();
                if settled && self.last_harm.elapsed() > VISIBILITY + margin {
                    stop_all(fleet)?;
                    fleet.tally.whole_fleet_stops += 1;
                    self.phase = Phase::Stopping;
                }
            }
            Phase::Stopping if fleet.workers.is_empty() => {
                let counts = queues::counts(&fleet.addresses).await?;
                let left = counts.in_flight();
                if left > 0 {
                    fleet.tally.stranded += left;
                    let text = format!("{left} messages in flight after every worker had stopped");
                    fleet.tally.faults.push(text);
                }
                let now = Instant::now();
                self.whole_fleet = now + HABITS.whole_fleet;
                self.next = now + HABITS.interval;
                self.phase = Phase::Mischief;
            }
            Phase::Stopping => {}
        }
        Ok(())
    }

    /// Ends the mischief: nothing is paused, and there are workers to do the rest.
    pub(super) fn leave(&mut self, fleet: &mut Fleet) -> anyhow::Result<()> {
        self.target = 3;
        fleet.look()?;
        self.keep_target(fleet)
    }

    fn keep_target(&mut self, fleet: &mut Fleet) -> anyhow::Result<()> {
        while fleet.running() < self.target {
            fleet.start_worker()?;
        }
        // Paused workers that go on, or a target that has become lower.
        if fleet.running() > self.target
            && let Some(n) = self.victim(fleet)
        {
            fleet.stop(n)?;
        }
        Ok(())
    }

    fn deed(&mut self, fleet: &mut Fleet) -> anyhow::Result<()> {
        let kind = self.random.random_range(0..12);
        let beyond = self.random.random_range(HABITS.pause_beyond);
        let target = self.random.random_range(HABITS.workers);
        if kind == 11 {
            let n = self.random.random_range(0..fleet.apis());
            return fleet.kill_api(n);
        }
        if kind >= 9 {
            fleet.tally.scalings += u64::from(target != self.target);
            self.target = target;
            return Ok(());
        }
        let Some(n) = self.victim(fleet) else { return Ok(()) };
        match kind {
            0..4 => {
                self.last_harm = Instant::now();
                fleet.kill(n)
            }
            4..6 => fleet.stop(n),
            _ => fleet.pause(n, VISIBILITY + Duration::from_secs_f64(beyond)),
        }
    }

    /// A running worker that is up.
    fn victim(&mut self, fleet: &Fleet) -> Option<usize> {
        let grown = |n: &usize| {
            let worker = &fleet.workers[*n];
            matches!(worker.state, State::Running) && worker.started.elapsed() > HABITS.infancy
        };
        let grown: Vec<usize> = (0..fleet.workers.len()).filter(grown).collect();
        let most = grown.len().checked_sub(1)?;
        Some(grown[self.random.random_range(0..=most)])
    }
}

/// Tells every running worker to stop.
pub(super) fn stop_all(fleet: &mut Fleet) -> anyhow::Result<()> {
    for n in 0..fleet.workers.len() {
        if matches!(fleet.workers[n].state, State::Running) {
            fleet.stop(n)?;
        }
    }
    Ok(())
}
