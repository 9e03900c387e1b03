//! What is written and read, in the store's own words.

use jiff::Timestamp;
use order_events::{DeliveryStatus, OrderEvent};
use uuid::Uuid;

use crate::{LIMITS, reason::Reason};

/// Delivery ids are derived from order ids in this namespace, so every worker names a delivery alike.
const DELIVERIES: Uuid = Uuid::from_u128(0x7d1c_54ba_5f0e_4c64_9a77_1d7f_0b2e_63c9);

/// One attempt and, when it concerns a readable order, what it makes of the delivery. Both are
/// committed together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The attempt.
    pub attempt: Attempt,
    /// The new state of the order's delivery; has no effect on one that is DELIVERED.
    pub delivery: Option<DeliveryChange>,
}

/// One attempt at a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// SQS's id of the message.
    pub message_id: String,
    /// The order in it; none when the body could not be read that far.
    pub order_id: Option<Uuid>,
    /// The queue's name.
    pub queue: String,
    /// `MessageGroupId`, when there is one.
    pub group: Option<String>,
    /// Counts from 1 for each message.
    pub number: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// Free text beside the reason; cut to 1 KiB when written.
    pub error: Option<String>,
    /// The worker that made it.
    pub worker: String,
    /// When it began; kept to the millisecond.
    pub started_at: Timestamp,
    /// When it ended; kept to the millisecond.
    pub finished_at: Timestamp,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The carrier has the order.
    Delivered,
    /// It failed in a way that may pass.
    Failed,
    /// It failed for good: the message is dead-lettered without further attempts.
    Rejected,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::Rejected];

    /// The spelling in metrics, in the store and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }

    /// The outcome of this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// The attempts at an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How many are kept.
    pub total: u64,
    /// The newest of them, in the order in which they were committed.
    pub newest: Vec<Attempt>,
}

/// What an attempt makes of an order's delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryChange {
    /// The order.
    pub order_id: Uuid,
    /// Its customer.
    pub customer_id: String,
    /// The new status.
    pub status: DeliveryStatus,
}

impl DeliveryChange {
    /// The order with a new status.
    pub fn new(order: &OrderEvent, status: DeliveryStatus) -> Self {
        Self { order_id: order.order_id, customer_id: order.customer_id.clone(), status }
    }

    /// The delivery's id: a name-based UUID of the order's, the same from every worker.
    pub fn delivery_id(&self) -> Uuid {
        Uuid::new_v5(&DELIVERIES, self.order_id.as_bytes())
    }

    /// Where to. An order names no address, so the customer's registered one is meant.
    pub fn address(&self) -> String {
        format!("registered address of customer {}", self.customer_id)
    }
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Identity of the delivery.
    pub delivery_id: Uuid,
    /// The order.
    pub order_id: Uuid,
    /// The order's customer.
    pub customer_id: String,
    /// Where to.
    pub address: String,
    /// How far it is.
    pub status: DeliveryStatus,
    /// The queue that the order last came from.
    pub queue: String,
    /// When its first attempt began.
    pub created_at: Timestamp,
    /// When the status was last set.
    pub updated_at: Timestamp,
}

/// How many orders have each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// To be attempted again.
    pub pending: u64,
    /// Handed to the carrier, whose answer is not known; to be attempted again.
    pub in_transit: u64,
    /// Done.
    pub delivered: u64,
    /// Their attempts used up, or refused for good; they may still be tried again, see
    /// [`DeliveryStatus::Failed`].
    pub failed: u64,
}

impl Counts {
    /// The count of one status.
    pub fn of(&mut self, status: DeliveryStatus) -> &mut u64 {
        match status {
            DeliveryStatus::Pending => &mut self.pending,
            DeliveryStatus::InTransit => &mut self.in_transit,
            DeliveryStatus::Delivered => &mut self.delivered,
            DeliveryStatus::Failed => &mut self.failed,
        }
    }
}

/// A text as every database takes it: at most 1 KiB, and no NUL, which PostgreSQL refuses.
pub(crate) fn bounded(text: &str) -> String {
    let end = text.floor_char_boundary(LIMITS.text);
    text[..end].replace('\0', "\u{fffd}")
}

/// Every status.
pub(crate) const STATUSES: [DeliveryStatus; 4] = [
    DeliveryStatus::Pending,
    DeliveryStatus::InTransit,
    DeliveryStatus::Delivered,
    DeliveryStatus::Failed,
];

/// The status of this spelling.
pub(crate) fn parse_status(text: &str) -> Option<DeliveryStatus> {
    STATUSES.into_iter().find(|status| status.as_str() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_text_is_bounded_on_a_character_and_has_no_nul() {
        assert_eq!(bounded("a\0b"), "a\u{fffd}b");
        let long = format!("a{}", "상".repeat(1000));
        let kept = bounded(&long);
        assert!(kept.len() <= 1024 && kept.len() > 1020, "{}", kept.len());
        assert!(long.starts_with(&kept));
    }
}
