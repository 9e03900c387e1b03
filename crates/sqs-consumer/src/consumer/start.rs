//! What is found out before the first receive: whether the settings make sense, and whether the
//! queue is what they assume.

use std::time::Duration;

use super::Settings;
use crate::{
    lease::LONGEST_WORK,
    queue::{QueueAttributes, SplitDeadLetters},
    scheduler::{LONGEST_BACKOFF, MAX_IN_FLIGHT},
};

/// The least time for an extension of a lease, and for further ones should the first be refused.
const TIME_TO_EXTEND: Duration = Duration::from_secs(2);

/// A stop cannot wait longer than SQS keeps a message from others.
const LONGEST_DRAIN: Duration = Duration::from_hours(12);

/// Settings that contradict each other, or that SQS does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl Settings {
    /// Whether the settings can be kept.
    pub fn check(&self) -> Result<(), SettingsError> {
        let problem = if self.concurrency == 0 || self.concurrency > MAX_IN_FLIGHT {
            format!(
                "concurrency is {}; allowed is 1 to {MAX_IN_FLIGHT}, as many as SQS has in flight",
                self.concurrency
            )
        } else if self.group_concurrency.is_some_and(|limit| limit == 0 || limit > self.concurrency)
        {
            format!("group_concurrency must be 1 to concurrency ({})", self.concurrency)
        } else if self.handler_timeout.is_zero() || self.handler_timeout > LONGEST_WORK {
            let timeout = self.handler_timeout;
            format!(
                "handler_timeout is {timeout:?}; allowed is more than 0 and at most {LONGEST_WORK:?}: SQS keeps a message from others for 12 h at most, and some of that is needed to give it back"
            )
        } else if self.drain_timeout > LONGEST_DRAIN {
            format!(
                "drain_timeout is {:?}; at most {LONGEST_DRAIN:?} is allowed: no lease lasts longer",
                self.drain_timeout
            )
        } else if self.max_attempts == Some(0) {
            "max_attempts is 0; at least 1 is needed".to_owned()
        } else if self.wait < Duration::from_secs(1) || self.wait > Duration::from_secs(20) {
            format!(
                "wait is {:?}; SQS allows at most 20 s, and with less than 1 s an empty queue is asked again and again",
                self.wait
            )
        } else if self.retry_backoff.is_zero() {
            "retry_backoff is 0; it must be longer, or what fails is tried again without a pause"
                .to_owned()
        } else if self.retry_backoff > self.retry_backoff_max {
            let (first, max) = (self.retry_backoff, self.retry_backoff_max);
            format!("retry_backoff ({first:?}) is longer than retry_backoff_max ({max:?})")
        } else if self.retry_backoff_max > LONGEST_BACKOFF {
            let max = self.retry_backoff_max;
            format!(
                "retry_backoff_max is {max:?}; at most {LONGEST_BACKOFF:?} is allowed, for which what failed is kept from others"
            )
        } else if let Some(name) = self.missing_pause() {
            format!(
                "timing.{name} is 0; it must be longer, or what fails is tried again without a pause"
            )
        } else if let Some((name, first, max)) = self.shrinking_pause() {
            format!("timing.{name} ({first:?}) is longer than timing.{name}_max ({max:?})")
        } else if let Some((name, or)) = self.missing_limit() {
            format!("timing.{name} is 0; it must be at least 1, or {or}")
        } else if self.timing.shortest_wait < Duration::from_secs(1) {
            format!(
                "timing.shortest_wait is {:?}; at least 1 s is needed, the unit in which SQS waits",
                self.timing.shortest_wait
            )
        } else {
            return Ok(());
        };
        Err(SettingsError(problem))
    }

    /// A pause after failures that is none.
    fn missing_pause(&self) -> Option<&'static str> {
        let timing = &self.timing;
        let pauses = [
            ("poll_backoff", timing.poll_backoff),
            ("settle_retry", timing.settle_retry),
            ("breaker_backoff", timing.breaker_backoff),
        ];
        pauses.into_iter().find(|(_, pause)| pause.is_zero()).map(|(name, _)| name)
    }

    /// A limit that lets nothing through, and what would come of it.
    fn missing_limit(&self) -> Option<(&'static str, &'static str)> {
        let timing = &self.timing;
        let nothing = "nothing is received";
        let limits = [
            ("max_polls", timing.max_polls, nothing),
            ("max_unacknowledged", timing.max_unacknowledged, nothing),
            ("max_held_bytes", timing.max_held_bytes, nothing),
            ("max_copies", timing.max_copies, "what has failed for good is held for ever"),
        ];
        limits.into_iter().find(|&(_, limit, _)| limit == 0).map(|(name, _, or)| (name, or))
    }

    /// A first pause after failures that is longer than the longest one.
    fn shrinking_pause(&self) -> Option<(&'static str, Duration, Duration)> {
        let timing = &self.timing;
        let pauses = [
            ("poll_backoff", timing.poll_backoff, timing.poll_backoff_max),
            ("settle_retry", timing.settle_retry, timing.settle_retry_max),
            ("breaker_backoff", timing.breaker_backoff, timing.breaker_backoff_max),
        ];
        pauses.into_iter().find(|(_, first, max)| first > max)
    }

    /// Why a queue with these attributes is not consumed with these settings; none if it is.
    pub(super) fn refusal(&self, queue: &QueueAttributes, can_bury: bool) -> Option<String> {
        let kind = |fifo| if fifo { "a FIFO queue" } else { "a standard queue" };
        if let Some(expected) = self.expect_fifo
            && expected != queue.fifo
        {
            let (is, should) = (kind(queue.fifo), kind(expected));
            return Some(format!(
                "the queue is {is}, and {should} is expected: give the URL of {should}"
            ));
        }
        let visibility = queue.visibility;
        let long = self.handler_timeout > visibility.mul_f64(2.0 / 3.0);
        if (long || queue.fifo) && visibility / 3 < TIME_TO_EXTEND {
            let (least, timeout) = (TIME_TO_EXTEND * 3, self.handler_timeout);
            let (what, or) = if queue.fifo {
                ("messages that wait behind others of their group".to_owned(), "")
            } else {
                let or = ", or the handlers' timeout to at most two thirds of it";
                (format!("handlers that may take {timeout:?}"), or)
            };
            return Some(format!(
                "the queue's visibility timeout is {visibility:?}: too short to be extended in time for {what}. Set VisibilityTimeout to {least:?} or more{or}"
            ));
        }
        if queue.max_receive_count.is_none() && !can_bury && !self.without_dead_letter_queue {
            return Some(
                "the queue has no redrive policy and no dead-letter queue is configured: a message that always fails would be retried until its retention ends and then be lost. Give the queue a RedrivePolicy, or configure a dead-letter queue".to_owned(),
            );
        }
        None
    }

    /// What is allowed and rarely meant.
    pub(super) fn warnings(&self, queue: &QueueAttributes) -> Vec<String> {
        let mut warnings = Vec::new();
        if queue.max_receive_count.is_none() && !self.without_dead_letter_queue {
            warnings.push("the queue has no redrive policy: a message whose handling kills the process is handed out again and again until its retention ends. Give the queue a RedrivePolicy".to_owned());
        }
        if let Some(SplitDeadLetters { by_policy, by_consumer }) = &queue.split_dead_letters {
            warnings.push(format!("the queue has two dead-letter queues: its redrive policy moves messages to {by_policy}, and those that are given up here are sent to {by_consumer}. Name the same queue in both places, or watch both"));
        }
        if let (Some(takes), Some(dead_takes)) =
            (queue.max_message_size, queue.dead_letter_max_message_size)
            && dead_takes < takes
        {
            let or = if queue.fifo { ", and holds up its group until it can" } else { "" };
            warnings.push(format!("the queue takes messages of {takes} bytes and its dead-letter queue of {dead_takes}: a larger one that is given up cannot be sent there{or}. Set MaximumMessageSize of the dead-letter queue to {takes} or more"));
        }
        if queue.max_receive_count == Some(1) {
            warnings.push("maxReceiveCount is 1: SQS may count a receive that nobody got, and then dead-letters the message untried; 3 or more is usual".to_owned());
        }
        if let (Some(attempts), Some(receives)) = (self.max_attempts, queue.max_receive_count)
            && receives < attempts
        {
            warnings.push(format!("the queue's redrive policy allows {receives} receives and the settings {attempts} attempts: on a standard queue SQS dead-letters first"));
        }
        if let (Some(attempts), Some(receives)) = (self.max_attempts, queue.max_receive_count)
            && queue.fifo
            && receives == attempts
        {
            warnings.push(format!("the FIFO queue's maxReceiveCount is {receives}, as many as attempts: it counts receives, and a message that waits behind others of its group loses one with each consumer that dies, so that it may be dead-lettered untried. 10 is better"));
        }
        if self.drain_timeout < self.handler_timeout {
            let (drain, handler) = (self.drain_timeout, self.handler_timeout);
            warnings.push(format!("a stop waits {drain:?} and a handler may take {handler:?}: handlers that are stopped are tried again"));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> QueueAttributes {
        QueueAttributes {
            visibility: Duration::from_secs(30),
            max_receive_count: Some(3),
            fifo: true,
            max_message_size: None,
            dead_letter_max_message_size: None,
            split_dead_letters: None,
        }
    }

    fn refused(settings: &Settings, queue: &QueueAttributes) -> String {
        settings.refusal(queue, false).expect("refused")
    }

    #[test]
    fn the_defaults_fit_a_usual_queue() {
        let settings = Settings::default();
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(settings.refusal(&queue(), false), None);
        assert_eq!(settings.warnings(&queue()), [""; 0]);
    }

    #[test]
    fn settings_that_contradict_each_other_are_named() {
        let problem = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().expect_err("refused").to_string()
        };
        assert!(problem(|s| s.concurrency = 0).contains("1 to 120000"));
        assert!(problem(|s| s.concurrency = usize::MAX).contains("1 to 120000"));
        assert!(problem(|s| s.drain_timeout = Duration::MAX).contains("at most 43200s"));
        assert!(problem(|s| s.timing.poll_backoff_max = Duration::ZERO).contains("longer than"));
        assert!(problem(|s| s.timing.settle_retry_max = Duration::ZERO).contains("longer than"));
        assert!(problem(|s| s.timing.breaker_backoff_max = Duration::ZERO).contains("longer than"));
        assert!(problem(|s| s.group_concurrency = Some(65)).contains("1 to concurrency (64)"));
        let longest =
            |s: &mut Settings| s.handler_timeout = LONGEST_WORK + Duration::from_millis(1);
        assert!(problem(longest).contains("at most 43110s"));
        assert!(problem(|s| s.max_attempts = Some(0)).contains("at least 1"));
        assert!(problem(|s| s.wait = Duration::from_secs(21)).contains("at most 20 s"));
        let hasty = |s: &mut Settings| s.wait = Duration::from_millis(999);
        assert!(problem(hasty).contains("again and again"));
        let beyond = |s: &mut Settings| s.retry_backoff_max = Duration::from_secs(3601);
        assert!(problem(beyond).contains("at most 3600s"));
        assert!(problem(|s| s.timing.poll_backoff = Duration::ZERO).contains("poll_backoff is 0"));
        assert!(problem(|s| s.timing.settle_retry = Duration::ZERO).contains("settle_retry is 0"));
        let closed = |s: &mut Settings| s.timing.breaker_backoff = Duration::ZERO;
        assert!(problem(closed).contains("breaker_backoff is 0"));
        assert!(problem(|s| s.retry_backoff = Duration::from_mins(2)).contains("longer than"));
        assert!(problem(|s| s.retry_backoff = Duration::ZERO).contains("without a pause"));
        assert!(problem(|s| s.timing.max_polls = 0).contains("max_polls is 0"));
        let unacknowledged = |s: &mut Settings| s.timing.max_unacknowledged = 0;
        assert!(problem(unacknowledged).contains("max_unacknowledged is 0"));
        assert!(problem(|s| s.timing.max_held_bytes = 0).contains("nothing is received"));
        assert!(problem(|s| s.timing.max_copies = 0).contains("max_copies is 0"));
        assert!(problem(|s| s.timing.shortest_wait = Duration::ZERO).contains("at least 1 s"));
    }

    #[test]
    fn a_visibility_timeout_too_short_for_the_handlers_is_refused_with_what_to_change() {
        let short = QueueAttributes { visibility: Duration::from_secs(5), ..queue() };
        let text = refused(&Settings::default(), &short);
        assert!(text.contains("visibility timeout is 5s") && text.contains("6s or more"), "{text}");
        let quick = Settings { handler_timeout: Duration::from_secs(3), ..Settings::default() };
        let text = refused(&quick, &short);
        assert!(text.contains("behind others") && text.ends_with("6s or more"), "{text}");
        let standard = QueueAttributes { fifo: false, ..short };
        assert!(refused(&Settings::default(), &standard).contains("at most two thirds"));
        assert_eq!(quick.refusal(&standard, false), None, "no extension is needed");
    }

    #[test]
    fn a_queue_that_would_lose_messages_or_their_order_is_refused() {
        let bare = QueueAttributes { max_receive_count: None, ..queue() };
        assert!(refused(&Settings::default(), &bare).contains("RedrivePolicy"));
        assert_eq!(Settings::default().refusal(&bare, true), None);
        let knowing = Settings { without_dead_letter_queue: true, ..Settings::default() };
        assert_eq!(knowing.refusal(&bare, false), None);
        let standard = QueueAttributes { fifo: false, ..queue() };
        let expecting = Settings { expect_fifo: Some(true), ..Settings::default() };
        assert!(refused(&expecting, &standard).contains("a FIFO queue is expected"));
    }

    #[test]
    fn what_is_rarely_meant_is_warned_of() {
        let warned = |settings: Settings, receives| {
            let queue = QueueAttributes { max_receive_count: Some(receives), ..queue() };
            settings.warnings(&queue).concat()
        };
        assert!(warned(Settings::default(), 1).contains("maxReceiveCount is 1"));
        let stubborn = Settings { max_attempts: Some(5), ..Settings::default() };
        assert!(warned(stubborn, 3).contains("3 receives"));
        let frugal = Settings { max_attempts: Some(3), ..Settings::default() };
        assert!(warned(frugal.clone(), 3).contains("untried"));
        assert_eq!(warned(frugal, 10), "");
        let hasty = Settings { drain_timeout: Duration::from_secs(1), ..Settings::default() };
        assert!(warned(hasty, 3).contains("a stop waits 1s"));
    }

    #[test]
    fn a_queue_without_a_redrive_policy_is_warned_of_unless_that_is_meant() {
        let bare = QueueAttributes { max_receive_count: None, ..queue() };
        let warnings = Settings::default().warnings(&bare);
        assert!(warnings.concat().contains("no redrive policy"), "{warnings:?}");
        let knowing = Settings { without_dead_letter_queue: true, ..Settings::default() };
        assert_eq!(knowing.warnings(&bare), [""; 0]);
    }

    #[test]
    fn a_dead_letter_queue_that_takes_less_than_the_queue_is_warned_of() {
        let warned = |takes, dead_takes, fifo| {
            let queue = QueueAttributes {
                max_message_size: takes,
                dead_letter_max_message_size: dead_takes,
                fifo,
                ..queue()
            };
            Settings::default().warnings(&queue).concat()
        };
        let text = warned(Some(1_048_576), Some(262_144), true);
        assert!(text.contains("of 1048576 bytes") && text.contains("of 262144"), "{text}");
        assert!(text.contains("its group") && text.ends_with("to 1048576 or more"), "{text}");
        assert!(!warned(Some(1_048_576), Some(262_144), false).contains("its group"));
        for (takes, dead_takes) in
            [(Some(9), Some(9)), (Some(9), Some(10)), (Some(9), None), (None, Some(9))]
        {
            assert_eq!(warned(takes, dead_takes, true), "");
        }
    }

    #[test]
    fn two_dead_letter_queues_are_warned_of_by_their_urls() {
        let split = SplitDeadLetters {
            by_policy: "https://sqs/1/moved".to_owned(),
            by_consumer: "https://sqs/1/sent".to_owned(),
        };
        let queue = QueueAttributes { split_dead_letters: Some(split), ..queue() };
        let text = Settings::default().warnings(&queue).concat();
        assert!(text.contains("//sqs/1/moved") && text.contains("//sqs/1/sent"), "{text}");
    }
}
