//! Who has scraped a process, for one that has something to tell before it ends.

use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// The scrapes of an [`AdminServer`](crate::AdminServer): Prometheus's, not the looks of others, such as
/// KEDA's. Clones are of the same.
#[derive(Clone, Debug, Default)]
pub struct Scrapes {
    last: watch::Sender<Last>,
}

/// When the last scrapes that were answered had begun: all of them, and those that told what is.
#[derive(Debug, Default)]
struct Last {
    of_any: Option<Instant>,
    of_counts: Option<Instant>,
}

/// What a scrape was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scrape {
    /// Every counter at zero: that somebody scrapes is known, and nothing has been told.
    Zeros,
    /// What is.
    Counts,
}

impl Scrapes {
    /// Waits until a scrape has been told what is counted now, for `longest` at most. Where nobody has
    /// scraped for so long, nobody is waited for.
    pub async fn next(&self, longest: Duration) {
        let now = Instant::now();
        let mut scrapes = self.last.subscribe();
        let is_scraped = scrapes.borrow().of_any.is_some_and(|last| now - last <= longest);
        if is_scraped {
            let is_later = |last: &Last| last.of_counts.is_some_and(|last| last >= now);
            // That it does not come is what the limit is for; the sender is this one's own.
            let _ = timeout(longest, scrapes.wait_for(is_later)).await;
        }
    }

    pub(crate) fn answered(&self, begun: Instant, scrape: Scrape) {
        // Of two at once the later one may be answered first.
        self.last.send_modify(|last| {
            last.of_any = last.of_any.max(Some(begun));
            if scrape == Scrape::Counts {
                last.of_counts = last.of_counts.max(Some(begun));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(35);

    async fn waited(scrapes: &Scrapes) -> Duration {
        let began = Instant::now();
        scrapes.next(LONGEST).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn who_scrapes_is_waited_for_and_who_does_not_is_not() {
        let scrapes = Scrapes::default();
        assert_eq!(waited(&scrapes).await, Duration::ZERO, "nobody has ever scraped");
        scrapes.answered(Instant::now(), Scrape::Counts);
        tokio::time::advance(LONGEST * 2).await;
        assert_eq!(waited(&scrapes).await, Duration::ZERO, "nobody does any more");
        scrapes.answered(Instant::now(), Scrape::Counts);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(waited(&scrapes).await, LONGEST, "the next one does not come");

        scrapes.answered(Instant::now(), Scrape::Counts);
        tokio::time::advance(Duration::from_secs(1)).await;
        let others = scrapes.clone();
        let before = Instant::now() - Duration::from_millis(1);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            others.answered(before, Scrape::Counts);
            tokio::time::sleep(Duration::from_secs(5)).await;
            others.answered(Instant::now(), Scrape::Counts);
        });
        let until_the_next = Duration::from_secs(7);
        assert_eq!(
            waited(&scrapes).await,
            until_the_next,
            "one that had begun before has old counts"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn zeros_say_that_somebody_scrapes_and_tell_nothing() {
        let scrapes = Scrapes::default();
        scrapes.answered(Instant::now(), Scrape::Zeros);
        tokio::time::advance(Duration::from_secs(1)).await;
        let others = scrapes.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            others.answered(Instant::now(), Scrape::Zeros);
            tokio::time::sleep(Duration::from_secs(3)).await;
            others.answered(Instant::now(), Scrape::Counts);
        });
        assert_eq!(waited(&scrapes).await, Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_scrape_that_is_answered_late_does_not_undo_the_later_one() {
        let scrapes = Scrapes::default();
        let earlier = Instant::now();
        scrapes.answered(earlier, Scrape::Counts);
        tokio::time::advance(Duration::from_secs(1)).await;
        let others = scrapes.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            others.answered(Instant::now(), Scrape::Counts);
            others.answered(earlier, Scrape::Counts);
        });
        assert_eq!(waited(&scrapes).await, Duration::from_secs(2));
    }
}
