//! What a consumer can be told.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::info;

use crate::{
    lease::MAX_LEASE,
    queue::QueueAttributes,
    scheduler::{Config, Timing},
};

/// When consumers that share it were last busy.
#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<Mutex<Option<Instant>>>);

impl Activity {
    pub(super) fn mark(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A consumer's settings; the defaults suit most.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Handlers at once. Default 64.
    pub concurrency: usize,
    /// Handlers at once for one message group of a standard queue; unset: no other limit than
    /// `concurrency`. A FIFO group has one at a time.
    pub group_concurrency: Option<usize>,
    /// How long one attempt may take; then its future is dropped and the attempt has failed.
    /// Default 20 s.
    pub handler_timeout: Duration,
    /// How long handlers may go on after the shutdown began. Default 25 s.
    pub drain_timeout: Duration,
    /// Backoff after the first failed attempt; doubles. Default 1 s.
    pub retry_backoff: Duration,
    /// Longest backoff. Default 60 s.
    pub retry_backoff_max: Duration,
    /// Attempts before a message is given up; unset: the queue's `maxReceiveCount`, else 3. On a FIFO queue
    /// with a dead-letter queue it is best set, and `maxReceiveCount` larger, such as 10: SQS counts
    /// receives, and what waits behind others of its group loses one with each consumer that dies.
    pub max_attempts: Option<u32>,
    /// Whether the queue is expected to be FIFO; another one is not consumed. Unset: any.
    pub expect_fifo: Option<bool>,
    /// Consume a queue without redrive policy and dead-letter queue: messages that always fail are
    /// retried until their retention ends, and lost then. Default: such a queue is not consumed.
    pub without_dead_letter_queue: bool,
    /// Longest wait of a long poll, at most 20 s. Default 20 s.
    pub wait: Duration,
    /// The reason that a message is dead-lettered with when its last attempt ran out of time.
    pub timeout_reason: &'static str,
    /// The reason when the handler panicked in its last attempt.
    pub panic_reason: &'static str,
    /// Consumers with the same settings' clone share it: while one of them is busy, the polls of the
    /// others are short too, so that the process can stop soon.
    pub activity: Activity,
    /// Seeds the jitter of backoffs; unset: from the operating system.
    pub seed: Option<u64>,
    /// The scheduler's constants.
    pub timing: Timing,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            concurrency: 64,
            group_concurrency: None,
            handler_timeout: Duration::from_secs(20),
            drain_timeout: Duration::from_secs(25),
            retry_backoff: Duration::from_secs(1),
            retry_backoff_max: Duration::from_mins(1),
            max_attempts: None,
            expect_fifo: None,
            without_dead_letter_queue: false,
            wait: Duration::from_secs(20),
            timeout_reason: "timeout",
            panic_reason: "crash",
            activity: Activity::default(),
            seed: None,
            timing: Timing::default(),
        }
    }
}

/// Logs what a queue is consumed with.
pub(super) fn describe(queue: &str, config: &Config) {
    info!(
        queue,
        fifo = config.fifo,
        visibility = ?config.visibility,
        max_attempts = config.max_attempts,
        concurrency = config.concurrency,
        "consuming"
    );
}

impl Settings {
    /// What the scheduler goes by, for a queue with these attributes.
    pub(super) fn config(&self, attributes: &QueueAttributes, dead_letter_queue: bool) -> Config {
        const DEFAULT_ATTEMPTS: u32 = 3;
        let attempts = self.max_attempts.or(attributes.max_receive_count);
        Config {
            fifo: attributes.fifo,
            // A lease that could not be extended would tell nothing about visibility changes.
            visibility: attributes.visibility.clamp(Duration::from_secs(1), MAX_LEASE / 2),
            concurrency: self.concurrency.max(1),
            group_concurrency: self.group_concurrency.unwrap_or(self.concurrency).max(1),
            max_attempts: attempts.unwrap_or(DEFAULT_ATTEMPTS).max(1),
            max_receive_count: attributes.max_receive_count,
            dead_letter_queue,
            wait: self.wait.min(Duration::from_secs(20)),
            retry_backoff: self.retry_backoff,
            retry_backoff_max: self.retry_backoff_max,
            drain_timeout: self.drain_timeout,
            seed: self.seed.unwrap_or_else(rand::random),
            timing: self.timing,
        }
    }
}
