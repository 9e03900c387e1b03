//! Waits that end when they are to: tokio's own timers round up to the next millisecond, which is a
//! fifth of a handler of five.

#![expect(clippy::disallowed_types, reason = "a thread of its own, which knows no runtime")]

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

#[derive(Clone)]
pub(super) struct Timers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<BinaryHeap<Reverse<Timer>>>,
    earlier: Condvar,
}

struct Timer {
    at: Instant,
    wake: oneshot::Sender<()>,
}

impl Timers {
    pub(super) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let timers = Self(Arc::clone(&shared));
        std::thread::spawn(move || {
            let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                let now = Instant::now();
                while waiting.peek().is_some_and(|Reverse(first)| first.at <= now) {
                    if let Some(Reverse(due)) = waiting.pop() {
                        _ = due.wake.send(());
                    }
                }
                let next = waiting.peek().map(|Reverse(first)| first.at);
                let pause =
                    next.map_or(Duration::from_hours(1), |at| at.saturating_duration_since(now));
                let woken = shared.earlier.wait_timeout(waiting, pause);
                waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
        });
        timers
    }

    pub(super) async fn sleep(&self, time: Duration) {
        let at = Instant::now() + time;
        let (wake, woken) = oneshot::channel();
        {
            let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let earliest = waiting.peek().is_none_or(|Reverse(first)| at < first.at);
            waiting.push(Reverse(Timer { at, wake }));
            if earliest {
                self.0.earlier.notify_one();
            }
        }
        _ = woken.await;
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}
