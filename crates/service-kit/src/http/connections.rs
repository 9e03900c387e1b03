//! Which connections are open, and which of them wait for a request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// The connections that wait for a request, the longest-waiting first. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    idle: Arc<Mutex<Idle>>,
    one_more: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Idle {
    next: u64,
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// A connection. It waits for a request from the start.
#[derive(Debug)]
pub(super) struct Place {
    connections: Connections,
    /// The key among the waiting ones.
    key: Mutex<u64>,
    closing: Arc<Notify>,
}

/// A request of the connection is being answered.
#[derive(Debug)]
pub(super) struct Answering(Arc<Place>);

impl Connections {
    pub(super) fn place(&self) -> Arc<Place> {
        let closing = Arc::new(Notify::new());
        let key = self.wait(&closing);
        Arc::new(Place { connections: self.clone(), key: Mutex::new(key), closing })
    }

    /// Tells the connection that has waited longest to close; false when none waits.
    pub(super) fn close_longest_idle(&self) -> bool {
        let first = lock(&self.idle).waiting.pop_first();
        first.is_some_and(|(_, closing)| {
            closing.notify_one();
            true
        })
    }

    /// Returns when a connection waits for its next request; perhaps one more time than that.
    pub(super) async fn one_more_waits(&self) {
        self.one_more.notified().await;
    }

    fn wait(&self, closing: &Arc<Notify>) -> u64 {
        let mut idle = lock(&self.idle);
        let key = idle.next;
        idle.next += 1;
        idle.waiting.insert(key, Arc::clone(closing));
        key
    }
}

impl Place {
    pub(super) fn answers(self: &Arc<Self>) -> Answering {
        lock(&self.connections.idle).waiting.remove(&*lock(&self.key));
        Answering(Arc::clone(self))
    }

    /// Waits until the connection is to close to make room.
    pub(super) async fn closing(&self) {
        self.closing.notified().await;
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let place = &self.0;
        let key = place.connections.wait(&place.closing);
        *lock(&place.key) = key;
        place.connections.one_more.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.connections.idle).waiting.remove(&*lock(&self.key));
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
        let answering = second.answers();
        drop(first.answers());
        assert!(connections.close_longest_idle());
        assert!(is_closing(&third) && !is_closing(&first) && !is_closing(&second));
        drop(answering);
        assert!(connections.close_longest_idle());
        assert!(is_closing(&first) && !is_closing(&second));
        drop(second);
        assert!(!connections.close_longest_idle(), "a connection that has ended waits no more");
    }
}
