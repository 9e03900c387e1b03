//! Readiness: a service is ready while all of its latches are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The latches of one service. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Vec<Entry>>>);

#[derive(Debug)]
struct Entry {
    name: &'static str,
    /// Why not ready; nothing when ready.
    reason: Option<String>,
}

/// One condition of a service's readiness, held by the part that knows it.
#[derive(Clone, Debug)]
pub struct Latch {
    readiness: Readiness,
    index: usize,
}

impl Readiness {
    /// No latches yet, which is ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition; it is unready with the reason `starting` until its holder says otherwise.
    pub fn latch(&self, name: &'static str) -> Latch {
        let mut entries = self.entries();
        entries.push(Entry { name, reason: Some("starting".to_owned()) });
        Latch { readiness: self.clone(), index: entries.len() - 1 }
    }

    /// Whether every latch is ready.
    pub fn is_ready(&self) -> bool {
        self.entries().iter().all(|entry| entry.reason.is_none())
    }

    /// Every latch by name, with the reason when it is not ready.
    pub fn report(&self) -> Vec<(&'static str, Option<String>)> {
        self.entries().iter().map(|entry| (entry.name, entry.reason.clone())).collect()
    }

    /// Makes the service unready for good because it is stopping, so that nobody sends it new work
    /// while it finishes what it has.
    pub fn stopping(&self) {
        self.latch("shutdown").unready("shutting down");
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        // Every write below is a single assignment or push, so a poisoned list is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Latch {
    /// The condition holds. Returns whether it did not before, for whoever logs the change.
    pub fn ready(&self) -> bool {
        self.readiness.entries()[self.index].reason.take().is_some()
    }

    /// Follows what a part says of itself, until its sender is gone, which is not ready either. `why`
    /// gives the reason when it is not ready.
    pub async fn follow<T>(
        self,
        mut health: watch::Receiver<T>,
        why: impl Fn(&T) -> Option<String>,
    ) {
        loop {
            let reason = why(&*health.borrow_and_update());
            match reason {
                None => self.ready(),
                Some(reason) => self.unready(reason),
            };
            if health.changed().await.is_err() {
                self.unready("it has ended");
                return;
            }
        }
    }

    /// The condition does not hold; the reason is shown at `/readyz`. Returns whether it did before.
    pub fn unready(&self, reason: impl Into<String>) -> bool {
        self.readiness.entries()[self.index].reason.replace(reason.into()).is_none()
    }
}
