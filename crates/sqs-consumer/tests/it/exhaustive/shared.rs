//! Parts that many states have in common are kept once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use super::{queue::Queue, worker::Worker};

/// Workers and queues by a number that is the same for those that are alike in everything.
#[derive(Default)]
pub(super) struct Shared {
    workers: Table<Worker>,
    queues: Table<Queue>,
}

impl Shared {
    pub(super) fn worker(&self, key: u64, worker: &mut Arc<Worker>) {
        self.workers.share(key, worker);
    }

    pub(super) fn queue(&self, key: u64, queue: &mut Arc<Queue>) {
        self.queues.share(key, queue);
    }
}

struct Table<T>(Mutex<Parts<T>>);

struct Parts<T> {
    by_key: HashMap<u64, Arc<T>>,
    /// With so many parts, those that no state has any more are let go.
    full_at: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Mutex::new(Parts { by_key: HashMap::new(), full_at: 1 << 16 }))
    }
}

impl<T> Table<T> {
    fn share(&self, key: u64, part: &mut Arc<T>) {
        let mut parts = self.0.lock().expect("no panic");
        if let Some(same) = parts.by_key.get(&key) {
            *part = Arc::clone(same);
            return;
        }
        parts.by_key.insert(key, Arc::clone(part));
        if parts.by_key.len() >= parts.full_at {
            parts.by_key.retain(|_, part| Arc::strong_count(part) > 1);
            parts.full_at = (2 * parts.by_key.len()).max(1 << 16);
        }
    }
}
