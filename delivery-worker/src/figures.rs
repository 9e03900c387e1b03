//! Figures of the status answer that are not free: kept for a while, or counted as they come.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// A figure that is found out at most so often, whoever asks and however often.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    for_at_least: Duration,
    /// Held while it is found out, so that others wait for the same answer.
    last: tokio::sync::Mutex<Last<T>>,
}

#[derive(Debug)]
struct Last<T> {
    /// Until when the answer is kept. Set before asking: a question whose asker goes away counts too.
    until: Option<Instant>,
    answer: Option<T>,
}

impl<T: Clone> Kept<T> {
    /// Keeps an answer for so long, and for twenty times the time that it took.
    pub(crate) fn new(for_at_least: Duration) -> Self {
        Self { for_at_least, last: tokio::sync::Mutex::new(Last { until: None, answer: None }) }
    }

    /// The figure; none when it could not be found out.
    pub(crate) async fn get(&self, find: impl Future<Output = Option<T>>) -> Option<T> {
        let mut last = self.last.lock().await;
        let began = Instant::now();
        if last.until.is_none_or(|until| until <= began) {
            last.until = Some(began + self.for_at_least);
            last.answer = None;
            last.answer = find.await;
            let ended = Instant::now();
            last.until = Some(ended + self.for_at_least.max((ended - began) * 20));
        }
        last.answer.clone()
    }
}

/// Over which time the rate is taken.
const WINDOW: Duration = Duration::from_mins(1);

/// How many attempts of this process end how.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    pub(crate) delivered: Rate,
    pub(crate) failed: Rate,
}

/// How often something happens.
#[derive(Debug)]
pub(crate) struct Rate {
    began: Instant,
    /// Seconds since `began` with how often it was, of the window only.
    seconds: Mutex<VecDeque<(u64, u64)>>,
}

impl Default for Rate {
    fn default() -> Self {
        Self { began: Instant::now(), seconds: Mutex::default() }
    }
}

impl Rate {
    /// Once more.
    pub(crate) fn count(&self) {
        let now = self.now();
        let mut seconds = self.recent(now);
        match seconds.back_mut() {
            Some((second, times)) if *second == now => *times += 1,
            _ => seconds.push_back((now, 1)),
        }
    }

    /// Times per second over the last minute, in which seconds before the start have none.
    pub(crate) fn per_second(&self) -> f64 {
        let times: u64 = self.recent(self.now()).iter().map(|(_, count)| count).sum();
        times as f64 / WINDOW.as_secs_f64()
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    fn recent(&self, now: u64) -> std::sync::MutexGuard<'_, VecDeque<(u64, u64)>> {
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        while seconds.front().is_some_and(|(second, _)| second + WINDOW.as_secs() <= now) {
            seconds.pop_front();
        }
        seconds
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use futures_util::FutureExt;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_figure_is_found_out_once_for_all_who_ask_in_its_time() {
        let kept = Kept::new(Duration::from_secs(15));
        assert_eq!(kept.get(ready(Some(1))).await, Some(1));
        advance(Duration::from_secs(14)).await;
        assert_eq!(kept.get(ready(Some(2))).await, Some(1));
        advance(Duration::from_secs(1)).await;
        assert_eq!(kept.get(ready(None)).await, None, "what is out of date is not told");
        assert_eq!(kept.get(ready(Some(3))).await, None, "a failure is kept as well");
        advance(Duration::from_secs(15)).await;
        // Whoever asks and goes away has asked.
        assert!(kept.get(std::future::pending()).now_or_never().is_none());
        assert_eq!(kept.get(ready(Some(4))).await, None);
        advance(Duration::from_secs(15)).await;
        let slow = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Some(5)
        };
        assert_eq!(kept.get(slow).await, Some(5));
        advance(Duration::from_secs(39)).await;
        assert_eq!(kept.get(ready(Some(6))).await, Some(5), "what took long is kept longer");
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_that_of_the_last_minute() {
        let rate = Rate::default();
        for _ in 0..120 {
            rate.count();
        }
        advance(Duration::from_secs(30)).await;
        for _ in 0..60 {
            rate.count();
        }
        assert!((rate.per_second() - 3.0).abs() < 1e-9);
        advance(Duration::from_secs(30)).await;
        assert!((rate.per_second() - 1.0).abs() < 1e-9);
        advance(Duration::from_secs(30)).await;
        assert!(rate.per_second().abs() < 1e-9);
    }
}
