//! Orders with an `Idempotency-Key`: the same request has the same order and the same answer, another
//! one with the same key is refused.
//!
//! Three things make it so, each for a longer time than the one before:
//!
//! 1. This replica remembers the latest keys ([`recent`]), for what they stood and whether SQS has
//!    confirmed it. A repetition of what is confirmed is answered at once and sent no more. What
//!    the store may have forgotten counts no more here: its key may stand for another order there.
//! 2. The store remembers every key, for all replicas and restarts, for the retention that is set.
//! 3. The order's id is derived from customer, key and content. Whoever remembers nothing any more gives
//!    a repetition the same id, so that it has no second effect, and another order with a key that was
//!    used before an id of its own, so that it is not taken for the former and lost.

mod recent;
mod remote;

use crate::{
    metrics::Metrics, order::Order, problem::Refusal, publisher::QueueType, room::Reserved, routes,
    settings::KeySettings,
};
use jiff::Timestamp;
use order_events::OrderEvent;
use order_store::{KeyedRequest, Remembered, key_identity};
use recent::{Recent, Seen};
use remote::Remote;
use service_kit::Shutdown;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::{Uuid, uuid};

/// What the store of keys adds to the name of the deliveries' file.
const BESIDE: &str = "keys";

/// Below which the ids of orders with a key are made (UUID version 5, RFC 9562).
const KEYED_ORDERS: Uuid = uuid!("b3a5d8a4-52f5-4b9d-8c0b-6f6f0c7f6a55");

/// What is known of keys. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    recent: Arc<Mutex<Recent>>,
    /// None where nothing outlives this process.
    remote: Option<Remote>,
    metrics: Metrics,
}

/// An order with a key, before it is sent.
#[derive(Debug)]
pub(crate) struct Keyed {
    /// Customer and key.
    name: [u8; 32],
    key: String,
    /// What the key stands for: content and queue.
    fingerprint: [u8; 32],
    /// What is from before this time the store may have forgotten.
    before: Option<Timestamp>,
    /// The order, with the time of the first request.
    pub(crate) event: OrderEvent,
    /// The order as it is sent and answered.
    pub(crate) json: String,
    /// SQS has confirmed it to this replica already.
    pub(crate) is_confirmed: bool,
    /// The key was seen before: the order may have been sent.
    pub(crate) is_known: bool,
}

impl Keys {
    pub(crate) fn new(settings: KeySettings, metrics: &Metrics) -> Self {
        Self {
            recent: Arc::default(),
            remote: settings
                .database
                .map(|url| Remote::new(url.beside(BESIDE), settings.retention)),
            metrics: metrics.clone(),
        }
    }

    /// Opens the store, and deletes from it what is too old, until the shutdown is requested.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        if let Some(remote) = self.remote {
            remote.run(shutdown).await;
        }
    }

    /// Closes the store, when no request is under way any more.
    pub(crate) async fn close(&self) {
        if let Some(remote) = &self.remote {
            remote.close().await;
        }
    }

    /// The order that stands for this key, as far as this replica knows; nothing is noted yet.
    pub(crate) fn recall(
        &self,
        order: Order,
        key: String,
        queue: QueueType,
        now: Timestamp,
    ) -> Result<Keyed, Refusal> {
        let content = content(&order);
        let fingerprint = fingerprint(&content, queue);
        let name = key_identity(&order.customer_id, &key);
        let before = self.remote.as_ref().and_then(|remote| remote.keeps_from(now));
        let seen = self.recent().get(&name, before);
        let order_id = order_id(&order.customer_id, &key, &content);
        let event = routes::event(order, order_id, seen.map_or(now, |seen| seen.at))?;
        let json = routes::written(&event)?;
        if seen.is_some_and(|seen| seen.fingerprint != fingerprint) {
            return Err(self.reused());
        }
        let is_confirmed = seen.is_some_and(|seen| seen.is_confirmed);
        if is_confirmed {
            self.metrics.keyed("same");
        }
        let is_known = seen.is_some();
        Ok(Keyed { name, key, fingerprint, before, event, json, is_confirmed, is_known })
    }

    /// The order that stands for the key, on all replicas; from now on it does. The order's room is
    /// kept until the store has let go of it.
    pub(crate) async fn remember(
        &self,
        mut keyed: Keyed,
        reserved: &Arc<Reserved>,
    ) -> Result<Keyed, Refusal> {
        if let Some(remote) = &self.remote
            && !keyed.is_known
        {
            keyed.is_known = !self.ask(remote, &mut keyed, reserved).await?;
        }
        let outcome = if keyed.is_known { "same" } else { "first" };
        let Keyed { fingerprint, before, .. } = keyed;
        let noted = Seen { fingerprint, at: keyed.event.timestamp, is_confirmed: false };
        // Of two at once the one that was noted first is what both are.
        let first = self.recent().note(keyed.name, noted, before);
        if first.fingerprint != fingerprint {
            return Err(self.reused());
        }
        if first.at != noted.at {
            keyed.event.timestamp = first.at;
            keyed.json = routes::written(&keyed.event)?;
            keyed.is_known = true;
        }
        keyed.is_confirmed = first.is_confirmed;
        self.metrics.keyed(outcome);
        Ok(keyed)
    }

    fn reused(&self) -> Refusal {
        self.metrics.keyed("other");
        Refusal::KeyReused
    }

    /// Asks the store, and takes over what it knows. Whether it knew nothing.
    async fn ask(
        &self,
        remote: &Remote,
        keyed: &mut Keyed,
        reserved: &Arc<Reserved>,
    ) -> Result<bool, Refusal> {
        let request = KeyedRequest {
            customer_id: keyed.event.customer_id.clone(),
            key: keyed.key.clone(),
            fingerprint: keyed.fingerprint,
            answer: keyed.json.clone(),
            at: keyed.event.timestamp,
        };
        match remote.remember(request, Arc::clone(reserved)).await {
            Ok(Remembered::First) => Ok(true),
            Ok(Remembered::Same { answer, .. }) => {
                // Kept by this program, or by another version of it.
                match OrderEvent::from_json(&answer) {
                    Ok(event) if event.order_id == keyed.event.order_id => {
                        (keyed.event, keyed.json) = (event, answer);
                    }
                    _ => tracing::error!(
                        order_id = %keyed.event.order_id,
                        "the answer that is kept with an idempotency key is not one to its order"
                    ),
                }
                Ok(false)
            }
            Ok(Remembered::Other) => Err(self.reused()),
            Err(error) => {
                self.metrics.keyed("unknown");
                tracing::debug!(%error, "an idempotency key cannot be looked up");
                Err(Refusal::KeysUnavailable)
            }
        }
    }

    /// SQS has confirmed the order.
    pub(crate) fn confirmed(&self, keyed: &Keyed) {
        self.recent().confirmed(&keyed.name, &keyed.fingerprint);
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A digest of a list of texts: no two lists run together to the same.
fn digest<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    digest.finalize().into()
}

/// What is ordered, as the client wrote its numbers: the answer repeats them so.
fn content(order: &Order) -> [u8; 32] {
    let numbers: Vec<[String; 2]> = order
        .items
        .iter()
        .map(|item| [item.quantity.to_string(), item.price.to_string()])
        .collect();
    let items = order.items.iter().zip(&numbers).flat_map(|(item, [quantity, price])| {
        [&item.product_id, &item.product_name, quantity, price].map(String::as_bytes)
    });
    digest(std::iter::once(order.customer_id.as_bytes()).chain(items))
}

fn fingerprint(content: &[u8; 32], queue: QueueType) -> [u8; 32] {
    digest([&content[..], queue.as_str().as_bytes()])
}

/// The same customer, key and content give the same id, on every replica and for ever.
fn order_id(customer_id: &str, key: &str, content: &[u8; 32]) -> Uuid {
    Uuid::new_v5(&KEYED_ORDERS, &digest([customer_id.as_bytes(), key.as_bytes(), content]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::Room;
    use jiff::SignedDuration;
    use order_store::{DatabaseUrl, Store};
    use prometheus::Registry;
    use service_kit::ShutdownTrigger;
    use std::time::Duration;

    const RETENTION: Duration = Duration::from_hours(24);

    fn order(customer: &str, price: &str) -> Order {
        let body = format!(
            r#"{{"customerId":"{customer}","items":[{{"productId":"p","productName":"n","quantity":2,"price":{price}}}]}}"#
        );
        Order::from_json(body.as_bytes()).expect("it is valid")
    }

    #[test]
    fn the_id_of_a_keyed_order_never_changes() {
        let id = |customer: &str, key: &str, price: &str| {
            order_id(customer, key, &content(&order(customer, price)))
        };
        assert_eq!(
            id("customer-001", "key-1", "9.90").to_string(),
            "9a176eae-782d-5131-9639-63234a819063"
        );
        assert_eq!(id("customer-001", "key-1", "9.90"), id("customer-001", "key-1", "9.90"));
        assert_ne!(id("customer-001", "key-1", "9.90"), id("customer-001", "key-1", "9.91"));
        assert_ne!(id("customer-001", "key-1", "9.90"), id("customer-001", "key-2", "9.90"));
        assert_ne!(id("ab", "c", "1"), id("a", "bc", "1"));
    }

    /// What a replica knows of keys, until the trigger is dropped.
    fn replica(url: &DatabaseUrl) -> (Keys, ShutdownTrigger) {
        let settings = KeySettings { database: Some(url.clone()), retention: RETENTION };
        let keys = Keys::new(settings, &Metrics::register(&Registry::new()));
        let (trigger, shutdown) = Shutdown::new();
        tokio::spawn(keys.clone().run(shutdown));
        (keys, trigger)
    }

    async fn place(keys: &Keys, price: &str, now: Timestamp) -> Result<Keyed, Refusal> {
        let reserved = Arc::new(Room::new(0, Duration::MAX).part());
        let order = order("c", price);
        let keyed = keys.recall(order, "key".to_owned(), QueueType::Standard, now)?;
        keys.remember(keyed, &reserved).await
    }

    #[tokio::test]
    async fn a_key_that_the_store_has_given_to_another_order_is_that_ones_on_every_replica() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = DatabaseUrl::Sqlite(folder.path().join("fleet.db"));
        let store = Store::open(&url.clone().beside(BESIDE)).await.expect("it opens");
        let ((one, _one), (two, _two)) = (replica(&url), replica(&url));

        let first = Timestamp::now();
        place(&one, "1", first).await.expect("the key is new");
        let retention = SignedDuration::try_from(RETENTION).expect("it is short");
        let expiry = first.checked_add(retention).expect("a time");
        assert!(matches!(place(&one, "2", expiry).await, Err(Refusal::KeyReused)));

        let later = expiry.checked_add(SignedDuration::from_secs(1)).expect("a time");
        let before = later.checked_sub(retention).expect("a time");
        assert_eq!(store.forget_requests_before(before, 10).await, Ok(1));
        let accepted = place(&two, "2", later).await.expect("the key is free again");
        let again = place(&one, "2", later).await.expect("it was accepted");
        assert_eq!(again.json, accepted.json);
        assert!(again.is_known && !accepted.is_known);
        assert!(matches!(place(&one, "1", later).await, Err(Refusal::KeyReused)));
    }
}
