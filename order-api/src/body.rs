//! Reading a request's body within bounds of size and time.

use crate::{
    problem::Refusal,
    publisher::PublishError,
    room::{Reserved, Room},
};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Request, header},
};
use http_body_util::BodyExt;
use std::time::Duration;

/// The largest message that SQS takes, bytes (AWS SQS quotas), and hence the largest order.
pub(crate) const LARGEST: usize = 1024 * 1024;
/// How much of a larger body is still read and thrown away, bytes: a client that is sending would
/// otherwise see its connection reset and never the answer.
const LARGEST_DISCARDED: usize = 16 * LARGEST;
/// For the whole body to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The body of a request that says it is JSON, and the room that it takes.
pub(crate) async fn read_json(
    request: Request<Body>,
    room: &Room,
) -> Result<(Bytes, Reserved), Refusal> {
    let (head, body) = request.into_parts();
    if !is_json(&head.headers) {
        return Err(Refusal::MediaType);
    }
    // A client that asks before it sends need not send at all.
    if announced(&head.headers) > LARGEST && head.headers.contains_key(header::EXPECT) {
        return Err(Refusal::TooLarge);
    }
    tokio::time::timeout(TIMEOUT, read(body, room)).await.unwrap_or(Err(Refusal::BodyTimeout))
}

async fn read(mut body: Body, room: &Room) -> Result<(Bytes, Reserved), Refusal> {
    let mut kept = Some((Vec::new(), room.part()));
    let mut refusal = Refusal::TooLarge;
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::BodyBroken)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length > LARGEST_DISCARDED {
            break;
        }
        let Some((bytes, reserved)) = &mut kept else { continue };
        if length > LARGEST {
            kept = None;
        } else if reserved.grow(data.len()).is_err() {
            kept = None;
            refusal = Refusal::Publish(PublishError::Overloaded);
        } else {
            bytes.extend_from_slice(&data);
        }
    }
    let (bytes, reserved) = kept.ok_or(refusal)?;
    Ok((bytes.into(), reserved))
}

/// `application/json` or a `+json` type, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn announced(headers: &HeaderMap) -> usize {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}
