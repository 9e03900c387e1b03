//! A thread of its own that wakes the consumer, so that leases are kept while handlers block the
//! runtime's threads.
//!
//! One of the runtime's threads waits for timers and sockets, and runs itself what one of them wakes. If
//! that is a handler that blocks, and the other threads sleep, none of them waits for timers in its place
//! (tokio's `enable_eager_driver_handoff`, which is unstable, is about this). What wakes the consumer from
//! outside wakes one of them, which then does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::mpsc::UnboundedSender,
};
use tracing::warn;

use super::calls::Fact;

const EVERY: Duration = Duration::from_secs(1);

/// Lives as long as its consumer.
pub(super) struct Pulse {
    seen: Arc<AtomicBool>,
    _stop: mpsc::Sender<()>,
}

impl Pulse {
    /// None in a runtime of a single thread, where nothing helps against a handler that blocks it.
    pub(super) fn start(queue: &str, facts: UnboundedSender<Fact>) -> Option<Self> {
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            return None;
        }
        let (stop, stopped) = mpsc::channel();
        let seen = Arc::new(AtomicBool::new(true));
        let pulse = Self { seen: seen.clone(), _stop: stop };
        let queue = queue.to_owned();
        let beat = move || beat(&queue, &facts, &seen, &stopped);
        match thread::Builder::new().name("sqs-consumer-pulse".to_owned()).spawn(beat) {
            Ok(_) => Some(pulse),
            Err(error) => {
                warn!(%error, "no thread for the pulse: handlers that block may cost leases");
                None
            }
        }
    }

    pub(super) fn seen(&self) {
        self.seen.store(true, Relaxed);
    }
}

fn beat(
    queue: &str,
    facts: &UnboundedSender<Fact>,
    seen: &AtomicBool,
    stopped: &mpsc::Receiver<()>,
) {
    let mut unseen = 0;
    while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        if seen.swap(false, Relaxed) {
            unseen = 0;
            _ = facts.send(Fact::Pulse);
            continue;
        }
        unseen += 1;
        if is_told_of(unseen) {
            let stands_still = EVERY * unseen;
            warn!(
                queue,
                ?stands_still,
                "the consumer does not get to run: handlers block all threads of the runtime, and leases may run out"
            );
        }
    }
}

/// Beats in a row without an answer are told of after some seconds, and then each minute.
fn is_told_of(unseen: u32) -> bool {
    const PATIENCE: u32 = 5;
    const AGAIN: u32 = 60;
    unseen.checked_sub(PATIENCE).is_some_and(|beyond| beyond.is_multiple_of(AGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_that_stands_still_is_told_of_after_some_seconds_and_then_each_minute() {
        let told: Vec<u32> = (0..130).filter(|unseen| is_told_of(*unseen)).collect();
        assert_eq!(told, [5, 65, 125]);
    }
}
