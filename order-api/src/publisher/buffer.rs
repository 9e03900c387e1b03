//! How many orders are in hand.

use crate::{metrics::Metrics, room::Reserved};
use prometheus::IntGauge;
use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The room for orders in hand. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    orders: Arc<Semaphore>,
    most_orders: u32,
    pub(super) metrics: Metrics,
}

/// An order's place in the buffer, until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    _order: OwnedSemaphorePermit,
    _bytes: Arc<Reserved>,
    buffered: IntGauge,
}

impl Buffer {
    pub(super) fn new(most_orders: usize, metrics: &Metrics) -> Self {
        Self {
            orders: Arc::new(Semaphore::new(most_orders)),
            most_orders: most_orders as u32,
            metrics: metrics.clone(),
        }
    }

    /// None when it is full.
    pub(super) fn admit(&self, bytes: Arc<Reserved>) -> Option<Admitted> {
        let order = Arc::clone(&self.orders).try_acquire_owned().ok()?;
        let buffered = self.metrics.buffered();
        buffered.inc();
        Some(Admitted { _order: order, _bytes: bytes, buffered })
    }

    /// Waits, within the limit, until it is empty. Returns how many orders are left.
    pub(super) async fn drained(&self, limit: Duration) -> usize {
        let Self { orders, most_orders, .. } = self;
        match tokio::time::timeout(limit, orders.acquire_many(*most_orders)).await {
            Ok(_) => 0,
            Err(_) => *most_orders as usize - orders.available_permits(),
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.buffered.dec();
    }
}
