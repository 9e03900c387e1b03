//! Who has scraped a process, for one that has something to tell before it ends.

use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// The scrapes of an [`AdminServer`](crate::AdminServer). Clones are of the same.
#[derive(Clone, Debug, Default)]
pub struct Scrapes {
    /// When the last one that was answered had begun.
    last: watch::Sender<Option<Instant>>,
}

impl Scrapes {
    /// Waits until what is counted now has been scraped, for `longest` at most. Where nobody has scraped
    /// for so long, nobody is waited for.
    pub async fn next(&self, longest: Duration) {
        let now = Instant::now();
        let mut scrapes = self.last.subscribe();
        if scrapes.borrow().is_some_and(|last| now - last <= longest) {
            let is_later = |last: &Option<Instant>| last.is_some_and(|last| last >= now);
            // That it does not come is what the limit is for; the sender is this one's own.
            let _ = timeout(longest, scrapes.wait_for(is_later)).await;
        }
    }

    pub(crate) fn answered(&self, begun: Instant) {
        self.last.send_replace(Some(begun));
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
        scrapes.answered(Instant::now());
        tokio::time::advance(LONGEST * 2).await;
        assert_eq!(waited(&scrapes).await, Duration::ZERO, "nobody does any more");
        scrapes.answered(Instant::now());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(waited(&scrapes).await, LONGEST, "the next one does not come");

        scrapes.answered(Instant::now());
        tokio::time::advance(Duration::from_secs(1)).await;
        let others = scrapes.clone();
        let before = Instant::now() - Duration::from_millis(1);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            others.answered(before);
            tokio::time::sleep(Duration::from_secs(5)).await;
            others.answered(Instant::now());
        });
        let until_the_next = Duration::from_secs(7);
        assert_eq!(
            waited(&scrapes).await,
            until_the_next,
            "one that had begun before has old counts"
        );
    }
}
