//! Reading a body within bounds of size, time and room: a request's, or that of an answer which is
//! to be passed on.

use crate::{
    problem::Refusal,
    publisher::PublishError,
    room::{Full, Reserved, Room},
};
use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, Request, header},
};
use http_body_util::BodyExt;
use hyper::body::Frame;
use service_kit::is_json;
use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

/// The largest message that SQS takes, bytes (AWS SQS quotas), and hence the largest order.
pub(crate) const LARGEST: usize = 1024 * 1024;
/// For the whole body to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a body is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// There is no room for it, or it has had to make room for others.
    #[error("there is no room for the body")]
    NoRoom,
    /// It is over SQS's 1 MiB.
    #[error("the body is too large")]
    TooLarge,
    /// It ended before its end.
    #[error("the body broke off: {0}")]
    Broken(axum::Error),
}

/// The body of a request that says it is JSON, without its head: nobody needs that while the body is
/// waited for. Over all connections, large heads would take more memory than all orders in hand; and the
/// future of each request would have a place for one.
pub(crate) fn of_json(request: Request<Body>) -> Result<Body, Refusal> {
    let (head, body) = request.into_parts();
    if !is_json(&head.headers) || is_coded(&head.headers) {
        return Err(Refusal::MediaType);
    }
    // Whoever announces too much need not send it; one that asks first (`Expect`) does not.
    if announced(&head.headers) > LARGEST {
        return Err(Refusal::TooLarge);
    }
    Ok(body)
}

/// The whole of such a body, and the room that it takes.
pub(crate) async fn read_order(mut body: Body, room: &Room) -> Result<(Bytes, Reserved), Refusal> {
    let first = at_once(&mut body).await;
    if let Some(Some(Ok(frame))) = &first
        && let Some(data) = frame.data_ref()
        && data.len() <= LARGEST
        && body.is_end_stream()
    {
        let reserved = room.whole(data.len()).map_err(ReadError::from)?;
        return Ok((data.clone(), reserved));
    }
    // Boxed: few requests come here, and each one's future has a place for it.
    let read = Box::pin(tokio::time::timeout(TIMEOUT, read_on(first, body, room))).await;
    read.map_err(|_| Refusal::BodyTimeout)?.map_err(Refusal::from)
}

/// A part of a body, or its end.
type Part = Option<Result<Frame<Bytes>, axum::Error>>;

/// The first part of a body that came together with its request's head, as most do: nobody is waited
/// for, and no time has to be kept. The server begins to look for it only when it is asked, and is asked
/// once more.
async fn at_once(body: &mut Body) -> Option<Part> {
    let mut asked = false;
    poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Ready(part) => Poll::Ready(Some(part)),
        Poll::Pending if asked => Poll::Ready(None),
        Poll::Pending => {
            asked = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// A whole body, and the room that it takes. Its time is up to the caller.
pub(crate) async fn read(body: Body, room: &Room) -> Result<(Bytes, Reserved), ReadError> {
    read_on(None, body, room).await
}

/// The same of a body whose first part may be there already.
async fn read_on(
    mut first: Option<Part>,
    mut body: Body,
    room: &Room,
) -> Result<(Bytes, Reserved), ReadError> {
    let (mut bytes, mut reserved) = (Vec::new(), room.part());
    loop {
        let frame = if let Some(first) = first.take() {
            first
        } else {
            // What has been given up cannot grow: it is no matter that what is there is taken first.
            tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = reserved.given_up() => return Err(ReadError::NoRoom),
            }
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(ReadError::Broken)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        // A client that goes on sending gets to read this: its connection is closed gently.
        if bytes.len() + data.len() > LARGEST {
            return Err(ReadError::TooLarge);
        }
        reserved.grow(data.len())?;
        // Most bodies come in one piece. One that waits for others is copied: it would keep all of the
        // connection's buffer.
        if bytes.is_empty() && body.is_end_stream() {
            return Ok((data, reserved.arrived()?));
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.into(), reserved.arrived()?))
}

impl From<Full> for ReadError {
    fn from(_: Full) -> Self {
        Self::NoRoom
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoRoom => Self::Publish(PublishError::Overloaded),
            ReadError::TooLarge => Self::TooLarge,
            ReadError::Broken(_) => Self::BodyBroken,
        }
    }
}

/// Whether the body is another representation of itself, such as gzip's, which nobody undoes here.
fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn announced(headers: &HeaderMap) -> usize {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}
