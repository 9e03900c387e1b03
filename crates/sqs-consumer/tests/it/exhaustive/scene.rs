//! What a search is about: who is there, and how much may go wrong.

use std::{fmt, time::Duration};

use sqs_consumer::scheduler::{Broken, Config, Timing};

pub(super) const VISIBILITY: Duration = Duration::from_secs(6);
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// For what is not settled when the handlers are stopped.
pub(super) const DRAIN_FLUSH: Duration = Duration::from_secs(2);

/// One configuration. All its interleavings are searched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) fifo: bool,
    pub(super) workers: usize,
    /// The number of messages of each group.
    pub(super) groups: &'static [u8],
    /// Handlers at once in one worker.
    pub(super) concurrency: usize,
    /// Whether long polls end with nothing when their time is up.
    pub(super) empty_polls: bool,
    /// Whether a new worker takes the place of one that has gone; else the last one never goes.
    pub(super) replaced: bool,
    /// Whether a loss may also be that a caller gives up a request which is still on its way, or that
    /// the first entry of a batch fails.
    pub(super) all_losses: bool,
    /// Whether what stands still goes on only when all its leases are over; else at any time.
    pub(super) long_pauses: bool,
    /// After so many receives the queue moves a message to its dead-letter queue.
    pub(super) max_receives: Option<u32>,
    /// For how many seconds deletes wait for company.
    pub(super) linger: u64,
    pub(super) troubles: Troubles,
    pub(super) broken: Option<Broken>,
}

/// How often things may go wrong; what is left of it is part of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Troubles {
    /// A worker is killed.
    pub(super) crashes: u8,
    /// A request or its answer is lost. See also [`Scene::all_losses`].
    pub(super) losses: u8,
    /// A process stands still. See [`Scene::long_pauses`].
    pub(super) pauses: u8,
    /// A worker drains and ends.
    pub(super) drains: u8,
    /// A handler fails and asks for a retry.
    pub(super) retries: u8,
    /// A handler refuses its message.
    pub(super) refusals: u8,
    /// A handler fails by something that may be down for all, or cannot begin yet.
    pub(super) shared: u8,
    /// A handler says that something is down for all.
    pub(super) outages: u8,
    /// Time passes, until the next deadline, while a call is on its way.
    pub(super) delays: u8,
    /// The queue refuses all entries of a call for good.
    pub(super) rejections: u8,
    /// Handlers that were told to stop have not when their messages should go back.
    pub(super) stubborn: u8,
}

pub(super) const NONE: Troubles = Troubles {
    crashes: 0,
    losses: 0,
    pauses: 0,
    drains: 0,
    retries: 0,
    refusals: 0,
    shared: 0,
    outages: 0,
    delays: 0,
    rejections: 0,
    stubborn: 0,
};

impl Scene {
    /// The messages in the order in which they are sent: the groups in turn.
    pub(super) fn mails(&self) -> Vec<Mail> {
        let longest = self.groups.iter().copied().max().unwrap_or(0);
        let turn = |number: u8| {
            let groups = self.groups.iter().enumerate();
            groups
                .filter(move |&(_, &length)| number <= length)
                .map(move |(group, _)| Mail { group: group as u8, number })
        };
        (1..=longest).flat_map(turn).collect()
    }

    /// Times in whole seconds, and the same each time: the fewer there are, the fewer states.
    pub(super) fn config(&self) -> Config {
        let second = Duration::from_secs(1);
        let linger = Duration::from_secs(self.linger);
        Config {
            fifo: self.fifo,
            visibility: VISIBILITY,
            concurrency: self.concurrency,
            group_concurrency: usize::MAX,
            max_attempts: 2,
            max_receive_count: self.max_receives,
            dead_letter_queue: true,
            wait: 2 * second,
            retry_backoff: second,
            retry_backoff_max: second,
            drain_timeout: DRAIN_TIMEOUT,
            seed: 0,
            timing: Timing {
                prefetch_horizon: Duration::ZERO,
                acknowledge_linger: linger,
                idle_linger: linger,
                urgent_linger: Duration::ZERO,
                receive_linger: Duration::ZERO,
                longest_linger: Duration::ZERO,
                shortest_wait: 2 * second,
                poll_backoff: second,
                poll_backoff_max: second,
                breaker_backoff: second,
                breaker_backoff_max: second,
                shared_failures: 2,
                settle_retry: second,
                settle_retry_max: second,
                drain_flush: DRAIN_FLUSH,
                max_polls: 1,
                max_copies: 1,
                max_unacknowledged: 1_000,
                max_held_bytes: 1_000,
            },
        }
    }
}

/// A message, by its group and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mail {
    pub(super) group: u8,
    /// From 1.
    pub(super) number: u8,
}

impl Mail {
    pub(super) fn group_name(self) -> String {
        char::from(b'A' + self.group).to_string()
    }

    pub(super) fn of_body(body: &str) -> Self {
        let bytes = body.as_bytes();
        Self { group: bytes[0] - b'A', number: bytes[1] - b'0' }
    }
}

impl fmt::Display for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.group_name(), self.number)
    }
}

/// One receive of a message; stands for its receipt handle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Receipt {
    pub(super) mail: Mail,
    /// The receive count that it came with.
    pub(super) receive: u32,
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.mail, self.receive)
    }
}
