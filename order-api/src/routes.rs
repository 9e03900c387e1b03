//! Placing an order: from a request to an order, and from its fate to an answer.

use crate::{
    body::{self, LARGEST},
    endpoints::Api,
    held::Held,
    order::{Order, limits},
    problem::Refusal,
    publisher::{Place, PreparedOrder, PublishError, QueueType},
    room::Reserved,
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use order_events::{OrderEvent, message_group_id};
use service_kit::{FieldError, FieldErrors, Problem};
use std::sync::Arc;
use uuid::Uuid;

/// The parts of a request beside its body.
struct Asked {
    queue: QueueType,
    key: Option<String>,
}

/// An order that SQS has, as its client is told.
type Accepted = Held<String>;

pub(crate) async fn health() -> Response {
    let json = r#"{"status":"UP","service":"order-api"}"#;
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

pub(crate) async fn accept(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let (asked, errors) = asked(request.uri(), request.headers());
    let taken = match body::of_json(request) {
        Ok(body) => take(&api, asked, errors, body).await,
        Err(refusal) => Err(refusal),
    };
    match taken {
        Ok((queue, order_id, accepted)) => {
            api.metrics.accepted(queue);
            let mut response = (StatusCode::ACCEPTED, accepted).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(header::LOCATION, api.deliveries.location(order_id));
            Ok(response)
        }
        Err(refusal) => {
            let problem = Problem::from(refusal);
            api.metrics.rejected(problem.slug());
            Err(problem)
        }
    }
}

async fn take(
    api: &Api,
    asked: Asked,
    errors: FieldErrors,
    body: Body,
) -> Result<(QueueType, Uuid, Accepted), Refusal> {
    let (body, reserved) = body::read_order(body, &api.room).await?;
    let order = match Order::from_json(&body) {
        Ok(order) if errors.is_empty() => order,
        Ok(_) => return Err(Refusal::Invalid(errors)),
        Err(error) => return Err((errors, error).into()),
    };
    drop(body);
    let reserved = Arc::new(reserved);
    let Asked { queue, key } = asked;
    let Some(key) = key else {
        let at = now();
        let event = event(order, new_order_id(at), at)?;
        let json = written(&event)?;
        let place = admit(api, queue, (&event, &json), &reserved)?;
        publish(api, place, (&event, &json), false).await?;
        return Ok((queue, event.order_id, Held::new(json, reserved)));
    };
    // Boxed: an order without a key has no use for so large a future.
    Box::pin(take_keyed(api, queue, order, key, reserved)).await
}

/// The same for an order with a key.
async fn take_keyed(
    api: &Api,
    queue: QueueType,
    order: Order,
    key: String,
    reserved: Arc<Reserved>,
) -> Result<(QueueType, Uuid, Accepted), Refusal> {
    let mut keyed = api.keys.recall(order, key, queue, now())?;
    if !keyed.is_confirmed {
        let place = admit(api, queue, (&keyed.event, &keyed.json), &reserved)?;
        keyed = api.keys.remember(keyed, &reserved).await?;
        if !keyed.is_confirmed {
            publish(api, place, (&keyed.event, &keyed.json), keyed.is_known).await?;
            api.keys.confirmed(&keyed);
        }
    }
    Ok((queue, keyed.event.order_id, Held::new(keyed.json, reserved)))
}

/// Ids that begin with the time: what is written together lies together in the store's indexes,
/// where each random id would touch a page of its own. The rest is the thread's own generator's, a
/// cryptographic one that the system seeds: a system call for each order costs more.
fn new_order_id(at: Timestamp) -> Uuid {
    let since_1970 = u64::try_from(at.as_millisecond()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(since_1970, &rand::random()).into_uuid()
}

/// A place among the orders in hand, if the order can be sent at all.
fn admit<'a>(
    api: &'a Api,
    queue: QueueType,
    (event, json): (&OrderEvent, &str),
    reserved: &Arc<Reserved>,
) -> Result<Place<'a>, Refusal> {
    api.publisher.admit(queue, json, reserved).map_err(|error| {
        not_published(event, queue, &error);
        Refusal::Publish(error)
    })
}

/// Returns when SQS has confirmed the order.
async fn publish(
    api: &Api,
    place: Place<'_>,
    (event, json): (&OrderEvent, &str),
    is_repeated: bool,
) -> Result<(), Refusal> {
    let queue = place.queue();
    let prepared = PreparedOrder {
        order_id: event.order_id,
        group_id: message_group_id(&event.customer_id),
        is_repeated,
        body: json.to_owned(),
    };
    match api.publisher.publish(place, prepared).await {
        Ok(confirmed) => {
            tracing::debug!(
                order_id = %event.order_id,
                message_id = confirmed.message_id,
                queue = queue.as_str(),
                "accepted"
            );
            Ok(())
        }
        Err(error) => {
            not_published(event, queue, &error);
            Err(Refusal::Publish(error))
        }
    }
}

/// Load that is turned away is counted, as is what clients send too large; a line for each such
/// order would only add to the load.
fn not_published(event: &OrderEvent, queue: QueueType, error: &PublishError) {
    let (order_id, queue) = (event.order_id, queue.as_str());
    if matches!(error, PublishError::Overloaded | PublishError::TooLarge { .. }) {
        tracing::debug!(%order_id, queue, %error, "not accepted");
    } else {
        tracing::warn!(%order_id, queue, %error, "not accepted");
    }
}

/// Microseconds, as the other producers write them.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// The order with its id and the time of its first request.
pub(crate) fn event(order: Order, order_id: Uuid, at: Timestamp) -> Result<OrderEvent, Refusal> {
    OrderEvent::new(order_id, order.customer_id, order.items, at)
        .map_err(|error| Refusal::Invalid(FieldError::new("#/items", error.to_string()).into()))
}

/// The order as it is sent and answered, if SQS takes so much.
pub(crate) fn written(event: &OrderEvent) -> Result<String, Refusal> {
    let json = event.to_json();
    if json.len() > LARGEST { Err(Refusal::TooLarge) } else { Ok(json) }
}

fn asked(uri: &Uri, headers: &HeaderMap) -> (Asked, FieldErrors) {
    let mut errors = FieldErrors::default();
    let queue = queue_type(uri).unwrap_or_else(|error| {
        errors.push(error);
        QueueType::Standard
    });
    let key = idempotency_key(headers).unwrap_or_else(|error| {
        errors.push(error);
        None
    });
    (Asked { queue, key }, errors)
}

fn queue_type(uri: &Uri) -> Result<QueueType, FieldError> {
    const NAME: &str = "queueType";
    let error = |detail: &str| FieldError::new(format!("?{NAME}"), detail);
    // As most say it: there is nothing to be decoded.
    let usual = uri.query().and_then(|query| query.strip_prefix("queueType="));
    if let Some(queue) = QueueType::ALL.into_iter().find(|queue| usual == Some(queue.as_str())) {
        return Ok(queue);
    }
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let mut values = pairs.filter(|(name, _)| name == NAME).map(|(_, value)| value);
    let Some(value) = values.next() else {
        return Ok(QueueType::Standard);
    };
    if values.next().is_some() {
        return Err(error("must be given once"));
    }
    let named = |queue: &QueueType| queue.as_str().eq_ignore_ascii_case(&value);
    QueueType::ALL.into_iter().find(named).ok_or_else(|| error("must be standard or fifo"))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, FieldError> {
    const NAME: &str = "Idempotency-Key";
    // Made once: a name that is looked up as a text is read anew each time.
    static HEADER: HeaderName = HeaderName::from_static("idempotency-key");
    let mut values = headers.get_all(&HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(FieldError::new(NAME, "must be given once"));
    }
    match value.to_str() {
        // A tab passes for a visible character there.
        Ok(key) if (1..=limits::KEY_LENGTH).contains(&key.len()) && !key.contains('\t') => {
            Ok(Some(key.to_owned()))
        }
        _ => {
            let detail = format!("must be 1 to {} printable ASCII characters", limits::KEY_LENGTH);
            Err(FieldError::new(NAME, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_orders_have_greater_ids_each_its_own() {
        let at = |milliseconds| new_order_id(Timestamp::from_millisecond(milliseconds).unwrap());
        let now = 1_790_000_000_000;
        assert!(at(now) < at(now + 1));
        assert!(at(now + 999) < at(now + 1_000));
        assert_ne!(at(now), at(now));
    }
}
