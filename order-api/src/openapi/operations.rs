//! What the document says of each route.

use super::{
    ORDERS,
    schemas::{
        DELIVERY, ORDER_EVENT, ORDER_REQUEST, delivery_example, event_example, order_example,
        order_id,
    },
};
use crate::{limits, problem::kinds, publisher::QueueType};
use serde_json::json;
use service_kit::docs::{
    in_json, location,
    operations::{operation, parameter, string},
    problems,
    schemas::named,
};
use utoipa::openapi::{
    ContentBuilder, Required, ResponseBuilder,
    link::LinkBuilder,
    path::{OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
};

/// Printable ASCII without a space at either end, where HTTP would drop it.
const KEY_PATTERN: &str = "^[!-~]([ -~]*[!-~])?$";

fn traceparent() -> ParameterBuilder {
    parameter(
        "traceparent",
        ParameterIn::Header,
        "The caller's trace, as W3C Trace Context has it; it goes through SQS to the delivery: continued \
         where tracing is on, passed on unchanged where it is off. One that cannot be read is ignored.",
        string().examples([json!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]),
    )
}

pub(crate) fn place_order() -> OperationBuilder {
    let queue_type = parameter(
        "queueType",
        ParameterIn::Query,
        "Which queue: `standard`, for which the order of messages does not matter, or `fifo`, which \
         keeps each customer's. Taken in any case of letters, at most once.",
        string()
            .enum_values(Some(QueueType::ALL.map(QueueType::as_str)))
            .default(Some(json!(QueueType::Standard.as_str()))),
    );
    let key = parameter(
        "Idempotency-Key",
        ParameterIn::Header,
        "Makes a repetition of the same request by the same customer the same order, with the same \
         answer, which is delivered once: with it a request whose answer got lost can be sent again. \
         Another order with a key that was used before is refused.",
        string()
            .min_length(Some(1))
            .max_length(Some(limits::KEY_LENGTH))
            .pattern(Some(KEY_PATTERN))
            .examples([json!("8e03978e-40d5-43e8-bc93-6894a57f9324")]),
    );
    let content = ContentBuilder::new()
        .schema(Some(named(ORDER_REQUEST)))
        .example(Some(order_example()))
        .build();
    let body = RequestBodyBuilder::new()
        .description(Some("The order, in UTF-8. Types that end in `+json` are taken too."))
        .required(Some(Required::True))
        .content("application/json", content)
        .build();
    let link = LinkBuilder::new()
        .operation_id("getOrder")
        .parameter("orderId", "$response.body#/orderId")
        .description("What becomes of the order. Unknown until a first attempt at its delivery.");
    let accepted = in_json("SQS has the order.", ORDER_EVENT, event_example())
        .header("Location", location("Where the order's delivery can be asked for."))
        .link("order", link.build());
    let operation = operation(
        "placeOrder",
        ORDERS,
        "Place an order",
        "The order is published to SQS, and answered when SQS has confirmed it. The invalid parts of \
         a request are listed in one answer.",
    )
    .parameter(queue_type)
    .parameter(key)
    .parameter(traceparent())
    .request_body(Some(body))
    .response("202", accepted);
    problems(operation, kinds::OF_ALL, kinds::OF_ORDERS)
}

pub(crate) fn get_order() -> OperationBuilder {
    let id = parameter("orderId", ParameterIn::Path, "The order's id.", order_id());
    let known =
        in_json("The order's delivery, with its newest attempts.", DELIVERY, delivery_example());
    let elsewhere = ResponseBuilder::new()
        .description(
            "A delivery worker's API answers, at `Location`; the API was set up to say so.",
        )
        .header("Location", location("The same question, to a delivery worker."));
    let operation = operation(
        "getOrder",
        ORDERS,
        "What became of an order",
        "The delivery's state, as a delivery worker has recorded it at that moment. An order is known \
         from its first attempt on, usually within a second after it was accepted.",
    )
    .parameter(id)
    .parameter(traceparent())
    .response("200", known)
    .response("307", elsewhere);
    problems(operation, kinds::OF_ALL, kinds::OF_STATUS)
}
