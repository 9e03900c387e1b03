//! Keeps what is met in dead-letter queues: each message is counted and logged once, by the monitor
//! that has put it into the store.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use order_store::{Attempt, DeadLetter, Store, StoreError};
use sqs_consumer::Message;
use uuid::Uuid;

use crate::{letter::Letter, metrics::Metrics};

/// From one note that a message is there to the next.
pub(crate) const NOTED_EVERY: Duration = Duration::from_mins(1);
/// A message that is there so long after it was taken for gone is back; before, it may have been received
/// earlier than it went.
const BACK_AFTER: Duration = Duration::from_mins(2);

#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) store: Store,
    pub(crate) metrics: Metrics,
    /// Names this process in the store, and no other one.
    pub(crate) holder: Arc<str>,
}

impl Keeper {
    /// Whether another process does a job of this queue, or SQS moves its messages for one: what is
    /// received here is hidden from them.
    pub(crate) async fn is_to_be_left_alone(&self, queue: &str) -> Result<bool, StoreError> {
        self.store.is_to_be_left_alone(queue, &self.holder, Timestamp::now()).await
    }

    /// Notes that these messages were received from a dead-letter queue at this time.
    pub(crate) async fn note(
        &self,
        queue: &str,
        messages: &[Message],
        at: Timestamp,
    ) -> Result<HashMap<String, DeadLetter>, StoreError> {
        let mut known = self.kept(queue, messages.iter()).await?;
        let new: Vec<&Message> =
            messages.iter().filter(|message| !known.contains_key(&message.message_id)).collect();
        self.meet(queue, &new, at).await?;
        let (noted, back) = (before(at, NOTED_EVERY), before(at, BACK_AFTER));
        let mut stale = Vec::new();
        for letter in known.values_mut() {
            let again = letter.when_seen_again();
            let is_back =
                again != letter.state && letter.settled_at.is_some_and(|settled| settled < back);
            if is_back {
                letter.state = again;
            }
            if is_back || letter.last_seen_at <= noted {
                stale.push(letter.message_id.as_str());
            }
        }
        self.store.see_dead_letters(queue, &stale, at, back).await?;
        drop(stale);
        Ok(known)
    }

    /// The same, and gives what is kept of each message.
    pub(crate) async fn look_up(
        &self,
        queue: &str,
        messages: &[Message],
        at: Timestamp,
    ) -> Result<HashMap<String, DeadLetter>, StoreError> {
        let mut known = self.note(queue, messages, at).await?;
        let new = messages.iter().filter(|message| !known.contains_key(&message.message_id));
        let new = self.kept(queue, new).await?;
        known.extend(new);
        Ok(known)
    }

    async fn kept(
        &self,
        queue: &str,
        messages: impl Iterator<Item = &Message>,
    ) -> Result<HashMap<String, DeadLetter>, StoreError> {
        let ids: Vec<&str> = messages.map(|message| message.message_id.as_str()).collect();
        let letters = self.store.dead_letters_of(queue, &ids).await?;
        Ok(letters.into_iter().map(|letter| (letter.message_id.clone(), letter)).collect())
    }

    /// Keeps messages that are not kept yet, and tells of them.
    async fn meet(
        &self,
        queue: &str,
        messages: &[&Message],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut letters: Vec<Letter<'_>> = messages.iter().copied().map(Letter::read).collect();
        let orders = letters.iter().filter_map(|letter| letter.order.as_ref().ok());
        let orders: Vec<Uuid> = orders.map(|order| order.order_id).collect();
        let attempts = self.store.last_attempts(&orders).await?;
        for letter in &mut letters {
            let known = match &letter.order {
                Ok(order) => attempts.get(&order.order_id).cloned(),
                Err(_) if letter.has_reason() => None,
                Err(_) => self.last_attempt_without_order(letter.source_id()).await?,
            };
            if let Some(attempt) = known {
                letter.knows(&attempt);
            }
        }
        let kept: Vec<_> = letters.iter().map(|letter| letter.to_be_kept(queue, at)).collect();
        let new = self.store.keep_dead_letters(&kept).await?;
        let identities: Vec<&str> = kept.iter().map(|letter| letter.identity.as_str()).collect();
        let again = self.store.were_dead_before(&identities, at).await?;
        for (letter, kept) in letters.iter().zip(&kept) {
            if !new.contains(&kept.message_id) {
                continue;
            }
            let failed_again = again.contains(&kept.identity);
            self.metrics.arrived(queue, letter.reason());
            if failed_again {
                self.metrics.failed_again(queue);
            }
            letter.announce(queue, failed_again);
        }
        Ok(())
    }

    async fn last_attempt_without_order(
        &self,
        message_id: &str,
    ) -> Result<Option<Attempt>, StoreError> {
        Ok(self.store.attempts_without_order(message_id).await?.pop())
    }
}

/// So long before.
pub(crate) fn before(at: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}
