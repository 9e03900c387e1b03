//! What is sent and answered.

use crate::{limits, problem::kinds};
use order_events::{Decimal, DeliveryStatus, OrderEvent, OrderItem};
use serde_json::{Value, json};
use service_kit::docs::schemas::{formatted, named, object, shared, text};
use utoipa::openapi::{
    ArrayBuilder, Components, ComponentsBuilder, ObjectBuilder, Type, schema::SchemaType,
};
use uuid::uuid;

/// The names of the schemas.
pub(super) const ORDER_REQUEST: &str = "OrderRequest";
pub(super) const ORDER_EVENT: &str = "OrderEvent";
pub(super) const DELIVERY: &str = "Delivery";
const ORDER_ITEM: &str = "OrderItem";
const ATTEMPT: &str = "DeliveryAttempt";

/// A character that is not white space is somewhere in the text. ECMAScript's `\s` lacks U+0085, which
/// is white space in Unicode.
const NOT_BLANK: &str = r"[^\s\u0085]";
/// The same, and U+0000 is nowhere.
const NOT_BLANK_WITHOUT_NUL: &str = r"^[^\u0000]*[^\s\u0085\u0000][^\u0000]*$";

pub(super) fn components() -> Components {
    let components = ComponentsBuilder::new()
        .schema(ORDER_REQUEST, order_request())
        .schema(ORDER_ITEM, order_item())
        .schema(ORDER_EVENT, order_event())
        .schema(DELIVERY, delivery())
        .schema(ATTEMPT, attempt());
    shared(components, "order-api", &kinds::ALL, &kinds::INVALID).build()
}

fn bounded(longest: usize, about: &str) -> ObjectBuilder {
    text(about).min_length(Some(1)).max_length(Some(longest)).pattern(Some(NOT_BLANK))
}

fn order_request() -> ObjectBuilder {
    let items = ArrayBuilder::new()
        .items(named(ORDER_ITEM))
        .min_items(Some(1))
        .max_items(Some(limits::ITEMS))
        .description(Some("What is ordered."));
    let about = "An order, as a client places it. As a whole it takes at most 1 MiB, or what its \
                 queue takes, where that is less.";
    object(about, [(
        "customerId",
        bounded(
            limits::ID_LENGTH,
            "The customer's id in the shop, any text with a character that is not white space and \
             without U+0000. With `queueType=fifo` the customer's orders are delivered in the \
             order in which they were accepted.",
        )
        .pattern(Some(NOT_BLANK_WITHOUT_NUL)),
    )])
    .property("items", items)
    .required("items")
    .examples([order_example()])
}

fn order_item() -> ObjectBuilder {
    let quantity = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(limits::QUANTITY as usize))
        .description(Some("How many, in pieces."));
    let price = ObjectBuilder::new()
        .schema_type(Type::Number)
        .minimum(Some(0))
        .maximum(Some(whole(limits::PRICE)))
        .multiple_of(Some(10_f64.powi(-(limits::PRICE_SCALE as i32))))
        .description(Some(
            "Price of one piece, an exact decimal; the currency is the shop's affair.",
        ));
    object(
        "One line of an order.",
        [
            ("productId", bounded(limits::ID_LENGTH, "The shop's id of the product.")),
            ("productName", bounded(limits::NAME_LENGTH, "The product's name, any language.")),
            ("quantity", quantity),
            ("price", price),
        ],
    )
    .examples([order_example()["items"][0].clone()])
}

fn order_event() -> ObjectBuilder {
    let total = ObjectBuilder::new()
        .schema_type(Type::Number)
        .minimum(Some(0))
        .description(Some("The sum of price times quantity over the items, exact."));
    let items = ArrayBuilder::new().items(named(ORDER_ITEM)).min_items(Some(1));
    object(
        "An accepted order, byte for byte the message that was sent. Where a FIFO queue has dropped it as \
         a repetition, of an order whose `Idempotency-Key` this replica could not know, the message in \
         the queue is the first one's, which may differ in `timestamp`.",
        [
            ("orderId", order_id()),
            ("customerId", text("The customer's id, as it was sent.")),
            ("totalAmount", total),
            ("timestamp", formatted("date-time", "When the order was accepted, UTC.")),
        ],
    )
    .property("items", items.description(Some("The items, as they were sent.")))
    .required("items")
    .examples([event_example()])
}

/// The id of an order.
pub(super) fn order_id() -> ObjectBuilder {
    formatted("uuid", "The order's id.")
}

fn delivery() -> ObjectBuilder {
    use DeliveryStatus::{Delivered, Failed, InTransit, Pending};
    let status = text(
        "How far the delivery is. `FAILED` is not final: the order is tried again until its attempts \
         are used up, and may be sent again from the dead-letter queue.",
    )
    .enum_values(Some([Pending, InTransit, Delivered, Failed].map(DeliveryStatus::as_str)));
    let count = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .description(Some("How many attempts are kept, listed here or not."));
    let attempts = ArrayBuilder::new().items(named(ATTEMPT));
    object(
        "What became of an order, as the delivery workers have recorded it.",
        [
            ("deliveryId", formatted("uuid", "The delivery's id.")),
            ("orderId", order_id()),
            ("customerId", text("The customer's id.")),
            ("address", text("Where to.")),
            ("status", status),
            ("timestamp", formatted("date-time", "When the status was last set, UTC.")),
            ("createdAt", formatted("date-time", "When the order was first attempted, UTC.")),
            ("queue", text("The queue by which the order came.")),
            ("attemptCount", count),
        ],
    )
    .property("attempts", attempts.description(Some("The newest 100 attempts, in their order.")))
    .required("attempts")
    .examples([delivery_example()])
}

fn attempt() -> ObjectBuilder {
    let nullable = |about: &str| {
        let types = SchemaType::from_iter([Type::String, Type::Null]);
        ObjectBuilder::new().schema_type(types).description(Some(about))
    };
    let number = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .description(Some("The attempt's number, from 1."));
    let outcome =
        text("`failed` may pass, `rejected` is for good: the carrier does not take this order.")
            .enum_values(Some(["delivered", "failed", "rejected"]));
    object(
        "One attempt at delivering an order.",
        [
            ("attempt", number),
            ("messageId", text("SQS's id of the message.")),
            ("queue", text("The queue by which the message came.")),
            ("outcome", outcome),
            ("reason", nullable("Why it failed: a word of a list that may grow.")),
            ("error", nullable("Why it failed, for people.")),
            ("worker", text("Which worker tried.")),
            ("startedAt", formatted("date-time", "When it began, UTC.")),
            ("finishedAt", formatted("date-time", "When it ended, UTC.")),
        ],
    )
    .examples([delivery_example()["attempts"][0].clone()])
}

fn whole(decimal: Decimal) -> usize {
    usize::try_from(decimal).unwrap_or(usize::MAX)
}

/// An order that the API takes.
pub(super) fn order_example() -> Value {
    let event = event_example();
    json!({ "customerId": event["customerId"], "items": event["items"] })
}

/// What the order of the example becomes.
pub(super) fn event_example() -> Value {
    serde_json::from_str(&example().to_json()).unwrap_or_default()
}

fn example() -> OrderEvent {
    let id = uuid!("47e715ef-7d35-5e8f-8d5c-ac406378c6c8");
    let item = OrderItem {
        product_id: "p1".to_owned(),
        product_name: "상품1".to_owned(),
        quantity: 2,
        price: Decimal::new(1250, 2),
    };
    let accepted = jiff::Timestamp::constant(1_795_411_321, 633_423_000);
    OrderEvent {
        order_id: id,
        customer_id: "customer-001".to_owned(),
        total_amount: item.price * Decimal::from(item.quantity),
        items: vec![item],
        timestamp: accepted,
    }
}

/// What becomes of it.
pub(super) fn delivery_example() -> Value {
    let order = event_example();
    json!({
        "deliveryId": "0d5fbc3e-8d0c-4f0e-9a3e-2f1b9c6f7a10",
        "orderId": order["orderId"],
        "customerId": order["customerId"],
        "address": "registered address of customer customer-001",
        "status": DeliveryStatus::Delivered.as_str(),
        "timestamp": "2026-11-23T05:22:01.702113Z",
        "createdAt": "2026-11-23T05:22:01.698871Z",
        "queue": "order-queue-standard",
        "attemptCount": 1,
        "attempts": [{
            "attempt": 1,
            "messageId": "5fea7756-0ea4-451a-a703-a558b933e274",
            "queue": "order-queue-standard",
            "outcome": "delivered",
            "reason": null,
            "error": null,
            "worker": "delivery-worker-0",
            "startedAt": "2026-11-23T05:22:01.698871Z",
            "finishedAt": "2026-11-23T05:22:01.702113Z",
        }],
    })
}
