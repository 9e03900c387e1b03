//! What a run consists of, drawn from its seed. Times are milliseconds of the virtual clock.

mod draw;

use sqs_consumer::scheduler::{Broken, Config};

/// Everything that is decided before a run begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(super) seed: u64,
    pub(super) fifo: bool,
    pub(super) broken: Option<Broken>,
    pub(super) messages: Vec<Planned>,
    pub(super) workers: usize,
    pub(super) config: Config,
    pub(super) network: Network,
    pub(super) handlers: Handlers,
    pub(super) windows: Vec<Window>,
    pub(super) troubles: Vec<Trouble>,
    /// `maxReceiveCount` of the queue's own redrive policy.
    pub(super) redrive: Option<u32>,
    /// Messages that can be in flight at once; AWS's own limit if none.
    pub(super) in_flight_limit: Option<usize>,
}

/// After so long without failures, in milliseconds, nothing reminds of them.
pub(super) const CALM: u64 = 60_000;

/// A message to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    /// Tells its decisions from those about others.
    pub(super) key: u64,
    pub(super) at: u64,
    pub(super) group: Option<u32>,
    pub(super) nature: Nature,
    /// So many first attempts fail by something that could be everybody's.
    pub(super) shared_failures: u32,
    /// Sent when all has been well for [`CALM`].
    pub(super) in_calm: bool,
}

/// How a message's attempts end where nothing is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// So many first attempts fail, then one succeeds.
    FailsFirst(u32),
    /// Every attempt fails, as if by a panic or a timeout, until somebody mends it.
    Poison,
    /// The first attempt says that it will never succeed.
    Unparseable,
}

/// The way of each call to the queue and back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    /// The longest usual way, one direction.
    pub(super) latency: u64,
    /// A request, or its answer, gets lost.
    pub(super) lost: f64,
    /// An answer takes up to twice the visibility timeout.
    pub(super) late_answer: f64,
    /// A request takes up to twice the visibility timeout.
    pub(super) late_request: f64,
    /// A request arrives a second time, late: the first one of a caller that tried again.
    pub(super) repeated: f64,
    /// An entry of a batch fails.
    pub(super) partial: f64,
    /// One, or a copy to the dead-letter queue, is refused: not done, and not to be tried again.
    pub(super) refused: f64,
    /// After so long the caller takes a call for failed.
    pub(super) timeout: u64,
    /// The same for a receive, beyond its wait.
    pub(super) receive_margin: u64,
}

impl Network {
    pub(super) fn is_calm(&self) -> bool {
        [self.lost, self.late_answer, self.late_request, self.repeated]
            .iter()
            .chain(&[self.partial, self.refused])
            .all(|chance| *chance == 0.0)
    }
}

/// How long handlers take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handlers {
    pub(super) time: HandlerTime,
    /// Some take this long instead.
    pub(super) outlier: u64,
    pub(super) outliers: f64,
    /// A retry names a lower bound of its backoff.
    pub(super) not_before: f64,
    /// An attempt cannot begin yet.
    pub(super) not_yet: f64,
    /// One that is told to stop has not stopped when its message is to go back.
    pub(super) stubborn: f64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum HandlerTime {
    Constant(u64),
    Uniform(u64),
    /// The median; the sigma of the logarithm is 1.
    LogNormal(u64),
}

/// A time in which something is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: u64,
    pub(super) until: u64,
    pub(super) what: Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Down {
    /// What messages are handed to: attempts end as shared failures.
    Carrier,
    /// What every message needs: attempts end as unavailable.
    Store,
    /// Receives are refused (throttled, or without permission).
    Receives,
    /// All calls about messages are.
    Settling,
    /// Those of one kind are: each needs another permission.
    Deletes,
    Changes,
    Copies,
    /// All are refused for good.
    Refused,
}

/// Something that happens to a worker or to the fleet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    pub(super) at: u64,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// Dies as by SIGKILL; another one takes its place after a while. Its connections may live on
    /// for a time, and what they receive reaches nobody.
    Crash { worker: usize, replaced_after: u64, polls_live_on: u64 },
    /// Stops as by SIGSTOP and goes on later.
    Pause { worker: usize, length: u64, resume: Resume },
    /// Is told to drain.
    ScaleIn { worker: usize },
    /// One more worker.
    ScaleOut,
    /// All are told to drain, and a new one comes.
    StopAll,
    /// A deployment: a new worker, then the old one drains.
    Replace { worker: usize },
    /// The dead letters go back to the queue; mended, or just as they are.
    Redrive { mended: bool },
}

/// In which order a worker that goes on looks at what has happened meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    TimersFirst,
    FactsFirst,
    InTurn,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn draw(seed: u64, fifo: bool, broken: Option<Broken>) -> Self {
        draw::plan(seed, fifo, broken)
    }

    /// Nothing happens that could cost a message more than one receive, on a FIFO queue.
    pub(super) fn is_calm(&self) -> bool {
        let throttled = self.windows.iter().any(|w| !matches!(w.what, Down::Carrier | Down::Store));
        self.troubles.is_empty()
            && !throttled
            && self.network.is_calm()
            && self.handlers.stubborn == 0.0
            && self.config.dead_letter_queue
            && self.in_flight_limit.is_none()
            // A receive that waits for two thirds of the timeout, and an extension.
            && self.network.latency * 12 < self.visibility()
            && self.handlers.outlier < 11 * 3_600_000
    }

    /// Whether `what` is down at `now`, and which of the windows says so.
    pub(super) fn down(&self, what: Down, now: u64) -> Option<usize> {
        self.windows.iter().position(|w| w.what == what && (w.from..w.until).contains(&now))
    }

    pub(super) fn visibility(&self) -> u64 {
        self.config.visibility.as_millis() as u64
    }

    /// When everything that goes wrong has gone wrong, and everything is sent but what
    /// is to be sent in calm.
    pub(super) fn calm_from(&self) -> u64 {
        let troubles = self.troubles.iter().map(|trouble| {
            trouble.at
                + match trouble.what {
                    What::Crash { replaced_after, polls_live_on, .. } => {
                        replaced_after.max(polls_live_on)
                    }
                    What::Pause { length, .. } => length,
                    _ => 0,
                }
        });
        let windows = self.windows.iter().map(|window| window.until);
        let before = self.messages.iter().filter(|message| !message.in_calm);
        let sends = before.map(|message| message.at);
        troubles.chain(windows).chain(sends).max().unwrap_or(0) + 10_000
    }

    /// Handlers that take half a day are rare enough for all to end before SQS forgets what is old.
    pub(super) const OUTLIERS_UNTIL: u64 = 5 * 24 * 3_600_000;

    /// More than any run can need. Handlers that take half a day are waited for.
    pub(super) fn most_steps(&self) -> u64 {
        let half_days = self.handlers.outlier >= 11 * 3_600_000;
        if half_days { 20_000_000 } else { 400_000 }
    }

    /// Longer than the rest can take once it is calm.
    pub(super) fn longest_rest(&self) -> u64 {
        let typical = match self.handlers.time {
            HandlerTime::Constant(time) => time,
            HandlerTime::Uniform(time) => 2 * time,
            HandlerTime::LogNormal(time) => 20 * time,
        };
        let attempts = 12 * self.messages.len() as u64;
        // Perhaps all of one group.
        let expected = (attempts as f64 * self.handlers.outliers).ceil() as u64;
        let outliers = if expected > 0 { (20 + expected) * self.handlers.outlier } else { 0 };
        3_600_000 + attempts * (typical + 1_000) + outliers + 20 * self.visibility()
    }
}
