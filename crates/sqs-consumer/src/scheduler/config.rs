//! What the scheduler is told at the start.

use std::time::Duration;

/// The scheduler's settings, fixed for its life.
#[derive(Clone, Debug)]
pub struct Config {
    /// FIFO: messages of a group run one after another, in order.
    pub fifo: bool,
    /// The visibility timeout that receives and extensions ask for; whole seconds, at least 1.
    pub visibility: Duration,
    /// Handlers at once.
    pub concurrency: usize,
    /// Handlers at once for one message group of a standard queue; a FIFO group has one.
    pub group_concurrency: usize,
    /// The attempt in which a failure is final.
    pub max_attempts: u32,
    /// `maxReceiveCount` of the queue's own redrive policy.
    pub max_receive_count: Option<u32>,
    /// Whether the worker can send to a dead-letter queue itself.
    pub dead_letter_queue: bool,
    /// The longest wait of a long poll, at most 20 s.
    pub wait: Duration,
    /// Backoff after the first failed attempt; doubles with each further one.
    pub retry_backoff: Duration,
    /// The longest backoff between attempts.
    pub retry_backoff_max: Duration,
    /// How long handlers may go on once a drain has begun.
    pub drain_timeout: Duration,
    /// Seeds the jitter of backoffs.
    pub seed: u64,
    /// Constants that need no setting.
    pub timing: Timing,
}

/// The scheduler's constants.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Messages are received ahead only as far as they can start within this time.
    pub prefetch_horizon: Duration,
    /// How long a finished message may wait for nine others to share its delete call.
    pub acknowledge_linger: Duration,
    /// The same on FIFO for a lane's last one while handlers are idle: the group may have more.
    pub idle_linger: Duration,
    /// The same where the group is known to have more, since its receive came back full.
    pub urgent_linger: Duration,
    /// How long the next receive may be put off after one that did not come back full, so that it
    /// brings more than a few messages.
    pub receive_linger: Duration,
    /// Where handlers are slow, `acknowledge_linger`, `idle_linger` and `receive_linger` are longer, see
    /// [`Timing::linger`]; but they are made no longer than this.
    pub longest_linger: Duration,
    /// The shortest long poll. A poll waits as long as the queue has been quiet, from this to
    /// [`Config::wait`], so that a drain under load never waits long for an outstanding poll.
    pub shortest_wait: Duration,
    /// First backoff after a failed receive; doubles.
    pub poll_backoff: Duration,
    /// Longest backoff after failed receives.
    pub poll_backoff_max: Duration,
    /// First pause when something that all messages need is down; doubles.
    pub breaker_backoff: Duration,
    /// Longest such pause.
    pub breaker_backoff_max: Duration,
    /// Failures in a row, by several messages, that are taken for everyone's.
    pub shared_failures: u32,
    /// First pause before a failed delete, visibility change or extension is repeated; doubles.
    pub settle_retry: Duration,
    /// Longest such pause; short against a visibility timeout.
    pub settle_retry_max: Duration,
    /// After the drain timeout, what is left of the time to hand messages back.
    pub drain_flush: Duration,
    /// Receives at once, at most.
    pub max_polls: usize,
    /// Copies to the dead-letter queue at once, at most; each is a call of its own.
    pub max_copies: usize,
    /// Finished messages whose delete is not confirmed, at most, before receiving pauses.
    pub max_unacknowledged: usize,
    /// Bytes of bodies and attributes held at once, at most, as far as sizes can be foreseen: receives
    /// ask for no more than would fit were all as large as the largest of late. A message that is
    /// larger than this is received alone.
    pub max_held_bytes: usize,
}

/// Of the time that handlers take, what waits for company may wait for one part in so many.
const LINGER_SHARE: u32 = 4;

impl Timing {
    /// How long to wait for company that is waited for as long as `quick` where handlers are quick, if they
    /// take `handler_time`.
    ///
    /// The slower handlers are, the fewer messages end or come in the same time. A quarter of a handler's time
    /// is not much to it, and at load brings a full call as soon as there are forty handlers.
    #[must_use]
    pub fn linger(&self, quick: Duration, handler_time: Duration) -> Duration {
        quick.max((handler_time / LINGER_SHARE).min(self.longest_linger))
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            prefetch_horizon: Duration::from_secs(1),
            acknowledge_linger: Duration::from_millis(100),
            idle_linger: Duration::from_millis(10),
            urgent_linger: Duration::from_millis(1),
            receive_linger: Duration::from_millis(20),
            longest_linger: Duration::from_millis(500),
            shortest_wait: Duration::from_secs(1),
            poll_backoff: Duration::from_millis(500),
            poll_backoff_max: Duration::from_secs(30),
            breaker_backoff: Duration::from_millis(500),
            breaker_backoff_max: Duration::from_secs(30),
            shared_failures: 5,
            settle_retry: Duration::from_millis(500),
            settle_retry_max: Duration::from_secs(5),
            drain_flush: Duration::from_secs(5),
            max_polls: 32,
            max_copies: 16,
            max_unacknowledged: 1_000,
            max_held_bytes: 64 << 20,
        }
    }
}
