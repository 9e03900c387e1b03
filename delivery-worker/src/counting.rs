//! Counting the deliveries, which goes through an index of all of them: by a task of its own, one
//! count at a time, and only when somebody wants to know.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};
use tracing::warn;

use crate::store::{Counts, Store};

/// Deliveries are not counted again for so long.
const KEPT: Duration = Duration::from_secs(1);
/// Nor for so many times as long as counting took.
const TIMES: u32 = 20;
/// Whoever asks waits so long for new counts, and is told the last ones then.
const PATIENCE: Duration = Duration::from_millis(500);

/// How many orders had each status, and when.
pub(crate) type Counted = (Counts, Timestamp);

/// What the task that counts and those who ask have in common.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    wanted: Notify,
    last: watch::Sender<Last>,
}

#[derive(Debug, Default)]
struct Last {
    /// None: it could not be counted, or has not been yet.
    counted: Option<Counted>,
    /// Until when they are new.
    until: Option<Instant>,
}

impl Last {
    fn are_new(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

impl Counting {
    /// The newest counts that there are. Asks for new ones where they are old, and does not wait
    /// long.
    pub(crate) async fn counts(&self) -> Option<Counted> {
        let mut last = self.last.subscribe();
        if !last.borrow().are_new() {
            self.wanted.notify_one();
            _ = timeout(PATIENCE, last.wait_for(Last::are_new)).await;
        }
        last.borrow().counted
    }

    /// Counts when somebody asks.
    async fn run<F: Future<Output = Option<Counted>>>(&self, count: impl Fn() -> F) {
        loop {
            self.wanted.notified().await;
            // Perhaps it was asked while these were on their way.
            if self.last.borrow().are_new() {
                continue;
            }
            let began = Instant::now();
            let counted = count().await;
            let took = began.elapsed();
            // A store that was away may be back soon.
            let pause = if counted.is_some() { took * TIMES } else { took };
            let until = Some(Instant::now() + pause.max(KEPT));
            self.last.send_replace(Last { counted, until });
        }
    }
}

/// Counts when somebody asks, for as long as it is polled.
pub(crate) async fn count_when_asked(counting: Arc<Counting>, store: Store) {
    let count = || async {
        match store.counts().await {
            Ok(counts) => Some((counts, Timestamp::now())),
            Err(error) => {
                warn!(%error, "deliveries cannot be counted");
                None
            }
        }
    };
    counting.run(count).await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use futures_util::FutureExt;
    use tokio::time::{advance, sleep};

    use super::*;

    fn counted(delivered: u64) -> Counted {
        (Counts { delivered, ..Counts::default() }, Timestamp::UNIX_EPOCH)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_is_told_the_last_counts_while_the_next_take_long() {
        let (counting, begun) = (Counting::default(), AtomicU64::new(0));
        let count = || async {
            let number = begun.fetch_add(1, Relaxed) + 1;
            if number > 1 {
                sleep(Duration::from_mins(1)).await;
            }
            Some(counted(number))
        };
        let asking = async {
            // Whoever asks and goes away has asked.
            assert!(counting.counts().now_or_never().is_none());
            assert_eq!(counting.counts().await, Some(counted(1)));
            assert_eq!(counting.counts().await, Some(counted(1)), "they are kept");
            advance(KEPT).await;
            let asked = Instant::now();
            for _ in 0..10 {
                assert_eq!(counting.counts().await, Some(counted(1)));
            }
            assert!(asked.elapsed() <= 11 * PATIENCE, "{:?}", asked.elapsed());
            assert_eq!(begun.load(Relaxed), 2, "they wait for the same counts");
            sleep(Duration::from_mins(1)).await;
            assert_eq!(counting.counts().await, Some(counted(2)));
            advance(Duration::from_mins(19)).await;
            assert_eq!(counting.counts().await, Some(counted(2)), "what took long is kept longer");
            assert_eq!(begun.load(Relaxed), 2);
        };
        tokio::select! {
            () = asking => {}
            () = counting.run(count) => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn counts_that_cannot_be_had_are_not_told_and_are_tried_again() {
        let (counting, begun) = (Counting::default(), AtomicU64::new(0));
        let count = || async {
            let number = begun.fetch_add(1, Relaxed) + 1;
            (number != 2).then(|| counted(number))
        };
        let asking = async {
            for expected in [Some(counted(1)), None, Some(counted(3))] {
                assert_eq!(counting.counts().await, expected);
                advance(KEPT).await;
            }
        };
        tokio::select! {
            () = asking => {}
            () = counting.run(count) => {}
        }
    }
}
