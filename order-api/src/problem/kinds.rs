//! Every kind of problem that the API answers with, and what its page says of it. A closed list: the
//! document's enumeration, the pages below `/problems` and the metric's labels are made from it.

use super::{Refusal, Unanswered};
use crate::{
    order::{Order, OrderError},
    publisher::{PublishError, QueueType},
};
use axum::http::StatusCode;
use service_kit::{
    BAD_REQUEST, FieldError, FieldErrors, METHOD_NOT_ALLOWED, NOT_FOUND, Problem, ProblemKind,
    docs::Kind,
};
use uuid::uuid;

/// Every kind, by status.
pub(crate) const ALL: [&Kind; 20] = [
    &AMBIGUOUS,
    &MALFORMED,
    &INVALID,
    &BODY_BROKEN,
    &INVALID_ORDER_ID,
    &UNKNOWN_ORDER,
    &NO_ROUTE,
    &OTHER_METHOD,
    &BODY_TIMEOUT,
    &UNREADABLE_ORDER,
    &TOO_LARGE,
    &MEDIA_TYPE,
    &KEY_REUSED,
    &STATUS_NOT_CONFIGURED,
    &STATUS_INVALID,
    &NOT_CONFIGURED,
    &OVERLOADED,
    &UNAVAILABLE,
    &KEYS_UNAVAILABLE,
    &STATUS_UNAVAILABLE,
];

/// What any request can meet, whatever it asks for.
pub(crate) const OF_ALL: &[&Kind] = &[&AMBIGUOUS];

/// What placing an order can meet.
pub(crate) const OF_ORDERS: &[&Kind] = &[
    &MALFORMED,
    &INVALID,
    &BODY_BROKEN,
    &BODY_TIMEOUT,
    &TOO_LARGE,
    &MEDIA_TYPE,
    &KEY_REUSED,
    &NOT_CONFIGURED,
    &OVERLOADED,
    &UNAVAILABLE,
    &KEYS_UNAVAILABLE,
];

/// What asking for an order can meet.
pub(crate) const OF_STATUS: &[&Kind] = &[
    &INVALID_ORDER_ID,
    &UNKNOWN_ORDER,
    &UNREADABLE_ORDER,
    &STATUS_NOT_CONFIGURED,
    &STATUS_INVALID,
    &STATUS_UNAVAILABLE,
];

/// What asking for a page can meet.
pub(crate) const OF_PAGES: &[&Kind] = &[&NO_ROUTE];

const fn kind(status: StatusCode, slug: &'static str, title: &'static str) -> ProblemKind {
    ProblemKind::new(status, slug, title)
}

pub(super) const MALFORMED: Kind = Kind {
    base: kind(StatusCode::BAD_REQUEST, "malformed-json", "The body is not JSON"),
    means: "The request's body is not one JSON value in UTF-8. `errors` says where reading ended; \
            other invalid parts of the request, such as its `queueType`, are listed with it.",
    remedy: "Send the order as one JSON object in UTF-8, without a byte order mark. The same request \
             will fail again.",
    example: || Refusal::from(read(b"{\"customerId\":", FieldErrors::default())).into(),
};

pub(crate) const INVALID: Kind = Kind {
    base: kind(StatusCode::BAD_REQUEST, "invalid-order", "The order is invalid"),
    means: "The body is JSON, but parts of the request are not what an order needs. `errors` lists \
            all of them at once: `pointer` is a JSON pointer into the body (RFC 6901) as a URI \
            fragment, or the name of a parameter or header; `detail` says what is wrong. Of very many \
            it lists the first, and its last entry says how many it leaves out.",
    remedy: "Mend each part that is listed. The same request will fail again.",
    example: || {
        let body = br#"{"items":[{"productId":"p1","productName":"n","quantity":0,"price":-1}]}"#;
        let queue = FieldError::new("?queueType", "must be standard or fifo");
        Refusal::from(read(body, queue.into())).into()
    },
};

pub(super) const BODY_BROKEN: Kind = Kind {
    base: kind(StatusCode::BAD_REQUEST, "body-incomplete", "The body is incomplete"),
    means: "The body ended before the end that its `Content-Length` or chunks announced. No order \
            was placed.",
    remedy: "Send the whole request again.",
    example: || Refusal::BodyBroken.into(),
};

pub(super) const BODY_TIMEOUT: Kind = Kind {
    base: kind(StatusCode::REQUEST_TIMEOUT, "body-timeout", "The body did not arrive"),
    means: "The body did not arrive in time. No order was placed.",
    remedy: "Send the request again, on a better connection.",
    example: || Refusal::BodyTimeout.into(),
};

pub(super) const TOO_LARGE: Kind = Kind {
    base: kind(StatusCode::PAYLOAD_TOO_LARGE, "order-too-large", "The order is too large"),
    means: "The body, or the message that the order becomes, is larger than SQS takes, or than the \
            queue does. `detail` says how much that is.",
    remedy: "Split the order into several.",
    example: || Refusal::TooLarge.into(),
};

pub(super) const MEDIA_TYPE: Kind = Kind {
    base: kind(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "The content type is not supported",
    ),
    means: "The request's `Content-Type` is missing, is given twice or is not JSON, or its content has a \
            `Content-Encoding`.",
    remedy: "Send `Content-Type: application/json`, not compressed. Types that end in `+json` are taken \
             too.",
    example: || Refusal::MediaType.into(),
};

pub(super) const KEY_REUSED: Kind = Kind {
    base: kind(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
        "The Idempotency-Key stands for another order",
    ),
    means: "The customer has used this `Idempotency-Key` before, with another order or another \
            `queueType`. This order was not accepted.",
    remedy: "Send another order with a key of its own. To repeat the earlier one, send it unchanged: \
             numbers too are compared as they are written.",
    example: || Refusal::KeyReused.into(),
};

pub(super) const KEYS_UNAVAILABLE: Kind = Kind {
    base: kind(
        StatusCode::SERVICE_UNAVAILABLE,
        "idempotency-keys-unavailable",
        "The Idempotency-Key cannot be looked up",
    ),
    means: "The store of idempotency keys does not answer, so it is not known whether this order was \
            accepted before, or its key stands for another one. The order was not accepted now.",
    remedy: "Try again after `Retry-After` seconds with the same key. Whoever runs the API looks after \
             the database at DATABASE_URL.",
    example: || Refusal::KeysUnavailable.into(),
};

pub(super) const NOT_CONFIGURED: Kind = Kind {
    base: kind(
        StatusCode::SERVICE_UNAVAILABLE,
        "queue-not-configured",
        "This kind of queue is not set up",
    ),
    means: "The API has no queue of the `queueType` that was asked for.",
    remedy: "Ask for the other `queueType`. Whoever runs the API sets the queue's URL, in the setting \
             that `detail` names.",
    example: || Refusal::Publish(PublishError::NotConfigured(QueueType::Fifo)).into(),
};

pub(super) const OVERLOADED: Kind = Kind {
    base: kind(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too many orders at once"),
    means: "As many orders are being read, sent or answered as the API bears. This one was not \
            accepted, and will not be in the queue. It may have been arriving for more than a second, and \
            had to make room for others.",
    remedy: "Try again after `Retry-After` seconds. Whoever runs the API adds replicas, or raises \
             PUBLISH_BUFFER_ORDERS and PUBLISH_BUFFER_BYTES.",
    example: || Refusal::Publish(PublishError::Overloaded).into(),
};

pub(super) const UNAVAILABLE: Kind = Kind {
    base: kind(
        StatusCode::SERVICE_UNAVAILABLE,
        "queue-unavailable",
        "The queue does not take the order",
    ),
    means: "SQS refused the order, could not be reached, or has not confirmed the order in time. \
            `detail` says which. Unless it says that the order was not accepted, the order may be \
            in the queue, or still get into it.",
    remedy: "Try again after `Retry-After` seconds with the same `Idempotency-Key`: it makes the \
             repetition the same order. Whoever runs the API finds SQS's own words in its log.",
    example: || Refusal::Publish(PublishError::Unconfirmed).into(),
};

pub(super) const INVALID_ORDER_ID: Kind = Kind {
    base: kind(StatusCode::BAD_REQUEST, "invalid-order-id", "The order id is invalid"),
    means: "The last part of the path is not a UUID, as every order's id is.",
    remedy: "Take the `orderId` of the answer that accepted the order, or follow its `Location`.",
    example: || Unanswered::InvalidId.into(),
};

pub(super) const UNKNOWN_ORDER: Kind = Kind {
    base: kind(StatusCode::NOT_FOUND, "unknown-order", "Nothing is known of the order yet"),
    means: "No attempt at delivering this order is recorded. One that was accepted a moment ago may \
            still wait in its queue; the API itself keeps no orders.",
    remedy: "If the order was accepted, ask again: usually within a second, after an outage when the \
             queue has been worked off. Otherwise check the id.",
    example: || Unanswered::Unknown(uuid!("0190f3a4-6f0e-4c57-9c5e-0a3b6f1d2e4c")).into(),
};

pub(super) const UNREADABLE_ORDER: Kind = Kind {
    base: kind(StatusCode::GONE, "unreadable-order", "The order cannot be read"),
    means: "A delivery worker has taken a message with the order's id out of the queue, and the \
            message is otherwise no order: it was broken, or another program sent it. `detail` has \
            the worker's words. The message goes to the dead-letter queue; nothing is delivered.",
    remedy: "Do not wait for it: place the order again. Whoever runs the fleet looks at the \
             message in the dead-letter queue, and at who sent it.",
    example: || {
        let detail = "the message of order 0190f3a4-6f0e-4c57-9c5e-0a3b6f1d2e4c is no order \
            (unparseable: the body is not an order: missing field `items`); it goes to the \
            dead-letter queue";
        Unanswered::Unreadable(detail.to_owned()).into()
    },
};

pub(super) const STATUS_NOT_CONFIGURED: Kind = Kind {
    base: kind(
        StatusCode::NOT_IMPLEMENTED,
        "delivery-status-not-configured",
        "The API does not know where deliveries are",
    ),
    means: "The API answers for orders by asking a delivery worker, and was not told where one is.",
    remedy: "Ask the delivery worker's own API. Whoever runs the order API sets DELIVERY_API_URL.",
    example: || Unanswered::NotConfigured.into(),
};

pub(super) const STATUS_INVALID: Kind = Kind {
    base: kind(
        StatusCode::BAD_GATEWAY,
        "delivery-status-invalid",
        "The delivery worker's answer makes no sense",
    ),
    means: "What answers where the delivery worker should be is something else, or of another \
            version. The order itself is not affected.",
    remedy: "Whoever runs the API checks DELIVERY_API_URL; the log has the details.",
    example: || Unanswered::Invalid.into(),
};

pub(super) const STATUS_UNAVAILABLE: Kind = Kind {
    base: kind(
        StatusCode::SERVICE_UNAVAILABLE,
        "delivery-status-unavailable",
        "The delivery's state cannot be read now",
    ),
    means: "The delivery worker, or its store, does not answer in time, too many ask at once, or \
            the API has as much of orders and answers in hand as it bears. The order itself is not \
            affected: it is in the queue or delivered.",
    remedy: "Ask again after `Retry-After` seconds.",
    example: || Unanswered::Unavailable.into(),
};

const AMBIGUOUS: Kind = Kind {
    base: BAD_REQUEST,
    means: "The request's header lacks a `Host`, has two, or has a `Transfer-Encoding` other than \
            `chunked` alone. Another server on the way may have read it in another way, so it is not \
            answered, and the connection is closed.",
    remedy: "Send requests of HTTP/1.1 as RFC 9112 has them; usual clients do.",
    example: || Problem::of(BAD_REQUEST).detail("Host is missing"),
};

const NO_ROUTE: Kind = Kind {
    base: NOT_FOUND,
    means: "The API has nothing at this path.",
    remedy: "Look at /docs for what there is.",
    example: || Problem::of(NOT_FOUND).detail("there is nothing at /api/order"),
};

const OTHER_METHOD: Kind = Kind {
    base: METHOD_NOT_ALLOWED,
    means: "There is something at this path, but it does not take the request's method.",
    remedy: "Use one of the methods that the `Allow` header lists.",
    example: || {
        let detail = "/api/orders does not take GET; see the Allow header";
        Problem::of(METHOD_NOT_ALLOWED).detail(detail)
    },
};

/// Why this body, with these other invalid parts of its request, is not an order.
fn read(body: &[u8], errors: FieldErrors) -> (FieldErrors, OrderError) {
    let error = Order::from_json(body).err();
    (errors, error.unwrap_or(OrderError::Invalid(FieldErrors::default())))
}
