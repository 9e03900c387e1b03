//! Which connections are open, and which of them wait for their clients.

use super::gives_way::{GivesWay, Stuck};
use crate::line::{Line, LinePlace};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// The connections that wait for their clients, the longest-waiting first. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    idle: Arc<Mutex<Line<Arc<Notify>>>>,
    one_more: Arc<Notify>,
    one_stays: Arc<Notify>,
}

/// A connection. It waits for a request from the start, and for the rest of it until its body has
/// come to its end: a client that never ends its body has no more right to its place than one that
/// says nothing.
#[derive(Debug)]
pub(super) struct Place {
    connections: Connections,
    state: Mutex<State>,
    closing: Arc<Notify>,
    stuck: AtomicBool,
    unread: AtomicBool,
}

#[derive(Debug)]
struct State {
    /// Where it waits; nowhere while a request is being answered.
    waits: Option<LinePlace>,
    /// Requests so far.
    requests: u64,
    /// Answers that have begun so far.
    answers: u64,
    /// When the latest of them gives way.
    gives_way: Option<GivesWay>,
    /// From when on a request's head has been waited for; none while there is a request.
    head_awaited: Option<Instant>,
}

impl Connections {
    pub(super) fn place(&self) -> Arc<Place> {
        let closing = Arc::new(Notify::new());
        let waits = Some(lock(&self.idle).join(Arc::clone(&closing)));
        let head_awaited = Some(Instant::now());
        let state = State { waits, requests: 0, answers: 0, gives_way: None, head_awaited };
        Arc::new(Place {
            connections: self.clone(),
            state: Mutex::new(state),
            closing,
            stuck: AtomicBool::new(false),
            unread: AtomicBool::new(false),
        })
    }

    /// Tells the connection that has waited longest to close; false when none waits.
    pub(super) fn close_longest_idle(&self) -> bool {
        let first = lock(&self.idle).leave_first();
        first.is_some_and(|closing| {
            closing.notify_one();
            true
        })
    }

    fn forget(&self, place: Option<LinePlace>) {
        if let Some(place) = place {
            lock(&self.idle).leave(place);
        }
    }

    /// Returns when a connection waits again; perhaps one more time than that.
    pub(super) async fn one_more_waits(&self) {
        self.one_more.notified().await;
    }

    /// Returns when a connection that was told to close does not do that soon.
    pub(super) async fn one_stays(&self) {
        self.one_stays.notified().await;
    }
}

impl Place {
    /// A request has begun; its number. Until all of it is there the connection waits, anew.
    pub(super) fn begins(&self) -> u64 {
        self.waits(|state| {
            state.requests += 1;
            state.head_awaited = None;
            state.requests
        })
    }

    /// Returns when a request's head has been waited for as long as that. One timer for all requests of
    /// the connection: each would cost more than a look at the clock.
    pub(super) async fn head_is_late(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            // What is only waited for from now on is not late before that either.
            let since = lock(&self.state).head_awaited.unwrap_or(now);
            // Too far off to be told: never.
            let Some(late) = since.checked_add(limit) else {
                return std::future::pending().await;
            };
            if late <= now {
                return;
            }
            tokio::time::sleep_until(late).await;
        }
    }

    /// The request of this number is complete, or is answered without that.
    pub(super) fn is_answering(&self, request: u64) {
        let mut state = lock(&self.state);
        if state.requests == request {
            self.connections.forget(state.waits.take());
        }
    }

    /// A further answer is there to be written: what was before it has been.
    pub(super) fn answer_begins(&self, gives_way: Option<GivesWay>) {
        let mut state = lock(&self.state);
        state.answers += 1;
        state.gives_way = gives_way;
    }

    /// The number of the latest answer, to which everything that is being written belongs.
    pub(super) fn answer(&self) -> u64 {
        lock(&self.state).answers
    }

    /// For the time in which nothing of the latest answer is being taken: ends when it gives way.
    pub(super) fn answer_is_stuck(&self) -> Stuck {
        let gives_way = lock(&self.state).gives_way.clone();
        match gives_way {
            Some(gives_way) => gives_way.stuck(),
            None => Box::pin(std::future::pending::<()>()),
        }
    }

    /// The answer is on its way, so the connection waits for the next request.
    pub(super) fn has_answered(&self) {
        self.waits(|state| state.head_awaited = Some(Instant::now()));
        self.connections.one_more.notify_one();
    }

    /// A place of its own for each time that the client is waited for; none while it is not.
    pub(super) fn waits_since(&self) -> Option<LinePlace> {
        lock(&self.state).waits
    }

    /// Notes whether the client does not take what is written.
    pub(super) fn note_stuck(&self, stuck: bool) {
        self.stuck.store(stuck, Relaxed);
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Relaxed)
    }

    /// Notes whether the client may be sending more than anybody reads.
    pub(super) fn note_unread(&self, unread: bool) {
        self.unread.store(unread, Relaxed);
    }

    pub(super) fn has_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// Waits until the connection is to close to make room.
    pub(super) async fn closing(&self) {
        self.closing.notified().await;
    }

    /// It was told to close, and has a request to answer first.
    pub(super) fn stays(&self) {
        self.connections.one_stays.notify_one();
    }

    fn waits<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.state);
        let mut idle = lock(&self.connections.idle);
        // What has waited before goes to the end of the line.
        let before = state.waits.and_then(|place| idle.leave(place));
        let closing = before.unwrap_or_else(|| Arc::clone(&self.closing));
        state.waits = Some(idle.join(closing));
        drop(idle);
        change(&mut state)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.forget(lock(&self.state).waits);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    fn is_closing(place: &Place) -> bool {
        let closing = pin!(place.closing());
        closing.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn the_one_that_has_waited_longest_is_closed_and_none_that_answers() {
        let connections = Connections::default();
        let (first, second, third) =
            (connections.place(), connections.place(), connections.place());
        second.is_answering(second.begins());
        first.is_answering(first.begins());
        first.has_answered();
        assert!(connections.close_longest_idle());
        assert!(is_closing(&third) && !is_closing(&first) && !is_closing(&second));
        second.has_answered();
        assert!(connections.close_longest_idle());
        assert!(is_closing(&first) && !is_closing(&second));
        drop(second);
        assert!(!connections.close_longest_idle(), "a connection that has ended waits no more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_late_counted_from_the_answer_before_and_never_while_there_is_a_request() {
        const LIMIT: Duration = Duration::from_secs(75);
        let place = Connections::default().place();
        let mut late = pin!(place.head_is_late(LIMIT));
        let began = Instant::now();
        for _ in 0..3 {
            let between = Duration::from_mins(1);
            assert!(tokio::time::timeout(between, late.as_mut()).await.is_err());
            place.is_answering(place.begins());
            assert!(tokio::time::timeout(2 * LIMIT, late.as_mut()).await.is_err());
            place.has_answered();
        }
        let answered = Instant::now();
        late.await;
        assert_eq!(answered.elapsed(), LIMIT);
        assert_eq!(began.elapsed(), 3 * (Duration::from_mins(1) + 2 * LIMIT) + LIMIT);
    }

    #[test]
    fn a_connection_waits_until_its_request_is_complete_counted_from_the_requests_begin() {
        let connections = Connections::default();
        let (uploading, silent) = (connections.place(), connections.place());
        let request = uploading.begins();
        assert!(connections.close_longest_idle());
        assert!(is_closing(&silent) && uploading.waits_since().is_some());
        uploading.is_answering(request);
        assert!(uploading.waits_since().is_none() && !connections.close_longest_idle());
        uploading.has_answered();
        // What is still read of an earlier request does not make the present one answered.
        uploading.begins();
        uploading.is_answering(request);
        assert!(uploading.waits_since().is_some() && connections.close_longest_idle());
    }
}
