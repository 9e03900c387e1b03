//! An order's fate: told by what sends the order, waited for by its caller, and no longer than until
//! its deadline.
//!
//! All orders of a queue have the same time, so their deadlines come in the order in which they begin to
//! wait: one timer is enough for all of them, set to the first one's. A timer for each would cost more
//! than all the rest of its waiting.

use super::{Confirmed, PublishError};
use service_kit::{Line, LinePlace};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// What is known of an order.
pub(super) type Told = Result<Confirmed, PublishError>;

/// The callers that wait for the fates of a queue's orders, the next deadline first.
#[derive(Debug)]
pub(super) struct Waiters {
    timeout: Duration,
    line: Mutex<Waits>,
    /// The first one has begun to wait while there was no deadline to wait for.
    begun: Notify,
}

#[derive(Debug, Default)]
struct Waits {
    line: Line<(Instant, Arc<Shared>)>,
    /// Whether the timer is set. All deadlines from then on are later ones.
    is_timed: bool,
}

/// What both sides of an order have in hand.
#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    hands: Hands,
    told: Option<Told>,
    /// Nothing is to be waited for any more: it is too late, or nobody is left who could tell.
    over: bool,
    /// The caller has gone away.
    left: bool,
    waker: Option<Waker>,
}

/// Who has the order: either a call takes it, or the one who waits gives it up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Hands {
    #[default]
    Nobody,
    Call,
    GivenUp,
}

/// The side of what sends the order.
#[derive(Debug)]
pub(super) struct Teller {
    deadline: Instant,
    shared: Arc<Shared>,
}

/// The caller's side. Ready with what was told; where nothing was until the deadline, the order is given
/// up: what was in no call is not in the queue, and will not be.
#[derive(Debug)]
pub(super) struct Fate<'a> {
    waiters: &'a Waiters,
    place: LinePlace,
    shared: Arc<Shared>,
}

impl Waiters {
    /// Who waits does so for this time at most.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, line: Mutex::default(), begun: Notify::new() }
    }

    /// Begins to wait for an order's fate.
    pub(super) fn begin(&self) -> (Teller, Fate<'_>) {
        let shared = Arc::<Shared>::default();
        let mut waits = lock(&self.line);
        let deadline = Instant::now() + self.timeout;
        let place = waits.line.join((deadline, Arc::clone(&shared)));
        let is_timed = std::mem::replace(&mut waits.is_timed, true);
        drop(waits);
        if !is_timed {
            self.begun.notify_one();
        }
        (Teller { deadline, shared: Arc::clone(&shared) }, Fate { waiters: self, place, shared })
    }

    /// Ends the waiting of each whose deadline is over, for as long as this is awaited.
    pub(super) async fn time_out(&self) -> Infallible {
        loop {
            match self.next_deadline(Instant::now()) {
                Some(next) => tokio::time::sleep_until(next).await,
                None => self.begun.notified().await,
            }
        }
    }

    /// The first deadline that is not over yet; those that are end with this.
    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let mut waits = lock(&self.line);
        let mut late = Vec::new();
        let next = loop {
            match waits.line.first() {
                Some((deadline, _)) if *deadline <= now => late.extend(waits.line.leave_first()),
                first => break first.map(|(deadline, _)| *deadline),
            }
        };
        waits.is_timed = next.is_some();
        drop(waits);
        for (_, shared) in late {
            shared.end();
        }
        next
    }
}

impl Shared {
    /// Nothing more is to be waited for.
    fn end(&self) {
        let mut state = lock(&self.0);
        state.over = true;
        wake(state);
    }
}

impl Teller {
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Takes the order into a call, once or again; not if it is too late, it was given up, or its caller
    /// has gone away.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut state = lock(&self.shared.0);
        let takes = now < self.deadline && !state.left && state.hands != Hands::GivenUp;
        if takes {
            state.hands = Hands::Call;
        }
        takes
    }

    /// Whoever has gone away does not need to know.
    pub(super) fn tell(self, told: Told) {
        lock(&self.shared.0).told = Some(told);
    }
}

impl Drop for Teller {
    /// Nobody is left who could tell anything else.
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl Future for Fate<'_> {
    type Output = Told;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Told> {
        let mut state = lock(&self.shared.0);
        if let Some(told) = state.told.take() {
            return Poll::Ready(told);
        }
        if !state.over {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Err(if state.hands == Hands::Call {
            PublishError::Unconfirmed
        } else {
            state.hands = Hands::GivenUp;
            PublishError::Overloaded
        }))
    }
}

impl Drop for Fate<'_> {
    fn drop(&mut self) {
        lock(&self.waiters.line).line.leave(self.place);
        lock(&self.shared.0).left = true;
    }
}

/// Wakes who waits, without what it may want to look at.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// What is known of it by now.
    fn now(fate: &mut Fate<'_>) -> Option<Told> {
        match Pin::new(fate).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(told) => Some(told),
            Poll::Pending => None,
        }
    }

    fn confirmed() -> Confirmed {
        Confirmed { message_id: "1".to_owned(), sequence: None }
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_is_either_in_a_call_or_given_up() {
        let waiters = Waiters::new(TIMEOUT);
        let (taken, mut fate) = waiters.begin();
        let (late, mut given_up) = waiters.begin();
        assert!(taken.take(Instant::now()) && taken.take(Instant::now()), "again, too");
        assert_eq!((now(&mut fate), now(&mut given_up)), (None, None));
        assert!(!late.take(late.deadline()), "it is too late by then");
        assert_eq!(waiters.next_deadline(late.deadline()), None);
        assert_eq!(now(&mut fate), Some(Err(PublishError::Unconfirmed)), "it may be in the queue");
        assert_eq!(now(&mut given_up), Some(Err(PublishError::Overloaded)));
        assert!(!late.take(Instant::now()), "its client was told that it will not be in the queue");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_what_cannot_be_told_any_more_and_no_call_takes_what_nobody_waits_for()
    {
        let waiters = Waiters::new(TIMEOUT);
        let (told, mut fate) = waiters.begin();
        told.tell(Ok(confirmed()));
        assert_eq!(now(&mut fate), Some(Ok(confirmed())));
        let (dropped, mut fate) = waiters.begin();
        drop(dropped);
        assert_eq!(now(&mut fate), Some(Err(PublishError::Overloaded)), "it was in no call");
        let (teller, fate) = waiters.begin();
        drop(fate);
        assert!(!teller.take(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn each_waits_for_its_own_time_whoever_has_waited_before() {
        let waiters = &Waiters::new(TIMEOUT);
        let began = Instant::now();
        let second = Duration::from_secs(1);
        let waiting = async {
            for pause in [0, 1, 30] {
                tokio::time::sleep(pause * second).await;
                let (_answered, gone) = waiters.begin();
                drop(gone);
                let (_one, fate) = waiters.begin();
                tokio::time::sleep(second).await;
                let (_other, later) = waiters.begin();
                let begun = Instant::now();
                assert_eq!(fate.await, Err(PublishError::Overloaded));
                assert_eq!(begun.elapsed(), TIMEOUT.saturating_sub(second));
                assert_eq!(later.await, Err(PublishError::Overloaded));
                assert_eq!(begun.elapsed(), TIMEOUT);
            }
        };
        // Hours in which nobody is told: the clock would go on for ever.
        let told = tokio::time::timeout(360 * TIMEOUT, waiting);
        tokio::select! {
            told = told => told.expect("each is told"),
            never = waiters.time_out() => match never {},
        }
        assert_eq!(began.elapsed(), 3 * (TIMEOUT + second) + 31 * second);
    }
}
