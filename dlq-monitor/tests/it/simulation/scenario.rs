//! What a run consists of, drawn from its seed. Times are milliseconds of the virtual clock.

use std::collections::BTreeSet;

use dlq_monitor::jobs::plan::{Broken, Terms};
use order_store::JobKind;
use rand::{RngExt, SeedableRng, rngs::StdRng};

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) fifo: bool,
    pub(crate) broken: Option<Broken>,
    /// The group of each dead message, in the order in which they died.
    pub(super) dead: Vec<u32>,
    pub(super) jobs: Vec<Asked>,
    pub(super) network: Network,
    pub(super) troubles: Vec<(u64, Trouble)>,
    /// Messages whose source queue does not take them.
    pub(super) refused: BTreeSet<usize>,
    /// Messages that die again when they are redriven.
    pub(super) die_again: BTreeSet<usize>,
    /// Kill the process at the action of this number, and whether that action arrives.
    pub(crate) kill_at: Option<(u64, bool)>,
}

/// Nothing goes wrong from then on.
pub(super) const CALM_FROM: u64 = 300_000;

/// A job that somebody asks for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) at: u64,
    pub(super) terms: Terms,
    /// Of those that are dead then, the ones that are meant.
    pub(super) meant: BTreeSet<usize>,
    pub(super) cancelled_at: Option<u64>,
}

/// How calls fare before all is calm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    pub(super) latency: u64,
    /// A request or its answer gets lost.
    pub(super) lost: f64,
    /// A request or its answer takes up to this long instead.
    pub(super) late: f64,
    pub(super) latest: u64,
    /// An entry of a batch fails.
    pub(super) partial: f64,
    /// A call to the store fails, before or after it had its effect.
    pub(super) store: f64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// A process is killed; another begins after so long.
    Kill { after: u64 },
    /// A process stands still for so long.
    Pause { long: u64 },
    /// A process is told to stop; another begins after so long.
    Stop { after: u64 },
    /// Another process beside those that run.
    Join,
    /// SQS fails for so long.
    SqsDown { long: u64 },
    /// The store fails for so long.
    StoreDown { long: u64 },
    /// Somebody receives messages from the dead-letter queue, and keeps them for so long.
    Peek { messages: usize, long: u64 },
    /// A monitor looks at the dead-letter queue.
    Scan,
    /// A message dies.
    Death { group: u32 },
    /// A newer message of the group is delivered, or on its way.
    Overtaken { group: u32 },
}

impl Scenario {
    pub(crate) fn draw(seed: u64, fifo: bool, broken: Option<Broken>) -> Self {
        let mut random = StdRng::seed_from_u64(seed.wrapping_mul(2) + u64::from(fifo));
        let groups = random.random_range(1..=4);
        let count = random.random_range(1..=24);
        let mut in_group = vec![0; groups as usize];
        let mut dead = Vec::new();
        for _ in 0..count {
            let group: u32 = random.random_range(0..groups);
            // No more of a group are visible at once.
            if in_group[group as usize] < 9 {
                in_group[group as usize] += 1;
                dead.push(group);
            }
        }
        let calm = random.random_bool(0.2);
        let rate = |random: &mut StdRng, most: f64| {
            if calm || random.random_bool(0.4) { 0.0 } else { random.random_range(0.0..most) }
        };
        let network = Network {
            latency: random.random_range(1..=40),
            lost: rate(&mut random, 0.2),
            late: rate(&mut random, 0.1),
            latest: random.random_range(1_000..=90_000),
            partial: rate(&mut random, 0.3),
            store: rate(&mut random, 0.2),
        };
        let jobs = (0..random.random_range(1..=3)).map(|_| asked(&mut random, fifo, dead.len()));
        let jobs = jobs.collect();
        let some = |random: &mut StdRng, part: f64| {
            (0..dead.len()).filter(|_| random.random_bool(part)).collect::<BTreeSet<_>>()
        };
        let (refused, die_again) = (some(&mut random, 0.05), some(&mut random, 0.1));
        let mut troubles = Vec::new();
        if !calm {
            for _ in 0..random.random_range(0..=6) {
                troubles.push((random.random_range(0..200_000), trouble(&mut random, groups)));
            }
        }
        for _ in 0..random.random_range(0..=2) {
            let trouble = match random.random_range(0..4) {
                3 => Trouble::Scan,
                0 => Trouble::Peek { messages: random.random_range(1..=10), long: 30_000 },
                1 => Trouble::Death { group: random.random_range(0..groups) },
                _ => Trouble::Overtaken { group: random.random_range(0..groups) },
            };
            troubles.push((random.random_range(0..2_000), trouble));
        }
        Self {
            seed,
            fifo,
            broken,
            dead,
            jobs,
            network,
            troubles,
            refused,
            die_again,
            kill_at: None,
        }
    }

    /// Nothing goes wrong by itself: messages go back, and to the archive.
    pub(crate) fn plain(fifo: bool, kind: JobKind) -> Self {
        let terms = Terms { kind, fifo, may_reorder: false, per_second: None, canary: None };
        let dead = (0..12).map(|number| number % 3).collect();
        let meant = (0..12).collect();
        Self {
            seed: 0,
            fifo,
            broken: None,
            dead,
            jobs: vec![Asked { at: 0, terms, meant, cancelled_at: None }],
            network: Network {
                latency: 10,
                lost: 0.0,
                late: 0.0,
                latest: 1,
                partial: 0.0,
                store: 0.0,
            },
            troubles: Vec::new(),
            refused: BTreeSet::new(),
            die_again: BTreeSet::new(),
            kill_at: None,
        }
    }

    /// Whether only what others do to the queue may surprise.
    pub(super) fn is_calm(&self) -> bool {
        let Network { lost, late, partial, store, .. } = self.network;
        let others = |trouble: &Trouble| {
            matches!(
                trouble,
                Trouble::Peek { .. }
                    | Trouble::Scan
                    | Trouble::Death { .. }
                    | Trouble::Overtaken { .. }
            )
        };
        [lost, late, partial, store].iter().all(|chance| *chance == 0.0)
            && self.troubles.iter().all(|(_, trouble)| others(trouble))
            && self.kill_at.is_none()
    }
}

fn asked(random: &mut StdRng, fifo: bool, dead: usize) -> Asked {
    let kind = if random.random_bool(0.7) { JobKind::Redrive } else { JobKind::Discard };
    let part = if random.random_bool(0.5) { 1.0 } else { random.random_range(0.1..0.9) };
    let meant = (0..dead).filter(|_| random.random_bool(part)).collect();
    let canary = kind == JobKind::Redrive && random.random_bool(0.25);
    Asked {
        at: random.random_range(0..20_000),
        terms: Terms {
            kind,
            fifo,
            may_reorder: random.random_bool(0.2),
            per_second: random.random_bool(0.3).then(|| random.random_range(1..=20)),
            canary: canary.then(|| random.random_range(1..=5)),
        },
        meant,
        cancelled_at: random.random_bool(0.15).then(|| random.random_range(0..40_000)),
    }
}

fn trouble(random: &mut StdRng, groups: u32) -> Trouble {
    let long = random.random_range(1_000..=90_000);
    match random.random_range(0..10) {
        8 | 9 => Trouble::Scan,
        0 | 1 => Trouble::Kill { after: long },
        2 => Trouble::Pause { long },
        3 => Trouble::Stop { after: long },
        4 => Trouble::Join,
        5 => Trouble::SqsDown { long },
        6 => Trouble::StoreDown { long },
        _ => Trouble::Death { group: random.random_range(0..groups) },
    }
}
