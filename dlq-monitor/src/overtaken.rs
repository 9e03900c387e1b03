//! Whether a dead letter, sent back now, would come behind newer ones of its message group: as far as
//! that is known. What is in the source queue and was never attempted nobody can see.

use std::time::Duration;

use jiff::Timestamp;
use order_store::{DeadLetter, DeadOrder, Newer, Store, StoreError};

use crate::{keeper::before, queues::DeadLetterQueue};

/// No queue keeps a message for longer (AWS, SQS quotas).
const LONGEST_RETENTION: Duration = Duration::from_hours(14 * 24);

/// Where a letter is in its dead-letter queue: a FIFO queue gives what was sent to it first.
pub(crate) fn place(letter: &DeadLetter) -> (Timestamp, i64) {
    (letter.sent_at.unwrap_or(letter.seen_at), letter.id)
}

/// What newer message of its group is in the way of a letter. `accepted`: when its order was accepted,
/// where that is known; it stands for the first attempt at one that had none.
pub(crate) async fn newer_than(
    store: &Store,
    queue: &DeadLetterQueue,
    letter: &DeadLetter,
    accepted: Option<Timestamp>,
) -> Result<Option<Newer>, StoreError> {
    // The group of a message that is no order is its customer's id, unless that was mapped.
    let group = letter.group.as_deref().filter(|group| !group.starts_with('~'));
    let customer_id = letter.customer_id.as_deref().or(group);
    let (Some(source), Some(customer_id)) = (queue.source_name(), customer_id) else {
        return Ok(None);
    };
    let dead = DeadOrder {
        customer_id,
        source,
        order_id: letter.order_id,
        otherwise: accepted.or(letter.sent_at).unwrap_or(letter.seen_at),
        place: place(letter),
        kept_since: before(Timestamp::now(), LONGEST_RETENTION),
    };
    store.newer_than(&dead).await
}
