//! Why the API refuses something, and what the client is told. The one place that maps reasons to
//! answers; what there is to say about each kind is in [`kinds`].

pub(crate) mod kinds;

use crate::{
    order::OrderError,
    publisher::{PublishError, QueueType},
};
use service_kit::{FieldErrors, Problem, docs::Kind};
use sqs_consumer::QueueError;
use std::time::Duration;
use uuid::Uuid;

/// When to come back after a burst of load or a fault that heals by itself.
const SOON: Duration = Duration::from_secs(1);
/// When to come back after a fault that somebody has to mend.
const LATER: Duration = Duration::from_secs(30);

/// Why an order is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The content is of another type than JSON.
    MediaType,
    /// The body, or the order made of it, is over SQS's 1 MiB.
    TooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body ended before its end.
    BodyBroken,
    /// The body is not JSON; other invalid parts of the request are listed with it.
    Malformed(FieldErrors),
    /// Parts of the request are invalid: all of them.
    Invalid(FieldErrors),
    /// The idempotency key was used for another order.
    KeyReused,
    /// It cannot be found out what the idempotency key was used for.
    KeysUnavailable,
    /// The order is fine, but it was not published.
    Publish(PublishError),
}

impl From<(FieldErrors, OrderError)> for Refusal {
    /// The invalid parts of the request beside its body come first.
    fn from((mut errors, error): (FieldErrors, OrderError)) -> Self {
        match error {
            OrderError::Invalid(more) => {
                errors.append(more);
                Self::Invalid(errors)
            }
            OrderError::Malformed(error) => {
                errors.push(error);
                Self::Malformed(errors)
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::MediaType => kinds::MEDIA_TYPE
                .problem()
                .detail("send the order with Content-Type: application/json, and not compressed"),
            Refusal::TooLarge => {
                kinds::TOO_LARGE.problem().detail("an order takes at most 1 MiB (1048576 bytes)")
            }
            Refusal::BodyTimeout => {
                kinds::BODY_TIMEOUT.problem().detail("the whole body must arrive within 10 seconds")
            }
            Refusal::BodyBroken => {
                kinds::BODY_BROKEN.problem().detail("the body ended before its announced end")
            }
            Refusal::Malformed(errors) => errors.listed_in(
                kinds::MALFORMED.problem().detail("the body must be one JSON object in UTF-8"),
            ),
            Refusal::Invalid(errors) => {
                let detail = errors.summary();
                errors.listed_in(kinds::INVALID.problem().detail(detail))
            }
            Refusal::KeyReused => kinds::KEY_REUSED
                .problem()
                .detail("this customer has used the Idempotency-Key for another order"),
            Refusal::KeysUnavailable => kinds::KEYS_UNAVAILABLE
                .problem()
                .detail("the store of idempotency keys does not answer; the order was not accepted")
                .retry_after(SOON),
            Refusal::Publish(error) => unpublished(&error),
        }
    }
}

/// Why a question about an order has no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// The id is none.
    InvalidId,
    /// The delivery worker knows nothing of the order.
    Unknown(Uuid),
    /// The order's message is no order: the delivery worker's words.
    Unreadable(String),
    /// Nobody said where to ask.
    NotConfigured,
    /// Who was asked said something else than a delivery worker would.
    Invalid,
    /// Nobody answers now.
    Unavailable,
    /// As many ask, or as much is in hand of orders and answers, as the API bears.
    Busy,
}

impl From<Unanswered> for Problem {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::InvalidId => kinds::INVALID_ORDER_ID
                .problem()
                .detail("the order id in the path is not a UUID of 36 characters"),
            Unanswered::Unknown(order_id) => kinds::UNKNOWN_ORDER.problem().detail(format!(
                "no attempt at order {order_id} is recorded; it may still be waiting in its queue"
            )),
            Unanswered::Unreadable(detail) => kinds::UNREADABLE_ORDER.problem().detail(detail),
            Unanswered::NotConfigured => kinds::STATUS_NOT_CONFIGURED
                .problem()
                .detail("DELIVERY_API_URL is not set; the delivery worker's own API has the state"),
            Unanswered::Invalid => kinds::STATUS_INVALID
                .problem()
                .detail("what is at DELIVERY_API_URL does not answer as a delivery worker does")
                .retry_after(LATER),
            Unanswered::Unavailable => kinds::STATUS_UNAVAILABLE
                .problem()
                .detail("no delivery worker answers now; the order itself is not affected")
                .retry_after(SOON),
            Unanswered::Busy => kinds::STATUS_UNAVAILABLE
                .problem()
                .detail("the API has too much in hand now; the order itself is not affected")
                .retry_after(SOON),
        }
    }
}

fn unpublished(error: &PublishError) -> Problem {
    let (kind, retry_after): (&Kind, _) = match error {
        PublishError::TooLarge { .. } => {
            return kinds::TOO_LARGE.problem().detail(explained(error));
        }
        PublishError::NotConfigured(_) => (&kinds::NOT_CONFIGURED, LATER),
        PublishError::Overloaded => (&kinds::OVERLOADED, SOON),
        PublishError::Refused(
            QueueError::AccessDenied(_) | QueueError::NoSuchQueue(_) | QueueError::Rejected(_),
        ) => (&kinds::UNAVAILABLE, LATER),
        PublishError::Refused(_) | PublishError::Unconfirmed => (&kinds::UNAVAILABLE, SOON),
    };
    kind.problem().detail(explained(error)).retry_after(retry_after)
}

/// What the client may know: SQS's own words can name accounts and hosts, and stay in the log.
fn explained(error: &PublishError) -> String {
    const AGAIN: &str = "an Idempotency-Key makes trying again safe";
    match error {
        PublishError::NotConfigured(queue) => {
            let setting = match queue {
                QueueType::Standard => "SQS_QUEUE_URL_STANDARD",
                QueueType::Fifo => "SQS_QUEUE_URL_FIFO",
            };
            format!("queueType {} has no queue here: {setting} is not set", queue.as_str())
        }
        PublishError::Overloaded => "the order was not accepted; try again later".to_owned(),
        PublishError::Unconfirmed => {
            format!("the queue has not confirmed the order in time and may still take it; {AGAIN}")
        }
        PublishError::Refused(QueueError::Unavailable(_)) => {
            format!("the queue could not be reached, or gave no clear answer; {AGAIN}")
        }
        // The last word of several, perhaps: the SDK, and the batcher, try again after a failure
        // that tells nothing, and what comes then says nothing of the try before.
        PublishError::Refused(error) if error.is_transient() => {
            let kind = error.kind();
            format!("the queue refused the order ({kind}); a try before may have got in; {AGAIN}")
        }
        // It would have been refused at every try.
        PublishError::Refused(error) => {
            format!("the queue refused the order ({}); it was not accepted", error.kind())
        }
        PublishError::TooLarge { largest } => {
            format!("the queue takes at most {largest} bytes of an order, its id and time included")
        }
    }
}
