//! One attempt at an order at a time in this process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

/// The orders that are being attempted now.
///
/// The same order can be in two messages (its producer sent it again) or in both queues. The second
/// attempt waits here for the first one's end, and then finds the order delivered.
#[derive(Clone, Debug, Default)]
pub(crate) struct OrdersInHand(Arc<Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>>);

/// Keeps others from the order until it is dropped.
#[derive(Debug)]
pub(crate) struct InHand {
    orders: OrdersInHand,
    order_id: Uuid,
    turn: Option<OwnedMutexGuard<()>>,
}

impl OrdersInHand {
    /// Waits for one's turn at the order.
    pub(crate) async fn take(&self, order_id: Uuid) -> InHand {
        let entry = Arc::clone(self.entries().entry(order_id).or_default());
        // Made before waiting, so that a wait that is given up cleans up as well.
        let mut in_hand = InHand { orders: self.clone(), order_id, turn: None };
        in_hand.turn = Some(entry.lock_owned().await);
        in_hand
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        let mut entries = self.orders.entries();
        self.turn = None;
        // With the map locked nobody can come to hold the entry, so one reference is the map's own.
        if entries.get(&self.order_id).is_some_and(|entry| Arc::strong_count(entry) == 1) {
            entries.remove(&self.order_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn an_order_is_in_one_hand_and_forgotten_afterwards() {
        let orders = OrdersInHand::default();
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = orders.take(a).await;
        let other = orders.take(b).await;
        let mut waiting = Box::pin(orders.take(a));
        assert!(waiting.as_mut().now_or_never().is_none());
        let given_up = Box::pin(orders.take(a)).now_or_never();
        assert!(given_up.is_none());
        drop(first);
        let second = waiting.await;
        drop((second, other));
        assert!(orders.entries().is_empty());
    }
}
