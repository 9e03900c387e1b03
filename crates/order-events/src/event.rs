//! The two events.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use uuid::Uuid;

use crate::{object::Object, written};

/// An accepted order: the body of a message on an order queue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderEvent {
    /// Identity of the order; a message that repeats it has no second effect.
    pub order_id: Uuid,
    /// The customer's own id, any text. See [`crate::message_group_id`].
    pub customer_id: String,
    /// What was ordered.
    #[serde(deserialize_with = "crate::object::list")]
    pub items: Vec<OrderItem>,
    /// The sum of price x quantity over the items, exact.
    #[serde(deserialize_with = "crate::decimal::deserialize")]
    pub total_amount: Decimal,
    /// When the order was accepted.
    #[serde(deserialize_with = "crate::time::deserialize")]
    pub timestamp: Timestamp,
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderItem {
    /// The shop's id of the product.
    pub product_id: String,
    /// The product's name as shown to the customer, any language.
    pub product_name: String,
    /// How many, in pieces.
    pub quantity: u32,
    /// Price of one piece, exact; the currency is the shop's affair.
    #[serde(deserialize_with = "crate::decimal::deserialize")]
    pub price: Decimal,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryEvent {
    /// Identity of the delivery.
    pub delivery_id: Uuid,
    /// The order that is delivered.
    pub order_id: Uuid,
    /// Where to.
    pub address: String,
    /// How far it is.
    pub status: DeliveryStatus,
    /// When it got there.
    #[serde(with = "crate::time")]
    pub timestamp: Timestamp,
}

/// How far a delivery is; `PENDING`, `IN_TRANSIT`, `DELIVERED`, `FAILED` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveryStatus {
    /// Known, not begun.
    Pending,
    /// On its way.
    InTransit,
    /// Done.
    Delivered,
    /// Its attempts are used up, or it was refused for good. Not final: while the carrier fails
    /// every order it is kept and tried again, and it may be sent again from the dead-letter queue.
    Failed,
}

impl DeliveryStatus {
    /// The spelling on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InTransit => "IN_TRANSIT",
            Self::Delivered => "DELIVERED",
            Self::Failed => "FAILED",
        }
    }
}

/// Why a message's body is not an order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not JSON at all.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// JSON, but a field is missing or of the wrong type or range.
    #[error("the body is not an order: {0}")]
    NotAnOrder(String),
}

/// The order's total is more than a [`Decimal`] holds (about 7.9 x 10^28), or could not be kept exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the total amount has too many digits to be kept exactly")]
pub struct AmountOverflow;

impl OrderEvent {
    /// An order with its total computed from the items.
    pub fn new(
        order_id: Uuid,
        customer_id: String,
        items: Vec<OrderItem>,
        timestamp: Timestamp,
    ) -> Result<Self, AmountOverflow> {
        let total_amount = total(&items).ok_or(AmountOverflow)?;
        Ok(Self { order_id, customer_id, items, total_amount, timestamp })
    }

    /// Reads a message's body. Unknown fields are ignored; the total is taken as it is.
    pub fn from_json(body: &str) -> Result<Self, EventError> {
        let read = serde_json::from_str::<Object<Self>>(body).map(|object| object.0);
        read.map_err(|error| {
            // A wrong type may be found before a syntax error further on, so the error's own
            // category does not tell whether the text is JSON.
            match serde_json::from_str::<IgnoredAny>(body) {
                Ok(_) => EventError::NotAnOrder(error.to_string()),
                Err(syntax) => EventError::NotJson(syntax.to_string()),
            }
        })
    }

    /// What no order can say, though it has an order's form: why it cannot be delivered.
    ///
    /// A total that differs from the sum is taken as it is: it is what the customer was told.
    pub fn contradiction(&self) -> Option<&'static str> {
        if self.customer_id.is_empty() {
            return Some("the order has no customer");
        }
        if self.items.is_empty() {
            return Some("the order has no items");
        }
        if self.items.iter().any(|item| item.quantity == 0) {
            return Some("an item's quantity is 0");
        }
        let negative = |amount: &Decimal| amount.is_sign_negative() && !amount.is_zero();
        if negative(&self.total_amount) || self.items.iter().any(|item| negative(&item.price)) {
            return Some("an amount is negative");
        }
        None
    }

    /// The body of the message: JSON of characters that SQS takes, whatever the order's texts hold.
    ///
    /// SQS refuses U+FFFE and U+FFFF (AWS SQS API reference, `SendMessage`), which JSON allows; they
    /// are written as escapes.
    pub fn to_json(&self) -> String {
        let json = written::order(self);
        // In UTF-8 both begin with this byte, which is looked for in a fraction of the time.
        let may_be_there = json.contains(&0xef);
        let json = String::from_utf8(json).expect("JSON is text");
        if may_be_there && json.contains(['\u{fffe}', '\u{ffff}']) {
            return json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff");
        }
        json
    }
}

/// The exact sum. Decimal's own operators round silently when digits run out, so the sum is made of
/// integers at a common scale.
fn total(items: &[OrderItem]) -> Option<Decimal> {
    let scale = items.iter().map(|item| item.price.scale()).max().unwrap_or(0);
    let mut sum = 0_i128;
    for item in items {
        let raise = 10_i128.checked_pow(scale - item.price.scale())?;
        let price = item.price.mantissa().checked_mul(raise)?;
        sum = sum.checked_add(price.checked_mul(i128::from(item.quantity))?)?;
    }
    Decimal::try_from_i128_with_scale(sum, scale).ok()
}
