//! Why an order is refused, and what the client is told. The one place that maps reasons to answers.

use crate::{
    order::FieldError,
    publisher::{PublishError, QueueType},
};
use axum::http::StatusCode;
use service_kit::Problem;
use sqs_consumer::QueueError;
use std::time::Duration;

/// Every kind of problem that an order can meet: `type` is `/problems/<slug>`, and the slug is the
/// metric's `reason`.
pub(crate) const SLUGS: [&str; 9] = [
    MALFORMED,
    INVALID,
    TOO_LARGE,
    MEDIA_TYPE,
    BODY_TIMEOUT,
    BODY_BROKEN,
    NOT_CONFIGURED,
    OVERLOADED,
    UNAVAILABLE,
];
const MALFORMED: &str = "malformed-json";
const INVALID: &str = "invalid-order";
const TOO_LARGE: &str = "order-too-large";
const MEDIA_TYPE: &str = "unsupported-media-type";
const BODY_TIMEOUT: &str = "body-timeout";
const BODY_BROKEN: &str = "body-incomplete";
const NOT_CONFIGURED: &str = "queue-not-configured";
const OVERLOADED: &str = "overloaded";
const UNAVAILABLE: &str = "queue-unavailable";

/// When to come back after a burst of load or a fault that heals by itself.
const SOON: Duration = Duration::from_secs(1);
/// When to come back after a fault that somebody has to mend.
const LATER: Duration = Duration::from_secs(30);

/// Why an order is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The content is of another type than JSON.
    MediaType,
    /// The body, or the message made of it, is over SQS's 1 MiB.
    TooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body ended before its end.
    BodyBroken,
    /// The body is not JSON; other invalid parts of the request are listed with it.
    Malformed(Vec<FieldError>),
    /// Parts of the request are invalid: all of them.
    Invalid(Vec<FieldError>),
    /// The order is fine, but it was not published.
    Publish(PublishError),
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let bad_request = StatusCode::BAD_REQUEST;
        match refusal {
            Refusal::MediaType => Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                MEDIA_TYPE,
                "The content type is not supported",
            )
            .detail("send the order with Content-Type: application/json"),
            Refusal::TooLarge => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE, "The order is too large")
                    .detail("an order takes at most 1 MiB (1048576 bytes)")
            }
            Refusal::BodyTimeout => {
                Problem::new(StatusCode::REQUEST_TIMEOUT, BODY_TIMEOUT, "The body did not arrive")
                    .detail("the whole body must arrive within 10 seconds")
            }
            Refusal::BodyBroken => Problem::new(bad_request, BODY_BROKEN, "The body is incomplete")
                .detail("the body ended before its announced end"),
            Refusal::Malformed(errors) => listed(
                Problem::new(bad_request, MALFORMED, "The body is not JSON")
                    .detail("the body must be one JSON object in UTF-8"),
                errors,
            ),
            Refusal::Invalid(errors) => {
                let detail = match errors.len() {
                    1 => "one field is invalid".to_owned(),
                    n => format!("{n} fields are invalid"),
                };
                listed(
                    Problem::new(bad_request, INVALID, "The order is invalid").detail(detail),
                    errors,
                )
            }
            Refusal::Publish(error) => unpublished(&error),
        }
    }
}

fn listed(problem: Problem, errors: Vec<FieldError>) -> Problem {
    errors
        .into_iter()
        .fold(problem, |problem, error| problem.field_error(error.pointer, error.detail))
}

fn unpublished(error: &PublishError) -> Problem {
    let (slug, title, retry_after) = match error {
        PublishError::TooLarge => return Refusal::TooLarge.into(),
        PublishError::NotConfigured(_) => {
            (NOT_CONFIGURED, "This kind of queue is not set up", LATER)
        }
        PublishError::Overloaded => (OVERLOADED, "Too many orders at once", SOON),
        PublishError::Refused(QueueError::AccessDenied(_) | QueueError::NoSuchQueue(_)) => {
            (UNAVAILABLE, "The queue does not take the order", LATER)
        }
        PublishError::Refused(_) | PublishError::Unconfirmed => {
            (UNAVAILABLE, "The queue does not take the order", SOON)
        }
    };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, slug, title)
        .detail(explained(error))
        .retry_after(retry_after)
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
        PublishError::Refused(error) => {
            format!("the queue refused the order ({}); it was not accepted", error.kind())
        }
        PublishError::TooLarge => "the order is too large".to_owned(),
    }
}
